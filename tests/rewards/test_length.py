"""The length rewards against their papers' formulas, worked out by hand."""

import math
from typing import Any

import pytest

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards import accuracy_reward
from mathrl.rewards.length import CosineLengthReward, LengthPenalty

penalty = LengthPenalty(max_length=100, cache_length=20)
cosine = CosineLengthReward(max_length=100)
RIGHT, WRONG = r"\boxed{5}", r"\boxed{6}"


def tokens(*counts: int) -> dict[str, Any]:
    """Make completions of that many tokens."""
    return {"completions": ["x"] * len(counts), "completion_ids": [[7] * n for n in counts]}


def test_soft_overlong_punishment_by_hand() -> None:
    # free up to 100 - 20 = 80, then (80 - n) / 20, then -1
    counts = (1, 79, 80, 81, 85, 90, 99, 100, 101, 5000)
    assert penalty(**tokens(*counts)) == pytest.approx(
        [0, 0, 0, -1 / 20, -5 / 20, -10 / 20, -19 / 20, -1, -1, -1], abs=1e-15
    )
    assert LengthPenalty(max_length=100, cache_length=100)(**tokens(10)) == [-0.1]


def test_the_papers_own_numbers() -> None:
    # DAPO: 16,384 tokens are expected, 4,096 more are tolerated; half of those cost a half
    dapo = LengthPenalty(max_length=20_480, cache_length=4_096)
    assert dapo(**tokens(16_384, 18_432, 20_480)) == [0.0, -0.5, -1.0]


def test_the_penalty_never_rises_with_length_and_scales_with_the_limit() -> None:
    counts = range(1, 130)
    values = [value for value in penalty(**tokens(*counts)) if value is not None]
    assert values == sorted(values, reverse=True)
    assert not any(math.copysign(1, value) < 0 for value in values[:80])  # 0.0, never -0.0
    tenfold = LengthPenalty(max_length=1000, cache_length=200)
    assert tenfold(**tokens(*(10 * count for count in counts))) == pytest.approx(values, abs=1e-12)


def test_scores_say_the_length() -> None:
    free, over = penalty.scores(**tokens(80, 90))
    assert (free.value, free.status, free.reason) == (0.0, "correct", "80 tokens")
    assert (over.value, over.status, over.reason) == (-0.5, "wrong", "90 tokens")


def test_cosine_reward_by_hand() -> None:
    # right: 0.5 + 0.25 (1 + cos(pi n / 100)); wrong: -0.5 - 0.25 (1 + cos(pi n / 100))
    # n = 0: cos = 1; n = 25: cos = sqrt(1/2); n = 50: cos = 0; n = 75: cos = -sqrt(1/2)
    counts = (0, 25, 50, 75)
    expected = [1.0, 0.75 + 0.25 * math.sqrt(0.5), 0.75, 0.75 - 0.25 * math.sqrt(0.5)]
    batch = tokens(*counts)
    batch["completion_ids"][0] = [7]  # an answer has tokens: nearly 1
    expected[0] = 0.75 + 0.25 * math.cos(math.pi / 100)
    right = cosine(**{**batch, "completions": [RIGHT] * 4}, answer=["5"] * 4)
    assert right == pytest.approx(expected, abs=1e-15)
    wrong = cosine(**{**batch, "completions": [WRONG] * 4}, answer=["5"] * 4)
    assert wrong == pytest.approx([-value for value in expected], abs=1e-15)


def test_at_the_limit_the_cosine_does_not_come_back() -> None:
    # at length 200 an unbounded cosine would be back at its start
    batch = {**tokens(99, 100, 150, 200), "completions": [RIGHT] * 4}
    near, *over = cosine(**batch, answer=["5"] * 4)
    assert near == pytest.approx(0.5, abs=1e-3)
    assert over == [-1.0, -1.0, -1.0]
    milder = CosineLengthReward(max_length=100, exceeded=0.25)
    assert milder(**batch, answer=["5"] * 4)[1:] == [0.25] * 3


