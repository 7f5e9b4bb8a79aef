"""The tables of a page: accuracy with its comparison, and how often each verdict and cue came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mathrl.evals.display import curve_label
from mathrl.evals.results import EvalResult
from mathrl.evals.run_comparison import ComparedRun, Side
from mathrl.evals.stats import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyRow:
    """One run on one task."""

    run: str
    result: EvalResult
    compared: ComparedRun | None
    """With the first run; None for that run itself, and on a task that it has not done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccuracyTable:
    """The runs on one task."""

    task: str
    rows: tuple[AccuracyRow, ...]

    @property
    def compared(self) -> tuple[ComparedRun, ...]:
        """The differences to the first run."""
        return tuple(row.compared for row in self.rows if row.compared is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class RateRow:
    """One figure of each run; None where a run has none."""

    name: str
    rates: tuple[float | None, ...]
    intervals: tuple[Interval | None, ...] = ()


def accuracy_table(
    task: str, sides: Sequence[Side], compared: Mapping[Side, ComparedRun]
) -> AccuracyTable:
    """Every run, and its difference to the first where there is one.

    Args:
        task: Its title.
        sides: The runs that did the task.
        compared: Of all tasks, by the side that is compared with the first run's.
    """
    return AccuracyTable(
        task=task,
        rows=tuple(
            AccuracyRow(run=side.run, result=side.result, compared=compared.get(side))
            for side in sides
        ),
    )


def axis(bounds: Sequence[Interval], *, lowest: float = 0.0) -> Interval:
    """A range that holds all intervals, with a little room at both ends where there is any.

    Args:
        bounds: Of rates, or of differences between rates.
        lowest: The lowest value there can be: -1 for differences; the highest is 1 for both.
    """
    low, high = min(b.low for b in bounds), max(b.high for b in bounds)
    room = max(0.06 * (high - low), 0.01)
    return Interval(low=max(lowest, low - room), high=min(1.0, high + room))


def curve_rows(results: Sequence[EvalResult]) -> list[RateRow]:
    """Each figure of k > 1 samples; of one sample each is the accuracy."""
    keys = dict.fromkeys(
        (name, k) for r in results for name, curve in r.curves.items() for k in curve if k > 1
    )
    return [
        RateRow(
            name=curve_label(name, k),
            rates=tuple(r.curves.get(name, {}).get(k) for r in results),
            intervals=tuple(r.curves_ci95.get(name, {}).get(k) for r in results),
        )
        for name, k in keys
    ]


def status_rows(results: Sequence[EvalResult]) -> list[RateRow]:
    """How often each verdict came, and truncation where it is known."""
    rows = _rates(results, lambda result: result.status)
    if any(result.truncated is not None for result in results):
        rows.append(RateRow(name="cut off", rates=tuple(r.truncated for r in results)))
    return rows


def cue_rows(results: Sequence[EvalResult]) -> list[RateRow]:
    """How often an answer was found by each cue."""
    return _rates(results, lambda result: result.cues)


def _rates(
    results: Sequence[EvalResult], field: Callable[[EvalResult], Mapping[str, float]]
) -> list[RateRow]:
    names = dict.fromkeys(name for result in results for name in field(result))
    return [
        RateRow(name=name.replace("_", " "), rates=tuple(field(r).get(name, 0.0) for r in results))
        for name in names
    ]
