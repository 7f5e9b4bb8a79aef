"""What a training run shows while it goes: a live table on a terminal, lines elsewhere."""

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mathrl.trainers.runlog import Record

LINES = 12
"""Steps kept on the screen, and about as many lines written where there is no terminal."""

COLUMNS = {
    "step": "{:.0f}",
    "reward/mean": "{:.3f}",
    "reward/zero_spread": "{:.2f}",
    "loss/kl": "{:.4f}",
    "loss/clip_frac": "{:.4f}",
    "loss/grad_norm": "{:.2f}",
    "length/mean": "{:.1f}",
    "tokens_per_s": "{:,.0f}",
}
HEADINGS = ("step", "reward", "no spread", "KL", "clipped", "grad norm", "length", "tokens/s")


class TrainView:
    """Shows the records of a run as they come; use it as a context manager."""

    def __init__(self, title: str, *, max_steps: int, is_shown: bool = True) -> None:
        """Prepare a bar over the steps; nothing is drawn before the block is entered.

        Of several ranks one shows it.
        """
        self.console = Console(stderr=True, quiet=not is_shown)
        self.max_steps = max_steps
        self.rows: list[list[str]] = []
        self.accuracies: list[str] = []
        self.progress = Progress(
            TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self.task = self.progress.add_task("", total=max_steps)
        self.live = Live(console=self.console, transient=False, refresh_per_second=4)

    def __enter__(self) -> "TrainView":
        """Start drawing."""
        if self.console.is_terminal:
            self.live.start()
            self._draw()
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
        if self.console.is_terminal:
            self._draw()
        else:
            self._print(record)

    def recall(self, record: Record) -> None:
        """Take in a record without showing it, such as those of a run that goes on."""
        if record["kind"] == "eval":
            accuracy = 100 * float(record["accuracy"])
            self.accuracies.append(f"{accuracy:.1f} % at step {record['step']}")
        else:
            self.progress.update(self.task, completed=int(record["step"]))
            self.rows.append([_cell(record, key, form) for key, form in COLUMNS.items()])

    def _draw(self) -> None:
        table = Table(box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, justify="right", min_width=8)
        for row in self.rows[-LINES:]:
            table.add_row(*row)
        history = "accuracy on held-out problems: " + ", ".join(self.accuracies[-6:])
        self.live.update(Group(self.progress, table, history if self.accuracies else ""))

    def _print(self, record: Record) -> None:
        """One line for every twelfth of the run and for each evaluation."""
        step = int(record["step"])
        if record["kind"] == "eval":
            self.console.print(f"held-out accuracy {self.accuracies[-1]}", soft_wrap=True)
        elif step == 1 or step == self.max_steps or step % max(1, self.max_steps // LINES) == 0:
            cells = zip(HEADINGS, self.rows[-1], strict=True)
            line = "  ".join(f"{heading} {cell}" for heading, cell in cells)
            self.console.print(line, soft_wrap=True, highlight=False)


def _cell(record: Record, key: str, form: str) -> str:
    value = record.get(key)
    return form.format(value) if isinstance(value, int | float) else "–"
