"""Trainers: every method as a data source, a reward and a gradient coefficient, on one loop."""

from mathrl.errors import MissingExtraError

try:
    from mathrl.trainers.loop import TrainResult, train
    from mathrl.trainers.recipe import Recipe, load_recipe
except ModuleNotFoundError as error:
    if str(error.name).startswith("mathrl"):
        raise
    raise MissingExtraError(f"training needs {error.name}: pip install 'mathrl[train]'") from error

__all__ = ["Recipe", "TrainResult", "load_recipe", "train"]
