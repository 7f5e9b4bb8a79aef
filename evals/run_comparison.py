"""Finished runs against the first of them: read, checked for being comparable, every task compared.

    mathrl compare RUN_BEFORE RUN_AFTER

The tests of one command are a family: with three tasks, a p-value of 0.04 somewhere is no news. So
each comparison has, beside its own p-value, the one that Holm's method adjusts for all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

from mathrl.errors import ConfigError, DataError
from mathrl.evals.attribution import Attribution, attribute
from mathrl.evals.bootstrap import RESAMPLES, SEED, bootstrap_interval
from mathrl.evals.compare import Comparison, compare, few, paired_outcomes
from mathrl.evals.results import EvalResult, load_results
from mathrl.evals.run import TaskRun, load_run
from mathrl.evals.settings import SettingsDifference, settings_difference
from mathrl.evals.stats import CONFIDENCE, Interval, holm
from mathrl.evals.verifiers import RecordedLabels
from mathrl.manifest import MANIFEST_FILE


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)  # itself alone, so that it is a key
class Side:
    """One run's evaluation of one task."""

    run: str
    """The folder, as it was typed; on a page its label."""
    result: EvalResult
    details: TaskRun | None = None
    """None where the folder has the figures alone, as a training run leaves them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRun:
    """One run beside the first one, on one task."""

    base: Side
    side: Side
    comparison: Comparison
    p_holm: float = nan
    """Adjusted for every test of the same call."""
    num_tests: int = 1
    """How many those are."""
    bootstrap: Interval | None
    """Of the difference; None where too few problems differ."""
    attribution: Attribution | None
    """None without samples."""
    settings: SettingsDifference | None
    """None where it is not known how one of them was asked."""
    notices: tuple[str, ...]
    """What a reader must know before trusting the difference."""

    @property
    def is_significant(self) -> bool:
        """The test, adjusted for all of the same call, rejects "no difference" at 5 %."""
        return self.p_holm < 1 - CONFIDENCE

    def verdict(self) -> str:
        """What the numbers allow to say, in one sentence."""
        return self.comparison.verdict(p_holm=self.p_holm if self.num_tests > 1 else None)

    def to_json(self) -> dict[str, Any]:
        """JSON types only, nan as null; rates are fractions."""
        interval = self.bootstrap
        return {
            "task": self.comparison.task,
            "base": self.base.run,
            "run": self.side.run,
            "base_accuracy": self.base.result.accuracy,
            "accuracy": self.side.result.accuracy,
            **self.comparison.to_json(),
            "p_holm": None if isnan(self.p_holm) else self.p_holm,
            "num_tests": self.num_tests,
            "bootstrap": {
                "ci95": interval and [interval.low, interval.high],
                "resamples": RESAMPLES,
                "seed": SEED,
            },
            "attribution": self.attribution and self.attribution.to_json(),
            "fixed_ids": list(self.comparison.fixed_ids),
            "broken_ids": list(self.comparison.broken_ids),
            "only_in_base": list(self.comparison.only_before),
            "only_in_run": list(self.comparison.only_after),
            "settings": self.settings and self.settings.to_json(),
            "notices": list(self.notices),
        }


def compare_runs(folders: Sequence[str]) -> list[ComparedRun]:
    """Compare run folders with the first one, on every task that both have.

    Args:
        folders: At least two; each a run of ``mathrl eval``, or a folder with a ``results.json``.

    Returns:
        Task by task in the order of the first run, and in each the other runs in their order.

    Raises:
        ConfigError: Fewer than two folders, or one of them twice.
        DataError: A folder is no finished run, or the runs do not share tasks and problems.
    """
    if len(folders) < 2:
        raise ConfigError(f"compare needs at least two run folders, got {len(folders)}")
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ConfigError("compare got the same run folder twice")
    return compare_sides({folder: read_sides(folder) for folder in folders})


def compare_sides(runs: Mapping[str, Mapping[str, Side]]) -> list[ComparedRun]:
    """Compare runs with the first one, on every task that both have.

    Args:
        runs: At least two; by name, the sides of each by task.

    Returns:
        Task by task in the order of the first run, and in each the other runs in their order.

    Raises:
        DataError: The runs do not share tasks and problems.
    """
    first, *_ = runs
    base, *others = runs.values()
    compared = [
        _compare(base[task], other[task]) for task in base for other in others if task in other
    ]
    if not compared:
        theirs = dict.fromkeys(task for other in others for task in other)
        raise DataError(
            f"{first} shares no task with the other runs: it has {', '.join(base)}, they "
            f"have {', '.join(theirs)}"
        )
    adjusted = holm([run.comparison.p_value for run in compared])
    count = sum(not isnan(p) for p in adjusted)
    return [
        replace(run, p_holm=p, num_tests=count) for run, p in zip(compared, adjusted, strict=True)
    ]


def read_sides(folder: str) -> dict[str, Side]:
    """Read a run's evaluations by task: with their samples, where the folder has them.

    Raises:
        DataError: The folder is no finished run.
    """
    if (Path(folder) / MANIFEST_FILE).exists():
        return {
            task: Side(run=folder, result=details.result, details=details)
            for task, details in load_run(folder).items()
        }
    return {task: Side(run=folder, result=result) for task, result in load_results(folder).items()}


def check_same_problems(base: Side, side: Side) -> None:
    """Refuse ids that do not name the same problem in both runs.

    Figures alone do not tell what was asked: where a side is no more than that, nothing is refused.

    Raises:
        DataError: An id has another question or answer in the other run.
    """
    if base.details is None or side.details is None:
        return
    old, new = base.details.problems, side.details.problems
    for field, name in (("prompt", "question"), ("answer", "answer")):
        changed = [i for i in old if i in new and getattr(old[i], field) != getattr(new[i], field)]
        if changed:
            raise DataError(
                f"{side.run}: the {name} of {few(changed)} is not the one of {base.run}, so the "
                "ids do not name the same problems: evaluate both runs on the same --data"
            )


def _compare(base: Side, side: Side) -> ComparedRun:
    check_same_problems(base, side)
    settings = None
    if base.details is not None and side.details is not None:
        settings = settings_difference(base.details, side.details)
    asked = settings and settings.notice(base.run, side.run)
    comparison = compare(base.result, side.result)
    differences = [b.mean - a.mean for a, b in paired_outcomes(base.result, side.result)]
    return ComparedRun(
        base=base,
        side=side,
        comparison=comparison,
        bootstrap=bootstrap_interval(differences),
        attribution=attribute(base.result, side.result),
        settings=settings,
        notices=(
            *([asked] if asked else []),
            *_left_out(base, side, comparison),
            *_verifiers(base, side),
        ),
    )


def _left_out(base: Side, side: Side, comparison: Comparison) -> list[str]:
    notices = [
        f"{len(only)} problems with a verdict in {run} only are left out: {few(only)}"
        for run, only in ((base.run, comparison.only_before), (side.run, comparison.only_after))
        if only
    ]
    if notices:
        notices.append(
            f"the difference is on the {comparison.n_problems} common problems; for all, evaluate "
            "both runs on the same --data and --limit"
        )
    return notices


def _verifiers(base: Side, side: Side) -> list[str]:
    """Say where a difference may be the graders' and not the models'."""
    names = base.result.verifier, side.result.verifier
    if names[0] != names[1]:
        return [
            f"verdicts by different verifiers, {names[0]!r} in {base.run} and {names[1]!r} in "
            f"{side.run}: the difference may be theirs; `mathrl rescore` makes them one"
        ]
    if names[0] == RecordedLabels.name:
        return ["verdicts are the labels that each file records; who gave them is not known"]
    if base.details is None or side.details is None:
        return []
    versions = [details.facts["verified"]["verifier"] for details in (base.details, side.details)]
    if versions[0] == versions[1]:
        return []
    return [
        f"verdicts by two versions of the grader, {versions[0]['fingerprint'][:8]} in {base.run} "
        f"and {versions[1]['fingerprint'][:8]} in {side.run}: the difference may be theirs; "
        "`mathrl rescore` makes them one"
    ]
