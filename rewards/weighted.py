"""Call a reward function that may be anybody's, and check what it returns.

Anything in TRL's convention is a reward: ``f(completions, **columns) -> list[float | None]``. Its
faults are raised as its own, never turned into zeros.
"""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from mathrl.errors import ConfigError, GradingError
from mathrl.schema import Score

Reward = Callable[..., Any]
"""A function in TRL's convention; what it returns is checked when it is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedReward:
    """One reward function with its name and its weight in a sum."""

    name: str
    function: Reward
    weight: float = 1.0

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Call the function on a batch and check what it returns.

        Args:
            completions: Texts or conversations, passed on as they are.
            **columns: Every other column of the batch, passed on.

        Returns:
            One score a completion, not weighted. A function without a rich form (a ``scores``
            method) gets the status ``correct`` where its value is positive.

        Raises:
            GradingError: The function failed, or returned what is not a reward; chained.
        """
        rich = getattr(self.function, "scores", None)
        try:
            results = (rich or self.function)(completions=completions, **columns)
        except GradingError:
            raise
        except Exception as error:  # the one boundary to code that is not ours
            raise GradingError(f"reward {self.name} failed: {error!r}") from error
        rows = self._rows(results, len(completions))
        return [self._score(row, place) for place, row in enumerate(rows)]

    def _rows(self, results: Any, count: int) -> list[Any]:
        is_list = hasattr(results, "__len__") and not isinstance(results, str | Mapping | Set)
        if not is_list or getattr(results, "ndim", 1) != 1:
            raise GradingError(f"reward {self.name} must return a list, not {results!r:.80}")
        if len(results) != count:
            raise GradingError(
                f"reward {self.name} returned {len(results)} values for {count} completions"
            )
        return list(results)

    def _score(self, row: Any, place: int) -> Score:
        if isinstance(row, Score):
            self._check(row.value, place)
            return row
        value = self._check(row, place)
        if value is None:
            return Score(value=None, status="gold_unparseable", reason=f"{self.name}: no verdict")
        return Score(value=value, status="correct" if value > 0 else "wrong", reason=self.name)

    def _check(self, value: Any, place: int) -> float | None:
        """Take a plain number, a numpy scalar or a 0-d tensor; None is no verdict."""
        if value is None:
            return None
        is_scalar = hasattr(value, "item") and getattr(value, "ndim", 0) == 0
        number = value.item() if is_scalar else value
        try:
            if isinstance(number, int | float) and math.isfinite(number):
                return float(number)
        except OverflowError:  # an integer beyond every float
            pass
        raise GradingError(
            f"reward {self.name} returned {value!r:.80} for row {place};"
            " it must be a finite number or None"
        )


def named(reward: Reward) -> WeightedReward:
    """Take a function under its own name, with weight 1.

    Args:
        reward: A function, or an object that can be called like one.

    Raises:
        ConfigError: It cannot be called.
    """
    if not callable(reward):
        raise ConfigError(f"{reward!r:.80} is not a reward: it cannot be called")
    return WeightedReward(name=getattr(reward, "__name__", type(reward).__name__), function=reward)
