"""``mathrl audit-reward``: what a reward function, ours or somebody else's, pays for exploits.

mathrl audit-reward accuracy
mathrl audit-reward trl.rewards:accuracy_reward --conversational --answer-column solution \
    --answer-form boxed
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.cli.choice import Choice
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from mathrl.rewards.audit import AuditSummary, BankRow, Outcome, Status, Tally

NOT_SOUND = 1
COLUMNS: "tuple[Status, ...]" = (
    "paid",
    "refused",
    "none",
    "error",
    "timeout",
    "killed",
    "executed",
)
MAX_LISTED = 10
"""Rows that are listed below the table; --json has them all."""
EXCERPT = 48
"""Characters of a completion in that list."""


_FORMAT_REWARDS = ("format", "gated_format")


@click.command("audit-reward")
@click.argument("reward", metavar="PKG.MOD:FN")
@click.option(
    "--convention",
    type=Choice(["trl", "verl", "pair"]),
    default="trl",
    show_default=True,
    help="f(completions, **columns); compute_score(data_source, solution_str, ground_truth, "
    "extra_info); f(completion, answer).",
)
@click.option(
    "--component",
    type=Choice(["accuracy", "format"]),
    help="What the function rewards.  [default: accuracy; format for our own format rewards]",
)
@click.option(
    "--answer-column", default="answer", show_default=True, help="TRL: column with the answer."
)
@click.option(
    "--answer-form",
    type=Choice(["bare", "boxed", "dollar"]),
    default="bare",
    show_default=True,
    help=r"How answers are given: 7, \boxed{7} or $7$.",
)
@click.option(
    "--conversational", "is_conversational", is_flag=True, help="TRL: completions are messages."
)
@click.option(
    "--data-source", default="mathrl/audit", show_default=True, help="verl: its argument."
)
@click.option(
    "--thread",
    "is_threaded",
    is_flag=True,
    help="Call from a thread, as verl and asynchronous trainers do.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=20.0,
    show_default=True,
    help="Seconds for one row.",
)
@click.option(
    "--memory",
    "memory_mib",
    type=int,
    default=4096,
    show_default=True,
    help="MiB that a row may allocate; 0 for no limit.",
)
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="Rewards from here on are paid."
)
@click.option("--skip", multiple=True, metavar="EXPLOIT", help="Leave an exploit out; repeatable.")
@click.option(
    "--bank", type=click.Path(path_type=Path), help="Other rows. [default: the bank that ships]"
)
@click.option(
    "--json",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every row's outcome to a file.",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    reward: str,
    component: Any,  # click has checked the types of all
    skip: Any,
    bank: Any,
    out: Any,
    **how: Any,
) -> None:
    """Run a reward function against the exploit bank, and print what it pays.

    Each row runs in a process that is replaced when it hangs or dies, in a scratch folder that
    shows when a payload was executed. PKG.MOD:FN is found in the current folder too; `accuracy` is
    our own. The exit code is 0 if no exploit was paid, every honest control was, and no row raised,
    hung, killed the process or was executed; 1 otherwise; 2 if the function cannot be called.
    """
    from mathrl.rewards.audit import BANK, AuditConfig, audit, load_bank, summarise

    component = component or ("format" if reward in _FORMAT_REWARDS else "accuracy")
    config = AuditConfig(**how)
    if out is not None and not out.absolute().parent.is_dir():
        raise ConfigError(f"no such folder: {out.parent}")
    rows = _without(load_bank(bank or BANK, component=component), skip)
    with closing(audit(reward, rows, config)) as running:
        outcomes = list(_watched(running, len(rows)))
    summary = summarise(outcomes)
    _print(summary, outcomes, reward)
    if out is not None:
        _save(out, summary, outcomes, {"reward": reward, "component": component, **how})
    if not summary.is_sound:
        context.exit(NOT_SOUND)


def _without(rows: "list[BankRow]", skipped: tuple[str, ...]) -> "list[BankRow]":
    known = dict.fromkeys(row.exploit for row in rows)
    for name in skipped:
        if name not in known:
            raise ConfigError(f"no exploit {name!r} to skip; there are {', '.join(known)}")
    return [row for row in rows if row.exploit not in skipped]


def _watched(running: "Iterable[Outcome]", total: int) -> "Iterator[Outcome]":
    """Pass outcomes on, with a bar where stderr is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=total)
        for outcome in running:
            bar.update(task, advance=1, description=outcome.row.exploit)
            yield outcome


