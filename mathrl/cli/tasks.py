"""``mathrl tasks``: the benchmarks that ``mathrl eval --task`` knows, all of them or one whole.

mathrl tasks
mathrl tasks gsm8k
"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from mathrl.evals import Task

CHAT = {"auto": "where it has one", "on": "always", "off": "never"}


@click.command("tasks")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the tasks, or show the one called NAME (or in the file NAME) whole."""
    from mathrl.evals import TASKS, get_task
    from mathrl.evals.display import console

    if name is None:
        console().print(_all_tasks(list(TASKS.values())))
        click.echo("\n`mathrl tasks NAME` shows one whole, with its prompt and published figures")
        return
    task = get_task(name)
    click.echo(f"{task.name}{': ' if task.about else ''}{task.about}\n")
    console().print(_one_task(task))


def _all_tasks(tasks: "list[Task]") -> "Table":
    from mathrl.evals.display import bare_table

    table = bare_table("task", "problems", "what", "licence", text=(0, 2, 3))
    for task in tasks:
        table.add_row(task.name, str(task.size), task.about, task.licence)
    return table


def _one_task(task: "Task") -> "Table":
    from rich.markup import escape

    from mathrl.evals.display import bare_table

    table = bare_table("", "", text=(0, 1))
    for name, text in (
        ("problems", str(task.size) if task.size else "not said"),
        ("data", _where(task)),
        ("answer", task.answer),
        ("source", task.source),
        ("licence", task.licence or "not said"),
        ("prompt", task.template.rstrip("\n")),
        ("system", task.system),
        ("examples", str(task.num_few_shot) if task.num_few_shot else ""),
        ("chat", f"tokenizer's template: {CHAT[task.chat]}"),
        ("cap", f"{task.max_new_tokens} new tokens"),
        ("published", "\n".join(_figures(task)) or "none quoted"),
    ):
        if text:
            table.add_row(name, escape(text))
    return table


def _where(task: "Task") -> str:
    from mathrl.hub import KNOWN

    known = KNOWN.get(task.data)
    if known is None:
        return task.data
    if known.parts:
        return ", ".join(known.parts)
    config = f", config {known.config}" if known.config else ""
    return f"{known.hub_id} on the hub{config}, split {known.splits[task.split]}; or --data FILE"


def _figures(task: "Task") -> list[str]:
    from mathrl.evals.display import percent

    return [
        f"{percent(figure.accuracy)} %  {figure.model}: {figure.protocol} ({figure.source})"
        for figure in task.published
    ]
