"""Accuracy by subject and level, of one run or as a difference between two."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from statistics import fmean

from mathrl.evals.results import EvalResult
from mathrl.schema import Problem

ALL = "all"
NUM_SHADES = 10
FULL_DIFFERENCE = 0.5
"""The difference that has the strongest colour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """The problems of one subject and level."""

    rate: float
    """Accuracy, or the difference of two."""
    n: int
    """Problems."""
    shade: str
    """Class of its colour: ``s0`` to ``s10``, with ``up`` or ``down`` for a difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeatMap:
    """A table of cells; the first column and the last row are over ``all``."""

    title: str
    is_difference: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    """A subject, and for each column its cell or None where there is no problem."""


def heat_maps(
    results: Sequence[tuple[str, EvalResult]], problems: Mapping[str, Problem]
) -> list[HeatMap]:
    """A map of the first run, and one of each other run's difference to it.

    Args:
        results: Runs that have the task: label and result.
        problems: By id, with ``subject`` and ``level`` in their metadata; without either there is
            no map.
    """
    if not any(_labels(problem) != (ALL, ALL) for problem in problems.values()):
        return []
    (first, base), *others = ((label, _means(result)) for label, result in results)
    maps = [_heat_map(first, base, problems, is_difference=False)]
    for label, means in others:
        changes = {i: means[i] - mean for i, mean in base.items() if i in means}
        if changes:
            maps.append(_heat_map(f"{label} − {first}", changes, problems, is_difference=True))
    return maps


def _means(result: EvalResult) -> dict[str, float]:
    return {problem.problem_id: problem.mean for problem in result.problems if problem.n}


def _labels(problem: Problem | None) -> tuple[str, str]:
    metadata = problem.metadata if problem else {}
    subject, level = metadata.get("subject"), metadata.get("level")
    return (
        ALL if subject in (None, "") else str(subject),
        ALL if level in (None, "") else str(level),
    )


def _heat_map(
    title: str, values: Mapping[str, float], problems: Mapping[str, Problem], *, is_difference: bool
) -> HeatMap:
    members: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for problem_id, value in values.items():
        subject, level = _labels(problems.get(problem_id))
        for place in {(subject, level), (ALL, level), (subject, ALL), (ALL, ALL)}:
            members[place].append(value)
    columns = (ALL, *sorted({level for _, level in members} - {ALL}))
    subjects = (*sorted({subject for subject, _ in members} - {ALL}), ALL)
    return HeatMap(
        title=title,
        is_difference=is_difference,
        columns=columns,
        rows=tuple(
            (s, tuple(_cell(members.get((s, c), ()), is_difference) for c in columns))
            for s in subjects
        ),
    )


def _cell(values: Sequence[float], is_difference: bool) -> Cell | None:
    if not values:
        return None
    rate = fmean(values)
    if not is_difference:
        return Cell(rate=rate, n=len(values), shade=f"s{round(NUM_SHADES * rate)}")
    strength = min(abs(rate) / FULL_DIFFERENCE, 1)
    sign = "" if isclose(rate, 0, abs_tol=1e-12) else " up" if rate > 0 else " down"
    return Cell(rate=rate, n=len(values), shade=f"s{round(NUM_SHADES * strength)}{sign}")
