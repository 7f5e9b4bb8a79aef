"""The tiers below sympy: what decides, what stays open, and how far a decimal is trusted."""

from dataclasses import replace

import pytest

from mathrl.rewards.compare import Comparison
from mathrl.rewards.policy import EVAL, REWARD, Policy
from mathrl.rewards.read import read
from mathrl.rewards.syntax import Call, Number, Symbol
from mathrl.rewards.values import Value


def one(text: str) -> Value:
    return read(text)[0]


def compared(first: str, second: str, policy: Policy = EVAL) -> tuple[bool | None, int]:
    """Give the verdict and its tier, and check that the order does not matter."""
    forth, back = Comparison(policy), Comparison(policy)
    verdict = forth.is_equal(one(first), one(second))
    assert back.is_equal(one(second), one(first)) is verdict, "the order matters"
    assert back.tier == forth.tier
    return verdict, forth.tier


@pytest.mark.parametrize(
    ("first", "second", "verdict", "tier"),
    [
        ("x", "x", True, 1),
        ("0.5", r"\frac12", True, 1),
        ("1", "2", False, 1),
        ("x+y", "y+x", True, 2),
        ("x+1", "x+2", False, 2),
        (r"\sqrt8", r"2\sqrt2", True, 2),
        ("(1,2)", "(1,2)", True, 1),
        ("(1,x+y)", "(1,y+x)", True, 2),
        (r"\sin 2x", r"2\sin x\cos x", True, 3),
        (r"\sin 2x", r"2\sin x", False, 3),
        (r"(1,\sin 2x)", r"(1,2\sin x\cos x)", True, 3),
        (r"\int_0^1 x dx", "1/2", None, 3),
        (r"(1,\int_0^1 x dx)", "(1,1/2)", None, 3),
        (r"(1,\int_0^1 x dx)", "(2,1/2)", False, 2),
        (r"2,\int_0^1 x dx", "1/2, 2", None, 3),
    ],
)
def test_the_tier_that_decides(first: str, second: str, verdict: bool | None, tier: int) -> None:
    assert compared(first, second) == (verdict, tier)


def test_open_pairs_are_kept_and_their_verdicts_taken() -> None:
    comparison = Comparison(EVAL)
    integral, half = one(r"\int_0^1 x dx"), one("0.5")
    assert comparison.is_equal(integral, half) is None
    assert comparison.undecided == [(integral, half)]
    comparison.settled[integral, half] = True  # type: ignore[index]
    assert comparison.is_equal(integral, half) is True
    comparison.settled[integral, half] = False  # type: ignore[index]
    assert comparison.is_equal(integral, half) is False


# -- rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounded", "exact", "verdict"),
    [
        ("3.14159", r"\pi", True),  # six digits, and 3.141592... rounds to them
        ("3.14160", r"\pi", False),
        ("3.14158", r"\pi", False),
        ("3.1416", r"\pi", False),  # right, but five digits
        ("3.1415926535", r"\pi", True),  # off by 9e-11: under 1e-9 of it
        ("3.1415926", r"\pi", False),  # off by 5.4e-8, and 3.1415927 would be rounded
        ("0.333333", r"\frac13", True),
        ("0.333334", r"\frac13", False),
        ("0.333", r"\frac13", False),
        ("-0.333333", r"-\frac13", True),
        ("0.333333", r"-\frac13", False),
        (r"1.41421 \times 10^{20}", r"10^{20}\sqrt2", True),
        (r"1.41422 \times 10^{20}", r"10^{20}\sqrt2", False),
        (r"1.4142 \times 10^{20}", r"10^{20}\sqrt2", False),
        ("314159", r"100000\pi", False),  # no decimals: an integer is no rounding
        ("0.666667", "2/3", True),
        ("0.333333", "0.333333333", False),  # both are decimals
        ("0.000000", r"\frac{1}{10^9}", False),
        ("3.14159x", r"\pi x", False),
    ],
)
def test_a_decimal_stands_for_what_it_rounds(rounded: str, exact: str, verdict: bool) -> None:
    assert compared(rounded, exact)[0] is verdict
    assert compared(rounded, exact, REWARD)[0] is False


