"""The records of a training run as tables and sentences for a terminal; rates in percent."""

from collections.abc import Callable, Sequence

from rich.table import Table

from mathrl.trainers.runlog import Record

WIDE = 106
"""Columns of a terminal from which the wide table fits."""

Cell = Callable[[Record], str]
Column = tuple[str, Cell]
"""Heading, and the cell of a record."""


def number(key: str, form: str) -> Cell:
    """A cell with a metric as it is; an en dash where it is missing."""

    def cell(record: Record) -> str:
        return format(record[key], form) if key in record else "–"

    return cell


def percent(*keys: str, digits: int = 0) -> Cell:
    """A cell with the sum of some rates."""

    def cell(record: Record) -> str:
        rates = [float(record[key]) for key in keys if key in record]
        return f"{100 * sum(rates):.{digits}f} %" if rates else "–"

    return cell


NARROW: tuple[Column, ...] = (
    ("step", number("step", "d")),
    ("reward", number("reward/mean", ".3f")),
    ("no spread", percent("reward/zero_spread")),
    ("KL", number("loss/kl", "z.4f")),
    ("entropy", number("loss/entropy", ".3f")),
    ("clipped", percent("loss/clip_frac_low", "loss/clip_frac_high", digits=2)),
    ("length", number("length/mean", ".1f")),
    ("cut", percent("length/truncated")),
    ("tokens/s", number("tokens_per_s/step", ",.0f")),
)
EXTRA: tuple[Column, ...] = (
    ("grad norm", number("loss/grad_norm", ".2f")),
    ("sampler gap", number("loss/sampler_gap", ".1e")),
    ("GiB", number("memory/peak_gib", ".1f")),
)


def step_table(records: Sequence[Record], *, is_wide: bool) -> Table:
    """One row a step."""
    columns = NARROW + EXTRA if is_wide else NARROW
    table = Table(box=None, pad_edge=False)
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for record in records:
        table.add_row(*(cell(record) for _, cell in columns))
    return table


def step_line(record: Record) -> str:
    """A step where there is no terminal."""
    return "  ".join(f"{heading} {cell(record)}" for heading, cell in NARROW)


def eval_table(records: Sequence[Record]) -> Table:
    """One row an evaluation: each figure, and in brackets what was won since the start."""
    table = Table(box=None, pad_edge=False)
    table.add_column("held out", justify="right", no_wrap=True)
    figures = eval_figures(records[-1])
    for heading in figures:
        table.add_column(heading, no_wrap=True)
    for record in records:
        table.add_row(f"step {record['step']}", *eval_figures(record).values())
    return table


def eval_line(record: Record) -> str:
    """An evaluation where there is no terminal."""
    told = ", ".join(f"{heading} {cell}" for heading, cell in eval_figures(record).items())
    return f"held out, step {record['step']}: {told}"


def eval_figures(record: Record) -> dict[str, str]:
    """Accuracy, and pass@k and maj@k of all samples where there are several."""
    sizes = [int(key.removeprefix("pass_at_")) for key in record if key.startswith("pass_at_")]
    k = max(sizes, default=1)
    figures = {"accuracy": "accuracy"}
    if k > 1:
        figures |= {f"pass@{k}": f"pass_at_{k}", f"maj@{k}": f"maj_at_{k}"}
    return {heading: _with_difference(record, key) for heading, key in figures.items()}


def details(record: Record, num_skipped: int) -> Table:
    """What the newest step says besides its row."""
    table = Table.grid(padding=(0, 2))
    table.add_row("verdicts", _shares(record, "reward/status/"))
    parts = _named(record, "reward/part/")
    if len(parts) > 1:
        table.add_row("rewards", ", ".join(f"{name} {value:.3f}" for name, value in parts.items()))
    seconds = {name[:-2]: value for name, value in _named(record, "time/").items()}
    table.add_row("seconds", ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    if num_skipped:
        table.add_row("skipped", skipped_line(num_skipped), style="bold red")
    return table


def skipped_line(num_skipped: int) -> str:
    """How often the run has met a gradient that is not finite."""
    return f"updates so far whose gradient was not finite: {num_skipped}"


def _with_difference(record: Record, key: str) -> str:
    """A rate, and its paired difference to the start with half the 95 % interval."""
    text = f"{100 * float(record[key]):.1f} %"
    if f"difference/{key}" not in record:
        return text
    low, high = (float(record[f"difference/{key}/ci95_{end}"]) for end in ("low", "high"))
    difference = float(record[f"difference/{key}"])
    return f"{text} ({100 * difference:+.1f} ± {50 * (high - low):.1f})"


def _shares(record: Record, prefix: str) -> str:
    shares = sorted(_named(record, prefix).items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares)


def _named(record: Record, prefix: str) -> dict[str, float]:
    """The metrics below a path, by the rest of their name."""
    keys = [key for key in record if key.startswith(prefix)]
    return {key.removeprefix(prefix): float(record[key]) for key in keys}
