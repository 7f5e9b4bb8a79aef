"""The repetition penalty: the share of n-grams that a completion has said before, below zero.

    GRPOTrainer(..., reward_funcs=[accuracy_reward, repetition_penalty])

Words are the units, in lower case; characters are where a script has no spaces (Chinese, Japanese,
Thai …) and where a run without spaces is too long to be a word.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mathrl.errors import ConfigError
from mathrl.rewards.accuracy import Message, completion_text
from mathrl.schema import Score

MAX_CHARACTERS = 100_000
"""Only the end of a longer completion is read: a model that loops does not stop."""
MAX_NGRAM_SIZE = 64
"""With ``MAX_CHARACTERS`` it bounds the memory of one call to about 60 MB."""
_MAX_WORD = 64  # longer than any word; a flood without spaces must not pass for one
_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_PIECE = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]++")


@dataclass(frozen=True, kw_only=True, slots=True)
class RepetitionPenalty:
    """Punishes n-grams that come again: ``max_penalty * (1 - distinct / all)``.

    ``repetition_penalty`` has the defaults, which are those of the field's implementations.

    Source: arXiv 2502.03373, appendix C.2 (which punishes the repeating tokens one by one; here a
    completion has one value, as in open-r1 and TRL).
    """

    ngram_size: int = 3
    """Words, or characters, of an n-gram; 1 to 64."""
    max_penalty: float = -1.0
    """What endless repetition comes close to; below 0."""

    __name__ = "repetition_penalty"
    is_shaping = True

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        if not 1 <= self.ngram_size <= MAX_NGRAM_SIZE:
            raise ConfigError(f"ngram_size must be 1 to {MAX_NGRAM_SIZE}, not {self.ngram_size}")
        if not -math.inf < self.max_penalty < 0:
            raise ConfigError(f"max_penalty must be below 0 and finite, not {self.max_penalty}")

    def __call__(
        self, completions: Sequence[str | Sequence[Message]], **columns: Any
    ) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; not read.

        Returns:
            Values above ``max_penalty``, up to 0.0 for a completion that repeats nothing or is
            shorter than an n-gram; never None.

        Raises:
            GradingError: A completion is neither a text nor a conversation.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[str | Sequence[Message]], **columns: Any) -> list[Score]:
        """Reward each completion: as calling it, with the counts.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; not read.

        Raises:
            GradingError: A completion is neither a text nor a conversation.
        """
        return [self._score(completion_text(completion)) for completion in completions]

    def _score(self, text: str) -> Score:
        pieces = list(_pieces(text[-MAX_CHARACTERS:].lower()))
        count = max(len(pieces) - self.ngram_size + 1, 0)
        distinct = {tuple(pieces[start : start + self.ngram_size]) for start in range(count)}
        repeated = count - len(distinct)
        value = self.max_penalty * repeated / count if repeated else 0.0
        status: Literal["correct", "wrong"] = "wrong" if repeated else "correct"
        return Score(value=value, status=status, reason=f"{repeated} of {count} n-grams repeated")


repetition_penalty = RepetitionPenalty()
"""Three-word n-grams, down to -1."""


def _pieces(text: str) -> Iterator[str]:
    for piece in _PIECE.findall(text):
        if len(piece) > _MAX_WORD:
            yield from piece
        else:
            yield piece
