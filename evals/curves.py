"""Learning curves: a rate over training steps with its error bars, as a PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from mathrl.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


DPI = 200
"""Sharp on screens of twice the density at the 800 points that a page gives the figure."""
INK, PAPER = "#24262b", "#ffffff"
PALETTE = ("#2f5fd0", "#c8641b", "#2d8a4e")


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """A rate at a step; ``low`` and ``high`` bound its 95 % interval where it has one."""

    step: int
    rate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One line of a learning curve."""

    label: str
    points: tuple[CurvePoint, ...]


def learning_curve_png(curves: Sequence[Curve], *, y_label: str = "accuracy, %") -> bytes:
    """Draw rates over steps, with a band for each 95 % interval.

    Args:
        curves: One line each; at least one.
        y_label: Name of the rate.

    Returns:
        A PNG file of 1600 x 800 pixels with its own background.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        message = "a learning curve needs matplotlib: pip install 'mathrl[eval]'"
        raise MissingExtraError(message) from error
    figure = Figure(figsize=(8, 4), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot(facecolor=PAPER)
    for index, curve in enumerate(curves):
        _draw(axes, curve, PALETTE[index % len(PALETTE)])
    _style(axes, INK, y_label, is_named=len(curves) > 1)
    file = BytesIO()
    FigureCanvasAgg(figure)  # draws without a display, whatever backend the caller has chosen
    figure.savefig(file, format="png", dpi=DPI, facecolor=PAPER)
    return file.getvalue()


def _draw(axes: "Axes", curve: Curve, color: str) -> None:
    points = sorted(curve.points, key=lambda point: point.step)
    steps = [point.step for point in points]
    rates = [100 * point.rate for point in points]
    axes.plot(steps, rates, color=color, linewidth=2, marker="o", markersize=4, label=curve.label)
    bounded = [(p.step, p.low, p.high) for p in points if p.low is not None and p.high is not None]
    if bounded:
        low = [100 * bounds[1] for bounds in bounded]
        high = [100 * bounds[2] for bounds in bounded]
        axes.fill_between([b[0] for b in bounded], low, high, color=color, alpha=0.18, linewidth=0)


def _style(axes: "Axes", ink: str, y_label: str, *, is_named: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("step", color=ink)
    axes.set_ylabel(y_label, color=ink)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=ink, length=0)
    axes.grid(axis="y", color=ink, alpha=0.15, linewidth=0.8)
    for side in axes.spines.values():
        side.set_visible(False)
    if is_named:
        axes.legend(frameon=False, labelcolor=ink, loc="best")
