"""pass@k and maj@k against the enumeration of every subset, and against a recorded curve."""

from collections import Counter
from itertools import combinations, permutations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathrl.evals import maj_at_k, pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),  # 3 of the 6 pairs hold the correct one
        (4, 2, 2, 5 / 6),
        (8, 0, 8, 0.0),
        (8, 1, 8, 1.0),
        (5, 4, 2, 1.0),
    ],
)
def test_pass_at_k_by_hand(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == expected


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_mean_over_subsets(corrects: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(corrects)))
    brute = fmean(any(subset) for subset in combinations(corrects, k))
    assert pass_at_k(len(corrects), sum(corrects), k) == pytest.approx(brute, abs=1e-14)


def test_pass_at_k_is_exact_where_floats_overflow() -> None:
    # 1 of 4000 is kept with chance 1/2; C(4000, 2000) has 1202 digits.
    assert pass_at_k(4000, 1, 2000) == 0.5


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_refuses_what_has_no_meaning(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass_at_k needs"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("predictions", "k", "expected"),
    [
        ("112", 3, 1.0),
        ("12", 2, 1.0),  # a tie: the first answer wins
        ("213", 3, 0.0),
        ("2112", 4, 0.0),
        ("1-", 2, 1.0),  # the silent sample does not vote
        ("--", 2, 0.0),  # no vote at all is wrong
        ("1122", 3, 1 / 2),  # 4 triples, majorities 1 1 2 2
        ("122", 2, 2 / 3),  # pairs 12, 12, 22
        ("212", 2, 1 / 3),  # pairs 21, 22, 12
    ],
)
def test_maj_at_k_by_hand(predictions: str, k: int, expected: float) -> None:
    votes = [None if p == "-" else p for p in predictions]
    assert maj_at_k(votes, [p == "1" for p in predictions], k) == pytest.approx(expected, abs=1e-15)


def majority_by_enumeration(predictions: list[str | None], k: int) -> float:
    def wins(subset: tuple[str | None, ...]) -> float:
        votes = Counter(p for p in subset if p is not None)  # of equal counts the first leads
        return float(bool(votes) and votes.most_common(1)[0][0] == "1")

    return fmean(wins(subset) for subset in combinations(predictions, k))


@given(st.lists(st.sampled_from([None, "1", "2", "3", "4"]), min_size=1, max_size=9), st.data())
def test_maj_at_k_is_the_mean_over_subsets(
    predictions: list[str | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(predictions)))
    exact = maj_at_k(predictions, [p == "1" for p in predictions], k)
    assert exact == pytest.approx(majority_by_enumeration(predictions, k), abs=1e-14)


def test_equal_correct_answers_vote_together_however_they_are_written() -> None:
    # "18" and "18.0" are one answer with two votes against one for "7".
    assert maj_at_k(["18", "7", "18.0"], [True, False, True], 3) == 1.0


def test_ties_even_out_over_orders() -> None:
    # Over all orders of 1 1 2 2 3 each of two answers that tie comes first as often.
    votes = [maj_at_k(order, [p == "1" for p in order], 5) for order in permutations("11223")]
    assert fmean(votes) == pytest.approx(1 / 2, abs=1e-14)


@pytest.mark.parametrize("k", [0, 3])
def test_maj_at_k_refuses_what_has_no_meaning(k: int) -> None:
    with pytest.raises(ValueError, match="maj_at_k needs"):
        maj_at_k(["1", "2"], [True, False], k)
