"""Rewards that shape the length: DAPO's soft overlong punishment, the cosine length reward.

    penalty = LengthPenalty(max_length=1024, cache_length=256)
    GRPOTrainer(..., reward_funcs=[accuracy_reward, penalty])

Lengths are counted in tokens, from the column ``completion_ids`` that TRL and mathrl pass; where a
caller has texts only, say ``unit="characters"``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards.accuracy import Message, accuracy_reward, completion_text
from mathrl.rewards.weighted import Reward, named
from mathrl.schema import Score

Unit = Literal["tokens", "characters"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthPenalty:
    """Punishes completions that come close to the limit: DAPO's soft overlong punishment.

    With limit L and cache C it is 0 up to L - C, falls on a line to -1 at L, and stays there.

    Source: arXiv 2503.14476, Eq. 13.
    """

    max_length: int
    """L: the trainer's limit on a completion, in ``unit``; the paper has 20,480 tokens."""
    cache_length: int
    """C: where the penalty grows, 1 to ``max_length``; the paper has 4,096 tokens."""
    unit: Unit = "tokens"

    __name__ = "length_penalty"
    is_shaping = True

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        _check_unit(self.unit)
        if not 1 <= self.cache_length <= self.max_length:
            raise ConfigError(
                f"cache_length must be 1 to max_length ({self.max_length}), not {self.cache_length}"
            )

    def __call__(
        self, completions: Sequence[str | Sequence[Message]], **columns: Any
    ) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; ``completion_ids`` is read.

        Returns:
            Values from -1.0 to 0.0, never None: the length is always the model's doing.

        Raises:
            GradingError: The lengths are not known.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[str | Sequence[Message]], **columns: Any) -> list[Score]:
        """Reward each completion: as calling it, with the lengths.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch; ``completion_ids`` is read.

        Raises:
            GradingError: The lengths are not known.
        """
        counts = _lengths(self.__name__, self.unit, completions, columns)
        return [self._score(length) for length in counts]

    def _score(self, length: int) -> Score:
        over = length - (self.max_length - self.cache_length)
        value = -min(over / self.cache_length, 1.0) if over > 0 else 0.0
        status: Literal["correct", "wrong"] = "wrong" if value else "correct"
        return Score(value=value, status=status, reason=f"{length} {self.unit}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CosineLengthReward:
    """Rewards right answers more when short, punishes wrong ones less when long.

    At length t it is ``end + (start - end) / 2 * (1 + cos(pi t / max_length))``: ``start`` at
    length 0, ``end`` at the limit. It includes the accuracy: use it in place of that reward.

    Source: arXiv 2502.03373, section 4.2.
    """

    max_length: int
    """The trainer's limit on a completion, in ``unit``; a completion that reaches it was cut."""
    shortest_correct: float = 1.0
    longest_correct: float = 0.5
    shortest_wrong: float = -1.0
    longest_wrong: float = -0.5
    exceeded: float = -1.0
    """At the limit and beyond, right or wrong."""
    by: Reward = accuracy_reward
    """Decides what is right: every completion for which it is positive."""
    unit: Unit = "tokens"

    __name__ = "cosine_length_reward"

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        _check_unit(self.unit)
        if self.max_length < 1:
            raise ConfigError(f"max_length must be at least 1, not {self.max_length}")
        correct = (self.shortest_correct, self.longest_correct)
        wrong = (self.shortest_wrong, self.longest_wrong)
        if not all(map(math.isfinite, (*correct, *wrong, self.exceeded))):
            raise ConfigError(f"every reward must be finite: {correct}, {wrong}, {self.exceeded}")
        if min(correct) <= max(wrong):
            raise ConfigError(f"right answers {correct} must be worth more than wrong ones {wrong}")
        named(self.by)

    def __call__(
        self, completions: Sequence[str | Sequence[Message]], **columns: Any
    ) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch: ``completion_ids``, and what ``by`` reads.

        Returns:
            The rewards; None where ``by`` gave no verdict.

        Raises:
            GradingError: The lengths are not known, or ``by`` failed.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[str | Sequence[Message]], **columns: Any) -> list[Score]:
        """Reward each completion: as calling it, with the verdicts of ``by``.

        Args:
            completions: Texts, or conversations whose last message is the completion.
            **columns: The other columns of the batch: ``completion_ids``, and what ``by`` reads.

        Raises:
            GradingError: The lengths are not known, or ``by`` failed.
        """
        counts = _lengths(self.__name__, self.unit, completions, columns)
        verdicts = named(self.by).scores(completions, **columns)
        return [self._shape(*pair) for pair in zip(verdicts, counts, strict=True)]

    def _shape(self, verdict: Score, length: int) -> Score:
        if verdict.value is None:
            return verdict
        reason = f"{length} {self.unit}; {verdict.reason}"
        return replace(verdict, value=self._value(verdict.value > 0, length), reason=reason)

    def _value(self, is_correct: bool, length: int) -> float:
        if length >= self.max_length:
            return self.exceeded
        start = self.shortest_correct if is_correct else self.shortest_wrong
        end = self.longest_correct if is_correct else self.longest_wrong
        return end + (start - end) / 2 * (1 + math.cos(math.pi * length / self.max_length))


def _check_unit(unit: str) -> None:
    if unit not in get_args(Unit):
        raise ConfigError(f"unknown unit {unit!r}; use one of {', '.join(get_args(Unit))}")


def _lengths(
    name: str,
    unit: Unit,
    completions: Sequence[str | Sequence[Message]],
    columns: Mapping[str, Any],
) -> list[int]:
    """Count each completion in the declared unit, never in another one."""
    if unit == "characters":
        return [len(completion_text(completion)) for completion in completions]
    rows = columns.get("completion_ids")
    if rows is None:
        raise GradingError(
            f"{name} counts tokens and needs the column 'completion_ids'; it got the columns"
            f" {', '.join(columns) or 'none'} (for texts alone: unit='characters')"
        )
    if len(rows) != len(completions):
        raise GradingError(
            f"{name} got {len(completions)} completions and {len(rows)} rows of completion_ids"
        )
    return [
        _num_tokens(name, row, completion)
        for row, completion in zip(rows, completions, strict=True)
    ]


def _num_tokens(name: str, row: Any, completion: str | Sequence[Message]) -> int:
    if isinstance(row, str) or not hasattr(row, "__len__"):
        raise GradingError(f"{name}: completion_ids must hold lists of token ids, not {row!r:.80}")
    if not len(row) and completion_text(completion):
        # an engine that returns text alone has no ids: length 0 would let every text pass
        raise GradingError(f"{name}: a completion with text has no completion_ids")
    return len(row)
