"""The page itself: what it shows, as plain dataclasses, and the template that it goes through.

Any command that has results can write one. The page loads nothing: its policy for browsers
(``Content-Security-Policy``) allows the one style sheet and the one script that are in it, by
their hash, and nothing else, whatever a completion says.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from mathrl.errors import MissingExtraError
from mathrl.evals.compare import Comparison, p_text
from mathrl.evals.curves import Curve
from mathrl.evals.display import interval, percent
from mathrl.evals.report import figures, tables
from mathrl.evals.report.flips import Flip, pick_flips
from mathrl.evals.report.heatmap import HeatMap, heat_maps
from mathrl.evals.report.maths import FormulaBook
from mathrl.evals.report.samples import SampleTask, cut, pack_samples
from mathrl.evals.run_comparison import ComparedRun, Side, compare_sides
from mathrl.evals.stats import Interval
from mathrl.files import write_whole
from mathrl.schema import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportTask:
    """One task as each run did it."""

    title: str
    sides: tuple[Side | None, ...]
    """One a run, in the order of the runs; None where a run has not done the task."""
    problems: Mapping[str, Problem] = field(default_factory=dict)
    """By id; every problem of the results, where samples are shown."""
    is_detailed: bool = True
    """Show curves, lengths and samples; off for a row in the table of accuracies only."""

    @property
    def done(self) -> list[Side]:
        """The sides of the runs that did the task."""
        return [side for side in self.sides if side is not None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What the figures depend on: one value for all runs, or one a run."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything the page shows."""

    title: str
    runs: tuple[str, ...]
    """Their labels; the first is the base that the others are compared with."""
    tasks: tuple[ReportTask, ...]
    """At least one; the first one's figure is the headline."""
    commands: tuple[str, ...]
    """How to check the figures or make them again; shown as they are to be typed."""
    curves: tuple[Curve, ...] = ()
    """Accuracy during training."""
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Detail:
    """The sections of one task."""

    task: str
    runs: tuple[str, ...]
    curves: list[figures.Panel]
    curve_rows: list[tables.RateRow]
    heat_maps: list[HeatMap]
    lengths: list[figures.Panel]
    length_rows: list[figures.Lengths]
    length_unit: str
    statuses: list[tables.RateRow]
    cues: list[tables.RateRow]
    flips: tuple[tuple[str, Comparison, tuple[Flip, ...]], ...]
    """Of each run but the first: its label, comparison and examples."""


def write_report(path: str | Path, report: Report) -> None:
    """Write the page.

    Raises:
        MissingExtraError: jinja2 or latex2mathml is not installed.
        DataError: The runs do not share tasks and problems with the first.
        StorageError: The disk refused, or the path is a folder, a device or a pipe.
    """
    write_whole(Path(path), render_report(report).encode("utf-8", "replace"))


def render_report(report: Report) -> str:
    """The page as text.

    Raises:
        MissingExtraError: jinja2 or latex2mathml is not installed.
        DataError: The runs do not share tasks and problems with the first.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("a report needs jinja2: pip install 'mathrl[eval]'") from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    book = FormulaBook()
    environment.filters.update(
        percent=percent,
        interval=interval,
        p_text=p_text,
        signed=_signed,
        signed_interval=lambda bounds: f"{_signed(bounds.low)} … {_signed(bounds.high)}",
        cell=lambda rate, is_difference: _signed(rate, 1) if is_difference else f"{100 * rate:.1f}",
        text=lambda text: book.markup(book.parts(cut(text))),
        answer=lambda text: book.markup(book.answer_parts(cut(text))),
    )
    style, script = _template("report.css"), _template("report.js")
    environment.globals.update(
        style=style, script=script, style_hash=_csp_hash(style), script_hash=_csp_hash(script)
    )
    compared = _compared(report)
    accuracies = [tables.accuracy_table(t.title, t.done, compared) for t in report.tasks]
    # The examples come first, so that their formulas are converted whatever the samples hold.
    return environment.from_string(_template("report.html.j2")).render(
        report=report,
        accuracies=accuracies,
        headline=next((table for table in accuracies if table.compared), accuracies[0]),
        num_tests=max((run.num_tests for run in compared.values()), default=0),
        axis=tables.axis([row.result.ci95 for table in accuracies for row in table.rows]),
        difference_axis=tables.axis([*_difference_bounds(compared.values())], lowest=-1.0),
        learning=figures.learning_curve(report.curves) if report.curves else None,
        details=[_detail(task, compared) for task in report.tasks if task.is_detailed],
        pack=lambda: pack_samples(report.runs, _sample_tasks(report), book),
        book=book,
    )


def _signed(rate: float, digits: int = 2) -> str:
    return f"{100 * rate:+.{digits}f}".replace("-", "−")


def _compared(report: Report) -> dict[Side, ComparedRun]:
    """The differences to the first run, all tests of the page being one family."""
    if len(report.runs) < 2:
        return {}
    runs = {
        label: {task.title: side for task in report.tasks if (side := task.sides[place])}
        for place, label in enumerate(report.runs)
    }
    return {run.side: run for run in compare_sides(runs)}


def _difference_bounds(compared: Iterable[ComparedRun]) -> Iterator[Interval]:
    yield Interval(low=0, high=0)
    for run in compared:
        yield run.comparison.ci95
        parts = run.attribution.parts.values() if run.attribution else ()
        yield from (part.ci95 for part in parts if part.ci95)


def _detail(task: ReportTask, compared: Mapping[Side, ComparedRun]) -> _Detail:
    done = [(side.run, side.result) for side in task.done]
    results = [result for _, result in done]
    return _Detail(
        task=task.title,
        runs=tuple(label for label, _ in done),
        curves=figures.sample_curves(done),
        curve_rows=tables.curve_rows(results),
        heat_maps=heat_maps(done, task.problems),
        lengths=figures.length_panels(done),
        length_rows=figures.length_rows(done),
        length_unit=figures.length_unit(done),
        statuses=tables.status_rows(results),
        cues=tables.cue_rows(results),
        flips=tuple(
            (side.run, run.comparison, pick_flips(task.problems, run.base.result, side.result))
            for side in task.done
            if (run := compared.get(side))
        ),
    )


def _sample_tasks(report: Report) -> list[SampleTask]:
    return [
        SampleTask(
            title=task.title,
            problems=task.problems,
            results=tuple(side.result if side else None for side in task.sides),
        )
        for task in report.tasks
        if task.is_detailed
    ]


def _template(name: str) -> str:
    path: Any = resources.files("mathrl.evals") / "templates" / name
    return str(path.read_text(encoding="utf-8"))


def _csp_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