def test_short_is_better_when_right_and_worse_when_wrong() -> None:
    counts = range(1, 100)
    columns = {**tokens(*counts), "answer": ["5"] * 99}
    right = cosine(**{**columns, "completions": [RIGHT] * 99})
    wrong = cosine(**{**columns, "completions": [WRONG] * 99})
    assert right == sorted(right, key=lambda value: -(value or 0))
    assert wrong == sorted(wrong, key=lambda value: value or 0)
    assert min(value or 0 for value in right) > max(value or 0 for value in wrong)


def test_cosine_keeps_the_verdict_and_its_none() -> None:
    batch = {**tokens(50, 50, 200), "completions": [RIGHT, "no idea", RIGHT]}
    right, silent, long = cosine.scores(**batch, answer=["5", "5", "5"])
    assert (right.status, right.prediction) == ("correct", "5")
    assert (silent.value, silent.status) == (pytest.approx(-0.75), "no_answer")
    assert (long.value, long.status) == (-1.0, "correct")
    assert cosine(**batch, answer=["5", "", ""]) == [pytest.approx(0.75), None, None]


def test_correctness_can_be_anybodys() -> None:
    def odd(completions: list[str], **_: Any) -> list[float | None]:
        return [0.25, 0.0, -1.0, None]

    reward = CosineLengthReward(max_length=100, by=odd)
    assert reward(**tokens(50, 50, 50, 50)) == [
        pytest.approx(0.75), pytest.approx(-0.75), pytest.approx(-0.75), None
    ]  # fmt: skip


@pytest.mark.parametrize("reward", [penalty, cosine])
def test_unknown_lengths_are_an_error_that_says_what_to_pass(reward: Any) -> None:
    columns: dict[str, Any] = {"completions": [RIGHT], "answer": ["5"]}
    with pytest.raises(GradingError, match=r"'completion_ids'; it got the columns answer .*unit="):
        reward(**columns)
    with pytest.raises(GradingError, match="1 completions and 2 rows of completion_ids"):
        reward(**columns, completion_ids=[[1], [2]])
    for row in ("12", 3, None):
        with pytest.raises(GradingError, match="must hold lists of token ids"):
            reward(**columns, completion_ids=[row])
    with pytest.raises(GradingError, match="with text has no completion_ids"):
        reward(**columns, completion_ids=[[]])
    assert reward(completions=[""], answer=["5"], completion_ids=[[]]) != [None]


def test_characters_are_counted_only_when_declared() -> None:
    short = LengthPenalty(max_length=10, cache_length=5, unit="characters")
    # 8 characters: (5 - 8) / 5
    assert short(["12345678", [{"role": "assistant", "content": "12345"}]]) == [-0.6, 0.0]
    half = CosineLengthReward(max_length=18, unit="characters")
    assert half([RIGHT], answer=["5"]) == [pytest.approx(0.75)]  # 9 of 18 characters
    assert len(RIGHT) == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 100, "cache_length": 0}, "cache_length must be 1 to max_length"),
        ({"max_length": 100, "cache_length": 101}, "cache_length must be 1 to max_length"),
        ({"max_length": 100, "cache_length": 5, "unit": "words"}, "unknown unit 'words'"),
    ],
)
def test_settings_of_the_penalty_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LengthPenalty(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"longest_correct": -0.5}, "must be worth more than wrong ones"),
        ({"shortest_correct": math.nan}, "must be finite"),
        ({"exceeded": -math.inf}, "must be finite"),
        ({"unit": "words"}, "unknown unit 'words'"),
        ({"by": 5}, "5 is not a reward"),
    ],
)
def test_settings_of_the_cosine_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CosineLengthReward(**{"max_length": 100, **settings})


def test_cosine_equals_accuracy_when_flat() -> None:
    flat = CosineLengthReward(
        max_length=100, shortest_correct=1, longest_correct=1, shortest_wrong=0, longest_wrong=0
    )
    batch = {**tokens(1, 99), "completions": [RIGHT, WRONG], "answer": ["5", "5"]}
    assert flat(**batch) == accuracy_reward(**batch) == [1.0, 0.0]
