"""Answers taken out of sentences, and what is left alone."""

from dataclasses import replace

import pytest

from mathrl.rewards.policy import EVAL, REWARD
from mathrl.rewards.prose import answer_in, first_reading, is_plain, last_number, number_in
from mathrl.rewards.syntax import Number
from mathrl.rewards.values import Quantity


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        ("18", "18"),
        ("-1,234.50", "-1,234.50"),
        ("$18.", "$18."),
        ("25%", "25%"),
        (r"\frac{1}{2}", r"\frac{1}{2}"),
        ("18 dollars", "18 dollars"),
        ("18 because she sold 9", "18"),
        ("18, since 9 * 2 = 18", "18"),
        ("18 (the rest is eaten)", "18"),
        ("it is $x+1$, because $y=2$", "$x+1$"),
        ("B", "B"),
        ("the area of $ABC$ is 120", "120"),
        ("that Mia needs 18 more eggs", "18"),
    ],
)
def test_an_answer_in_a_sentence(tail: str, answer: str) -> None:
    found = answer_in(tail, EVAL)
    assert found is not None
    assert found.strip() == answer


def test_a_strict_policy_takes_the_tail_as_it_is() -> None:
    tail = "18 because she sold 9"
    assert answer_in(tail, REWARD) == tail
    assert answer_in(tail, replace(EVAL, is_prose_read=False)) == tail


@pytest.mark.parametrize(
    ("prose", "number"),
    [
        ("Mia needs 18 eggs", "18"),
        ("Mia needs -18 eggs", "-18"),
        ("she earns $18.50 a day", r"\$ 18.50"),
        ("it takes 2 1/2 hours", "2 1/2 hours"),
        ("it takes 1/2 of it", "1/2"),
        ("it is 25% of all", "25%"),
        ("they meet at 8:30 pm", "8:30 pm"),
        ("there are 1,234 of them", "1,234"),
        ("9 * 2 = 18 eggs", "18"),
        ("on the 5th day", "5"),
    ],
)
def test_a_number_in_a_sentence(prose: str, number: str) -> None:
    assert number_in(prose) == number


@pytest.mark.parametrize(
    "prose",
    [
        "no number here",
        "x + 5 of them",
        "5x of them",
        "between 3 and 5",
        "3 or 5",
        "1, 2 and 3",
        "3 x 4 feet",
        "3 to 5 apples",
        "5 million dollars",
        "x = 5, y = 7",
        "x >= 5",
        "the a5 paper",
        "5^2 of them",
    ],
)
def test_a_number_that_is_only_a_part(prose: str) -> None:
    assert number_in(prose) is None


@pytest.mark.parametrize(
    ("text", "number", "end"),
    [
        ("from 3 to 18", "18", 12),
        ("18 eggs, 9 left", "9", 10),
        ("pages 3-5", "5", 9),
        ("it is -5", "-5", 8),
        ("1/2 of it", "1/2", 3),
    ],
)
def test_the_last_number_of_a_text(text: str, number: str, end: int) -> None:
    assert last_number(text) == (number, end)


def test_a_text_without_a_number_has_no_last_one() -> None:
    assert last_number("no number") is None


def test_a_number_far_from_the_end_is_found() -> None:
    found = last_number("it is 18 " + "so it is " * 200)
    assert found is not None
    assert found[0] == "18"


def test_a_plain_tail_is_one_value() -> None:
    assert is_plain("18", EVAL)
    assert is_plain("18 eggs", EVAL)
    assert not is_plain("Step by step", EVAL)
    assert not is_plain("1, 2", EVAL)
    assert not is_plain("x = 2", EVAL)


def test_the_first_reading_follows_the_policys_units() -> None:
    assert first_reading("$18$", EVAL) == Number(18)
    assert isinstance(first_reading("18 eggs", EVAL), Quantity)
    assert not isinstance(first_reading("18 eggs", replace(EVAL, max_unit_words=0)), Quantity)
