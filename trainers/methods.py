"""The methods that a recipe names: a data source, a credit, a coefficient, a norm.

The mathematics is in ``credit.py``, ``coefficients.py``, ``divergences.py`` and ``norms.py``; a
method only puts it together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from mathrl.trainers import credit
from mathrl.trainers.coefficients import (
    Coefficient,
    Surrogate,
    cispo,
    clipped_ratio,
    grpo,
    gspo,
    sft,
)
from mathrl.trainers.credit import Scored
from mathrl.trainers.divergences import DIVERGENCES, Estimator
from mathrl.trainers.norms import constant_norm, sequence_norm, token_norm
from mathrl.trainers.recipe import LossConfig, Recipe
from mathrl.trainers.sources import Demonstrations, LiveSampler

Credit = Callable[[Scored], Tensor]
Norm = Callable[[Tensor], Tensor]

SURROGATES: Mapping[str, Surrogate] = {
    "clipped_ratio": clipped_ratio,
    "gspo": gspo,
    "cispo": cispo,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One row of the unified paradigm."""

    source: type[LiveSampler] | type[Demonstrations]
    credit: Credit
    """The scored completions -> advantages_BT"""
    coefficient: Coefficient
    """(logprobs_BT, batch) -> gradient coefficient of each token"""
    norm: Norm
    """mask_BT -> weight of each token; one call for the whole step, before any micro-batch"""
    needs_reference: bool
    reward_penalty: Estimator | None = None
    """(old_logprobs_BT, ref_logprobs_BT) -> what each token's KL takes off its reward; None where
    the reward has no such part, and then no log-probs are taken before the first update."""


def build_method(recipe: Recipe) -> Method:
    """The method of this recipe, its numbers filled in."""
    if recipe.method == "sft":
        return Method(
            source=Demonstrations,
            credit=credit.constant,
            coefficient=sft,
            norm=token_norm,
            needs_reference=False,
        )
    loss = recipe.loss
    in_reward = loss.kl_in == "reward" and loss.beta > 0
    return Method(
        source=LiveSampler,
        credit=_credit(loss),
        coefficient=_coefficient(loss),
        norm=_norm(recipe),
        needs_reference=loss.beta > 0,
        reward_penalty=partial(_scaled, loss.beta, loss.kl) if in_reward else None,
    )


def _credit(loss: LossConfig) -> Credit:
    credits: dict[str, Credit] = {
        "group_standardised": partial(credit.group_standardised, ddof=loss.std_ddof),
        "group_centred": credit.group_centred,
        "leave_one_out": credit.leave_one_out,
        "batch_standardised": partial(
            credit.batch_standardised, has_baseline=loss.has_group_baseline
        ),
    }
    return credits[loss.advantage]


def _coefficient(loss: LossConfig) -> Coefficient:
    return partial(
        grpo,
        clip_low=loss.clip_low,
        clip_high=loss.clip_high,
        beta=loss.beta,
        divergence=DIVERGENCES[loss.kl],
        is_ratio_weighted=loss.is_kl_ratio_weighted,
        surrogate=SURROGATES[loss.surrogate],
    )


def _norm(recipe: Recipe) -> Norm:
    norms: dict[str, Norm] = {
        "sequence": sequence_norm,
        "token": token_norm,
        "constant": partial(constant_norm, length=recipe.rollout.max_new_tokens),
    }
    return norms[recipe.loss.norm]


def _scaled(beta: float, kl: str, logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    return beta * DIVERGENCES[kl].value(logprobs_BT, ref_logprobs_BT)
