"""Rewards by name, and several of them as one: ``combine(["accuracy", "my_rewards:brevity=0.2"])``.

Anything in TRL's convention is a reward: ``f(completions, **columns) -> list[float | None]``. What
such a function returns is checked, and its faults are raised as its own, never turned into zeros.
"""

import difflib
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards.accuracy import accuracy_reward
from mathrl.schema import Score

Reward = Callable[..., Any]
"""A function in TRL's convention; what it returns is checked when it is called."""

BUILT_IN: Mapping[str, Reward] = {"accuracy": accuracy_reward}


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


@dataclass(frozen=True, slots=True)
class CombinedReward:
    """The weighted sum of several rewards, itself a reward in TRL's convention."""

    rewards: tuple[WeightedReward, ...]

    __name__ = "combined_reward"

    @property
    def names(self) -> list[str]:
        """Each part's name with its weight, as a spec."""
        return [f"{reward.name}={reward.weight:g}" for reward in self.rewards]

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts or conversations.
            **columns: Every other column of the batch (``answer``, ``prompts`` …).

        Returns:
            The weighted sums; None where no part gave a verdict.

        Raises:
            GradingError: A part failed.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Reward each completion, with every part.

        A part that is None is left out of the sum, as in TRL; where all are, so is the value.
        Status, prediction, tier and reason are those of the first part that has a rich form (a
        ``scores`` method), else ``correct`` where the sum is positive and ``wrong`` elsewhere.

        Args:
            completions: Texts or conversations.
            **columns: Every other column of the batch (``answer``, ``prompts`` …).

        Returns:
            Scores whose ``parts`` hold each reward by name, before its weight.

        Raises:
            GradingError: A part failed.
        """
        parts = [reward.scores(completions, **columns) for reward in self.rewards]
        return [self._sum(row) for row in zip(*parts, strict=True)]

    def _sum(self, row: tuple[Score, ...]) -> Score:
        pairs = list(zip(self.rewards, row, strict=True))
        terms = [part.weight * score.value for part, score in pairs if score.value is not None]
        value = math.fsum(terms) if terms else None
        parts = {part.name: score.value for part, score in pairs}
        for part, score in pairs:
            if hasattr(part.function, "scores"):
                return Score(
                    value=value,
                    status=score.status,
                    prediction=score.prediction,
                    tier=score.tier,
                    reason=score.reason,
                    parts=parts,
                    steps=score.steps,
                )
        if value is None:
            return Score(value=None, status="gold_unparseable", reason="no verdict", parts=parts)
        return Score(value=value, status="correct" if value > 0 else "wrong", parts=parts)


def combine(rewards: Iterable[str | Reward | WeightedReward]) -> CombinedReward:
    """Make one reward of several.

    Args:
        rewards: Specs for ``load_reward``, functions (weight 1) or weighted rewards.

    Raises:
        ConfigError: There is none, two have the same name, or a spec is wrong.
    """
    weighted = tuple(_weighted(reward) for reward in rewards)
    names = [reward.name for reward in weighted]
    if not names:
        raise ConfigError("combine needs at least one reward, for example accuracy")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two rewards are named {twice}; give one weight to each reward")
    return CombinedReward(weighted)


def load_reward(spec: str) -> WeightedReward:
    """Find a reward by its name.

    Args:
        spec: ``accuracy``, ``package.module:function``, either with a weight (``…=0.5``). Modules
            in the current folder are found.

    Returns:
        The function under the name that was typed, with its weight.

    Raises:
        ConfigError: No such module, function or name, or the weight is not a number.
    """
    name, _, weight = spec.partition("=")
    name = name.strip()
    return WeightedReward(
        name=name, function=_find(name), weight=_weight(weight, spec) if "=" in spec else 1.0
    )


def _weighted(reward: str | Reward | WeightedReward) -> WeightedReward:
    if isinstance(reward, str):
        return load_reward(reward)
    if isinstance(reward, WeightedReward):
        return reward
    if not callable(reward):
        raise ConfigError(f"{reward!r:.80} is not a reward: it cannot be called")
    return WeightedReward(name=getattr(reward, "__name__", type(reward).__name__), function=reward)


def _weight(text: str, spec: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise ConfigError(f"the weight {text!r} of reward {spec!r} is not a number")
    return weight


def _find(name: str) -> Reward:
    if name in BUILT_IN:
        return BUILT_IN[name]
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute or not all(part for part in module_name.split(".")):
        known = ", ".join(BUILT_IN)
        raise ConfigError(
            f"no reward named {name!r}{_nearest(name, BUILT_IN)};"
            f" use one of {known}, or package.module:function"
        )
    module = _import(module_name)
    function = getattr(module, attribute, None)
    if not callable(function):
        what = "has no" if function is None else "cannot call"
        choices = [key for key, value in vars(module).items() if callable(value)]
        raise ConfigError(
            f"module {module_name} {what} {attribute!r}{_nearest(attribute, choices)}"
        )
    return function  # type: ignore[no-any-return]  # callable() is all that can be known


def _import(name: str) -> ModuleType:
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)  # a console script does not see the current folder by itself
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            hint = _nearest(name, [path.stem for path in Path(folder).glob("*.py")])
            raise ConfigError(f"no module named {name!r} (looked in {folder} too){hint}") from error
        raise ConfigError(f"module {name} needs {error.name}, which is not installed") from error
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"module {name} cannot be imported: {error}") from error


def _nearest(name: str, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(choices), n=1)
    return f"; did you mean {close[0]}?" if close else ""
