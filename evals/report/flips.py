"""Problems whose accuracy changed between two runs, with a sample of each side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mathrl.evals.results import EvalResult, SampleOutcome
from mathrl.schema import Problem

Change = Literal["fixed", "broken", "same"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """One problem that rose (``fixed``) or fell (``broken``), with what was written."""

    kind: Literal["fixed", "broken"]
    problem: Problem
    before: SampleOutcome
    after: SampleOutcome


def changes(before: EvalResult, after: EvalResult) -> dict[str, Change]:
    """How each problem that both runs answered changed, by id."""
    old = {problem.problem_id: problem.mean for problem in before.problems if problem.n}
    new = {problem.problem_id: problem.mean for problem in after.problems if problem.n}
    return {
        i: "fixed" if new[i] > mean else "broken" if new[i] < mean else "same"
        for i, mean in old.items()
        if i in new
    }


def pick_flips(
    problems: Mapping[str, Problem], before: EvalResult, after: EvalResult, *, limit: int = 4
) -> tuple[Flip, ...]:
    """Choose problems whose accuracy moved most: at most ``limit`` fixed and ``limit`` broken.

    Of a fixed problem the first wrong sample before and the first correct one after are shown, of
    a broken one the reverse. Results that were read from a file have no samples, and give none.
    """
    old = {outcome.problem_id: outcome for outcome in before.problems}
    new = {outcome.problem_id: outcome for outcome in after.problems}
    change_of = changes(before, after)
    flips: list[Flip] = []
    for kind in ("fixed", "broken"):
        moved = [i for i, change in change_of.items() if change == kind and i in problems]
        moved.sort(key=lambda i: (-abs(new[i].mean - old[i].mean), i))
        for problem_id in moved[:limit]:
            was = _first(old[problem_id].samples, is_correct=kind == "broken")
            now = _first(new[problem_id].samples, is_correct=kind == "fixed")
            if was is not None and now is not None:
                problem = problems[problem_id]
                flips.append(Flip(kind=kind, problem=problem, before=was, after=now))
    return tuple(flips)


def _first(samples: tuple[SampleOutcome, ...], *, is_correct: bool) -> SampleOutcome | None:
    judged = (sample for sample in samples if sample.score.value is not None)
    return next((s for s in judged if (s.score.status == "correct") is is_correct), None)
