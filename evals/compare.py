"""Compare two evaluations problem by problem.

    mathrl compare RUN_BEFORE RUN_AFTER

Both runs answer the same problems, so most of the noise is shared and cancels: the paired error
bar was 18 to 44 % smaller than the unpaired one on five recorded pairs of models.
"""

from dataclasses import dataclass
from math import isnan
from typing import Any

from mathrl.errors import DataError
from mathrl.evals.results import EvalResult
from mathrl.evals.stats import CONFIDENCE, Interval, PairedTest, paired_difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The difference ``after - before`` on the problems that both runs answered."""

    task: str
    difference: float
    stderr: float
    ci95: Interval
    p_value: float
    test: PairedTest
    fixed: int
    """Problems that rose (with one sample each: wrong before, correct after)."""
    broken: int
    """Problems that fell."""
    mde: float
    """The smallest true difference that a comparison of this size shows with 80 % power."""
    n_problems: int
    """Problems in both runs."""
    n_left_out: int
    """Problems in one run only."""

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

    def verdict(self) -> str:
        """What the numbers allow to say, in one sentence."""
        points = 100 * abs(self.difference)
        if self.p_value < 1 - CONFIDENCE:
            word = "better" if self.difference > 0 else "worse"
            return f"{word} by {points:.2f} points ({self.test}, {p_text(self.p_value)})"
        if isnan(self.p_value):
            return f"undecided: {points:.2f} points, without any spread to test against"
        return (
            f"no difference shown ({self.test}, {p_text(self.p_value)}); "
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
    old = {problem.problem_id: problem for problem in before.problems if problem.n}
    new = {problem.problem_id: problem for problem in after.problems if problem.n}
    common = [problem_id for problem_id in old if problem_id in new]
    if not common:
        raise DataError(f"task {before.task}: the two runs share no problem id")
    paired = paired_difference(
        [old[problem_id].mean for problem_id in common],
        [new[problem_id].mean for problem_id in common],
        single_samples=all(old[i].n == 1 and new[i].n == 1 for i in common),
    )
    return Comparison(
        task=before.task,
        difference=paired.difference,
        stderr=paired.stderr,
        ci95=paired.ci95,
        p_value=paired.p_value,
        test=paired.test,
        fixed=paired.fixed,
        broken=paired.broken,
        mde=paired.mde,
        n_problems=len(common),
        n_left_out=len(old) + len(new) - 2 * len(common),
    )


def p_text(p_value: float) -> str:
    """A p-value for people: two digits, a bound where it is tiny, "p undecided" for nan."""
    if isnan(p_value):
        return "p undecided"
    return "p < 1e-16" if p_value < 1e-16 else f"p = {p_value:.2g}"


def _finite(value: float) -> float | None:
    return None if isnan(value) else value