def test_the_digits_that_a_rounding_needs_are_the_policys() -> None:
    assert compared("3.14", r"\pi")[0] is False
    assert compared("3.14", r"\pi", replace(EVAL, min_rounded_digits=3))[0] is True
    assert compared("3.15", r"\pi", replace(EVAL, min_rounded_digits=3))[0] is False
    assert compared("3.14", r"\pi", replace(EVAL, relative_tolerance=0.01))[0] is True
    assert compared("3.2", r"\pi", replace(EVAL, relative_tolerance=0.01))[0] is False


# -- several values ------------------------------------------------------------------------------


def test_orders_are_matched_one_to_one() -> None:
    assert compared("1, 2, 2", "2, 1, 2")[0] is True
    assert compared("1, 1, 2", "1, 2, 2")[0] is False
    assert compared("x+y, 1", "1, y+x")[0] is True
    assert compared("1, 2, ...", "2, 1, ...")[0] is False, "a sequence has its order"
    assert compared("1, 2, ...", "1, 2, ...")[0] is True


def test_too_many_unmatched_items_stay_open() -> None:
    def listed(letter: str, count: int) -> list[Value]:
        return [Call("f", (Symbol(f"{letter}_{turn}"),)) for turn in range(count)]

    comparison = Comparison(EVAL)
    numbers = [Number(turn) for turn in range(65)]
    assert comparison.unordered(listed("a", 65), numbers) is None
    assert comparison.undecided == [], "nothing was even tried"
    ones = [Number(turn) for turn in range(100)]
    assert comparison.unordered(ones, ones[::-1]) is True, "equal texts cost nothing"


def test_repeated_items_of_a_set_count_once() -> None:
    comparison = Comparison(EVAL)
    items = [one("1"), one("2/2"), one("x+y"), one("y+x"), one(r"\pm 1")]
    assert len(comparison.distinct(items)) == 3  # 1, x + y, -1


# -- relations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("2x+2y=4", "x+y=2", True),
        ("x+y=2", "-x-y=-2", True),
        ("x+y=2", "2-x=y", True),
        ("x+y=2", "x+y=3", False),
        ("x+y=2", "x-y=2", False),
        ("x^2+y^2=1", "2x^2+2y^2=2", True),
        ("x+y<2", "2x+2y<4", True),
        ("x+y<2", "2>x+y", True),
        ("x+y<2", "-x-y<-2", False),
        ("x+y<2", "-x-y>-2", True),
        ("x+y<2", "x+y>2", False),
        (r"x+y<2", r"x+y \le 2", False),
        (r"x+y \ne 2", r"2x+2y \ne 4", True),
        (r"y=\sin x+1", r"2y=2\sin x+2", True),
        (r"y+\sin x=0", r"y+\cos x=0", False),
        ("x<3", "3>x", True),
        ("x<3", "y<3", False),
        ("-x>-3", "x<3", True),
        ("x<3", "x<4", False),
        ("x=3", "x=4", False),
        ("x=3", "x=6/2", True),
        ("x=3", "x=y=3", True),
        ("f(x)=x+1", "f(t)=t+1", True),
        ("f(x,y)=x-y", "f(y,x)=y-x", True),
        ("f(x,y)=x-y", "f(y,x)=x-y", False),
        ("f(x)=x+1", "y=x+1", True),
        (r"\text{Area}=3", "A=3", True),
        (r"\text{Area}=3", "A=4", False),
        ("a<b<c", "c>b>a", True),
        ("a<b<c", "a<b<c", True),
        (r"a<b \le c", r"c>b \ge a", False),
        ("a<b<c", "c<b<a", False),
        ("x=1", "x<1", False),
    ],
)
def test_relations(first: str, second: str, verdict: bool) -> None:
    assert compared(first, second)[0] is verdict
