"""What a training run shows while it goes: a live table on a terminal, lines elsewhere."""

from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mathrl.cli.train_tables import (
    WIDE,
    details,
    eval_line,
    eval_table,
    skipped_line,
    step_line,
    step_table,
)
from mathrl.trainers.runlog import Record

LINES = 12
"""Steps kept on the screen, and about as many lines written where there is no terminal."""
EVALUATIONS = 5
"""Evaluations kept on the screen."""


class TrainView:
    """Shows the records of a run as they come; use it as a context manager."""

    def __init__(self, title: str, *, max_steps: int, is_shown: bool = True) -> None:
        """Prepare a bar over the steps; nothing is drawn before the block is entered.

        Of several ranks one shows it.
        """
        self.console = Console(stderr=True, quiet=not is_shown)
        self.max_steps = max_steps
        self.steps: list[Record] = []
        self.evaluations: list[Record] = []
        self.progress = Progress(
            TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self.task = self.progress.add_task("", total=max_steps)
        self.live = Live(self, console=self.console, transient=False, refresh_per_second=4)

    def __enter__(self) -> "TrainView":
        """Start drawing."""
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last picture on the screen."""
        if self.console.is_terminal:
            self.live.stop()

    def __call__(self, record: Record) -> None:
        """Show a new record of the run's log."""
        self.recall(record)
        if not self.console.is_terminal:
            self._print(record)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the run as it is now, as wide as there is room."""
        yield self.progress
        if self.steps:
            yield step_table(self.steps[-LINES:], is_wide=options.max_width >= WIDE)
            yield ""
            yield details(self.steps[-1], self.num_skipped)
        if self.evaluations:
            yield ""
            yield eval_table(self.evaluations[-EVALUATIONS:])

    def recall(self, record: Record) -> None:
        """Take in a record without showing it, such as those of a run that goes on."""
        is_step = record["kind"] == "train"
        records = self.steps if is_step else self.evaluations
        while records and int(records[-1]["step"]) >= int(record["step"]):
            records.pop()  # a run that was killed does its last steps again
        records.append(record)
        if is_step:
            self.progress.update(self.task, completed=int(record["step"]))

    @property
    def num_skipped(self) -> int:
        """Updates of the run that were skipped."""
        return sum(int(record.get("loss/skipped_updates", 0)) for record in self.steps)

    def _print(self, record: Record) -> None:
        """One line for every twelfth of the run, each evaluation and each skipped update."""
        step = int(record["step"])
        if record["kind"] == "eval":
            self._say(eval_line(record))
        elif step == 1 or step == self.max_steps or step % max(1, self.max_steps // LINES) == 0:
            self._say(step_line(record))
        if record.get("loss/skipped_updates"):
            self._say(f"step {step}: {skipped_line(self.num_skipped)}")

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False)
