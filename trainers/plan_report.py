"""The whole plan of a training run: memory, time, whether it fits, and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass

from mathrl.trainers.gpus import Gpu
from mathrl.trainers.model_shape import ReadShape
from mathrl.trainers.plan import MemoryPlan, plan_memory
from mathrl.trainers.plan_advice import Advice, advise
from mathrl.trainers.plan_shape import TrainingShape, training_shape
from mathrl.trainers.plan_time import PhaseTime, plan_time
from mathrl.trainers.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """What a run needs, and what could be changed."""

    shape: TrainingShape
    memory: MemoryPlan
    capacity: float | None
    """Bytes of each GPU; None: not known."""
    time: Mapping[str, PhaseTime]
    """Seconds by phase; empty where the GPU's speed is not known."""
    advice: Advice | None
    """None where the capacity is not known."""

    @property
    def fits(self) -> bool | None:
        """Whether the largest phase fits; None where the capacity is not known."""
        return None if self.capacity is None else self.memory.peak <= self.capacity


def plan_training(
    recipe: Recipe,
    read: ReadShape,
    *,
    prompt_tokens: int,
    completion_tokens: float | None = None,
    num_gpus: int = 1,
    gpu: Gpu | None = None,
    capacity: float | None = None,
) -> TrainingPlan:
    """Plan a run of a recipe.

    Args:
        recipe: What will run.
        read: Tells the sizes of the model as a recipe trains it.
        prompt_tokens: Tokens of a prompt.
        completion_tokens: Expected mean; by default half of what the recipe allows.
        num_gpus: Ranks of ``torchrun``.
        gpu: Its speed; None: no times.
        capacity: Bytes of each GPU; None: no verdict and no advice.

    Raises:
        ConfigError: The numbers do not go together.
    """

    def shape_of(changed: Recipe, gpus: int) -> TrainingShape:
        mean = completion_tokens
        if mean is not None and changed is not recipe:
            # advice may cut completions shorter than they are expected to be
            mean = min(mean, changed.rollout.max_new_tokens)
        return training_shape(
            changed,
            read(changed),
            prompt_tokens=prompt_tokens,
            completion_tokens=mean,
            num_gpus=gpus,
            capacity=capacity,
        )

    shape = shape_of(recipe, num_gpus)
    advice = None
    if capacity is not None:
        advice = advise(recipe, shape_of, num_gpus=num_gpus, capacity=capacity)
    return TrainingPlan(
        shape=shape,
        memory=plan_memory(shape),
        capacity=capacity,
        time={} if gpu is None else plan_time(shape, gpu),
        advice=advice,
    )
