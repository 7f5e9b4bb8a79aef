"""What an evaluation found, and ``results.json``, the file that holds it.

Rates are fractions here and in the file; percent exists on screens only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any, Literal

from mathrl.errors import DataError
from mathrl.evals.metrics import maj_curve, pass_at_k
from mathrl.evals.selection import best_of_k, weighted_vote
from mathrl.evals.stats import Interval
from mathrl.files import write_whole
from mathrl.schema import Completion, Score, Usage

RESULTS_FILE = "results.json"
CURVES = ("pass_at_k", "maj_at_k", "best_of_k", "weighted_vote_at_k")
SLICES = ("subject", "level")
"""What problems are grouped by, where their metadata has it."""
_PLAIN = (
    "verifier",
    "accuracy",
    "n_problems",
    "n_samples",
    "n_uncovered",
    "n_no_verdict",
    "truncated",
    "mean_length",
    "length_unit",
    "completion_tokens",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleOutcome:
    """One graded sample."""

    sample_index: int
    completion: Completion
    """Without its token ids, which stay in the store."""
    score: Score
    num_tokens: int | None = None
    """None where the completion came without token ids."""
    reward: float | None = None
    """A reward model's score, where there is one."""
    is_stored: bool = field(default=False, compare=False)
    """It came out of the store and was not asked again."""


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

    def pass_at(self, k: int) -> float:
        """pass@k of the judged samples."""
        return pass_at_k(self.n, self.c, k)

    def majorities(self, ks: Sequence[int]) -> dict[int, float]:
        """maj@k of the judged samples, which must be there, for each k."""
        return maj_curve(self._predictions(), self._corrects(), ks)

    def best_of(self, k: int) -> float:
        """Best-of-k by reward, which every judged sample must have."""
        return best_of_k(self.rewards(), self._corrects(), k)

    def weighted_vote(self, k: int, weights: Sequence[float]) -> float:
        """Weighted vote of k judged samples.

        Args:
            k: Samples kept.
            weights: One a judged sample.
        """
        return weighted_vote(self._predictions(), self._corrects(), weights, k)

    def rewards(self) -> list[float]:
        """The rewards of the judged samples that have one."""
        return [sample.reward for sample in self._judged() if sample.reward is not None]

    def _judged(self) -> list[SampleOutcome]:
        return [sample for sample in self.samples if sample.score.value is not None]

    def _predictions(self) -> list[str | None]:
        return [sample.score.prediction for sample in self._judged()]

    def _corrects(self) -> list[bool]:
        return [sample.score.status == "correct" for sample in self._judged()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """The accuracy on the problems of one subject or level."""

    accuracy: float
    stderr: float
    ci95: Interval
    n_problems: int


Curve = Mapping[int, float]
"""A figure by the number of samples k."""
Curves = Mapping[str, Curve]
"""``pass_at_k``, ``maj_at_k``, and with rewards ``best_of_k`` and ``weighted_vote_at_k``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalResult:
    """What one evaluation of one task found."""

    task: str
    verifier: str = "eval"
    """Who gave the verdicts."""
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
    curves: Curves
    """For k = 1, 2, 4, ... and the number of samples that every problem has, or the k asked for."""
    curves_ci95: Mapping[str, Mapping[int, Interval]]
    slices: Mapping[str, Mapping[str, Slice]]
    """By ``subject`` and by ``level``, where the problems have them."""
    status: Mapping[str, float]
    """Share of each status among all samples, those without a verdict included."""
    cues: Mapping[str, float]
    """Share of all samples whose answer was found by each cue; ``none`` where none was found."""
    truncated: float | None
    """Share cut at the token limit; None where no completion says how it ended."""
    mean_length: float
    length_unit: Literal["tokens", "characters"]
    """``characters`` where a completion came without token ids."""
    completion_tokens: int | None
    """Tokens of all samples; None where a completion came without ids or a count."""
    usage: Usage | None
    """What an API counted for all samples; None where none did."""
    problems: tuple[ProblemOutcome, ...]
    """In the order of the task."""

    @property
    def pass_at_k(self) -> Curve:
        """Chance that one of k samples is correct."""
        return self.curves["pass_at_k"]

    @property
    def maj_at_k(self) -> Curve:
        """Chance that the most frequent answer of k samples is correct."""
        return self.curves["maj_at_k"]

    def to_json(self) -> dict[str, Any]:
        """The entry of ``results.json``: JSON types only, nan as null."""
        entry = {name: getattr(self, name) for name in _PLAIN}
        return {
            **entry,
            "stderr": _finite(self.stderr),
            "ci95": [self.ci95.low, self.ci95.high],
            **{name: {str(k): v for k, v in curve.items()} for name, curve in self.curves.items()},
            **{
                f"{name}_ci95": {str(k): [i.low, i.high] for k, i in curve.items()}
                for name, curve in self.curves_ci95.items()
            },
            **{
                f"by_{field}": {label: _slice_to_json(part) for label, part in parts.items()}
                for field, parts in self.slices.items()
            },
            **({} if self.usage is None else {"usage": asdict(self.usage)}),
            "status": dict(self.status),
            "cues": dict(self.cues),
            "samples_of": {p.problem_id: p.n for p in self.problems},
            "correct_of": {p.problem_id: p.c for p in self.problems},
        }

    @classmethod
    def from_json(cls, task: str, entry: Mapping[str, Any]) -> "EvalResult":
        """Read an entry that ``to_json`` wrote.

        Raises:
            KeyError: A field is missing.
        """
        curves = {name: entry[name] for name in CURVES if name in entry}
        bounds = {name: entry[f"{name}_ci95"] for name in curves}
        slices = {name: entry[f"by_{name}"] for name in SLICES if f"by_{name}" in entry}
        return cls(
            task=task,
            stderr=_number(entry["stderr"]),
            ci95=_interval(entry["ci95"]),
            curves={name: {int(k): v for k, v in c.items()} for name, c in curves.items()},
            curves_ci95={
                name: {int(k): _interval(i) for k, i in c.items()} for name, c in bounds.items()
            },
            slices={
                name: {label: _slice_from_json(part) for label, part in parts.items()}
                for name, parts in slices.items()
            },
            usage=Usage(**entry["usage"]) if "usage" in entry else None,
            status=dict(entry["status"]),
            cues=dict(entry["cues"]),
            problems=tuple(
                ProblemOutcome(problem_id=problem_id, n=n, c=entry["correct_of"][problem_id])
                for problem_id, n in entry["samples_of"].items()
            ),
            **{name: entry[name] for name in _PLAIN},
        )


def save_result(folder: Path, result: EvalResult) -> None:
    """Write a task's entry of ``results.json``; entries of other tasks stay, and a kill is safe.

    Raises:
        StorageError: The disk refused.
        DataError: The file that is there is not a ``results.json``.
    """
    save_entry(folder, result.task, result.to_json())


def save_entry(folder: Path, task: str, entry: Mapping[str, Any]) -> None:
    """Write an entry that holds more than ``EvalResult.to_json`` gives; else as ``save_result``.

    Raises:
        StorageError: The disk refused.
        DataError: The file that is there is not a ``results.json``.
    """
    path = folder / RESULTS_FILE
    entries = _read_entries(path) if path.exists() else {}
    entries[task] = dict(entry)
    write_whole(path, json.dumps(entries, indent=1, allow_nan=False) + "\n")


def drop_result(folder: Path, task: str) -> None:
    """Take a task's entry out of ``results.json``, where there is one.

    Raises:
        StorageError: The disk refused.
        DataError: The file that is there is not a ``results.json``.
    """
    path = folder / RESULTS_FILE
    if path.exists():
        entries = {name: entry for name, entry in _read_entries(path).items() if name != task}
        write_whole(path, json.dumps(entries, indent=1, allow_nan=False) + "\n")


def load_results(folder: str | Path) -> dict[str, EvalResult]:
    """Read the results of a run folder by task.

    Raises:
        DataError: The folder has no results yet, or the file is not a ``results.json``.
    """
    path = Path(folder) / RESULTS_FILE
    entries = load_entries(folder)
    try:
        return {task: EvalResult.from_json(task, entry) for task, entry in entries.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not the results of `mathrl eval` ({error!r})") from None


def load_entries(folder: str | Path) -> dict[str, Any]:
    """Read ``results.json`` as it is written.

    Raises:
        DataError: The folder has none, or the file is not a ``results.json``.
    """
    path = Path(folder) / RESULTS_FILE
    if not path.exists():
        raise DataError(f"{path}: no such file; a run folder is what `mathrl eval --out` wrote")
    return _read_entries(path)


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


def _finite(value: float) -> float | None:
    return None if isnan(value) else value


def _number(value: float | None) -> float:
    return nan if value is None else value


def _slice_to_json(part: Slice) -> dict[str, Any]:
    return {
        "accuracy": part.accuracy,
        "stderr": _finite(part.stderr),
        "ci95": [part.ci95.low, part.ci95.high],
        "n_problems": part.n_problems,
    }


def _slice_from_json(part: Mapping[str, Any]) -> Slice:
    return Slice(
        accuracy=part["accuracy"],
        stderr=_number(part["stderr"]),
        ci95=_interval(part["ci95"]),
        n_problems=part["n_problems"],
    )
