"""The accuracy reward: 1.0 for a right answer, 0.0 for a wrong one, None where the gold is bad.

It follows TRL's convention, so it drops into any trainer that does:

    GRPOTrainer(..., reward_funcs=[accuracy_reward], train_dataset=rows_with_an_answer_column)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mathrl.errors import GradingError
from mathrl.rewards.grade import grade
from mathrl.rewards.policy import REWARD
from mathrl.schema import Score

Message = Mapping[str, Any]
"""One chat message, ``{"role": "assistant", "content": "..."}``; other keys hold anything."""


class AccuracyReward:
    """Grades each completion against its ``answer`` column under the ``REWARD`` policy."""

    __name__ = "accuracy_reward"  # TRL names its metrics after this

    def __call__(
        self,
        completions: Sequence[str | Sequence[Message]],
        answer: Sequence[str | None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            answer: The known answer of each completion's problem.
            **columns: The other columns of the batch; not read.

        Returns:
            1.0 or 0.0, or None where the known answer cannot be read: no verdict.

        Raises:
            GradingError: The column is missing or does not match the completions.
        """
        return [score.value for score in self.scores(completions, answer, **columns)]

    def scores(
        self,
        completions: Sequence[str | Sequence[Message]],
        answer: Sequence[str | None] | None = None,
        **columns: Any,
    ) -> list[Score]:
        """Grade each completion: as calling it, with the reasons.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            answer: The known answer of each completion's problem.
            **columns: The other columns of the batch; not read.

        Raises:
            GradingError: The column is missing or does not match the completions.
        """
        if answer is None or isinstance(answer, str):
            got = "one string" if answer else f"the columns {', '.join(columns) or 'none'}"
            raise GradingError(f"accuracy_reward needs a list column 'answer'; it got {got}")
        if len(answer) != len(completions):
            raise GradingError(
                f"accuracy_reward got {len(completions)} completions and {len(answer)} answers"
                f" (columns: {', '.join(['answer', *columns])})"
            )
        texts = [completion_text(completion) for completion in completions]
        return [grade(text, gold, REWARD) for text, gold in zip(texts, answer, strict=True)]


accuracy_reward = AccuracyReward()
"""Use it as a function: ``accuracy_reward(completions, answer=[...])``."""


def completion_text(completion: str | Sequence[Message]) -> str:
    """Take the text out of a completion in either of TRL's forms.

    Args:
        completion: A text, or a conversation (the content of its last message counts).

    Raises:
        GradingError: It is neither.
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1] if isinstance(completion, Sequence) and completion else None
    content = last.get("content", last) if isinstance(last, Mapping) else last
    if content is None and isinstance(last, Mapping):
        return ""  # a message that only calls a tool says nothing
    if isinstance(content, str) and isinstance(last, Mapping):
        return content
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "".join(str(part.get("text", "")) for part in content)
    raise GradingError(
        f"a completion must be a string or a list of messages with text, not {completion!r:.80}"
    )
