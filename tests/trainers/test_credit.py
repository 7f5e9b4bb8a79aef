"""Group advantages against hand arithmetic."""

import math

import pytest
import torch

from mathrl.trainers.credit import (
    Scored,
    batch_standardised,
    constant,
    group_centred,
    group_standardised,
    leave_one_out,
)


def scored(rewards, groups, *, lengths=None, penalties=None):
    """Completions of one token each, unless lengths are given."""
    lengths = lengths or [1] * len(rewards)
    steps = torch.arange(max(lengths, default=0))
    return Scored(
        rewards_B=torch.tensor(rewards, dtype=torch.float64),
        groups_B=torch.tensor(groups, dtype=torch.long),
        mask_BT=steps[None, :] < torch.tensor(lengths, dtype=torch.long)[:, None],
        penalties_BT=None if penalties is None else torch.tensor(penalties, dtype=torch.float64),
    )


def advantages(rewards, groups, ddof=1):
    return group_standardised(scored(rewards, groups), ddof=ddof).sum(1)


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
    ours = advantages(rewards.tolist(), groups.tolist())
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


def test_every_token_of_a_completion_gets_its_advantage():
    ours = group_standardised(scored([1, -1], [0, 0], lengths=[3, 1]), ddof=0)
    assert ours.tolist() == [[1, 1, 1], [-1, 0, 0]]


def test_centred_by_hand():
    # mean 1/4
    ours = group_centred(scored([1, 0, 0, 0], [0] * 4)).sum(1)
    assert ours.tolist() == [0.75, -0.25, -0.25, -0.25]


def test_leave_one_out_by_hand():
    # the others' means: 1/3, 2/3, 2/3, 1/3 for rewards 1 0 0 1
    ours = leave_one_out(scored([1, 0, 0, 1], [0] * 4)).sum(1)
    expected = torch.tensor([2 / 3, -2 / 3, -2 / 3, 2 / 3], dtype=torch.float64)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("credit", [group_centred, leave_one_out, batch_standardised])
def test_all_agree(credit):
    assert credit(scored([0.1 + 0.2, 0.3, 0.3], [0, 0, 0])).abs().max() == 0


def test_penalties_come_off_the_reward_before_the_group_is_compared():
    case = scored([1, 1], [0, 0], lengths=[2, 1], penalties=[[0.1, 0.2], [0.1, 9.0]])
    # returns 0.7 and 0.9 (what stands behind the end does not count), mean 0.8
    expected = torch.tensor([[-0.1, -0.1], [0.1, 0]], dtype=torch.float64)
    torch.testing.assert_close(group_centred(case), expected)


def test_batch_standardised_by_hand():
    case = scored([1, 0], [0, 1], lengths=[2, 1], penalties=[[0.5, 0.25], [0.0, 0.0]])
    # what is to come: 1 - 0.75, 1 - 0.25 and 0; mean 1/3, mean square deviation over 3 tokens
    returns = torch.tensor([0.25, 0.75, 0.0], dtype=torch.float64)
    expected = (returns - returns.mean()) / returns.std(correction=0)
    ours = batch_standardised(case)
    torch.testing.assert_close(ours[case.mask_BT], expected)
    assert ours[1, 1] == 0


def test_batch_standardised_with_the_groups_mean_off_first():
    case = scored([1, 0, 5, 5], [0, 0, 1, 1])
    # less the groups' means: 1/2, -1/2, 0, 0; std sqrt(1/8)
    ours = batch_standardised(case, has_baseline=True).sum(1)
    torch.testing.assert_close(ours, torch.tensor([0.5, -0.5, 0, 0], dtype=torch.float64) * 8**0.5)


def test_a_constant_credits_every_token():
    assert constant(scored([0.3, 5], [0, 0], lengths=[2, 1])).tolist() == [[1, 1], [1, 0]]
