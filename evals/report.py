"""One HTML page for a run: what changed, by how much and how sure, with samples side by side.

The page is a single file that opens offline, in light and dark; nothing in it is fetched. What it
shows is handed in as plain dataclasses, so any command that has two results can write one.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from mathrl.errors import MissingExtraError, StorageError
from mathrl.evals.compare import Comparison, p_text
from mathrl.evals.curves import Curve, learning_curve_png
from mathrl.evals.display import curve_label, interval, percent
from mathrl.evals.results import EvalResult, SampleOutcome
from mathrl.evals.stats import Interval
from mathrl.schema import Problem

MAX_SAMPLE_CHARACTERS = 4000
"""A longer completion is cut in the page (the store has all of it)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSide:
    """One of the two policies: its sampled result and, where measured, its greedy one.

    ``single`` is the result that the comparison is of, where that is one sample of the several.
    """

    label: str
    sampled: EvalResult
    greedy: EvalResult | None = None
    single: EvalResult | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One problem, with what was written before and after."""

    kind: Literal["fixed", "broken"]
    question: str
    answer: str
    before: SampleOutcome
    after: SampleOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything the page shows."""

    title: str
    command: str
    """The command that made the run; shown as it is to be typed."""
    seed: int
    before: ReportSide
    after: ReportSide
    comparison: Comparison
    greedy_comparison: Comparison | None = None
    curves: tuple[Curve, ...] = ()
    examples: tuple[Example, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    """Further lines of the foot: name and value (model, data, versions, time)."""


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    before: str
    after: str
    before_interval: str
    after_interval: str


@dataclass(frozen=True, slots=True)
class _Images:
    light: str
    dark: str


def write_report(path: str | Path, report: Report) -> None:
    """Write the page.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        StorageError: The disk refused.
    """
    page = render_report(report)
    try:
        Path(path).write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise StorageError(f"{path}: cannot write ({error.strerror})") from error


def render_report(report: Report) -> str:
    """The page as text.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("a report needs jinja2: pip install 'mathrl[eval]'") from error
    source = resources.files("mathrl.evals") / "templates" / "report.html.j2"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, interval=interval, p_text=p_text, cut=_cut)
    images = None
    if report.curves:
        images = _Images(
            light=_data_url(learning_curve_png(report.curves)),
            dark=_data_url(learning_curve_png(report.curves, dark=True)),
        )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(report=report, rows=_rows(report), images=images)


def pick_examples(
    problems: Sequence[Problem], before: EvalResult, after: EvalResult, *, limit: int = 4
) -> tuple[Example, ...]:
    """Choose problems whose accuracy moved most: at most ``limit`` fixed and ``limit`` broken.

    Of a fixed problem the first wrong sample before and the first correct one after are shown, of
    a broken one the reverse. Results that were read from a file have no samples, and give none.
    """
    by_id = {problem.id: problem for problem in problems}
    old = {outcome.problem_id: outcome for outcome in before.problems if outcome.n}
    moved = [
        (outcome.mean - old[outcome.problem_id].mean, outcome.problem_id, outcome.samples)
        for outcome in after.problems
        if outcome.n and outcome.problem_id in old and outcome.problem_id in by_id
    ]
    examples: list[Example] = []
    for kind, sign in (("fixed", 1), ("broken", -1)):
        ranked = sorted((m for m in moved if m[0] * sign > 0), key=lambda m: (-m[0] * sign, m[1]))
        for _, problem_id, samples in ranked[:limit]:
            was = _first(old[problem_id].samples, is_correct=sign < 0)
            now = _first(samples, is_correct=sign > 0)
            if was is not None and now is not None:
                problem = by_id[problem_id]
                examples.append(
                    Example(
                        kind="fixed" if kind == "fixed" else "broken",
                        question=problem.prompt,
                        answer=problem.answer or "",
                        before=was,
                        after=now,
                    )
                )
    return tuple(examples)


def _rows(report: Report) -> list[_Row]:
    before, after = report.before.sampled, report.after.sampled
    results = [
        ("accuracy, one sample", report.before.single, report.after.single),
        ("accuracy, all samples" if report.before.single else "accuracy", before, after),
        ("greedy", report.before.greedy, report.after.greedy),
    ]
    rows = [
        _row(name, old.accuracy, new.accuracy, old.ci95, new.ci95)
        for name, old, new in results
        if old is not None and new is not None
    ]
    for name, old_curve in before.curves.items():
        new_curve = after.curves.get(name, {})
        for k in (k for k in old_curve if k > 1 and k in new_curve):
            bounds = before.curves_ci95[name][k], after.curves_ci95[name][k]
            rows.append(_row(curve_label(name, k), old_curve[k], new_curve[k], *bounds))
    return rows


def _row(name: str, before: float, after: float, old: Interval, new: Interval) -> _Row:
    return _Row(name, percent(before), percent(after), interval(old), interval(new))


def _first(samples: Sequence[SampleOutcome], *, is_correct: bool) -> SampleOutcome | None:
    judged = (sample for sample in samples if sample.score.value is not None)
    return next((s for s in judged if (s.score.status == "correct") is is_correct), None)


def _cut(text: str) -> str:
    if len(text) <= MAX_SAMPLE_CHARACTERS:
        return text
    left_out = len(text) - MAX_SAMPLE_CHARACTERS
    return f"{text[:MAX_SAMPLE_CHARACTERS]}\n[{left_out} characters left out]"


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
