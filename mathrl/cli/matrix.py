"""``mathrl matrix``: one run, or two, under the grading rules of other projects.

mathrl matrix runs/gsm8k-MODEL
mathrl matrix runs/before runs/after --rule mathrl --rule boxed
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mathrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mathrl.evals.matrix import Matrix, MatrixComparison
    from mathrl.evals.rules import Rule


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMatrices:
    """One task: the matrix of each run folder, and of two runs how they differ."""

    task: str
    matrices: "Mapping[str, Matrix]"
    comparison: "MatrixComparison | None"


@click.command("matrix")
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN]")
@click.option("--rule", "names", multiple=True, help="Only this rule; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates are fractions there.")
def command(runs: tuple[str, ...], *, names: tuple[str, ...], as_json: bool) -> None:
    """Grade the samples of a run folder under ten rules, and pair two runs under each.

    Nothing is sampled and nothing is written. "found" is the share of samples in which a rule
    found an answer at all. Two runs get a warning where the sign of the difference depends on the
    rule.
    """
    from mathrl.evals.rules import RULES, get_rule

    if len(runs) > 2:
        raise ConfigError(f"matrix takes one run folder or two, got {len(runs)}")
    if len(set(runs)) < len(runs):
        raise ConfigError("matrix got the same run folder twice")
    rules = [get_rule(name) for name in dict.fromkeys(names)] or list(RULES.values())
    tables = _tables(runs, rules)
    click.echo(json.dumps(list(map(_entry, tables)), indent=1)) if as_json else _print(tables)


def _tables(runs: tuple[str, ...], rules: "list[Rule]") -> list[TaskMatrices]:
    """A table for each task that every run has."""
    from mathrl.evals.matrix import compare_matrices, completions_of, grader_matrix
    from mathrl.evals.run import load_run
    from mathrl.evals.run_comparison import Side, check_same_problems

    loaded = {run: load_run(run) for run in runs}
    first, *others = loaded.values()
    tasks = [task for task in first if all(task in other for other in others)]
    if not tasks:
        raise DataError(f"{runs[0]} and {runs[-1]} share no task")
    tables = []
    for task in tasks:
        sides = [
            Side(run=run, result=found[task].result, details=found[task])
            for run, found in loaded.items()
        ]
        if len(sides) == 2:
            check_same_problems(*sides)
        matrices = {
            run: grader_matrix(found[task].problems, completions_of(found[task].result), rules)
            for run, found in loaded.items()
        }
        comparison = compare_matrices(*matrices.values()) if len(runs) == 2 else None
        tables.append(TaskMatrices(task=task, matrices=matrices, comparison=comparison))
    return tables


def _entry(table: TaskMatrices) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "task": table.task,
        "runs": {
            run: {row.rule.name: row.to_json() for row in matrix.rows}
            for run, matrix in table.matrices.items()
        },
    }
    if table.comparison is not None:
        entry["differences"] = [row.to_json() for row in table.comparison.rows]
        entry["sign_dependence"] = table.comparison.dependence
        entry["warning"] = table.comparison.warning()
    return entry


def _print(tables: list[TaskMatrices]) -> None:
    from mathrl.evals.display import console, wrapped
    from mathrl.evals.matrix_view import difference_table, matrix_note, matrix_table

    for table in tables:
        for run, matrix in table.matrices.items():
            click.echo(f"{table.task}, {run}, in percent\n")
            console().print(matrix_table(matrix))
            click.echo("\n" + wrapped(matrix_note(matrix)) + "\n")
        if table.comparison is not None:
            click.echo(f"{table.task}, {' -> '.join(table.matrices)}, in points\n")
            console().print(difference_table(table.comparison))
            if (warning := table.comparison.warning()) is not None:
                click.echo("\n" + wrapped(f"warning: {warning}"))
