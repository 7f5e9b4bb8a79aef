"""Best-of-k and the weighted vote are averages over every subset."""

import random
from itertools import combinations
from statistics import fmean

import pytest

from mathrl.evals.metrics import maj_at_k
from mathrl.evals.selection import best_of_k, has_few_subsets, vote_weights, weighted_vote


def test_best_of_two_by_hand() -> None:
    # rewards 3 > 2 > 1; the subsets {3,2}, {3,1}, {2,1} pick 3, 3, 2: wrong, wrong, correct
    assert best_of_k([3.0, 2.0, 1.0], [False, True, True], 2) == pytest.approx(1 / 3, abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_best_of_k_is_the_mean_over_all_subsets(seed: int) -> None:
    draw = random.Random(seed)
    rewards = [draw.choice([-1.0, 0.5, 0.5, 2.0, 3.0]) for _ in range(7)]
    corrects = [draw.random() < 0.5 for _ in range(7)]
    for k in range(1, 8):
        shares = []
        for subset in combinations(range(7), k):
            best = max(rewards[i] for i in subset)
            shares.append(fmean(corrects[i] for i in subset if rewards[i] == best))
        assert best_of_k(rewards, corrects, k) == pytest.approx(fmean(shares), abs=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_equal_weights_vote_as_the_majority(seed: int) -> None:
    draw = random.Random(seed)
    corrects = [draw.random() < 0.4 for _ in range(7)]
    predictions = [
        "right" if is_correct else draw.choice(["a", "b", None]) for is_correct in corrects
    ]
    for k in range(1, 8):
        majority = maj_at_k(predictions, corrects, k)
        assert weighted_vote(predictions, corrects, [1.0] * 7, k) == pytest.approx(
            majority, abs=1e-14
        )


def test_a_heavy_vote_beats_two_light_ones() -> None:
    assert weighted_vote(["4", "5", "5"], [True, False, False], [0.9, 0.4, 0.4], 3) == 1.0
    assert weighted_vote(["4", "5", "5"], [True, False, False], [0.7, 0.4, 0.4], 3) == 0.0


def test_nobody_votes() -> None:
    assert weighted_vote([None, None], [False, False], [1.0, 1.0], 2) == 0.0


def test_rewards_outside_the_unit_interval_are_logits() -> None:
    assert vote_weights([0.25, 1.0]) == [0.25, 1.0]
    assert vote_weights([0.0, 2.0]) == pytest.approx([0.5, 0.8807970779778823], abs=1e-15)
    assert vote_weights([-1e4, 1e4]) == [0.0, 1.0]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="k=3"):
        best_of_k([1.0, 2.0], [True, False], 3)
    with pytest.raises(ValueError, match="subsets"):
        weighted_vote(["a"] * 16, [False] * 16, [1.0] * 16, 8)
    assert not has_few_subsets(16, 8)
