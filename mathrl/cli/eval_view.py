"""What `mathrl eval` shows: a bar while it samples, a table at the end."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mathrl.evals import EvalResult


class EvalView:
    """Counts samples, with a bar where stderr is a terminal, and prints the result."""

    def __init__(self) -> None:
        """Show nothing yet."""
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("samples", total=None)
        self.count = 0
        self.num_stored = 0
        self.notes: Sequence[str] = ()

    def start(self, total: int) -> None:
        """Show the bar."""
        self._bar.update(self._task, total=total)
        self._bar.start()

    def add(self, *, is_stored: bool) -> None:
        """Count one sample."""
        self.count += 1
        self.num_stored += is_stored
        self._bar.advance(self._task)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def show(self, result: "EvalResult", folder: str) -> None:
        """Print what was found and where it is kept."""
        from mathrl.evals.display import console, result_notes, result_table

        click.echo(f"{result.task}: {'; '.join(result_notes(result))}\n")
        console().print(result_table(result))
        if self.notes:
            click.echo()
        for note in self.notes:
            click.echo(note)
        if self.num_stored:
            click.echo(f"\n{self.num_stored} samples were in the run folder already")
        click.echo(f"\nrun folder: {folder}")
