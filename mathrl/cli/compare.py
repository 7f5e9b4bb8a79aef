"""``mathrl compare``: the difference between runs, paired problem by problem.

mathrl compare runs/before runs/after
"""

import json
from typing import TYPE_CHECKING

import click

from mathrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mathrl.evals import EvalResult
    from mathrl.evals.display import ComparedRun


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN [RUN...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates are fractions there.")
def command(runs: tuple[str, ...], *, as_json: bool) -> None:
    """Compare run folders with the first one, on the problems that both answered.

    With one sample a problem the p-value is the exact McNemar test's; with more it is the paired t
    test by problem. "Detectable" is the smallest true difference seen with 80 % power.
    """
    from mathrl.evals import load_results

    if len(runs) < 2:
        raise ConfigError(f"compare needs at least two run folders, got {len(runs)}")
    if len(set(runs)) < len(runs):
        raise ConfigError("compare got the same run folder twice")
    results = {run: load_results(run) for run in runs}
    base = results[runs[0]]
    tasks = [task for task in base if any(task in results[run] for run in runs[1:])]
    if not tasks:
        raise DataError(f"{runs[0]} shares no task with the other runs; it has {', '.join(base)}")
    tables = {task: _compare_task(task, results) for task in tasks}
    click.echo(_as_json(tables)) if as_json else _print(tables)


def _compare_task(
    task: str, results: "dict[str, dict[str, EvalResult]]"
) -> "tuple[ComparedRun, ...]":
    from mathrl.evals import compare
    from mathrl.evals.display import ComparedRun

    (first, base), *others = ((run, found[task]) for run, found in results.items() if task in found)
    return (
        ComparedRun(name=first, result=base),
        *(
            ComparedRun(name=run, result=result, comparison=compare(base, result))
            for run, result in others
        ),
    )


def _as_json(tables: "dict[str, tuple[ComparedRun, ...]]") -> str:
    rows = [
        {"task": task, "base": runs[0].name, "run": run.name, **run.comparison.to_json()}
        for task, runs in tables.items()
        for run in runs
        if run.comparison is not None
    ]
    return json.dumps(rows, indent=1)


def _print(tables: "dict[str, tuple[ComparedRun, ...]]") -> None:
    from mathrl.evals.display import comparison_notes, comparison_table, console

    for task, runs in tables.items():
        click.echo(f"{task}, {runs[0].result.n_problems} problems, in percent\n")
        console().print(comparison_table(runs))
        click.echo()
        for note in comparison_notes(runs):
            click.echo(note)
