r"""The gradient coefficients: what each method of the unified paradigm does to a token.

Every method's gradient has the form of DeepSeekMath's Eq. 5 (arXiv 2402.03300),

    grad J = E[ sum_t norm_t * GC_t * grad log pi(o_t | q, o_<t) ],

so a method *is* its coefficient GC: the loop backpropagates ``-sum(norm * GC.detach() * logprob)``
and nothing else. Beside each coefficient stands its objective as the paper writes it, for logging
and as the oracle of the tests: ``GC_t = d objective_t / d logprob_t``.

Axes: B completions, T tokens. All tensors are [B, T]; what padded positions hold is ignored.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""exp(20) = 5e8: beyond it pi_ref / pi is held constant, so that one token which the policy has
all but ruled out cannot overflow. The paper's formula holds below."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenBatch:
    """What a coefficient may look at besides the current log-probs; nothing has a gradient."""

    advantages_BT: Tensor
    old_logprobs_BT: Tensor
    """Under the policy that sampled, before the first update on these rollouts."""
    ref_logprobs_BT: Tensor | None = None
    """Under the reference policy; None where the method has no KL penalty."""


def sft(logprobs_BT: Tensor, batch: TokenBatch) -> Tensor:
    """Supervised fine-tuning: every token of a demonstration counts the same (appendix A.1.1)."""
    return torch.ones_like(logprobs_BT)


def sft_objective(logprobs_BT: Tensor, batch: TokenBatch) -> Tensor:
    """Log-likelihood of the demonstration."""
    return logprobs_BT


def grpo(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float, beta: float
) -> Tensor:
    """GRPO: ratio * A where the clip lets it through, plus beta * (pi_ref / pi - 1).

    With one update a rollout the ratio is 1 and this is Eq. 21, ``A + beta (pi_ref/pi - 1)``.
    """
    advantages_BT = batch.advantages_BT
    ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
    clipped_BT = is_clipped(ratio_BT, batch, clip_low, clip_high)
    coefficient_BT = torch.where(clipped_BT, 0.0, ratio_BT * advantages_BT)
    if batch.ref_logprobs_BT is None:
        return coefficient_BT
    log_ratio_BT = batch.ref_logprobs_BT - logprobs_BT
    return coefficient_BT + beta * (torch.exp(log_ratio_BT.clamp(max=MAX_LOG_RATIO)) - 1)


def grpo_objective(
    logprobs_BT: Tensor, batch: TokenBatch, *, clip_low: float, clip_high: float, beta: float
) -> Tensor:
    """What GRPO maximises at each token (Eq. 3): the clipped surrogate minus beta * KL."""
    ratio_BT = torch.exp(logprobs_BT - batch.old_logprobs_BT)
    surrogate_BT = torch.minimum(
        ratio_BT * batch.advantages_BT,
        ratio_BT.clamp(1 - clip_low, 1 + clip_high) * batch.advantages_BT,
    )
    if batch.ref_logprobs_BT is None:
        return surrogate_BT
    return surrogate_BT - beta * kl_k3(logprobs_BT, batch.ref_logprobs_BT)


def kl_k3(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """Schulman's k3 estimate of KL(pi || pi_ref) at the sampled token (Eq. 4): never negative."""
    log_ratio_BT = ref_logprobs_BT - logprobs_BT
    excess_BT = (log_ratio_BT - MAX_LOG_RATIO).clamp(min=0)  # above the cap the exponential
    ratio_BT = torch.exp(log_ratio_BT - excess_BT) * (1 + excess_BT)  # goes on as its tangent
    return ratio_BT - log_ratio_BT - 1


def is_clipped(ratio_BT: Tensor, batch: TokenBatch, clip_low: float, clip_high: float) -> Tensor:
    """Where the minimum takes the clipped branch, so that the token has no gradient."""
    too_high_BT = (batch.advantages_BT > 0) & (ratio_BT > 1 + clip_high)
    too_low_BT = (batch.advantages_BT < 0) & (ratio_BT < 1 - clip_low)
    return too_high_BT | too_low_BT


def sequence_norm(mask_BT: Tensor) -> Tensor:
    """The paper's norm, float64: 1 / (completions * tokens of this one); no tokens, no weight."""
    lengths_B1 = mask_BT.sum(dim=1, keepdim=True)
    return mask_BT.double() / (mask_BT.shape[0] * lengths_B1.clamp(min=1))


def token_norm(mask_BT: Tensor) -> Tensor:
    """Every token of the batch weighs the same, float64: 1 / all tokens."""
    return mask_BT.double() / mask_BT.sum().clamp(min=1)
