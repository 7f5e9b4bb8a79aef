"""What `mathrl score` shows: progress while it grades, a table at the end."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mathrl.cli.score_rows import GradedChunk, Tally

if TYPE_CHECKING:
    from rich.table import Table

PLAIN_LINE_S = 10.0
"""Time between two lines of progress where stderr is not a terminal."""

TIERS = {
    0: "same text",
    1: "exact numbers",
    2: "same structure",
    3: "identity testing",
    4: "computer algebra",
    None: "none of them decided",
}


@dataclass(slots=True)
class Speed:
    """Work done by this command, apart from what was in the file already."""

    rows: int = 0
    checks: int = 0
    wall_s: float = 0.0
    grading_s: float = 0.0
    """Processor time of parsing and grading rows; a busy machine does not change it. The computer
    algebra of tier 4 has processes of its own, which are not in it."""

    def add(self, other: "Speed") -> None:
        """Count the work on one more file."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class ProgressView:
    """Rows so far: a bar where stderr is a terminal, else a line now and then."""

    def __init__(self, name: str, size: int | None) -> None:
        """Show an empty bar.

        Args:
            name: What is graded.
            size: What positions count up to, None where nobody knows.
        """
        from rich import progress
        from rich.console import Console

        self.speed = Speed()
        self._name, self._size = name, size
        self._first_position: int | None = None
        self._started_s = self._shown_s = time.monotonic()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=30),
            progress.TextColumn("{task.fields[counts]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(name, total=size, counts="")
        self._bar.start()

    def add(self, graded: GradedChunk, num_rows: int) -> None:
        """Count a chunk.

        Args:
            graded: The chunk.
            num_rows: Rows that are graded by now, those of earlier runs included.
        """
        if self._first_position is None:  # what an earlier run did tells nothing about the speed
            self._first_position = graded.chunk.position
        self.speed.rows += graded.tally.rows
        self.speed.checks += graded.tally.checks
        self.speed.grading_s += graded.grading_s
        self.speed.wall_s = time.monotonic() - self._started_s
        counts = ", ".join(self._counts(num_rows, graded.chunk.position))
        self._bar.update(self._task, completed=graded.chunk.position, counts=counts)
        if self._bar.disable and time.monotonic() - self._shown_s > PLAIN_LINE_S:
            self._shown_s = time.monotonic()
            click.echo(f"{self._name}: {counts}", err=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.speed.wall_s = time.monotonic() - self._started_s
        self._bar.stop()

    def _counts(self, num_rows: int, position: int) -> Iterator[str]:
        assert self._first_position is not None, "set by the first chunk"
        if self._size:
            yield f"{100 * position / self._size:.0f} %"
        yield f"{num_rows:,} rows"
        yield f"{self.speed.rows / max(self.speed.wall_s, 1e-9):,.0f} rows/s"
        if self._size and (done := position - self._first_position):
            left_s = self.speed.wall_s * (self._size - position) / done
            yield f"{_duration(left_s)} left"


def show_tally(title: str, tally: Tally) -> None:
    """Print a table below a title."""
    from mathrl.evals.display import console

    click.echo(f"{title}\n")
    console().print(_table(tally))
    click.echo()


def show_speed(speed: Speed) -> None:
    """Print how fast it was, for what this command did."""
    if not speed.checks:
        click.echo("nothing was left to grade")
        return
    click.echo(
        f"{speed.checks:,} checks in {_duration(speed.wall_s)}:"
        f" {speed.checks / speed.wall_s:,.0f} checks/s,"
        f" {speed.checks / speed.grading_s:,.0f} checks/s a core"
    )


def _table(tally: Tally) -> "Table":
    """Accuracy with its interval, then the rate of every status and tier."""
    from mathrl.evals.display import bare_table, interval, percent
    from mathrl.evals.stats import wilson_interval

    table = bare_table("", "checks", "%", "", text=(0, 3))
    if tally.graded:
        rate = tally.correct / tally.graded
        bounds = interval(wilson_interval(rate, tally.effective_size))
        table.add_row("accuracy", f"{tally.graded:,}", percent(rate), f"95 % interval {bounds}")
    else:
        table.add_row("accuracy", "0", "–", "no known answer can be read")
    for status, count in tally.statuses.most_common():
        is_graded = status != "gold_unparseable"
        share = percent(count / tally.graded) if is_graded else "–"
        note = "" if is_graded else "left out: their known answer cannot be read"
        table.add_row(status, f"{count:,}", share, note)
    for tier in sorted(tally.tiers, key=lambda tier: (tier is None, tier)):
        label = "no tier" if tier is None else f"tier {tier}"
        count = tally.tiers[tier]
        table.add_row(label, f"{count:,}", percent(count / tally.graded), TIERS.get(tier, ""))
    return table


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"
