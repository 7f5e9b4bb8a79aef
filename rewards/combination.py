"""Rewards by name, and several of them as one: ``combine(["accuracy", "my_rewards:brevity=0.2"])``.

The sum is weighted; on request each part is first standardised within its group, so that a part's
weight is its share of the signal whatever the scale of its values.
"""

import importlib
import math
import os
import sys
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from mathrl.errors import ConfigError, GradingError
from mathrl.nearest import did_you_mean
from mathrl.rewards.accuracy import accuracy_reward
from mathrl.rewards.shaping import format_reward, gated, repetition_penalty
from mathrl.rewards.weighted import Reward, WeightedReward, named
from mathrl.schema import Score

__all__ = ["CombinedReward", "Reward", "WeightedReward", "combine", "load_reward", "standardised"]

BUILT_IN: Mapping[str, Reward] = {
    "accuracy": accuracy_reward,
    "format": format_reward,
    "gated_format": gated(format_reward, by=accuracy_reward),
    "repetition": repetition_penalty,
}
_NEED_A_LIMIT: Mapping[str, str] = {
    "length": "LengthPenalty(max_length=1024, cache_length=256)",
    "cosine_length": "CosineLengthReward(max_length=1024)",
}
"""Rewards that no default would suit, and how to make one."""
SPREAD_FLOOR = 1e-9
"""Rewards of a group that differ by less than this (times their size, above 1) are the same
number computed in another order; dividing by their deviation would turn noise into rewards."""


@dataclass(frozen=True, slots=True)
class CombinedReward:
    """The weighted sum of several rewards, itself a reward in TRL's convention."""

    rewards: tuple[WeightedReward, ...]
    is_normalised: bool = False
    """Standardise each part among the completions of the same prompt before it is weighted."""

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
            GradingError: A part failed, or ``prompts`` is needed to tell groups apart and missing.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Reward each completion, with every part.

        A part that is None is left out of the sum, as in TRL; where all are, so is the value.
        Status, prediction, tier and reason are those of the first part that has a rich form (a
        ``scores`` method), a shaping reward only where there is no other; without any, the status
        is ``correct`` where the sum (before normalisation) is positive and ``wrong`` elsewhere.

        Args:
            completions: Texts or conversations.
            **columns: Every other column of the batch (``answer``, ``prompts`` …).

        Returns:
            Scores whose ``parts`` hold each reward by name, before normalisation and its weight.

        Raises:
            GradingError: A part failed, or ``prompts`` is needed to tell groups apart and missing.
        """
        parts = [reward.scores(completions, **columns) for reward in self.rewards]
        rows = list(zip(*parts, strict=True))
        sums = [self._sum([score.value for score in row]) for row in rows]
        values = sums
        if self.is_normalised:
            groups = _groups(columns.get("prompts"), len(completions))
            each = [standardised([score.value for score in part], groups) for part in parts]
            values = [self._sum(row) for row in zip(*each, strict=True)]
        return [self._score(*row) for row in zip(rows, sums, values, strict=True)]

    def _sum(self, row: Sequence[float | None]) -> float | None:
        pairs = zip(self.rewards, row, strict=True)
        terms = [part.weight * value for part, value in pairs if value is not None]
        return math.fsum(terms) if terms else None

    def _score(self, row: Sequence[Score], total: float | None, value: float | None) -> Score:
        parts = {part.name: score.value for part, score in zip(self.rewards, row, strict=True)}
        if (place := self._grader()) is not None:
            return replace(row[place], value=value, parts=parts)
        if total is None:
            return Score(value=None, status="gold_unparseable", reason="no verdict", parts=parts)
        return Score(value=value, status="correct" if total > 0 else "wrong", parts=parts)

    def _grader(self) -> int | None:
        """Find the part whose verdict is the verdict of the whole."""
        functions = [part.function for part in self.rewards]
        rich = [place for place, each in enumerate(functions) if hasattr(each, "scores")]
        graders = [each for each in rich if not getattr(functions[each], "is_shaping", False)]
        return next(iter(graders or rich), None)


def combine(
    rewards: Iterable[str | Reward | WeightedReward], *, is_normalised: bool = False
) -> CombinedReward:
    """Make one reward of several.

    Args:
        rewards: Specs for ``load_reward``, functions (weight 1) or weighted rewards.
        is_normalised: Standardise each part within its group (the same ``prompts``) before it is
            weighted; a group must then be scored in one call.

    Raises:
        ConfigError: There is none, two have the same name, or a spec is wrong.
    """
    weighted = tuple(_weighted(reward) for reward in rewards)
    names = [reward.name for reward in weighted]
    if not names:
        raise ConfigError("combine needs at least one reward, for example accuracy")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"two rewards are named {twice}; give one weight to each reward")
    return CombinedReward(weighted, is_normalised)


def standardised(values: Sequence[float | None], groups: Sequence[Hashable]) -> list[float | None]:
    """Put each value in standard deviations from the mean of its group.

    Args:
        values: Rewards; None is no verdict.
        groups: The group of each; the order is free and sizes may differ.

    Returns:
        ``(value - mean) / std`` with G - 1 under the root, as TRL divides; exactly 0 where a group
        agrees, and in a group of one; None stays None and counts for nothing.

    Source: arXiv 2601.05242 (GDPO); no epsilon is added to the divisor.
    """
    members: dict[Hashable, list[int]] = {}
    for place, (value, group) in enumerate(zip(values, groups, strict=True)):
        if value is not None:
            members.setdefault(group, []).append(place)
    result: list[float | None] = [None] * len(values)
    for places in members.values():
        spread = _standardised([value for p in places if (value := values[p]) is not None])
        for place, value in zip(places, spread, strict=True):
            result[place] = value
    return result


def _standardised(values: list[float]) -> list[float]:
    size = max(map(abs, values))
    if max(values) - min(values) <= SPREAD_FLOOR * max(size, 1.0):
        return [0.0] * len(values)
    scaled = [value / size for value in values]  # squares of huge values would overflow
    mean = math.fsum(scaled) / len(scaled)
    offsets = [value - mean for value in scaled]
    std = math.sqrt(math.fsum(offset * offset for offset in offsets) / (len(offsets) - 1))
    return [offset / std for offset in offsets]


def _groups(prompts: Any, count: int) -> list[Hashable]:
    """Tell groups apart by their prompts, texts or conversations."""
    if not isinstance(prompts, Sequence) or isinstance(prompts, str) or len(prompts) != count:
        raise GradingError(
            f"a normalised reward tells groups apart by the list column 'prompts', one for each of"
            f" the {count} completions; it got {prompts!r:.80}"
        )
    return [prompt if isinstance(prompt, str) else repr(prompt) for prompt in prompts]


def load_reward(spec: str) -> WeightedReward:
    """Find a reward by its name.

    Args:
        spec: ``accuracy``, ``format``, ``gated_format``, ``repetition`` or
            ``package.module:function``, each with a weight on request (``…=0.5``). Modules in the
            current folder are found.

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
    return named(reward)


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
    if how := _NEED_A_LIMIT.get(name):
        raise ConfigError(
            f"reward {name!r} needs your limit: write `limit = {how}` in a file my_rewards.py"
            " (from mathrl.rewards.shaping) and name it my_rewards:limit"
        )
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
    question = did_you_mean(name, choices)
    return f"; {question}" if question else ""
