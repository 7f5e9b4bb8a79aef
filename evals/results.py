"""What an evaluation found, and ``results.json``, the file that holds it.

Rates are fractions here and in the file; percent exists on screens only.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from mathrl.errors import DataError
from mathrl.evals.metrics import maj_at_k, pass_at_k
from mathrl.evals.stats import Interval, clustered_stderr, mean_interval
from mathrl.files import write_whole
from mathrl.schema import Completion, Score

RESULTS_FILE = "results.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOutcome:
    """One graded sample; ``is_stored``: it came out of the store and was not asked again."""

    sample_index: int
    completion: Completion
    score: Score
    is_stored: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemOutcome:
    """One problem's samples: ``n`` with a verdict, ``c`` of them correct.

    A result that was read from a file has the counts but not the samples.
    """

    problem_id: str
    n: int
    c: int
    samples: tuple[SampleOutcome, ...] = ()

    @classmethod
    def from_samples(cls, problem_id: str, samples: Sequence[SampleOutcome]) -> "ProblemOutcome":
        """Count the verdicts, in the order of the sample index."""
        ordered = tuple(sorted(samples, key=lambda sample: sample.sample_index))
        judged = [sample.score for sample in ordered if sample.score.value is not None]
        correct = sum(score.status == "correct" for score in judged)
        return cls(problem_id=problem_id, n=len(judged), c=correct, samples=ordered)

    @property
    def mean(self) -> float:
        """Share of the judged samples that are correct."""
        return self.c / self.n

    def majority(self, k: int) -> float:
        """maj@k of the judged samples, which must be there."""
        judged = [sample.score for sample in self.samples if sample.score.value is not None]
        predictions = [score.prediction for score in judged]
        return maj_at_k(predictions, [score.status == "correct" for score in judged], k)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalResult:
    """What one evaluation of one task found."""

    task: str
    accuracy: float
    """Mean over problems of the share of correct samples."""
    stderr: float
    """Clustered by problem; nan for a single problem."""
    ci95: Interval
    n_problems: int
    """Problems with at least one verdict."""
    n_samples: int
    """Samples with a verdict."""
    n_uncovered: int
    """Problems that were given but have no completion: not evaluated."""
    n_no_verdict: int
    """Samples left out of every figure because the gold answer could not be read."""
    pass_at_k: Mapping[int, float]
    """For k = 1, 2, 4, ... and the number of samples that every problem has."""
    maj_at_k: Mapping[int, float]
    """The same k."""
    pass_at_k_ci95: Mapping[int, Interval]
    maj_at_k_ci95: Mapping[int, Interval]
    status: Mapping[str, float]
    """Share of each status among all samples, those without a verdict included."""
    truncated: float | None
    """Share cut at the token limit; None where no completion says how it ended."""
    mean_length: float
    length_unit: Literal["tokens", "characters"]
    """``characters`` where a completion came without token ids."""
    problems: tuple[ProblemOutcome, ...]
    """In the order of the task."""

    def to_json(self) -> dict[str, Any]:
        """The entry of ``results.json``: JSON types only, nan as null."""
        return {
            "accuracy": self.accuracy,
            "stderr": None if isnan(self.stderr) else self.stderr,
            "ci95": [self.ci95.low, self.ci95.high],
            "n_problems": self.n_problems,
            "n_samples": self.n_samples,
            "n_uncovered": self.n_uncovered,
            "n_no_verdict": self.n_no_verdict,
            "pass_at_k": {str(k): value for k, value in self.pass_at_k.items()},
            "maj_at_k": {str(k): value for k, value in self.maj_at_k.items()},
            "pass_at_k_ci95": {str(k): [i.low, i.high] for k, i in self.pass_at_k_ci95.items()},
            "maj_at_k_ci95": {str(k): [i.low, i.high] for k, i in self.maj_at_k_ci95.items()},
            "status": dict(self.status),
            "truncated": self.truncated,
            "mean_length": self.mean_length,
            "length_unit": self.length_unit,
            "samples_of": {p.problem_id: p.n for p in self.problems},
            "correct_of": {p.problem_id: p.c for p in self.problems},
        }

    @classmethod
    def from_json(cls, task: str, entry: Mapping[str, Any]) -> "EvalResult":
        """Read an entry that ``to_json`` wrote.

        Raises:
            KeyError: A field is missing.
        """
        plain = ("accuracy", "n_problems", "n_samples", "n_uncovered", "n_no_verdict", "truncated")
        return cls(
            task=task,
            stderr=nan if entry["stderr"] is None else entry["stderr"],
            ci95=_interval(entry["ci95"]),
            pass_at_k={int(k): value for k, value in entry["pass_at_k"].items()},
            maj_at_k={int(k): value for k, value in entry["maj_at_k"].items()},
            pass_at_k_ci95={int(k): _interval(i) for k, i in entry["pass_at_k_ci95"].items()},
            maj_at_k_ci95={int(k): _interval(i) for k, i in entry["maj_at_k_ci95"].items()},
            status=dict(entry["status"]),
            mean_length=entry["mean_length"],
            length_unit=entry["length_unit"],
            problems=tuple(
                ProblemOutcome(problem_id=problem_id, n=n, c=entry["correct_of"][problem_id])
                for problem_id, n in entry["samples_of"].items()
            ),
            **{name: entry[name] for name in plain},
        )


def summarise(task: str, problems: Sequence[ProblemOutcome], *, n_uncovered: int = 0) -> EvalResult:
    """Aggregate the graded samples of a task.

    Args:
        task: The task's name.
        problems: The problems that have samples.
        n_uncovered: Problems that were given and have none.

    Raises:
        DataError: No sample has a verdict.
    """
    judged = [problem for problem in problems if problem.n]
    if not judged:
        raise DataError(
            f"task {task}: no sample has a verdict ({len(problems)} problems had samples); "
            "are the gold answers plain numbers?"
        )
    samples = [sample for problem in problems for sample in problem.samples]
    means = [problem.mean for problem in judged]
    n_samples = sum(problem.n for problem in judged)
    reasons = [s.completion.finish_reason for s in samples if s.completion.finish_reason]
    has_ids = all(sample.completion.token_ids is not None for sample in samples)
    statuses = Counter(sample.score.status for sample in samples)
    ks = _powers_up_to(min(problem.n for problem in judged))
    passes = {k: [pass_at_k(p.n, p.c, k) for p in judged] for k in ks}
    majorities = {k: [p.majority(k) for p in judged] for k in ks}
    return EvalResult(
        task=task,
        accuracy=fmean(means),
        stderr=clustered_stderr(means),
        ci95=mean_interval(means, n_samples),
        n_problems=len(judged),
        n_samples=n_samples,
        n_uncovered=n_uncovered,
        n_no_verdict=len(samples) - n_samples,
        pass_at_k={k: fmean(rates) for k, rates in passes.items()},
        maj_at_k={k: fmean(rates) for k, rates in majorities.items()},
        pass_at_k_ci95={k: mean_interval(rates, n_samples) for k, rates in passes.items()},
        maj_at_k_ci95={k: mean_interval(rates, n_samples) for k, rates in majorities.items()},
        status={status: count / len(samples) for status, count in statuses.most_common()},
        truncated=fmean(reason == "length" for reason in reasons) if reasons else None,
        mean_length=fmean(_length(sample, in_tokens=has_ids) for sample in samples),
        length_unit="tokens" if has_ids else "characters",
        problems=tuple(problems),
    )


def save_result(folder: Path, result: EvalResult) -> None:
    """Write a task's entry of ``results.json``; entries of other tasks stay, and a kill is safe.

    Raises:
        StorageError: The disk refused.
        DataError: The file that is there is not a ``results.json``.
    """
    path = folder / RESULTS_FILE
    entries = _read_entries(path) if path.exists() else {}
    entries[result.task] = result.to_json()
    write_whole(path, json.dumps(entries, indent=1, allow_nan=False) + "\n")


def load_results(folder: str | Path) -> dict[str, EvalResult]:
    """Read the results of a run folder by task.

    Raises:
        DataError: The folder has no results yet, or the file is not a ``results.json``.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.exists():
        raise DataError(f"{path}: no such file; a run folder is what `mathrl eval --out` wrote")
    try:
        return {
            task: EvalResult.from_json(task, entry) for task, entry in _read_entries(path).items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the results of `mathrl eval` ({error!r})") from None


def _read_entries(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    if not isinstance(entries, dict):
        raise DataError(f"{path}: expected a JSON object with one entry a task")
    return entries


def _interval(bounds: Sequence[float]) -> Interval:
    return Interval(low=bounds[0], high=bounds[1])


def _powers_up_to(n: int) -> list[int]:
    powers = [2**i for i in range(n.bit_length())]
    return powers if powers[-1] == n else [*powers, n]


def _length(sample: SampleOutcome, *, in_tokens: bool) -> int:
    ids = sample.completion.token_ids
    return len(ids) if in_tokens and ids is not None else len(sample.completion.text)
