"""A recipe's numbers reach the mathematics, each in its own place."""

from dataclasses import replace

import pytest
import torch

from mathrl.trainers.coefficients import TokenBatch
from mathrl.trainers.credit import Scored
from mathrl.trainers.methods import build_method
from mathrl.trainers.recipe import LossConfig, Recipe


def scored(rewards):
    """One group of completions of one token."""
    return Scored(
        rewards_B=rewards,
        groups_B=torch.zeros(len(rewards), dtype=torch.long),
        mask_BT=torch.ones(len(rewards), 1, dtype=torch.bool),
    )


def method(**loss):
    return build_method(replace(Recipe(method="grpo"), loss=LossConfig(**loss)))


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [(1.4, 1.0, 1.4), (1.6, 1.0, 0.0), (0.95, -1.0, -0.95), (0.85, -1.0, 0.0)],
)
def test_the_two_clips_are_not_swapped(ratio, advantage, expected):
    ratios = torch.tensor([[ratio]], dtype=torch.float64)
    batch = TokenBatch(
        advantages_BT=torch.tensor([[advantage]], dtype=torch.float64),
        old_logprobs_BT=torch.zeros(1, 1, dtype=torch.float64),
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
    )
    ours = method(clip_low=0.1, clip_high=0.5, beta=0.0).coefficient(ratios.log(), batch)
    assert ours.item() == pytest.approx(expected)


@pytest.mark.parametrize(("ddof", "expected"), [(0, 1.0), (1, 0.75**0.5)])
def test_the_divisor_of_the_standard_deviation(ddof, expected):
    # rewards 1 0 0 1: deviations of 1/2; std 1/2 with ddof 0, sqrt(1/3) with ddof 1
    rewards = torch.tensor([1, 0, 0, 1], dtype=torch.float64)
    ours = method(std_ddof=ddof).credit(scored(rewards))
    assert ours[0, 0].item() == pytest.approx(expected)


def test_beta_weighs_the_penalty_and_zero_needs_no_reference():
    batch = TokenBatch(
        advantages_BT=torch.zeros(1, 1),
        old_logprobs_BT=torch.zeros(1, 1),
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
        ref_logprobs_BT=torch.log(torch.tensor([[3.0]])),
    )
    # beta * (pi_ref / pi - 1) = 0.5 * (3 - 1)
    assert method(beta=0.5).coefficient(torch.zeros(1, 1), batch).item() == pytest.approx(1.0)
    assert method(beta=0.5).needs_reference and not method(beta=0.0).needs_reference


def test_sft_credits_every_demonstration_alike():
    sft = build_method(Recipe(method="sft"))
    assert sft.credit(scored(torch.rand(3))).tolist() == [[1], [1], [1]]
    assert not sft.needs_reference
