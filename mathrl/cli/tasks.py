"""``mathrl tasks``: the benchmarks that ``mathrl eval --task`` knows."""

import click


@click.command("tasks")
def command() -> None:
    """List the tasks."""
    from rich.table import Table

    from mathrl.evals import TASKS
    from mathrl.evals.display import console

    table = Table(box=None, pad_edge=False)
    for name in ("task", "problems", "data", "licence", "source"):
        table.add_column(name, justify="right" if name == "problems" else "left")
    for task in TASKS.values():
        table.add_row(task.name, str(task.size), task.data, task.licence, task.source)
    console().print(table)
