"""The samples of a page as data for its script: packed, so that no text in them is markup.

JSON in gzip in base64: the alphabet has no ``<``, so no completion can end the element that holds
it, and the page is a third of the size. The script builds text nodes from it, never markup.
"""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mathrl.evals.report.flips import changes
from mathrl.evals.report.maths import FormulaBook
from mathrl.evals.results import SLICES, EvalResult, ProblemOutcome, SampleOutcome
from mathrl.schema import Problem

MAX_SAMPLE_CHARACTERS = 4000
"""A longer completion is cut in the page (the store has all of it)."""
MAX_SAMPLES = 20_000
"""Samples in a page, some 10 MB; of more, the first of every problem come first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTask:
    """What the browser of samples shows of one task."""

    title: str
    problems: Mapping[str, Problem]
    results: tuple[EvalResult | None, ...]
    """One a run; None where the run has not done the task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """The data, and how much of the runs it holds."""

    data: str
    num_samples: int
    num_given: int


def pack_samples(
    runs: Sequence[str],
    tasks: Sequence[SampleTask],
    book: FormulaBook,
    *,
    max_samples: int = MAX_SAMPLES,
) -> Packed:
    """Pack the samples of several tasks and runs.

    Args:
        runs: Labels.
        tasks: What the runs did.
        book: Takes the formulas, and may hold some already.
        max_samples: Cap on the samples of all tasks and runs together.
    """
    counts = Counter(sample.sample_index for task in tasks for sample in _samples(task))
    quota = _Quota(counts, max_samples)
    rows = [_task(task, quota, book) for task in tasks]
    formulas = [[formula.source, formula.tree.to_json()] for formula in book.formulas]
    data = {"runs": list(runs), "tasks": rows, "formulas": formulas}
    packed = gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0)
    return Packed(
        data=base64.b64encode(packed).decode(),
        num_samples=min(counts.total(), max_samples),
        num_given=counts.total(),
    )


class _Quota:
    """Lets a number of samples through: whole rounds of sample indices, then part of one."""

    def __init__(self, counts: Mapping[int, int], max_samples: int) -> None:
        self._rest = dict.fromkeys(counts, 0)
        left = max_samples
        for index in sorted(counts):
            self._rest[index] = min(counts[index], left)
            left -= self._rest[index]

    def takes(self, sample: SampleOutcome) -> bool:
        self._rest[sample.sample_index] -= 1
        return self._rest[sample.sample_index] >= 0


def _samples(task: SampleTask) -> Iterator[SampleOutcome]:
    for result in task.results:
        for problem in result.problems if result else ():
            yield from problem.samples


def _task(task: SampleTask, quota: _Quota, book: FormulaBook) -> dict[str, Any]:
    outcomes = [
        {} if result is None else {problem.problem_id: problem for problem in result.problems}
        for result in task.results
    ]
    base, *others = task.results
    change_of = [changes(base, other) if base and other else {} for other in others]
    ids = dict.fromkeys(problem_id for by_id in outcomes for problem_id in by_id)
    return {
        "title": task.title,
        "problems": [
            {
                **_problem(task.problems[i], book),
                "changes": [by_id.get(i) for by_id in change_of],
                "runs": [_outcome(by_id.get(i), quota, book) for by_id in outcomes],
            }
            for i in ids
        ],
    }


def _problem(problem: Problem, book: FormulaBook) -> dict[str, Any]:
    labels = {
        name: str(label)
        for name in SLICES
        if (label := problem.metadata.get(name)) not in (None, "")
    }
    return {
        "id": problem.id,
        "question": book.parts(cut(problem.prompt)),
        "answer": book.answer_parts(cut(problem.answer or "")),
        **labels,
    }


def _outcome(
    outcome: ProblemOutcome | None, quota: _Quota, book: FormulaBook
) -> dict[str, Any] | None:
    if outcome is None:
        return None
    samples = [_sample(sample, book) for sample in outcome.samples if quota.takes(sample)]
    return {"n": outcome.n, "c": outcome.c, "samples": samples}


def _sample(sample: SampleOutcome, book: FormulaBook) -> dict[str, Any]:
    prediction = sample.score.prediction
    entry = {
        "index": sample.sample_index,
        "status": sample.score.status,
        "read": None if prediction is None else book.answer_parts(cut(prediction)),
        "cue": sample.score.cue,
        "reason": sample.score.reason or None,
        "tokens": sample.num_tokens,
        "reward": sample.reward,
        "cut": sample.completion.finish_reason == "length" or None,
        "text": book.parts(cut(sample.completion.text)),
    }
    return {name: value for name, value in entry.items() if value is not None}


def cut(text: str) -> str:
    """A text of any length as the page shows it."""
    if len(text) <= MAX_SAMPLE_CHARACTERS:
        return text
    left_out = len(text) - MAX_SAMPLE_CHARACTERS
    return f"{text[:MAX_SAMPLE_CHARACTERS]}\n[{left_out} characters left out]"
