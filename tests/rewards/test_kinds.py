"""Values of different kinds: which are equal, the same in either order."""

from dataclasses import replace

import pytest

from mathrl.rewards.compare import Comparison
from mathrl.rewards.policy import EVAL, REWARD, Policy
from mathrl.rewards.read import read
from mathrl.rewards.syntax import Symbol
from mathrl.rewards.values import Based, Clock, Words


def equal(first: str, second: str, policy: Policy = EVAL) -> bool | None:
    """Compare the likeliest readings, and check that the order does not matter."""
    left, right = read(first)[0], read(second)[0]
    forth = Comparison(policy).is_equal(left, right)
    assert Comparison(policy).is_equal(right, left) is forth, "the order matters"
    return forth


SAME = [
    ("yes", "Yes"),
    ("the dog", "dog"),
    ("no solution", r"\emptyset"),
    ("none", r"\{\}"),
    ("x = north", "north"),
    ("x=2", "2"),
    ("2=x", "2"),
    (r"x \in [0,1)", "[0,1)"),
    (r"x \ge 2", r"[2,\infty)"),
    ("(x,y)=(1,2)", "x=1, y=2"),
    (r"x=\pm 2", "2, -2"),
    ("2+3=5", "5"),
    ("2x-x=x=5", "5"),
    ("[0,1)", r"0 \le x < 1"),
    ("[0,1]", "[0,1]"),
    ("[a,b)", "[a,b)"),
    (r"(a,b]\cup[c,d)", r"[c,d)\cup(a,b]"),
    (r"[a,b]\setminus\{c\}", r"[a,b]\setminus\{c\}"),
    ("25%", "1/4"),
    ("25%", "0.25"),
    ("25%", "25.0%"),
    ("5 cm", "5"),
    ("100 cm", "1 m"),
    ("1 mile", "5280 feet"),
    ("5 apples", "5 pears"),
    ("5 apples", "5 cm"),
    ("1 hour", "60 minutes"),
    (r"\$1", r"100\text{ cents}"),
    ("1011_2", "1011"),
    ("11_{10}", "11"),
    ("01011_2", "1011_2"),
    ("1.50_8", "1.5_8"),
    ("3:4", "6:8"),
    ("1:2:3", "2:4:6"),
    ("3:4", "3/4"),
    (r"\sqrt2:2", r"1:\sqrt2"),
    ("8:30 AM", "8:30 am"),
    ("8:30 PM", "20:30"),
    ("8:30", "8:30 PM"),
    ("8:00 PM", "8"),
    ("24:00", "12:00 am"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    (r"\begin{pmatrix}1&2\end{pmatrix}", "(1,2)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "((1,2),(3,4))"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&4/2\\3&4\end{bmatrix}"),
    (r"\begin{pmatrix}2\\-3\end{pmatrix}", r"2\mathbf{i}-3\mathbf{j}"),
    (r"\binom{1}{2}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("(2,-3,1)", r"2\mathbf{i}-3\mathbf{j}+\mathbf{k}"),
    ("(2,0,1)", r"2\hat{i}+\hat{k}"),
    ("(1,2)", r"\langle 1,2\rangle"),
    ("(1,2)", "1, 2"),
    ("(1,2)", "x=1, y=2"),
    ("(1,2)", "y=2, x=1"),
    ("1, 2", "2, 1"),
    ("1, 2", r"\{2,1\}"),
    (r"\{1,2\}", r"\{2,1,1\}"),
    (r"\{1,2\}", r"\{1,4/2\}"),
    ("x=1, x=2", "2, 1"),
    ("x=1, x=2", "x=2, x=1"),
    (r"\pm 2", "2, -2"),
    (r"\pm 2", r"\{-2,2\}"),
    (r"1 \pm \sqrt2", r"1-\sqrt2, 1+\sqrt2"),
    (r"\{5\}", "5"),
    ("x<1\\text{ or }x>2", r"(-\infty,1)\cup(2,\infty)"),
    ("x<1\\text{ or }x>2", "x>2\\text{ or }x<1"),
]
DIFFERENT = [
    ("yes", "no"),
    ("yes", "5"),
    ("none", r"\{1\}"),
    ("some", r"\emptyset"),
    ("x = north", "south"),
    ("x=2", "3"),
    ("x<2", "2"),
    ("x+1=3", "3"),
    (r"x \ge 2", r"(2,\infty)"),
    ("(x,y)=(1,2)", "x=2, y=1"),
    (r"x=\pm 2", "2, 3"),
    ("[0,1)", "[0,1]"),
    ("[0,1)", "0.5"),
    ("[a,b)", "[a,b]"),
    ("[a,b)", "[b,a)"),
    ("[a,b)", "(a,b,c)"),
    (r"(a,b]\cup[c,d)", r"(a,b]\cup[c,e)"),
    (r"[a,b]\setminus[c,d]", r"[c,d]\setminus[a,b]"),
    ("25%", "2.5"),
    ("25%", "24%"),
    ("25%", "0.24"),
    ("25%", "5 cm"),
    ("25%", "(1,2)"),
    ("100 cm", "2 m"),
    ("5 cm", "5 kg"),
    (r"5\text{ m}", r"5\text{ s}"),  # both are the base unit of their kind
    ("5 cm", "5 cm^2"),
    ("5 cm", "6"),
    ("5 cm", "8:30"),
    ("1011_2", "12"),
    ("1011_2", "11"),  # its value, but not in the base asked for
    ("1011_2", "13_8"),
    ("FF_{16}", "255"),
    ("1011_2", "1011_3"),
    ("1011_2", "13_9"),
    ("19_2", "19_3"),
    ("1011_2", "x"),
    ("3:4", "4:3"),
    ("3:4", "3:4:5"),
    ("1:2:3", "1:2:4"),
    ("3:4", "4/3"),
    ("1:2:3", "1/2"),
    ("8:30 AM", "8:30 PM"),
    ("8:30", "8:31"),
    ("8:30 PM", "8"),
    ("8:00 PM", "9"),
    ("8:30 PM", "(8,30)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "(2,1)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "5"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2&3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "((1,2),(3,5))"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1,2,3,4)"),
    ("(2,-3,1)", r"2\mathbf{i}-3\mathbf{j}"),
    ("(2,-3)", r"2\mathbf{i}-3\mathbf{k}"),
    ("(2,-3)", r"2\mathbf{j}-3\mathbf{i}"),
    ("(2,-3)", "2x-3y"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("[1,2]", "x=1, x=2"),
    ("(1,2)", "(1,2,3)"),
    ("(1,2)", "2, 1"),
    ("(1,2)", "x=2, y=1"),
    ("(1,2)", "3"),
    ("1, 2", "1, 3"),
    ("1, 2", "1, 2, 3"),
    ("1, 2", "1, 1"),
    (r"\{1,2\}", r"\{1,3\}"),
    (r"\{1,2\}", r"\{1\}"),
    ("x=1, y=2", "x=2, y=1"),
    (r"\pm 2", "2"),
    (r"\pm 2", "2, 2"),
    (r"\{5\}", "6"),
    ("x<1\\text{ or }x>2", "x<1\\text{ or }x>3"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_these_are_equal(first: str, second: str) -> None:
    assert equal(first, second) is True


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_these_are_different(first: str, second: str) -> None:
    assert equal(first, second) is False


def test_a_word_is_a_letter_of_its_name() -> None:
    comparison = Comparison(EVAL)
    assert comparison.is_equal(Words("a"), Symbol("A")) is True
    assert comparison.is_equal(Symbol("B"), Words("a")) is False


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ("25%", "25", "is_percent_loose"),
        ("3:4", "3/4", "is_bracket_loose"),
        ("(1,2)", "1, 2", "is_bracket_loose"),
        (r"\{5\}", "5", "is_bracket_loose"),
        ("1, 2", "2, 1", "is_order_loose"),
        (r"\{1,2\}", r"\{2,1\}", "is_order_loose"),
    ],
)
def test_a_loose_policy_takes_more(first: str, second: str, field: str) -> None:
    assert equal(first, second, replace(EVAL, **{field: True})) is True
    assert equal(first, second, replace(EVAL, **{field: False})) is False


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ("100 cm", "1 m", "is_unit_strict"),
        ("5 apples", "5 cm", "is_unit_strict"),
        ("8:30", "8:30 PM", "is_unit_strict"),
        ("8:00 PM", "8", "is_unit_strict"),
        ("1011_2", "1011", "is_base_strict"),
    ],
)
def test_a_strict_policy_takes_less(first: str, second: str, field: str) -> None:
    assert equal(first, second, replace(EVAL, **{field: False})) is True
    assert equal(first, second, replace(EVAL, **{field: True})) is False


def test_what_a_strict_policy_takes_too() -> None:
    for first, second in [
        ("5 cm", "5"), ("5 apples", "5 apple"), ("100 cm", "100 cm"), ("25%", "1/4"),
        ("11_{10}", "11"), ("1011_2", "01011_2"), ("8:30 PM", "20:30"), ("(1,2)", "(1,2)"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"), ("1, 2", "2, 1"),
    ]:  # fmt: skip
        assert equal(first, second, REWARD) is True, (first, second)


def test_a_number_of_too_many_digits_has_no_value_in_a_base() -> None:
    comparison = Comparison(EVAL)
    assert comparison.is_equal(Based("1" * 4001, 2), Based("1" * 4001, 3)) is False
    assert comparison.is_equal(Based("1" * 4000, 2), Based("0" + "1" * 4000, 2)) is True
    assert comparison.is_equal(Based("7", 2), Based("7", 3)) is False


def test_noon_and_midnight() -> None:
    comparison = Comparison(EVAL)
    assert comparison.is_equal(Clock(0, "am"), Clock(720, "pm")) is False
    assert comparison.is_equal(Clock(720, None), Clock(0, "am")) is True
    assert comparison.is_equal(Clock(720, "pm"), read("12")[0]) is False
    assert comparison.is_equal(Clock(0, "am"), read("0")[0]) is True
