"""Results as tables for a terminal; the commands print what is built here."""

from math import isnan
from typing import TYPE_CHECKING

from mathrl.evals.results import EvalResult
from mathrl.evals.stats import Interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FILE_WIDTH = 160
"""Columns where the output is a file or a pipe: nothing is cut there."""


def console() -> "Console":
    """Where tables are printed: as wide as the terminal, or as a file needs."""
    from rich.console import Console

    is_terminal = Console().is_terminal
    return Console(highlight=False, width=None if is_terminal else FILE_WIDTH)


def percent(rate: float) -> str:
    """A rate in percent with two decimals, an en dash where there is none."""
    return "–" if isnan(rate) else f"{100 * rate:.2f}"


def interval(bounds: Interval, *, sign: str = "") -> str:
    """An interval in percent; ``sign`` ``+`` also writes the sign of positive bounds."""
    return f"{100 * bounds.low:{sign}.2f} … {100 * bounds.high:{sign}.2f}"


def curve_label(name: str, k: int | str) -> str:
    """How people write a figure: ``pass@8``."""
    return f"{_CURVES[name]}@{k}"


_CURVES = {
    "pass_at_k": "pass",
    "maj_at_k": "maj",
    "best_of_k": "best",
    "weighted_vote_at_k": "weighted vote",
}


def result_table(result: EvalResult) -> "Table":
    """What one evaluation found, in percent."""
    table = _bare_table("", "%", "")
    spread = f"95 % interval {interval(result.ci95)}"
    table.add_row(
        "accuracy", percent(result.accuracy), f"{spread}, stderr {percent(result.stderr)}"
    )
    for name, curve in result.curves.items():
        for k, value in curve.items():
            if k > 1:  # of one sample each is the accuracy
                bounds = interval(result.curves_ci95[name][k])
                table.add_row(curve_label(name, k), percent(value), bounds)
    for field, parts in result.slices.items():
        for label, part in parts.items():
            row = f"{interval(part.ci95)}, {part.n_problems} problems"
            table.add_row(f"{field} {label}", percent(part.accuracy), row)
    for status, rate in result.status.items():
        if status != "correct":
            table.add_row(status, percent(rate), "of all samples")
    if guessed := result.cues.get("last_value"):
        table.add_row(
            "last value", percent(guessed), "no cue: its last number or formula was taken"
        )
    if result.truncated is not None:
        table.add_row("truncated", percent(result.truncated), "cut at the token limit")
    return table


def result_notes(result: EvalResult) -> list[str]:
    """How much was evaluated, and what was left out."""
    given = len(result.problems) + result.n_uncovered
    notes = [
        f"{result.n_problems} problems, {result.n_samples} samples, "
        f"mean length {result.mean_length:.0f} {result.length_unit}"
    ]
    if result.n_uncovered:
        notes.append(f"{len(result.problems)} of {given} problems have completions")
    if result.n_no_verdict:
        notes.append(f"{result.n_no_verdict} samples left out: their gold answer is not readable")
    return notes


def _bare_table(first: str, *others: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=bool(first))
    table.add_column(first, overflow="fold")
    for index, name in enumerate(others):
        is_text = not first and index > 0
        table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text)
    return table
