"""What a task is: a benchmark's problems, how they are put to a model, what others measured."""

import re
from dataclasses import dataclass
from typing import Literal

from mathrl.errors import ConfigError
from mathrl.prompts import PromptConfig

STEP_BY_STEP = "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."
"""The zero-shot prompt of DeepSeekMath, which Qwen2.5-Math took over."""

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A figure that others published: what a run of that model under that protocol should find."""

    model: str
    """The model, as its authors call it."""
    protocol: str
    """Prompt and decoding, in a few words."""
    accuracy: float
    """Share of problems solved, from 0 to 1."""
    source: str
    """Where it was read."""

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise ConfigError(f"published.accuracy must be from 0 to 1, got {self.accuracy}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One benchmark; an empty text or a zero means that there is nothing to say."""

    name: str
    """What ``--task`` takes, and what names the samples in a store."""
    data: str
    """The name or file that ``load_problems`` takes."""
    split: str = "test"
    """Split of the data set."""
    size: int = 0
    """Problems in the split."""
    about: str = ""
    """What the problems are, in a few words."""
    answer: str = ""
    """Where a row has its known answer, and what form that has."""
    licence: str = ""
    """Licence of the problems."""
    source: str = ""
    """Where the problems are from."""
    template: str = STEP_BY_STEP
    """Text around the question, ``{prompt}``."""
    system: str = ""
    """System message."""
    num_few_shot: int = 0
    """Worked examples before the question."""
    few_shot_data: str = ""
    """Where they come from; empty takes the train split of ``data``."""
    max_new_tokens: int = 2048
    """Cap on a completion; a lower one cuts reasoning short, which shows in the truncated rate."""
    chat: Literal["auto", "on", "off"] = "auto"
    """Use the tokenizer's chat template: where there is one, always, or never."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion, besides the model's own end of sequence."""
    question_column: str = ""
    """Column with the question, if it has none of the usual names."""
    answer_column: str = ""
    """Column with the known answer, if it has none of the usual names."""
    published: tuple[Published, ...] = ()
    """Figures to agree with, those measured with the task's own prompt first."""

    def __post_init__(self) -> None:
        checks = (
            (
                _NAME.fullmatch(self.name) is not None,  # it becomes a folder's name
                f"name must be letters, digits, '_', '-' and '.', got {self.name!r}",
            ),
            (
                "{prompt}" in self.template,
                f"template must contain {{prompt}}, got {self.template!r:.60}",
            ),
            (self.size >= 0, f"size must be 0 (unknown) or more, got {self.size}"),
            (self.num_few_shot >= 0, f"num_few_shot must be 0 or more, got {self.num_few_shot}"),
            (
                self.max_new_tokens >= 1,
                f"max_new_tokens must be at least 1, got {self.max_new_tokens}",
            ),
        )
        for is_right, message in checks:
            if not is_right:
                raise ConfigError(message)

    def prompt_config(self) -> PromptConfig:
        """How the task is put to a model unless a run says otherwise."""
        return PromptConfig(
            template=self.template,
            system=self.system,
            num_few_shot=self.num_few_shot,
            chat=self.chat,
        )

    def size_note(self, num_problems: int, data: str) -> str | None:
        """Say that the data is not the whole benchmark, or more than it; None where it fits.

        Args:
            num_problems: Problems that were loaded.
            data: Where from.
        """
        if not self.size or num_problems == self.size:
            return None
        return (
            f"{self.name} has {self.size} problems, {data} holds {num_problems}: "
            "figures published for the task do not compare"
        )
