"""From rewards to advantages: pure functions, no gradient.

Axes: B completions, G completions of one group, T tokens. A credit gives one advantage a token,
[B, T]; where every token of a completion gets the same, the formula is for the completion.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

SPREAD_FLOOR = 1e-9
"""Rewards of a group that differ by less than this (times their size, above 1) are the same
number summed in another order; dividing by their deviation would turn noise into advantages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The completions of a step as a credit sees them."""

    rewards_B: Tensor
    """Float64."""
    groups_B: Tensor
    """Group number of each, int64; the order is free and sizes may differ."""
    mask_BT: Tensor
    """True where a completion has a token."""
    penalties_BT: Tensor | None = None
    """What each token costs, beta * KL where the penalty is part of the reward; float64."""

    @property
    def returns_B(self) -> Tensor:
        """Each completion's reward less the penalties of all its tokens."""
        if self.penalties_BT is None:
            return self.rewards_B
        return self.rewards_B - (self.penalties_BT * self.mask_BT).sum(dim=1)

    def spread(self, advantages_B: Tensor) -> Tensor:
        """Give every token of a completion its advantage."""
        return advantages_B[:, None] * self.mask_BT


def constant(scored: Scored) -> Tensor:
    """Credit every token alike, as a demonstration's are."""
    return scored.spread(torch.ones_like(scored.rewards_B))


def group_standardised(scored: Scored, *, ddof: int) -> Tensor:
    """Standardise each return within its group: ``(r - mean) / std``.

    Args:
        scored: The completions of the step.
        ddof: 1 divides the variance by G - 1, 0 by G.

    Returns:
        Advantages; exactly 0 where a whole group agrees, and in a group of one.

    Source: arXiv 2402.03300, section 4.1.2 (which leaves ddof open; no epsilon is added).
    """
    advantages_B = torch.zeros_like(scored.rewards_B)
    for members, returns_G in _groups_with_spread(scored):
        advantages_B[members] = (returns_G - returns_G.mean()) / returns_G.std(correction=ddof)
    return scored.spread(advantages_B)


def group_centred(scored: Scored) -> Tensor:
    """Take the group's mean off each return: ``r - mean``.

    Source: Dr. GRPO, arXiv 2503.20783.
    """
    advantages_B = torch.zeros_like(scored.rewards_B)
    for members, returns_G in _groups_with_spread(scored):
        advantages_B[members] = returns_G - returns_G.mean()
    return scored.spread(advantages_B)


def leave_one_out(scored: Scored) -> Tensor:
    """Take the mean of the group's other returns off each: ``G / (G - 1) * (r - mean)``.

    Source: RLOO, arXiv 2402.14740, Eq. 8.
    """
    advantages_B = torch.zeros_like(scored.rewards_B)
    for members, returns_G in _groups_with_spread(scored):
        size = len(returns_G)
        advantages_B[members] = (returns_G - returns_G.mean()) * size / (size - 1)
    return scored.spread(advantages_B)


def batch_standardised(scored: Scored, *, has_baseline: bool = False) -> Tensor:
    """Standardise what is still to come at each token over all tokens of the step.

    The return at a token is the completion's reward less the penalties from that token on. No
    group is needed; with a baseline the group's mean is taken off first.

    Args:
        scored: The completions of the step.
        has_baseline: Take the group's mean reward off each reward.

    Returns:
        Advantages; exactly 0 where all tokens of the step agree.

    Source: REINFORCE++, arXiv 2501.03262 (the divisor is the number of tokens).
    """
    rewards_B = scored.rewards_B
    if has_baseline:
        rewards_B = torch.zeros_like(rewards_B)
        for members, rewards_G in _groups_with_spread(scored, scored.rewards_B):
            rewards_B[members] = rewards_G - rewards_G.mean()
    returns_BT = scored.spread(rewards_B)
    if scored.penalties_BT is not None:
        penalties_BT = scored.penalties_BT * scored.mask_BT
        returns_BT = returns_BT - penalties_BT.flip(1).cumsum(1).flip(1) * scored.mask_BT
    values_N = returns_BT[scored.mask_BT]
    advantages_BT = torch.zeros_like(returns_BT)
    if len(values_N) and has_spread(values_N):
        centred_N = values_N - values_N.mean()
        advantages_BT[scored.mask_BT] = centred_N / centred_N.square().mean().sqrt()
    return advantages_BT


def has_spread(rewards_G: Tensor) -> bool:
    """Tell whether the rewards of a group differ by more than rounding."""
    spread = rewards_G.max() - rewards_G.min()
    return bool(spread > SPREAD_FLOOR * rewards_G.abs().max().clamp(min=1))


def _groups_with_spread(
    scored: Scored, values_B: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each group whose returns differ: its members and their returns."""
    values_B = scored.returns_B if values_B is None else values_B
    for group in scored.groups_B.unique():
        members = scored.groups_B == group
        if has_spread(values_B[members]):
            yield members, values_B[members]
