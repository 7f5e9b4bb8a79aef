"""From a problem to what the policy reads: template, system prompt, few-shot examples, chat."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from mathrl.errors import ConfigError, DataError
from mathrl.schema import Message, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptConfig:
    """How a problem is put to the policy."""

    template: str = "{prompt}"
    """Text around the question; ``{prompt}`` is replaced."""
    system: str = ""
    """System message: a turn of its own in a chat template, the first paragraph otherwise."""
    num_few_shot: int = 0
    """Worked examples before the question, taken from the training problems."""
    chat: Literal["auto", "on", "off"] = "auto"
    """Use the tokenizer's chat template: where there is one, always, or never."""

    def __post_init__(self) -> None:
        if "{prompt}" not in self.template:
            raise ConfigError(f"prompt.template must contain {{prompt}}, got {self.template!r}")
        if self.num_few_shot < 0:
            raise ConfigError(f"prompt.num_few_shot must be 0 or more, got {self.num_few_shot}")


class PromptBuilder:
    """Renders problems under one ``PromptConfig``; without a tokenizer, to text alone."""

    def __init__(
        self,
        config: PromptConfig,
        *,
        tokenizer: "PreTrainedTokenizerBase | None" = None,
        examples: Sequence[Problem] = (),
    ) -> None:
        """Choose the few-shot examples: the first ``num_few_shot`` that have a solution.

        Raises:
            DataError: Fewer examples have a ``solution`` than were asked for.
            ConfigError: ``chat`` is on and the tokenizer has no chat template.
        """
        solved = [problem for problem in examples if problem.metadata.get("solution")]
        if len(solved) < config.num_few_shot:
            raise DataError(
                f"{config.num_few_shot} few-shot examples asked for, but only {len(solved)} "
                "problems have a 'solution' column; lower prompt.num_few_shot"
            )
        has_chat = getattr(tokenizer, "chat_template", None) is not None
        if config.chat == "on" and not has_chat:
            raise ConfigError("prompt.chat is on, but the tokenizer has no chat template; use auto")
        self.config = config
        self.shots = tuple(solved[: config.num_few_shot])
        self.tokenizer = tokenizer
        self.is_chat = has_chat and config.chat != "off"

    def text(self, problem: Problem) -> str:
        """The prompt as text, ready for tokenisation."""
        if not self.is_chat:
            return self._plain(problem)
        assert self.tokenizer is not None, "a chat template comes with a tokenizer"
        rendered = self.tokenizer.apply_chat_template(
            [asdict(message) for message in self.messages(problem)],
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(rendered)

    def messages(self, problem: Problem) -> tuple[Message, ...]:
        """The prompt as turns: what a chat template or a chat API reads."""
        turns = [Message(role="system", content=self.config.system)] if self.config.system else []
        for shot in self.shots:
            turns.append(Message(role="user", content=self._question(shot)))
            turns.append(Message(role="assistant", content=str(shot.metadata["solution"])))
        return (*turns, Message(role="user", content=self._question(problem)))

    def ids(self, text: str) -> tuple[int, ...] | None:
        """The token ids of a rendered prompt; None without a tokenizer.

        A chat template writes its own special tokens, so none are added to it a second time.
        """
        if self.tokenizer is None:
            return None
        return tuple(self.tokenizer(text, add_special_tokens=not self.is_chat)["input_ids"])

    def _question(self, problem: Problem) -> str:
        return self.config.template.replace("{prompt}", problem.prompt)

    def _worked(self, shot: Problem) -> str:
        question = self._question(shot)
        separator = "" if question[-1].isspace() else "\n"
        return f"{question}{separator}{shot.metadata['solution']}"

    def _plain(self, problem: Problem) -> str:
        worked = [self._worked(shot) for shot in self.shots]
        parts = [self.config.system] if self.config.system else []
        return "\n\n".join([*parts, *worked, self._question(problem)])
