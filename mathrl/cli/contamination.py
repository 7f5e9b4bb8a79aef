"""``mathrl contamination``: what a training file holds of a task, and what a run is worth without.

mathrl contamination --train math_train.jsonl --task math500
mathrl contamination --train math_train.jsonl --run runs/math500-model
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from mathrl.evals import ProblemOutcome
    from mathrl.evals.contamination import Overlap, SubsetAccuracy, TrainingRow
    from mathrl.schema import Problem
    from mathrl.tables import Row

SHOWN = 10
"""Contaminated problems that are listed on the screen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is looked for, and how a run did on it."""

    task: str
    problems: "Sequence[Problem]"
    outcomes: "Sequence[ProblemOutcome] | None"
    """None without a run."""


@click.command("contamination")
@click.option("--train", required=True, help="Training file: JSONL, Parquet or CSV.")
@click.option("--train-column", help="Column of --train with the text to compare.")
@click.option("--task", help="What to look for; `mathrl tasks` lists all. [default: the run's]")
@click.option("--data", help="Problems: local file or hub id. [default: the task's]")
@click.option("--run", "run", help="Run folder of `mathrl eval`: its problems and its accuracy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every contaminated problem too.")
def command(
    train: str,
    train_column: str | None,
    task: str | None,
    data: str | None,
    run: str | None,
    *,
    as_json: bool,
) -> None:
    """Find a task's problems in a training file.

    A problem is found by its text (white space ignored), by its words (punctuation ignored), by its
    words with numbers masked, or by a run of 13 words that a training row has too. With a run, its
    accuracy is shown on the problems that each of these finds, and on all others.
    """
    from mathrl.evals.contamination import find_overlap
    from mathrl.tables import read_rows

    rows = read_rows(Path(train))  # looks at the file: a wrong one is told before a hub is asked
    target = _target(task, data, run)
    overlap = find_overlap(_training_rows(rows, train_column), target.problems)
    if not overlap.num_rows:
        raise DataError(f"{train} holds no rows")
    click.echo(_as_json(target, overlap)) if as_json else _print(train, target, overlap)


def _target(task: str | None, data: str | None, run: str | None) -> Target:
    if run is None:
        if task is None:
            raise ConfigError("contamination needs --task NAME, or --run RUN")
        from mathrl.evals import get_task
        from mathrl.evals.problems import load_task

        problems = load_task(get_task(task), data=data)
        return Target(task=task, problems=problems, outcomes=None)
    if data is not None:
        raise ConfigError("--run has its problems: leave --data out")
    from mathrl.evals import load_run

    tasks = load_run(run)
    if task is None and len(tasks) == 1:
        task = next(iter(tasks))
    if task not in tasks:
        raise ConfigError(f"{run} has {', '.join(tasks)}: choose one with --task")
    found = tasks[task]
    return Target(
        task=task, problems=tuple(found.problems.values()), outcomes=found.result.problems
    )


def _training_rows(rows: "Iterator[Row]", column: str | None) -> "Iterator[TrainingRow]":
    from mathrl.data import QUESTION_COLUMNS
    from mathrl.evals.contamination import TrainingRow
    from mathrl.tables import choose_column

    for place, row in rows:
        name = choose_column(row, column, (*QUESTION_COLUMNS, "text", "messages"), "train", place)
        own_id = "" if row.get("id") is None else f" (id {row['id']})"
        yield TrainingRow(place=f"{place}{own_id}", text=_text(row[name], name, place))


def _text(value: object, column: str, place: str) -> str:
    """A text, or what the messages of a conversation say."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(turn, dict) for turn in value):
        said = [turn.get("content") for turn in value]
        if all(isinstance(text, str) for text in said):
            return "\n".join(map(str, said))
    raise DataError(f"{place}: {column!r} must be text or a list of messages, not {value!r:.60}")


