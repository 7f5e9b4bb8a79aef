r"""Estimators of KL(pi || pi_ref) at a sampled token, and what each does to that token.

Each estimator k is a function of the two log-probs (Schulman, "Approximating KL divergence", 2020)
and stands beside its slope dk / d log pi, which is what a gradient coefficient subtracts:

    k1 = log(pi / pi_ref)                 slope 1: its gradient is zero on average
    k2 = k1^2 / 2                         slope k1: on average the gradient of KL(pi || pi_ref)
    k3 = pi_ref / pi - 1 + k1             slope 1 - pi_ref / pi: that of KL(pi_ref || pi)

Weighted with the ratio rho = pi / pi_old, whose own slope is rho, an estimator k has the slope
rho (k + k'); for k3 that is rho * k1, again the gradient of KL(pi || pi_ref).

Axes: B completions, T tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""exp(20) = 5e8: beyond it pi_ref / pi is held constant, so that one token which the policy has
all but ruled out cannot overflow. The formulas hold below."""

Estimator = Callable[[Tensor, Tensor], Tensor]
"""(logprobs_BT, ref_logprobs_BT) -> one number a token"""


@dataclass(frozen=True, slots=True)
class Divergence:
    """An estimator of the KL divergence and its slope."""

    value: Estimator
    slope: Estimator


def k1(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """The log-ratio: without bias, of either sign."""
    return logprobs_BT - ref_logprobs_BT


def k1_slope(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """One everywhere, which teaches nothing on average: k1 belongs in the reward."""
    return torch.ones_like(logprobs_BT)


def k2(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """Half the square of the log-ratio: biased, never negative."""
    return (logprobs_BT - ref_logprobs_BT).square() / 2


def k3(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """The paper's estimate (arXiv 2402.03300, Eq. 4): without bias and never negative."""
    log_ratio_BT = ref_logprobs_BT - logprobs_BT
    excess_BT = (log_ratio_BT - MAX_LOG_RATIO).clamp(min=0)  # above the cap the exponential
    ratio_BT = torch.exp(log_ratio_BT - excess_BT) * (1 + excess_BT)  # goes on as its tangent
    return ratio_BT - log_ratio_BT - 1


def k3_slope(logprobs_BT: Tensor, ref_logprobs_BT: Tensor) -> Tensor:
    """Minus the second term of the paper's Eq. 21, ``pi_ref / pi - 1``."""
    log_ratio_BT = ref_logprobs_BT - logprobs_BT
    return 1 - torch.exp(log_ratio_BT.clamp(max=MAX_LOG_RATIO))


K1, K2, K3 = Divergence(k1, k1_slope), Divergence(k2, k1), Divergence(k3, k3_slope)
DIVERGENCES = {"k1": K1, "k2": K2, "k3": K3}


def ratio_weighted(divergence: Divergence, old_logprobs_BT: Tensor) -> Divergence:
    """Weight an estimator with pi / pi_old, as tokens drawn from pi_old ask for.

    Args:
        divergence: The estimator.
        old_logprobs_BT: Under the policy that sampled.
    """
    return Divergence(
        partial(_weighted_value, divergence, old_logprobs_BT),
        partial(_weighted_slope, divergence, old_logprobs_BT),
    )


def _weighted_value(
    divergence: Divergence, old_logprobs_BT: Tensor, logprobs_BT: Tensor, ref_logprobs_BT: Tensor
) -> Tensor:
    ratio_BT = torch.exp(logprobs_BT - old_logprobs_BT)
    return ratio_BT * divergence.value(logprobs_BT, ref_logprobs_BT)


def _weighted_slope(
    divergence: Divergence, old_logprobs_BT: Tensor, logprobs_BT: Tensor, ref_logprobs_BT: Tensor
) -> Tensor:
    ratio_BT = torch.exp(logprobs_BT - old_logprobs_BT)
    value_BT = divergence.value(logprobs_BT, ref_logprobs_BT)
    return ratio_BT * (value_BT + divergence.slope(logprobs_BT, ref_logprobs_BT))
