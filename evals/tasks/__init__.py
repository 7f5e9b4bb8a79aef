"""Tasks: one file a benchmark, or a file of the user's own; ``mathrl tasks`` lists them."""

from pathlib import Path

from mathrl.errors import ConfigError
from mathrl.evals.tasks import (
    aime24,
    aime25,
    amc23,
    arithmetic,
    asdiv,
    competition_math,
    gsm8k,
    gsm8k_platinum,
    gsm_hard,
    math500,
    mgsm,
    minerva_math,
    olympiadbench,
    svamp,
)
from mathrl.evals.tasks.base import Published, Task
from mathrl.evals.tasks.files import TASK_FORMATS, read_task
from mathrl.nearest import did_you_mean

__all__ = ["TASKS", "Published", "Task", "get_task", "read_task"]

_BUILT_IN = (
    arithmetic.TASK,
    gsm8k.TASK,
    gsm8k_platinum.TASK,
    gsm_hard.TASK,
    svamp.TASK,
    asdiv.TASK,
    *mgsm.TASKS,
    competition_math.TASK,
    math500.TASK,
    minerva_math.TASK,
    olympiadbench.TASK,
    amc23.TASK,
    aime24.TASK,
    aime25.TASK,
)
TASKS: dict[str, Task] = {task.name: task for task in _BUILT_IN}


def get_task(name: str) -> Task:
    """Look a task up by its name, or read it from a file.

    Args:
        name: A name in ``TASKS``, or a path that ends in ``.toml``, ``.yaml`` or ``.yml``.

    Raises:
        ConfigError: There is no such task (the message holds the nearest names), or its file has
            an unknown key or a wrong value.
        MissingExtraError: A YAML file needs PyYAML.
    """
    if name in TASKS:
        return TASKS[name]
    path = Path(name)
    if path.suffix in TASK_FORMATS:
        return read_task(path)
    question = did_you_mean(name, TASKS)
    raise ConfigError(
        f"no task {name!r}: {question}{' ' if question else ''}`mathrl tasks` lists all, "
        f"a task of your own is a file ending in {', '.join(TASK_FORMATS)}"
    )
