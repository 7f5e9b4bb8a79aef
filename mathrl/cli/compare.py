"""``mathrl compare``: the difference between runs, paired problem by problem.

mathrl compare runs/before runs/after
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mathrl.evals.run_comparison import ComparedRun


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN...]")
@click.option("--list", "is_listed", is_flag=True, help="List the problems fixed and broken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates are fractions there.")
def command(runs: tuple[str, ...], *, is_listed: bool, as_json: bool) -> None:
    """Compare run folders with the first one, on the problems that both answered.

    With one sample a problem the p-value is the exact McNemar test's; with more it is the paired t
    test by problem. With several runs or tasks, "p, Holm" is adjusted for all of them. "mde" is
    the smallest true difference that a comparison of this size shows with 80 % power.
    """
    from mathrl.evals.run_comparison import compare_runs

    compared = compare_runs(runs)
    if as_json:
        click.echo(json.dumps([run.to_json() for run in compared], indent=1))
        return
    for index, (_, members) in enumerate(groupby(compared, key=lambda run: run.comparison.task)):
        click.echo("\n" if index else "", nl=False)
        _print(list(members), is_listed=is_listed)


def _print(runs: "Sequence[ComparedRun]", *, is_listed: bool) -> None:
    from mathrl.evals.comparison_display import (
        attribution_table,
        changed_problems,
        comparison_notes,
        difference_table,
        run_table,
    )
    from mathrl.evals.display import console

    task, num_problems = runs[0].comparison.task, runs[0].base.result.n_problems
    click.echo(f"{task}, {num_problems} problems, in percent\n")
    for table in (run_table(runs), difference_table(runs), attribution_table(runs)):
        if table is not None:
            console().print(table)
            click.echo()
    for note in comparison_notes(runs):
        console().print(note, markup=False)
    for line in changed_problems(runs) if is_listed else ():
        click.echo(line)
