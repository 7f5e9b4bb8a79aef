"""Functions of rationals, against brute force; beyond a budget they give nothing."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.exact import FUNCTIONS, exact


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("factorial", (0,), 1),
        ("factorial", (5,), 120),
        ("factorial", (-1,), None),
        ("factorial", (Fraction(1, 2),), None),
        ("binom", (5, 2), 10),  # 5*4/2
        ("binom", (5, 0), 1),
        ("binom", (2, 5), None),
        ("binom", (Fraction(1, 2), 2), None),
        ("mod", (17, 5), 2),
        ("mod", (-7, 3), 2),  # -7 + 3*3
        ("mod", (Fraction(7, 2), 1), Fraction(1, 2)),
        ("mod", (Fraction(7, 2), Fraction(1, 2)), 0),
        ("mod", (5, 0), None),
        ("gcd", (12, 18, 30), 6),
        ("gcd", (Fraction(1, 2), 3), None),
        ("lcm", (4, 6), 12),
        ("lcm", (4, Fraction(1, 3)), None),
        ("max", (1, Fraction(3, 2), -2), Fraction(3, 2)),
        ("min", (1, Fraction(3, 2), -2), -2),
        ("abs", (Fraction(-1, 2),), Fraction(1, 2)),
        ("floor", (Fraction(-1, 2),), -1),
        ("floor", (Fraction(7, 2),), 3),
        ("ceil", (Fraction(-1, 2),), 0),
        ("ceil", (Fraction(7, 2),), 4),
        ("ceil", (4,), 4),
        ("log", (8, 2), 3),
        ("log", (1, 7), 0),
        ("log", (Fraction(1, 100), 10), -2),
        ("log", (Fraction(9, 4), Fraction(3, 2)), 2),
        ("log", (10, 2), None),
        ("log", (8, 1), None),
        ("log", (8, Fraction(1, 2)), None),
        ("log", (0, 2), None),
        ("log", (-8, 2), None),
        ("ln", (1,), 0),
        ("ln", (2,), None),
        ("sin", (0,), 0),
        ("tan", (0,), 0),
        ("cos", (0,), 1),
        ("sin", (1,), None),
        ("cos", (1,), None),
        ("tan", (1,), None),
    ],
)
def test_a_value_by_hand(name: str, values: tuple[Fraction | int, ...], result: object) -> None:
    assert FUNCTIONS[name](*values) == result


def test_budgets_end_in_no_value() -> None:
    assert FUNCTIONS["factorial"](400) is not None
    assert FUNCTIONS["factorial"](401) is None
    assert FUNCTIONS["binom"](1600, 2) == 1600 * 1599 // 2
    assert FUNCTIONS["binom"](1601, 2) is None
    assert FUNCTIONS["log"](2**200, 2) == 200
    assert FUNCTIONS["log"](2**201, 2) is None
    assert FUNCTIONS["log"](Fraction(1, 2**200), 2) == -200


@given(st.integers(2, 20), st.integers(-12, 12))
def test_a_logarithm_undoes_a_power(base: int, power: int) -> None:
    assert FUNCTIONS["log"](exact(Fraction(base) ** power), base) == power


@given(st.integers(0, 25), st.integers(0, 25))
def test_a_binomial_counts_subsets_by_pascals_rule(n: int, k: int) -> None:
    row = [1]
    for _ in range(n):
        row = [1, *(left + right for left, right in itertools.pairwise(row)), 1]
    assert FUNCTIONS["binom"](n, k) == (row[k] if k <= n else None)


@settings(deadline=None)
@given(st.fractions(max_denominator=50), st.fractions(max_denominator=50))
def test_rounding_and_remainders_by_their_definition(value: Fraction, step: Fraction) -> None:
    floor, ceil = FUNCTIONS["floor"](value), FUNCTIONS["ceil"](value)
    assert floor <= value < floor + 1
    assert ceil - 1 < value <= ceil
    if step > 0:
        rest = FUNCTIONS["mod"](value, step)
        assert 0 <= rest < step
        assert ((value - rest) / step).denominator == 1


def test_a_whole_fraction_becomes_an_integer() -> None:
    assert type(exact(Fraction(6, 3))) is int
    assert exact(Fraction(6, 3)) == 2
    assert exact(Fraction(1, 2)) == Fraction(1, 2)
    assert type(FUNCTIONS["mod"](Fraction(7, 2), Fraction(1, 2))) is int
