"""Group advantages against hand arithmetic."""

import math

import pytest
import torch

from mathrl.trainers.credit import group_advantages


def advantages(rewards, groups, ddof=1):
    return group_advantages(
        torch.tensor(rewards, dtype=torch.float64), torch.tensor(groups), ddof=ddof
    )


def test_by_hand():
    # rewards 1 0 0 1: mean 1/2, squared deviations 4 * 1/4 = 1; ddof 1: std sqrt(1/3)
    expected = torch.tensor([0.5, -0.5, -0.5, 0.5], dtype=torch.float64) * math.sqrt(3)
    torch.testing.assert_close(advantages([1, 0, 0, 1], [0, 0, 0, 0]), expected)
    # ddof 0: std 1/2, so the advantages are 1 and -1
    torch.testing.assert_close(
        advantages([1, 0, 0, 1], [0, 0, 0, 0], ddof=0),
        torch.tensor([1, -1, -1, 1], dtype=torch.float64),
    )


def test_groups_are_told_apart_by_number_not_by_place():
    mixed = advantages([1, 5, 0, 9, 0, 1], [0, 1, 0, 1, 0, 0])
    torch.testing.assert_close(mixed[[0, 2, 4, 5]], advantages([1, 0, 0, 1], [0] * 4))
    torch.testing.assert_close(mixed[[1, 3]], advantages([5, 9], [0, 0]))


def test_each_group_has_mean_zero_and_deviation_one():
    generator = torch.Generator().manual_seed(0)
    rewards = torch.rand(60, generator=generator, dtype=torch.float64)
    groups = torch.randint(0, 4, (60,), generator=generator)
    ours = group_advantages(rewards, groups, ddof=1)
    for group in range(4):
        assert ours[groups == group].mean().abs() < 1e-12
        assert ours[groups == group].std() == pytest.approx(1)


@pytest.mark.parametrize(
    "rewards", [[0, 0, 0], [1, 1, 1], [0.3, 0.1 + 0.2, 0.3], [1e6 + 1e-4, 1e6]]
)
def test_no_spread_is_exactly_zero(rewards):
    ours = advantages(rewards, [0] * len(rewards))
    assert ours.abs().max() == 0


def test_a_small_spread_is_still_a_spread():
    # mean 5e-8, deviations of 5e-8, std (ddof 1) sqrt(2) * 5e-8
    torch.testing.assert_close(
        advantages([0.0, 1e-7], [0, 0]),
        torch.tensor([-(0.5**0.5), 0.5**0.5], dtype=torch.float64),
    )


def test_a_group_of_one_is_exactly_zero():
    assert advantages([0.7], [0]).item() == 0


def test_no_rollouts():
    assert advantages([], []).shape == (0,)
