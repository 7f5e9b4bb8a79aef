"""Results as tables for a terminal; the commands print what is built here."""

import os
import sys
import textwrap
from collections.abc import Collection
from math import isnan
from typing import IO, TYPE_CHECKING, Any, cast

from mathrl.evals.results import EvalResult
from mathrl.evals.stats import Interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FILE_WIDTH = 160
"""Columns where the output is a file or a pipe and ``COLUMNS`` does not say."""


class _Trimmed:
    """Standard output without the blanks with which rich fills the lines of a table."""

    def write(self, text: str) -> int:
        return sys.stdout.write("\n".join(line.rstrip(" ") for line in text.split("\n")))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


def console() -> "Console":
    """Where tables are printed: as wide as the terminal or ``COLUMNS``, or as a file needs."""
    from rich.console import Console

    screen = Console(file=cast(IO[str], _Trimmed()), highlight=False)
    if not (screen.is_terminal or os.environ.get("COLUMNS", "").isdecimal()):
        screen.width = FILE_WIDTH
    return screen


def wrapped(text: str, *, indent: str = "") -> str:
    """Break a sentence between its words to fit the console; a path or a command stays whole.

    Args:
        text: Without line breaks.
        indent: Stands before every line but the first.
    """
    return textwrap.fill(
        text,
        console().width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def bare_table(*headings: str, text: Collection[int] = (0,)) -> "Table":
    """A table without lines.

    Args:
        headings: One a column; none is shown where all are empty.
        text: Places of the columns with words, which are on the left; figures are on the right.
    """
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place in text else "right", overflow="fold")
    return table


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
    table = bare_table("", "%", "", text=(0, 2))
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
