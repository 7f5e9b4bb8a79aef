"""Rational functions modulo a prime: equal where they are, and no verdict on anything else."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.latex import parse
from mathrl.rewards.modular import is_same_modular
from mathrl.rewards.syntax import Expression, Number, Power, Product, Sum, Symbol
from mathrl.rewards.tokens import tokenize

PRIME = 2**61 - 1
OTHER_PRIME = 2**61 - 31
X, Y = Symbol("x"), Symbol("y")


def same(first: str, second: str) -> bool | None:
    forth = is_same_modular(parse(tokenize(first)), parse(tokenize(second)))
    assert is_same_modular(parse(tokenize(second)), parse(tokenize(first))) is forth
    return forth


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (r"\frac{x^2-1}{x-1}", "x+1", True),
        (r"\frac{1}{x}+\frac{1}{y}", r"\frac{x+y}{xy}", True),
        (r"\frac{1}{x(x+1)}", r"\frac{1}{x}-\frac{1}{x+1}", True),
        ("(x+y)^{100}", "(y+x)^{100}", True),
        ("(x+1)^{2^{100}}", "(x+1)^{4^{50}}", True),
        ("x^{1+1}", "x^2", True),
        ("x^{-(-2)}", "x^2", True),
        (r"\frac{x}{2}", r"0.5x", True),
        (r"\frac{1}{x+1}", r"\frac{1}{x+2}", False),
        ("x", "y", False),
        ("x^2", "x^3", False),
        ("(x+1)^{2^{100}}", "(x+1)^{2^{99}}", False),
        ("1/3", "0.333333", False),
        (r"\sqrt{x}", r"\sqrt{x}", None),
        ("x^y", "x^y", None),
        (r"\sin x", r"\sin x", None),
        (r"\pi x", r"\pi x", None),
        ("i", "i", None),
        (r"\frac{1}{x-x}", r"\frac{1}{x-x}", None),
        (r"\frac{1}{0}", "1", None),
        ("x^{1/0}", "x", None),
        (r"x^{2^{x}}", "x", None),
    ],
)
def test_rational_functions_by_hand(first: str, second: str, verdict: bool | None) -> None:
    assert same(first, second) is verdict


def test_a_pole_at_every_point_is_no_verdict() -> None:
    both = PRIME * OTHER_PRIME
    assert is_same_modular(Number(Fraction(1, both)), Number(1)) is None
    assert is_same_modular(Product((X, Power(Number(both), Number(-1)))), X) is None


def test_a_number_that_is_zero_modulo_one_prime_is_seen_by_the_other() -> None:
    assert is_same_modular(Number(PRIME), Number(0)) is False
    assert is_same_modular(Number(OTHER_PRIME), Number(0)) is False


WHOLE = st.integers(-9, 9).map(Number)


def quotients(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.tuples(inner, inner).map(Sum),
        st.tuples(inner, inner).map(Product),
        st.builds(lambda part, power: Power(part, Number(power)), inner, st.integers(-2, 3)),
    )


FUNCTIONS = st.recursive(WHOLE | st.sampled_from([X, Y]), quotients, max_leaves=8)


def value(node: Expression, point: dict[str, Fraction]) -> Fraction:
    match node:
        case Number(number):
            return Fraction(number)
        case Symbol(name):
            return point[name]
        case Sum(terms):
            return sum((value(term, point) for term in terms), Fraction(0))
        case Product(factors):
            total = Fraction(1)
            for factor in factors:
                total *= value(factor, point)
            return total
        case Power(base, Number(int(exponent))):
            return value(base, point) ** exponent
    raise AssertionError(node)


@settings(deadline=None)
@given(FUNCTIONS, FUNCTIONS)
def test_different_values_at_a_point_are_different_functions(
    first: Expression, second: Expression
) -> None:
    verdict = is_same_modular(first, second)
    differences = 0
    for x, y in [(Fraction(7, 5), Fraction(11, 3)), (Fraction(-13, 4), Fraction(5, 7))]:
        point = {"x": x, "y": y}
        try:
            differences += value(first, point) != value(second, point)
        except ZeroDivisionError:
            return
    if differences:
        assert verdict is False
    else:
        assert verdict is True


@settings(deadline=None)
@given(FUNCTIONS, FUNCTIONS)
def test_a_function_rewritten_is_the_same(first: Expression, second: Expression) -> None:
    square = Power(second, Number(2))
    forth = Sum((square, Number(3)))
    rewritten = Product((first, forth, Power(Sum((Number(3), square)), Number(-1))))
    assert is_same_modular(first, rewritten) in (True, None)
    assert is_same_modular(first, Sum((first, Number(Fraction(1, 3))))) in (False, None)
    try:
        value(first, {"x": Fraction(7, 5), "y": Fraction(11, 3)})
        value(second, {"x": Fraction(7, 5), "y": Fraction(11, 3)})
    except ZeroDivisionError:
        return
    assert is_same_modular(first, rewritten) is True
    assert is_same_modular(first, Sum((first, Number(Fraction(1, 3))))) is False
