"""Evaluation: every sample stored, every figure with its error bar, every comparison paired."""

from mathrl.evals.compare import Comparison, compare
from mathrl.evals.metrics import maj_at_k, pass_at_k
from mathrl.evals.results import (
    EvalResult,
    ProblemOutcome,
    SampleOutcome,
    load_results,
    save_result,
)
from mathrl.evals.run import TaskRun, evaluate_into, load_run
from mathrl.evals.runner import evaluate
from mathrl.evals.stats import Interval
from mathrl.evals.store import SampleStore
from mathrl.evals.tasks import TASKS, Task, get_task

__all__ = [
    "TASKS",
    "Comparison",
    "EvalResult",
    "Interval",
    "ProblemOutcome",
    "SampleOutcome",
    "SampleStore",
    "Task",
    "TaskRun",
    "compare",
    "evaluate",
    "evaluate_into",
    "get_task",
    "load_results",
    "load_run",
    "maj_at_k",
    "pass_at_k",
    "save_result",
]
