"""Trainers: every method as a data source, a reward and a gradient coefficient, on one loop."""

from mathrl.trainers.loop import TrainResult, train
from mathrl.trainers.recipe import Recipe, load_recipe

__all__ = ["Recipe", "TrainResult", "load_recipe", "train"]
