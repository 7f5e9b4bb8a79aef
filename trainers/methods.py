"""The methods that ``recipe.method`` names: a data source, a credit, a coefficient, a norm.

The mathematics is in ``credit.py`` and ``coefficients.py``; a method only puts it together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mathrl.trainers.coefficients import TokenBatch, grpo, sequence_norm, sft, token_norm
from mathrl.trainers.credit import group_advantages
from mathrl.trainers.recipe import Recipe
from mathrl.trainers.sources import Demonstrations, LiveSampler


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One row of the unified paradigm."""

    source: type[LiveSampler] | type[Demonstrations]
    credit: Callable[[Tensor, Tensor], Tensor]
    """(rewards_B, groups_B) -> advantages_B"""
    coefficient: Callable[[Tensor, TokenBatch], Tensor]
    """(logprobs_BT, batch) -> gradient coefficient of each token"""
    norm: Callable[[Tensor], Tensor]
    """mask_BT -> weight of each token; one call for the whole batch, before any micro-batch"""
    needs_reference: bool


def build_method(recipe: Recipe) -> Method:
    """The method of this recipe, its numbers filled in."""
    if recipe.method == "sft":
        return Method(
            source=Demonstrations,
            credit=lambda rewards_B, groups_B: torch.ones_like(rewards_B),
            coefficient=sft,
            norm=token_norm,
            needs_reference=False,
        )
    loss = recipe.loss
    return Method(
        source=LiveSampler,
        credit=partial(group_advantages, ddof=loss.std_ddof),
        coefficient=partial(grpo, clip_low=loss.clip_low, clip_high=loss.clip_high, beta=loss.beta),
        norm=sequence_norm,
        needs_reference=loss.beta > 0,
    )
