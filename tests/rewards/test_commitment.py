"""A strict policy wants the answer worked out and alone; equal is not enough."""

import pytest

from mathrl.rewards.commitment import refusal
from mathrl.rewards.compare import Comparison
from mathrl.rewards.policy import EVAL, REWARD
from mathrl.rewards.read import read


def refused(prediction: str, gold: str) -> str | None:
    """Ask about two answers, which must be equal: nothing else is ever asked about."""
    given, wanted = read(prediction)[0], read(gold)[0]
    assert Comparison(EVAL).is_equal(given, wanted)
    return refusal(given, wanted, prediction, Comparison(REWARD))


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("1024", "1024"),
        ("-5", "-5"),
        ("2.50", r"\frac52"),
        (r"\frac{10}{4}", "2.5"),
        (r"-\frac{5}{2}", "-2.5"),
        (r"2 \times 10^3", "2000"),
        (r"10^{-3}", "0.001"),
        ("25%", "25%"),
        ("5 cm", "5"),
        ("x=5", "5"),
        ("x=2+3=5", "5"),
        ("2+3=5", "5"),
        ("(1,2)", "(1,2)"),
        ("3:4", "3:4"),
        (r"[0,\infty)", r"[0,\infty)"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
        # a root or a power in the known answer may be written in any way
        (r"\sqrt8", r"2\sqrt2"),
        ("2^{10}", "2^{10}"),
        (r"\frac{4}{\sqrt2}", r"2\sqrt2"),
        (r"\binom{5}{2}\sqrt2", r"\binom{5}{2}\sqrt2"),
        ("x+x", "2x"),
        (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
        ("n!", "n!"),
        ("x=5", "x=5"),
    ],
)
def test_a_committed_answer_is_paid(prediction: str, gold: str) -> None:
    assert refused(prediction, gold) is None


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("2^{10}", "1024"),
        ("2+3", "5"),
        (r"2 \cdot 3", "6"),
        (r"\frac{12}{2}", "6"),
        (r"\sqrt{25}", "5"),
        ("5!", "120"),
        (r"\binom{5}{2}", "10"),
        (r"\gcd(12,18)", "6"),
        (r"\sum_{k=1}^{10} k", "55"),
        ("10^{3}", "1000"),
        ("(1+1,2)", "(2,2)"),
        ("1+1, 3", "2, 3"),
        (r"\{1+1\}", r"\{2\}"),
        ("x=2+3", "5"),
        ("(2+3)%", "5%"),
        (r"\sqrt{25}\text{ cm}", "5"),
        ("[1+1,3)", "[2,3)"),
        (r"[1+1,3)\cup(4,5)", r"[2,3)\cup(4,5)"),
        ("1+2:4", "3:4"),
        (r"\begin{pmatrix}1+1\\2\end{pmatrix}", "(2,2)"),
        (r"\binom{5}{2}\sqrt2", r"10\sqrt2"),
        (r"\pi\sum_{k=1}^{3} k", r"6\pi"),
        (r"\lfloor 2.5 \rfloor\pi", r"2\pi"),
    ],
)
def test_an_answer_that_is_still_to_be_worked_out(prediction: str, gold: str) -> None:
    assert refused(prediction, gold) == "the answer is not worked out"


def test_the_sides_of_a_chain_must_agree() -> None:
    assert refused("41=42", "42") == "the sides of the equation differ"
    assert refused("x=41=42", "42") == "the sides of the equation differ"
    assert refused("x=42=42", "42") == "an identity gives no answer"
    assert refused("42=42", "42") == "an identity gives no answer"


def test_a_function_of_a_number_names_nothing() -> None:
    assert refused(r"\sin x=1", "1") == "an equation does not say what is asked for"
    assert refused(r"f(2)=1", "1") is None


def test_a_short_raised_digit_is_no_way_around() -> None:
    given, gold = read("2^{3}")[0], read("8")[0]
    assert refusal(given, gold, "2³", Comparison(REWARD)) is None
    assert refusal(given, gold, "2^{3}", Comparison(REWARD)) is not None
    assert refusal(given, gold, "x = 2³", Comparison(REWARD)) is not None
