"""From rewards to advantages: pure functions, no gradient."""

import torch
from torch import Tensor

SPREAD_FLOOR = 1e-9
"""Rewards of a group that differ by less than this (times their size, above 1) are the same
number summed in another order; dividing by their deviation would turn noise into advantages."""


def group_advantages(rewards_B: Tensor, groups_B: Tensor, *, ddof: int) -> Tensor:
    """Standardise each reward within its group: ``(r - mean) / std``.

    Args:
        rewards_B: Rewards, float64 [B].
        groups_B: Group number of each, int64 [B]; the order is free and sizes may differ.
        ddof: 1 divides the variance by G - 1, 0 by G.

    Returns:
        Advantages, float64 [B]; exactly 0 where a whole group agrees, and in a group of one.

    Source: arXiv 2402.03300, section 4.1.2 (which leaves ddof open; no epsilon is added).
    """
    advantages_B = torch.zeros_like(rewards_B)
    for group in groups_B.unique():
        members = groups_B == group
        rewards_G = rewards_B[members]
        if has_spread(rewards_G):
            advantages_B[members] = (rewards_G - rewards_G.mean()) / rewards_G.std(correction=ddof)
    return advantages_B


def has_spread(rewards_G: Tensor) -> bool:
    """Tell whether the rewards of a group differ by more than rounding."""
    spread = rewards_G.max() - rewards_G.min()
    return bool(spread > SPREAD_FLOOR * rewards_G.abs().max().clamp(min=1))