def _accuracies(
    target: Target, overlap: "Overlap"
) -> "dict[str, tuple[SubsetAccuracy | None, SubsetAccuracy | None]]":
    """For each criterion, and for all: the accuracy on what it finds, and on the others."""
    from mathrl.evals.contamination import CRITERIA, subset_accuracy

    if target.outcomes is None:
        return {}
    everything = {problem.problem_id for problem in overlap.problems}
    found = {name: {p.problem_id for p in overlap.found(name)} for name in CRITERIA}
    found["any of these"] = {problem.problem_id for problem in overlap.contaminated}
    return {
        name: (
            subset_accuracy(target.outcomes, ids),
            subset_accuracy(target.outcomes, everything - ids),
        )
        for name, ids in found.items()
    }


def _print(train: str, target: Target, overlap: "Overlap") -> None:
    from mathrl.evals.display import console, wrapped

    title = f"{target.task}: {len(overlap.problems)} problems, {overlap.num_rows} rows in {train}"
    click.echo(wrapped(title) + "\n")
    console().print(_count_table(overlap))
    if target.outcomes is not None:
        click.echo()
        console().print(_accuracy_table(target, overlap))
    if overlap.num_short:
        click.echo(f"\n{overlap.num_short} problems are shorter than 13 words: copies only")
    _print_problems(train, overlap)


def _count_table(overlap: "Overlap") -> "Table":
    from mathrl.evals.contamination import CRITERIA
    from mathrl.evals.display import bare_table, percent

    table = bare_table("found by", "problems", "%")
    counts = {name: len(overlap.found(name)) for name in CRITERIA}
    for name, count in {**counts, "any of these": len(overlap.contaminated)}.items():
        table.add_row(_label(name), str(count), percent(count / len(overlap.problems)))
    return table


def _accuracy_table(target: Target, overlap: "Overlap") -> "Table":
    from mathrl.evals.display import bare_table

    table = bare_table("found by", "accuracy on them", "accuracy on the others")
    for name, subsets in _accuracies(target, overlap).items():
        table.add_row(_label(name), *map(_accuracy_cell, subsets))
    return table


def _label(criterion: str) -> str:
    return f"at least {criterion}" if criterion[0].isdigit() else criterion


def _accuracy_cell(subset: "SubsetAccuracy | None") -> str:
    from mathrl.evals.display import percent

    if subset is None:
        return "–"
    return f"{percent(subset.accuracy)} ± {percent(subset.stderr)} (n = {subset.n_problems})"


def _print_problems(train: str, overlap: "Overlap") -> None:
    from mathrl.evals.display import wrapped

    found = overlap.contaminated
    if not found:
        return
    click.echo("\nthe closest:")
    for problem in found[:SHOWN]:
        best = problem.matches[0]
        shared = f"{problem.num_found} of {problem.num_ngrams} 13-grams"
        row = best.place.removeprefix(f"{Path(train)} ")  # the title names the file
        line = f"  {problem.problem_id}: {row}, {best.kind or 'in part'}, {shared}"
        click.echo(wrapped(line, indent="    "))
    if len(found) > SHOWN:
        click.echo(f"  and {len(found) - SHOWN} more: --json lists all, each with its rows")


def _as_json(target: Target, overlap: "Overlap") -> str:
    from mathrl.evals.contamination import CRITERIA

    def subset(found: "SubsetAccuracy | None") -> dict[str, Any] | None:
        return None if found is None else found.to_json()

    accuracies = _accuracies(target, overlap)
    counts = {name: len(overlap.found(name)) for name in CRITERIA}
    entry = {
        "task": target.task,
        "n_problems": len(overlap.problems),
        "n_short": overlap.num_short,
        "n_rows": overlap.num_rows,
        "found": {**counts, "any of these": len(overlap.contaminated)},
        "accuracy": {
            name: {"found": subset(ours), "others": subset(others)}
            for name, (ours, others) in accuracies.items()
        },
        "problems": [problem.to_json() for problem in overlap.contaminated],
    }
    return json.dumps(entry, indent=1)
