"""The repetition penalty against counts made by hand."""

import math
import time
from collections.abc import Sequence

import pytest

from mathrl.errors import ConfigError
from mathrl.rewards.repetition import MAX_CHARACTERS, RepetitionPenalty, repetition_penalty

pairs = RepetitionPenalty(ngram_size=2)


def value(reward: RepetitionPenalty, text: str) -> float:
    (result,) = reward([text])
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("text", "of_two", "of_three"),
    [
        # ab bc ca ab bc: 3 of 5 distinct; abc bca cab abc: 3 of 4
        ("a b c a b c", -2 / 5, -1 / 4),
        # 55 four times: 1 of 4; 555 three times: 1 of 3
        ("5 5 5 5 5", -3 / 4, -2 / 3),
        ("1 2 3 4", 0, 0),
        ("So so SO sO", -2 / 3, -1 / 2),  # case does not hide it
        ("one  two\none\ttwo", -1 / 3, 0),  # one-two two-one one-two
        ("", 0, 0),
        ("one", 0, 0),
        ("one two", 0, 0),
    ],
)
def test_counts_by_hand(text: str, of_two: float, of_three: float) -> None:
    assert value(pairs, text) == pytest.approx(of_two, abs=1e-15)
    assert value(repetition_penalty, text) == pytest.approx(of_three, abs=1e-15)
    assert math.copysign(1, value(pairs, "1 2 3 4")) == 1  # 0.0, never -0.0


@pytest.mark.parametrize(
    "text",
    ["好好好好", "คคคค", "ああああ", "𠀀𠀀𠀀𠀀", "\u1000" * 4],
    ids=["Chinese", "Thai", "Japanese", "rare Chinese", "Burmese"],
)
def test_scripts_without_spaces_are_read_by_characters(text: str) -> None:
    assert value(repetition_penalty, text) == -0.5  # two trigrams, one distinct


def test_scripts_may_be_mixed() -> None:
    # 解 x=2 解 x=2: pairs 解x=2 x=2解 解x=2, 2 of 3 distinct
    assert value(pairs, "解x=2解x=2") == pytest.approx(-1 / 3)
    assert value(pairs, "답은 다섯 답은 다섯") == pytest.approx(-1 / 3)  # Korean has spaces


def test_a_flood_without_spaces_is_no_word() -> None:
    # 200 characters: 198 trigrams, aba and bab
    assert value(repetition_penalty, "ab" * 100) == pytest.approx(-196 / 198)
    assert value(repetition_penalty, r"\boxed{5}" * 50) < -0.9
    assert value(repetition_penalty, "supercalifragilistic " * 2 + "expialidocious") == 0


def test_the_penalty_scales_and_ignores_what_the_words_are() -> None:
    text = "the cat and the cat and the dog"
    renamed = text.replace("cat", "x+1").replace("the", "z").replace("and", "好人".upper()[0])
    assert value(RepetitionPenalty(max_penalty=-0.5), text) == 0.5 * value(repetition_penalty, text)
    assert value(repetition_penalty, renamed) == value(repetition_penalty, text)
    assert value(pairs, " ".join(reversed(text.split()))) == value(pairs, text)


def test_more_repetition_costs_more() -> None:
    values = [value(repetition_penalty, "we check again and " * count) for count in range(1, 30)]
    assert values == sorted(values, reverse=True)
    assert -1 < values[-1] < -0.9


def test_long_texts_are_read_at_the_end_in_linear_time() -> None:
    words = " ".join(str(number) for number in range(MAX_CHARACTERS))
    looped = words + " again" * MAX_CHARACTERS
    start = time.perf_counter()
    assert repetition_penalty([words]) == [0.0]
    assert value(repetition_penalty, looped) < -0.99
    assert value(RepetitionPenalty(ngram_size=64), "好" * 2 * MAX_CHARACTERS) < -0.99
    assert time.perf_counter() - start < 5  # 0.3 s


def test_scores_say_the_counts() -> None:
    fresh, stale = pairs.scores(["1 2 3 4", "5 5 5 5 5"])
    assert (fresh.status, fresh.reason) == ("correct", "0 of 3 n-grams repeated")
    assert (stale.status, stale.reason) == ("wrong", "3 of 4 n-grams repeated")


@pytest.mark.parametrize("ngram_size", [0, 65])
@pytest.mark.parametrize("max_penalty", [0.0, 1.0, math.nan, -math.inf])
def test_settings_are_checked(ngram_size: int, max_penalty: float) -> None:
    with pytest.raises(ConfigError, match="ngram_size must be 1 to 64"):
        RepetitionPenalty(ngram_size=ngram_size)
    with pytest.raises(ConfigError, match="max_penalty must be below 0 and finite"):
        RepetitionPenalty(max_penalty=max_penalty)


def test_one_word_grams_and_the_order_of_a_batch() -> None:
    texts: Sequence[str] = ["a a", "a b", "a a a a"]
    assert RepetitionPenalty(ngram_size=1)(texts) == [-0.5, 0.0, -0.75]
