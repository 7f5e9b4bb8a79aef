"""The problems of a task, and the examples that are worked before them."""

from mathrl.data import load_problems
from mathrl.evals.tasks import Task
from mathrl.schema import Problem


def load_task(
    task: Task,
    *,
    data: str | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
    limit: int | None = None,
) -> list[Problem]:
    """Load what a task asks.

    Args:
        task: The task.
        data: Another source than its own.
        question_column: Where the question is; by default where the task says, for its own data.
        answer_column: Where the answer is, likewise.
        limit: The first so many problems only.

    Raises:
        DataError: There is no such data, or a row is not a problem.
        MissingExtraError: It needs a package that is not installed.
    """
    is_own = data in (None, task.data)
    return load_problems(
        data or task.data,
        split=task.split,
        question_column=question_column or (is_own and task.question_column) or None,
        answer_column=answer_column or (is_own and task.answer_column) or None,
        limit=limit,
    )


def load_examples(task: Task, data: str | None = None) -> list[Problem]:
    """Load what a task's worked examples are drawn from.

    Args:
        task: The task.
        data: Another source than its own.

    Raises:
        DataError: There is no such data, or a row is not a problem.
        MissingExtraError: It needs a package that is not installed.
    """
    own = task.few_shot_data or task.data
    is_own = data in (None, own)
    return load_problems(
        data or own,
        split="train",
        question_column=(is_own and task.question_column) or None,
        answer_column=(is_own and task.answer_column) or None,
    )
