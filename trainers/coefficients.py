r"""The gradient coefficients: what each method of the unified paradigm does to a token.

Every method's gradient has the form of DeepSeekMath's Eq. 5 (arXiv 2402.03300),

    grad J = E[ sum_t norm_t * GC_t * grad log pi(o_t | q, o_<t) ],

so a method *is* its coefficient GC: the loop backpropagates ``-sum(norm * GC.detach() * logprob)``
and nothing else. Beside each coefficient stands its objective as the paper writes it, for logging
and as the oracle of the tests: ``norm_t * GC_t = d(sum norm * objective) / d logprob_t``.

A regularised method is its surrogate less ``beta`` times a divergence (``divergences.py``), so its
coefficient is the surrogate's less ``beta`` times the divergence's slope.

Axes: B completions, T tokens. All tensors are [B, T]; what padded positions hold is ignored.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mathrl.trainers.divergences import K3, Divergence, ratio_weighted


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenBatch:
    """What a coefficient may look at besides the current log-probs; nothing has a gradient."""

    advantages_BT: Tensor
    old_logprobs_BT: Tensor
    """Under the policy that sampled, before the first update on these rollouts."""
    mask_BT: Tensor
    """True where a completion has a token."""
    ref_logprobs_BT: Tensor | None = None
    """Under the reference policy; None where the loss has no KL penalty."""


Coefficient = Callable[[Tensor, TokenBatch], Tensor]
"""(logprobs_BT, batch) -> one number a token"""
Surrogate = Callable[..., Tensor]
"""A coefficient, or an objective, with ``clip_low`` and ``clip_high``."""


def sft(logprobs_BT: Tensor, batch: TokenBatch) -> Tensor:
    """Supervised fine-tuning: every token of a demonstration counts the same (appendix A.1.1)."""
    return torch.ones_like(logprobs_BT)


def sft_objective(logprobs_BT: Tensor, batch: TokenBatch) -> Tensor:
    """Log-likelihood of the demonstration."""
    return logprobs_BT


def clipped_ratio(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float
) -> Tensor:
    """PPO's and GRPO's surrogate: ratio * A where the clip lets it through."""
    ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
    clipped_BT = is_clipped(ratio_BT, batch, clip_low, clip_high)
    return torch.where(clipped_BT, 0.0, ratio_BT * batch.advantages_BT)


def clipped_ratio_objective(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float
) -> Tensor:
    """The smaller of ratio * A and the clipped ratio * A."""
    ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
    return _smaller(ratio_BT, batch, clip_low, clip_high)


def grpo(
    logprobs_BT: Tensor,
    batch: TokenBatch,
    *,
    clip_low: float,
    clip_high: float,
    beta: float,
    divergence: Divergence = K3,
    is_ratio_weighted: bool = False,
    surrogate: Surrogate = clipped_ratio,
) -> Tensor:
    """GRPO: the clipped ratio * A, less beta * the slope of the KL penalty.

    By default that of DeepSeekMath, whose penalty adds beta * (pi_ref / pi - 1): with one update a
    rollout the ratio is 1 and this is Eq. 21, ``A + beta (pi_ref/pi - 1)``. Other members of the
    family have another surrogate or divergence.
    """
    surrogate_BT = surrogate(logprobs_BT, batch, clip_low=clip_low, clip_high=clip_high)
    if batch.ref_logprobs_BT is None:
        return surrogate_BT
    if is_ratio_weighted:
        divergence = ratio_weighted(divergence, batch.old_logprobs_BT)
    return surrogate_BT - beta * divergence.slope(logprobs_BT, batch.ref_logprobs_BT)


def grpo_objective(
    logprobs_BT: Tensor,
    batch: TokenBatch,
    *,
    clip_low: float,
    clip_high: float,
    beta: float,
    divergence: Divergence = K3,
    is_ratio_weighted: bool = False,
    surrogate: Surrogate = clipped_ratio_objective,
) -> Tensor:
    """What GRPO maximises at each token (Eq. 3): the clipped surrogate minus beta * KL."""
    surrogate_BT = surrogate(logprobs_BT, batch, clip_low=clip_low, clip_high=clip_high)
    if batch.ref_logprobs_BT is None:
        return surrogate_BT
    if is_ratio_weighted:
        divergence = ratio_weighted(divergence, batch.old_logprobs_BT)
    return surrogate_BT - beta * divergence.value(logprobs_BT, batch.ref_logprobs_BT)


def gspo(logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float) -> Tensor:
    """GSPO: the ratio of the whole completion, s = exp(mean of the log-ratios), times A.

    s depends on each of its |o| tokens with slope s / |o|; the sequence norm carries the 1 / |o|.
    """
    ratio_BT = sequence_ratio(logprobs_BT, batch).expand_as(logprobs_BT)
    clipped_BT = is_clipped(ratio_BT, batch, clip_low, clip_high)
    return torch.where(clipped_BT, 0.0, ratio_BT * batch.advantages_BT)


def gspo_objective(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float
) -> Tensor:
    """The clipped surrogate of the completion, at each of its tokens (arXiv 2507.18071, Eq. 5)."""
    ratio_BT = sequence_ratio(logprobs_BT, batch).expand_as(logprobs_BT)
    return _smaller(ratio_BT, batch, clip_low, clip_high)


def sequence_ratio(logprobs_BT: Tensor, batch: TokenBatch) -> Tensor:
    """The geometric mean of a completion's token ratios, [B, 1]."""
    log_ratio_BT = torch.where(batch.mask_BT, logprobs_BT - batch.old_logprobs_BT, 0.0)
    lengths_B1 = batch.mask_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.exp(log_ratio_BT.sum(dim=1, keepdim=True) / lengths_B1)


