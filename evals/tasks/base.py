"""What a task is: a benchmark's problems, and how they are put to a model."""

from dataclasses import dataclass
from typing import Literal

from mathrl.prompts import PromptConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One benchmark."""

    name: str
    """What ``--task`` takes."""
    data: str
    """The name that ``load_problems`` takes."""
    split: str
    """Split of the data set."""
    size: int
    """Problems in the split."""
    licence: str
    """Licence of the problems."""
    source: str
    """Where the problems are from."""
    template: str
    """Text around the question, ``{prompt}``."""
    max_new_tokens: int
    """Cap on a completion; a lower one cuts reasoning short, which shows in the truncated rate."""
    chat: Literal["auto", "on", "off"] = "auto"
    """Use the tokenizer's chat template: where there is one, always, or never."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion, besides the model's own end of sequence."""

    def prompt_config(self) -> PromptConfig:
        """How the task is put to a model unless a run says otherwise."""
        return PromptConfig(template=self.template, chat=self.chat)
