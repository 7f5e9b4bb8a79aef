"""Tasks: one file a benchmark; ``mathrl tasks`` lists them."""

from difflib import get_close_matches

from mathrl.errors import ConfigError
from mathrl.evals.tasks import aime24, amc23, arithmetic, gsm8k
from mathrl.evals.tasks.base import Task

__all__ = ["TASKS", "Task", "get_task"]

TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK for module in (arithmetic, gsm8k, aime24, amc23)
}


def get_task(name: str) -> Task:
    """Look a task up by its name.

    Raises:
        ConfigError: There is no such task; the message holds the nearest names.
    """
    if name in TASKS:
        return TASKS[name]
    near = get_close_matches(name.lower(), TASKS)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(f"no task {name!r}: {hint}`mathrl tasks` lists all")
