"""Charts as inline SVG: no script, no picture; the page's style sheet gives them their colours.

A shape carries the class ``c0``, ``c1``, ... of its series, and what it stands for as a
``<title>``, which browsers show under the pointer and read aloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log2, log10

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 40
MAX_TICKS = 9
DOT, RING = 3, 1.2
"""Radius of the last line's markers; how much larger each earlier line's are."""
NUM_COLORS = 6
"""Series that can be told apart; further ones begin again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A value, with the bounds of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line, or one colour of stacked bars."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """Bars of one colour: a height for each bin."""

    label: str
    heights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to positions, linear."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def line_chart(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, log_x: bool = False
) -> str:
    """Draw lines with a band for each interval.

    Args:
        series: At least one, each with at least one point.
        title: What the chart shows, for those who do not see it.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        log_x: Double at each step of the axis, with a tick at each x.

    Returns:
        An ``svg`` element.
    """
    points = [point for line in series for point in line.points]
    values = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    y_ticks = nice_ticks(min(values), max(values))
    xs = sorted({point.x for point in points})
    x_ticks = _thinned(xs) if log_x else [t for t in nice_ticks(xs[0], xs[-1]) if t <= xs[-1]]
    x_at = _Scale(_x(xs[0], log_x), _x(xs[-1], log_x), LEFT + 8, WIDTH - RIGHT - 8)
    y_at = _Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    shapes = [*_grid(y_ticks, y_at), *(_x_tick(x, x_at(_x(x, log_x))) for x in x_ticks)]
    placed = [
        [(x_at(_x(p.x, log_x)), p) for p in sorted(line.points, key=lambda p: p.x)]
        for line in series
    ]
    shapes += [_band(line, y_at, index) for index, line in enumerate(placed)]
    shapes += [_line(line, y_at, index) for index, line in enumerate(placed)]
    shapes += [
        _marker(
            x,
            y_at(point.y),
            index,
            # What is drawn later is smaller: of points in one place every colour is seen.
            radius=DOT + RING * (len(placed) - 1 - index),
            text=_point_text(series[index].label, x_label, point),
        )
        for index, line in enumerate(placed)
        for x, point in line
    ]
    return _svg(shapes, title, x_label, y_label)


def stacked_bars(
    bars: Sequence[Bars], edges: Sequence[float], *, title: str, x_label: str, top: float
) -> str:
    """Draw a histogram whose bars are made of parts.

    Args:
        bars: The parts, from below; each with one height less than there are edges.
        edges: Bounds of the bins, rising.
        title: What the chart shows, for those who do not see it.
        x_label: Name of the horizontal axis.
        top: Height that the vertical axis has to reach.

    Returns:
        An ``svg`` element.
    """
    y_ticks = nice_ticks(0, top)
    x_at = _Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    y_at = _Scale(0, y_ticks[-1], HEIGHT - BOTTOM, TOP)
    shapes = list(_grid(y_ticks, y_at))
    shapes += [_x_tick(x, x_at(x)) for x in nice_ticks(edges[0], edges[-1]) if x <= edges[-1]]
    for index in range(len(edges) - 1):
        below = 0.0
        for color, part in enumerate(bars):
            height = part.heights[index]
            if height:
                x, end = x_at(edges[index]) + 0.5, x_at(edges[index + 1]) - 0.5
                y = y_at(below + height)
                text = f"{part.label}: {height:g} of {edges[index]:g} to {edges[index + 1]:g}"
                shapes.append(
                    f'<rect class="bar c{color}" x="{x:.1f}" y="{y:.1f}" width="{end - x:.1f}" '
                    f'height="{y_at(below) - y:.1f}"><title>{escape(text)}</title></rect>'
                )
            below += height
    return _svg(shapes, title, x_label, "samples")


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers, at most seven, that enclose a range."""
    span = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** floor(log10(span / 5))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if span / (m * magnitude) <= 5)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _x(value: float, is_log: bool) -> float:
    return log2(value) if is_log else value


def _thinned(xs: Sequence[float]) -> list[float]:
    stride = ceil(len(xs) / MAX_TICKS)
    return list(xs[::stride])


def _grid(ticks: Sequence[float], y_at: _Scale) -> list[str]:
    return [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(t):.1f}" '
        f'y2="{y_at(t):.1f}"/><text class="y" x="{LEFT - 6}" y="{y_at(t) + 4:.1f}">{t:g}</text>'
        for t in ticks
    ]


def _x_tick(value: float, x: float) -> str:
    return f'<text class="x" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}">{value:g}</text>'


def _band(line: Sequence[tuple[float, Point]], y_at: _Scale, index: int) -> str:
    high = [f"{x:.1f},{y_at(p.high):.1f}" for x, p in line if p.high is not None]
    low = [f"{x:.1f},{y_at(p.low):.1f}" for x, p in line if p.low is not None]
    return f'<polygon class="band c{index % NUM_COLORS}" points="{" ".join(high + low[::-1])}"/>'


def _line(line: Sequence[tuple[float, Point]], y_at: _Scale, index: int) -> str:
    path = " ".join(f"{x:.1f},{y_at(p.y):.1f}" for x, p in line)
    return f'<polyline class="line c{index % NUM_COLORS}" points="{path}"/>'


def _marker(x: float, y: float, index: int, *, radius: float, text: str) -> str:
    at = f'cx="{x:.1f}" cy="{y:.1f}"'
    return (
        f'<g><title>{escape(text)}</title><circle class="dot c{index % NUM_COLORS}" {at} '
        f'r="{radius:.1f}"/><circle class="target" {at} r="9"/></g>'
    )


def _point_text(label: str, x_label: str, point: Point) -> str:
    text = f"{label}, {x_label} {point.x:g}: {point.y:.2f}"
    if point.low is None or point.high is None:
        return text
    return f"{text} (95 % interval {point.low:.2f} … {point.high:.2f})"


def _svg(shapes: Sequence[str], title: str, x_label: str, y_label: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(shapes)}'
        f'<text class="x name" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}">'
        f'{escape(x_label)}</text><text class="x name" transform="translate(10 '
        f'{(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">{escape(y_label)}</text></svg>'
    )
