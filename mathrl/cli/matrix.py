"""``mathrl matrix``: one run, or two, under the grading rules of other projects.

mathrl matrix runs/gsm8k-MODEL
mathrl matrix runs/before runs/after --rule mathrl --rule boxed
"""

import json
from typing import TYPE_CHECKING, Any

import click

from mathrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mathrl.evals.matrix import Matrix
    from mathrl.evals.rules import Rule
    from mathrl.evals.run import TaskRun


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
    tables = _matrices(runs, rules)
    click.echo(json.dumps(_as_json(tables), indent=1)) if as_json else _print(tables)


def _matrices(runs: tuple[str, ...], rules: "list[Rule]") -> "dict[str, dict[str, Matrix]]":
    """Task -> run folder -> its matrix, for the tasks that every run has."""
    from mathrl.evals.matrix import grader_matrix
    from mathrl.evals.run import load_run

    loaded = {run: load_run(run) for run in runs}
    first, *others = loaded.values()
    tasks = [task for task in first if all(task in other for other in others)]
    if not tasks:
        raise DataError(f"{runs[0]} and {runs[-1]} share no task")
    return {
        task: {
            run: grader_matrix(found[task].problems, _completions(found[task]), rules)
            for run, found in loaded.items()
        }
        for task in tasks
    }


def _completions(run: "TaskRun") -> dict[str, list[str]]:
    return {
        outcome.problem_id: [sample.completion.text for sample in outcome.samples]
        for outcome in run.result.problems
    }


def _as_json(tables: "dict[str, dict[str, Matrix]]") -> list[dict[str, Any]]:
    from mathrl.evals.matrix import compare_matrices

    entries = []
    for task, matrices in tables.items():
        entry: dict[str, Any] = {
            "task": task,
            "runs": {
                run: {row.rule.name: row.to_json() for row in matrix.rows}
                for run, matrix in matrices.items()
            },
        }
        if len(matrices) == 2:
            comparison = compare_matrices(*matrices.values())
            entry["differences"] = [row.to_json() for row in comparison.rows]
            entry["sign_dependence"] = comparison.dependence
            entry["warning"] = comparison.warning()
        entries.append(entry)
    return entries


def _print(tables: "dict[str, dict[str, Matrix]]") -> None:
    from mathrl.evals.display import console
    from mathrl.evals.matrix import compare_matrices
    from mathrl.evals.matrix_view import difference_table, matrix_note, matrix_table

    for task, matrices in tables.items():
        for run, matrix in matrices.items():
            click.echo(f"{task}, {run}, in percent\n")
            console().print(matrix_table(matrix))
            click.echo(f"\n{matrix_note(matrix)}\n")
        if len(matrices) == 2:
            comparison = compare_matrices(*matrices.values())
            click.echo(f"{task}, {' -> '.join(matrices)}, in points\n")
            console().print(difference_table(comparison))
            if (warning := comparison.warning()) is not None:
                click.echo(f"\nwarning: {warning}")