def _print(summary: "AuditSummary", outcomes: "list[Outcome]", reward: str) -> None:
    from mathrl.evals.display import console
    from mathrl.rewards.audit import COMPLAINTS

    screen = console()
    screen.print(_table(summary))
    click.echo()
    for complaint in COMPLAINTS:
        group = [outcome for outcome in outcomes if outcome.complaint == complaint]
        if group:
            click.echo(f"{complaint}:")
            screen.print(_listed(group))
            if len(group) > MAX_LISTED:
                click.echo(f"  … and {len(group) - MAX_LISTED} more; --json FILE writes them all")
            click.echo()
    click.echo(f"{reward}: {_sentence(summary)}")


def _sentence(summary: "AuditSummary") -> str:
    total, controls = summary.total, summary.controls
    return (
        f"exploits paid {total.num_paid} of {total.num_rows}, "
        f"honest controls refused {controls.num_refused} of {controls.num_rows}, "
        f"code executed {summary.count('executed')}, timeouts {summary.count('timeout')}, "
        f"killed {summary.count('killed')}, errors {summary.count('error')}"
    )


def _table(summary: "AuditSummary") -> "Table":
    from mathrl.evals.display import bare_table

    table = bare_table("exploit", "n", *COLUMNS, "slowest")
    for tally in summary.exploits:
        table.add_row(tally.name, *_cells(tally, fine=("refused", "none")))
    table.add_row()
    table.add_row("all exploits", *_cells(summary.total, fine=("refused", "none")))
    table.add_row("honest controls", *_cells(summary.controls, fine=("paid",)))
    return table


def _cells(tally: "Tally", *, fine: tuple[str, ...]) -> list[str]:
    """The counts of a line, what should not be in red."""
    cells = [str(tally.num_rows)]
    for name in COLUMNS:
        count = tally.num_paid if name == "paid" else tally.statuses.get(name, 0)
        text = str(count) if count else "·"
        cells.append(text if name in fine or not count else f"[bold red]{text}[/]")
    return [*cells, f"{tally.slowest_s:.2f} s"]


def _listed(outcomes: "list[Outcome]") -> "Table":
    from rich.markup import escape

    from mathrl.evals.display import bare_table

    table = bare_table("", "", "", text=(0, 1, 2))
    for one in _varied(outcomes)[:MAX_LISTED]:
        shown = ascii(one.row.completion[:EXCERPT]).replace("\\\\", "\\")[1:-1]
        dots = "…" if len(one.row.completion) > EXCERPT else ""
        result = f"{one.value:g}" if one.value is not None else one.status
        why = one.reason if one.status in ("error", "timeout", "killed") else one.row.why
        table.add_row(f"  {one.row.id}", result, escape(f"{shown}{dots}  ({why})"))
    return table


def _varied(outcomes: "list[Outcome]") -> "list[Outcome]":
    """The first of each exploit, then the second ones: a short list shows many kinds."""
    seen: Counter[str] = Counter()
    rounds = []
    for one in outcomes:
        seen[one.row.exploit] += 1
        rounds.append(seen[one.row.exploit])
    order = sorted(range(len(outcomes)), key=lambda place: rounds[place])
    return [outcomes[place] for place in order]


def _save(
    path: Path, summary: "AuditSummary", outcomes: "list[Outcome]", how: dict[str, Any]
) -> None:
    from mathrl.files import write_whole

    found = {
        "exploits_paid": summary.total.num_paid,
        "num_exploits": summary.total.num_rows,
        "controls_refused": summary.controls.num_refused,
        "num_controls": summary.controls.num_rows,
        **{name: summary.count(name) for name in ("executed", "timeout", "killed", "error")},
        "is_sound": summary.is_sound,
    }
    rows = [outcome.to_json() for outcome in outcomes]
    write_whole(path, json.dumps({"config": how, "summary": found, "rows": rows}, indent=1) + "\n")
