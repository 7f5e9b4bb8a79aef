"""The charts of a task: accuracy by the number of samples, and how long completions are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median_low
from typing import Literal

from mathrl.evals.curves import Curve
from mathrl.evals.display import curve_label
from mathrl.evals.report.charts import Bars, Point, Series, line_chart, nice_ticks, stacked_bars
from mathrl.evals.results import EvalResult, SampleOutcome

Outcome = Literal["correct", "not correct", "cut off"]
OUTCOMES: tuple[Outcome, ...] = ("correct", "not correct", "cut off")
NUM_BINS = 30
TAIL = 0.99
"""Share of the samples that the length axis reaches; the rest is counted in the last bar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One chart with its heading, and the names of its colours where it has several."""

    title: str
    svg: str
    legend: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """How long the completions of one outcome are."""

    run: str
    outcome: Outcome
    num_samples: int
    median: int
    p90: int
    longest: int


Results = Sequence[tuple[str, EvalResult]]
"""Runs that have the task: label and result."""


def sample_curves(results: Results) -> list[Panel]:
    """pass@k and the like: one run in one chart, several runs in a chart a figure."""
    curves = [(label, result) for label, result in results if max(result.pass_at_k) > 1]
    if len(curves) == 1:
        (_, result), lines = curves[0], []
        for name in result.curves:
            lines.append(_series(curve_label(name, "k"), result, name))
        return [_curve_panel("Accuracy by number of samples", lines)]
    names = dict.fromkeys(name for _, result in curves for name in result.curves)
    return [
        _curve_panel(
            curve_label(name, "k"),
            [_series(label, result, name) for label, result in curves if name in result.curves],
        )
        for name in names
    ]


def learning_curve(curves: Sequence[Curve]) -> Panel:
    """Accuracy over training steps."""
    lines = [
        Series(
            label=curve.label,
            points=tuple(
                Point(x=p.step, y=100 * p.rate, low=_percent(p.low), high=_percent(p.high))
                for p in curve.points
            ),
        )
        for curve in curves
    ]
    svg = line_chart(
        lines, title="Accuracy by training step", x_label="step", y_label="accuracy, %"
    )
    return Panel(title="Accuracy by training step", svg=svg, legend=_legend(lines))


def length_panels(results: Results) -> list[Panel]:
    """A histogram a run, on common axes; empty where results came without samples."""
    unit = length_unit(results)
    lengths = {label: _lengths(result, unit) for label, result in results}
    everything = sorted(n for parts in lengths.values() for ns in parts.values() for n in ns)
    if not everything:
        return []
    edges = _edges(everything)
    occurring = [o for o in OUTCOMES if any(parts[o] for parts in lengths.values())]
    bars = {
        label: [Bars(label=o, heights=_counts(parts[o], edges)) for o in occurring]
        for label, parts in lengths.items()
    }
    top = max(max(map(sum, zip(*(b.heights for b in own), strict=True))) for own in bars.values())
    return [
        Panel(
            title=label,
            svg=stacked_bars(
                own, edges, title=f"Length of completions, {label}", x_label=unit, top=top
            ),
            legend=tuple(occurring),
        )
        for label, own in bars.items()
    ]


def length_rows(results: Results) -> list[Lengths]:
    """Median and tail of each outcome that occurs."""
    return [
        Lengths(
            run=label,
            outcome=outcome,
            num_samples=len(lengths),
            median=median_low(lengths),
            p90=sorted(lengths)[ceil(0.9 * len(lengths)) - 1],
            longest=max(lengths),
        )
        for label, result in results
        for outcome, lengths in _lengths(result, length_unit(results)).items()
        if lengths
    ]


def length_unit(results: Results) -> str:
    """Tokens, or characters where one of the runs has no token ids."""
    units = {result.length_unit for _, result in results}
    return "tokens" if units == {"tokens"} else "characters"


def _series(label: str, result: EvalResult, name: str) -> Series:
    bounds = result.curves_ci95[name]
    return Series(
        label=label,
        points=tuple(
            Point(x=k, y=100 * v, low=100 * bounds[k].low, high=100 * bounds[k].high)
            for k, v in result.curves[name].items()
        ),
    )


def _curve_panel(title: str, lines: Sequence[Series]) -> Panel:
    svg = line_chart(lines, title=title, x_label="samples k", y_label="%", log_x=True)
    return Panel(title=title, svg=svg, legend=_legend(lines))


def _legend(lines: Sequence[Series]) -> tuple[str, ...]:
    return tuple(line.label for line in lines) if len(lines) > 1 else ()


def _lengths(result: EvalResult, unit: str) -> Mapping[Outcome, list[int]]:
    lengths: dict[Outcome, list[int]] = {outcome: [] for outcome in OUTCOMES}
    for sample in (sample for problem in result.problems for sample in problem.samples):
        length = sample.num_tokens if unit == "tokens" else len(sample.completion.text)
        lengths[_outcome(sample)].append(length or 0)
    return lengths


def _outcome(sample: SampleOutcome) -> Outcome:
    if sample.score.status == "correct":
        return "correct"
    return "cut off" if sample.completion.finish_reason == "length" else "not correct"


def _edges(lengths: Sequence[int]) -> list[float]:
    """Bins of one round width up to nearly all lengths, which come sorted."""
    high = max(lengths[ceil(TAIL * len(lengths)) - 1], 1)
    ticks = nice_ticks(0, high)
    width = max((ticks[1] - ticks[0]) / (NUM_BINS // 5), 1)
    return [index * width for index in range(ceil((high + 1) / width) + 1)]


def _counts(lengths: Sequence[int], edges: Sequence[float]) -> tuple[float, ...]:
    counts = [0] * (len(edges) - 1)
    for length in lengths:
        counts[min(int(length / edges[1]), len(counts) - 1)] += 1
    return tuple(counts)


def _percent(rate: float | None) -> float | None:
    return None if rate is None else 100 * rate