def cispo(logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float) -> Tensor:
    """CISPO: the clipped ratio weighs A, and no token loses its gradient."""
    ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
    return ratio_BT.clamp(1 - clip_low, 1 + clip_high) * batch.advantages_BT


def cispo_objective(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float
) -> Tensor:
    """REINFORCE with a weight that has no gradient (MiniMax-M1, arXiv 2506.13585, Eq. 4)."""
    weight_BT = torch.exp(logprobs_BT.detach() - batch.old_logprobs_BT)
    weight_BT = weight_BT.clamp(1 - clip_low, 1 + clip_high)
    return weight_BT * batch.advantages_BT * logprobs_BT


def importance_weights(old_logprobs_BT: Tensor, sampler_logprobs_BT: Tensor, cap: float) -> Tensor:
    """Correct for a sampler whose arithmetic differs from the trainer's: min(pi_old / mu, cap).

    The weight multiplies the advantage, in whichever surrogate.

    Args:
        old_logprobs_BT: By the trainer, before the first update.
        sampler_logprobs_BT: As the engine reported them.
        cap: The largest weight.

    Source: truncated importance sampling (Ionides, 2008), in RL: Yao et al., 2025.
    """
    return torch.exp(old_logprobs_BT - sampler_logprobs_BT).clamp(max=cap)


def is_clipped(ratio_BT: Tensor, batch: TokenBatch, clip_low: float, clip_high: float) -> Tensor:
    """Where the minimum takes the clipped branch, so that the token has no gradient."""
    too_low_BT, too_high_BT = clipped_sides(ratio_BT, batch, clip_low, clip_high)
    return too_low_BT | too_high_BT


def clipped_sides(
    ratio_BT: Tensor, batch: TokenBatch, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """The same below the range, where a bad token is rare enough, and above it."""
    too_low_BT = (batch.advantages_BT < 0) & (ratio_BT < 1 - clip_low)
    too_high_BT = (batch.advantages_BT > 0) & (ratio_BT > 1 + clip_high)
    return too_low_BT, too_high_BT


def _smaller(ratio_BT: Tensor, batch: TokenBatch, clip_low: float, clip_high: float) -> Tensor:
    clipped_BT = ratio_BT.clamp(1 - clip_low, 1 + clip_high)
    return torch.minimum(ratio_BT * batch.advantages_BT, clipped_BT * batch.advantages_BT)
