"""When a run may stop early: its held-out accuracy has not risen for a while.

It follows from the logged evaluations alone, so a resumed run stops where the whole one does.
"""

from collections.abc import Mapping

from mathrl.errors import ConfigError
from mathrl.trainers.runlog import Record


def best_step(evaluations: Mapping[int, Record]) -> int | None:
    """The step of the highest accuracy, the first of equals; None without any evaluation.

    Raises:
        ConfigError: An evaluation has no accuracy.
    """
    if any("accuracy" not in record for record in evaluations.values()):
        raise ConfigError("eval.patience compares accuracies: `evaluate` must return 'accuracy'")
    steps = sorted(evaluations)
    return max(steps, key=lambda step: float(evaluations[step]["accuracy"]), default=None)


def is_out_of_patience(evaluations: Mapping[int, Record], patience: int) -> bool:
    """Tell whether ``patience`` evaluations (0: no limit) have come and gone since the best."""
    best = best_step(evaluations) if patience else None
    return best is not None and sum(step > best for step in evaluations) >= patience
