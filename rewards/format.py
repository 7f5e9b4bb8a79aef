"""The format reward: 1.0 for thinking in its tags with an answer after it, 0.0 for anything else.

    GRPOTrainer(..., reward_funcs=[accuracy_reward, gated(format_reward, by=accuracy_reward)])

Tags count only as they are spelt: a tag with a character of no width in it is text. Every check
takes time linear in the text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mathrl.errors import ConfigError
from mathrl.rewards.accuracy import Message, completion_text
from mathrl.schema import Score

MAX_CHARACTERS = 1_000_000
"""A longer completion gets 0.0 with the status ``limit``; 100,000 tokens are about half of it."""
_REASONING_KEYS = ("reasoning_content", "thinking")
"""Where chat templates put the thinking when they parse a completion into a message."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Unicode calls these letters and draws nothing: thinking made of them is empty."""
_SYMBOL_ANSWERS = frozenset("∞∅")
"""Whole answers without a letter or a digit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormatReward:
    """Pays for ``<think>…</think>`` and an answer after it; ``format_reward`` has the defaults.

    Each tag stands exactly once, in order, with nothing before ``<think>``.
    """

    is_answer_tagged: bool = False
    """The answer must stand in ``<answer>…</answer>``, with nothing outside the pairs of tags.

    Else it may; these tags, too, are then there once, after the thinking, and not empty.
    """
    is_think_open: bool = False
    """The prompt ends with ``<think>``: the completion starts inside it and must not repeat it."""
    min_thinking_characters: int = 3
    """Letters and digits that make a thought: ``2+2=4`` has three, ``ok`` has two; at least 1."""

    __name__ = "format_reward"
    is_shaping = True

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        if self.min_thinking_characters < 1:
            got = self.min_thinking_characters
            raise ConfigError(f"min_thinking_characters must be at least 1, not {got}")

    def __call__(
        self, completions: Sequence[str | Sequence[Message]], **columns: Any
    ) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; not read.

        Returns:
            1.0 or 0.0, never None: the format is always the model's doing.

        Raises:
            GradingError: A completion is neither a text nor a conversation.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[str | Sequence[Message]], **columns: Any) -> list[Score]:
        """Reward each completion: as calling it, with the reasons.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; not read.

        Raises:
            GradingError: A completion is neither a text nor a conversation.
        """
        return [self._score(self._text(completion)) for completion in completions]

    def _text(self, completion: str | Sequence[Message]) -> str:
        """Take the text, with its tags again where a chat template has parsed them away."""
        content = completion_text(completion)
        last = completion[-1] if completion else None
        reasoning = (
            next((last[key] for key in _REASONING_KEYS if last.get(key)), None)
            if isinstance(last, Mapping)
            else None
        )
        if not isinstance(reasoning, str):
            return content
        return f"{'' if self.is_think_open else '<think>'}{reasoning}</think>{content}"

    def _score(self, text: str) -> Score:
        if len(text) > MAX_CHARACTERS:
            return Score(value=0.0, status="limit", reason=f"more than {MAX_CHARACTERS} characters")
        if fault := next(self._faults(text), None):
            return Score(value=0.0, status="wrong", reason=fault)
        return Score(value=1.0, status="correct", reason="format kept")

    def _faults(self, text: str) -> Iterator[str]:
        """Say what is wrong with a text; each check may rely on those before it."""
        is_tagged = self.is_answer_tagged or "<answer>" in text or "</answer>" in text
        tags = {"<think>": 0 if self.is_think_open else 1, "</think>": 1}
        tags |= {"<answer>": 1, "</answer>": 1} if is_tagged else {}
        for tag, count in tags.items():
            if (found := text.count(tag)) != count:
                yield f"{found} {tag}, not {count}"
        before, _, rest = ("", "", text) if self.is_think_open else text.partition("<think>")
        if before.strip():
            yield "text before <think>"
        thinking, _, answer = rest.partition("</think>")
        if not _says(thinking, self.min_thinking_characters):
            yield "no thinking"
        if is_tagged:
            between, is_opened, rest = answer.partition("<answer>")
            answer, is_closed, after = rest.partition("</answer>")
            if not (is_opened and is_closed):
                yield "<answer>…</answer> not after the thinking"
            if self.is_answer_tagged and (between.strip() or after.strip()):
                yield "text outside the tags"
        if not _says(answer, 1) and _SYMBOL_ANSWERS.isdisjoint(answer):
            yield "no answer after the thinking"


format_reward = FormatReward()
"""Thinking in tags, then the answer as free text. Keep its weight small, and gate it."""


def _says(text: str, count: int) -> bool:
    """Tell whether a text has that many letters and digits."""
    characters = (each for each in text if each.isalnum() and each not in _BLANK_LETTERS)
    return sum(1 for _ in islice(characters, count)) == count
