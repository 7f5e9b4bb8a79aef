"""Compare two evaluations problem by problem.

    mathrl compare RUN_BEFORE RUN_AFTER

Both runs answer the same problems, so most of the noise is shared and cancels: the paired error
bar was 18 to 44 % smaller than the unpaired one on five recorded pairs of models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from mathrl.errors import DataError
from mathrl.evals.results import EvalResult, ProblemOutcome
from mathrl.evals.stats import CONFIDENCE, Interval, PairedTest, paired_difference

NUM_NAMED = 3
"""Problems that a message names; ``--list`` and ``--json`` have all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The difference ``after - before`` on the problems that both runs answered."""

    task: str
    difference: float
    stderr: float
    ci95: Interval
    p_value: float
    test: PairedTest
    fixed_ids: tuple[str, ...]
    """Problems that rose (with one sample each: wrong before, correct after)."""
    broken_ids: tuple[str, ...]
    """Problems that fell."""
    mde: float
    """The smallest true difference that a comparison of this size shows with 80 % power; nan where
    every problem came out alike."""
    n_problems: int
    """Problems in both runs."""
    only_before: tuple[str, ...]
    """Problems with a verdict in the first run alone: left out."""
    only_after: tuple[str, ...]
    """Problems with a verdict in the second run alone: left out."""

    @property
    def fixed(self) -> int:
        """How many problems rose."""
        return len(self.fixed_ids)

    @property
    def broken(self) -> int:
        """How many problems fell."""
        return len(self.broken_ids)

    @property
    def n_left_out(self) -> int:
        """Problems in one run only."""
        return len(self.only_before) + len(self.only_after)

    def to_json(self) -> dict[str, Any]:
        """JSON types only, nan as null."""
        return {
            "difference": self.difference,
            "stderr": _finite(self.stderr),
            "ci95": [self.ci95.low, self.ci95.high],
            "p_value": _finite(self.p_value),
            "test": self.test,
            "fixed": self.fixed,
            "broken": self.broken,
            "mde": _finite(self.mde),
            "n_problems": self.n_problems,
            "n_left_out": self.n_left_out,
        }

    def verdict(self, *, p_holm: float | None = None) -> str:
        """What the numbers allow to say, in one sentence.

        Args:
            p_holm: The p-value adjusted for all tests of a command, where this is one of several.
        """
        points = 100 * abs(self.difference)
        if isnan(self.p_value):
            return f"undecided: {points:.2f} points, without any spread to test against"
        tested = f"{self.test}, {p_text(self.p_value)}"
        tested += "" if p_holm is None else f", {p_text(p_holm)} after Holm"
        if (self.p_value if p_holm is None else p_holm) < 1 - CONFIDENCE:
            word = "better" if self.difference > 0 else "worse"
            return f"{word} by {points:.2f} points ({tested})"
        if isnan(self.mde):
            return f"no difference shown ({tested}): every problem came out alike"
        return (
            f"no difference shown ({tested}); "
            f"this comparison shows {100 * self.mde:.1f} points or more"
        )


def compare(before: EvalResult, after: EvalResult) -> Comparison:
    """Compare two results of one task, paired by problem id.

    One sample a problem in both runs takes the exact McNemar test; more samples take the paired
    t test by problem, and the result names it.

    Raises:
        DataError: The results are of different tasks, or share no problem.
    """
    if before.task != after.task:
        raise DataError(f"the runs are of different tasks: {before.task} and {after.task}")
    pairs = paired_outcomes(before, after)
    old, new = ([p.problem_id for p in side.problems if p.n] for side in (before, after))
    if not pairs:
        raise DataError(
            f"task {before.task}: the two runs share no problem id (one has {few(old)}; the other "
            f"{few(new)}): evaluate both on the same problems"
        )
    paired = paired_difference(
        [a.mean for a, _ in pairs],
        [b.mean for _, b in pairs],
        single_samples=all(a.n == 1 and b.n == 1 for a, b in pairs),
    )
    common = {a.problem_id for a, _ in pairs}
    return Comparison(
        task=before.task,
        difference=paired.difference,
        stderr=paired.stderr,
        ci95=paired.ci95,
        p_value=paired.p_value,
        test=paired.test,
        fixed_ids=tuple(a.problem_id for a, b in pairs if b.mean > a.mean),
        broken_ids=tuple(a.problem_id for a, b in pairs if b.mean < a.mean),
        mde=paired.mde,
        n_problems=len(pairs),
        only_before=tuple(i for i in old if i not in common),
        only_after=tuple(i for i in new if i not in common),
    )


def paired_outcomes(
    before: EvalResult, after: EvalResult
) -> list[tuple[ProblemOutcome, ProblemOutcome]]:
    """The problems with a verdict in both results, in the order of the first."""
    new = {outcome.problem_id: outcome for outcome in after.problems if outcome.n}
    return [(o, new[o.problem_id]) for o in before.problems if o.n and o.problem_id in new]


def few(names: Sequence[str]) -> str:
    """The first names of a list, for a message."""
    more = len(names) - NUM_NAMED
    return ", ".join(names[:NUM_NAMED]) + (f" and {more} more" if more > 0 else "")


def p_text(p_value: float) -> str:
    """A p-value for people: two digits, a bound where it is tiny, "p undecided" for nan."""
    if isnan(p_value):
        return "p undecided"
    return "p < 1e-16" if p_value < 1e-16 else f"p = {p_value:.2g}"


def _finite(value: float) -> float | None:
    return None if isnan(value) else value
