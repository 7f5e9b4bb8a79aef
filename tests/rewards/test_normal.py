"""Normal forms: equal exactly where the polynomials and radicals are, and never too large."""

from fractions import Fraction
from itertools import product
from math import isqrt

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.latex import parse
from mathrl.rewards.normal import Normal, TooLargeError, digits, normal_form
from mathrl.rewards.syntax import (
    HALF,
    Binder,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.tokens import tokenize

X, Y = Symbol("x"), Symbol("y")


def form(text: str) -> Normal:
    return normal_form(parse(tokenize(text)))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x-x", "0"),
        ("0x", "0"),
        ("(x+1)(x-1)", "x^2 + -1"),
        ("(x+y)^2", "y^2 + x^2 + 2*x*y"),
        ("x/2+x/3", "5/6*x"),
        ("x^2/x", "x"),
        (r"x^{-1}x", "1"),
        (r"2\sqrt{12}", "4*#3^1/2"),  # sqrt 12 = 2 sqrt 3
        (r"\sqrt{2}\sqrt{8}", "4"),
        (r"\sqrt{\frac{3}{4}}", "1/2*#3^1/2"),
        (r"\frac{1}{\sqrt{2}}", "1/2*#2^1/2"),
        (r"\frac{6}{\sqrt[3]{4}}", "3*#2^1/3"),  # 6 * 2^(-2/3) = 3 * 2^(1/3)
        (r"\sqrt[3]{16}", "2*#2^1/3"),
        (r"\sqrt[4]{4}", "#2^1/2"),
        (r"\sqrt[3]{-8}", "-2"),
        (r"\sqrt[3]{-2}", "-1*#2^1/3"),
        (r"\sqrt{-12}", "2*#3^1/2*~i"),
        ("4^{3/2}", "8"),
        ("8^{-2/3}", "1/4"),
        ("i^2", "-1"),
        ("i^3", "-1*~i"),
        ("i^{-1}", "-1*~i"),
        ("(1+i)^4", "-4"),  # (2i)^2
        ("(2+i)(2-i)", "5"),
        (r"2\pi+\pi", "3*~pi"),
        ("e^2e^3", "~e^5"),
        (r"\sqrt{x^4}", "x^2"),
        (r"\sqrt{x^2}", "abs(x)"),
        (r"\sqrt{9x^2}", "3*abs(x)"),
        (r"\sqrt{\pi^2}", "~pi"),
        (r"(\sqrt{x})^2", "x"),
        (r"x\sqrt{x}", "x^3/2"),
        ("5!", "120"),
        (r"\binom{5}{2}x", "10*x"),
        (r"|{-3}|", "3"),
        (r"\log_2 8", "3"),
        (r"\ln 1", "0"),
        (r"\sum_{k=1}^{10} k", "55"),
        (r"\sum_{k=0}^{3} x^k", "x^3 + x^2 + x + 1"),
        (r"\sum_{k=1}^{0} k", "0"),
        (r"\prod_{k=1}^{5} k", "120"),
        (r"\prod_{k=1}^{0} k", "1"),
        (r"\sum_{j=1}^{3}\sum_{k=1}^{j} k", "10"),  # 1 + 3 + 6
        (r"k+\sum_{k=1}^{3} k", "k + 6"),
        (r"\sum_{k=1}^{3} k+k", "k + 6"),
        (r"\sum_{k=-1}^{1} k", "0"),
    ],
)
def test_a_form_by_hand(text: str, written: str) -> None:
    assert str(form(text)) == written


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("e^{2x}", "(e^x)^2"),
        ("e^{x+1}", "e \\cdot e^x"),
        ("2^{-x}", r"\frac{1}{2^x}"),
        (r"\frac{1}{2x+2}", r"\frac{1}{2(1+x)}"),
        (r"\frac{1}{x-1}", r"-\frac{1}{1-x}"),
        (r"\sqrt{4x+4}", r"2\sqrt{x+1}"),
        ("|x-1|", "|1-x|"),
        ("|2x-2|", "2|x-1|"),
        (r"\sin(2x)", r"\sin(x+x)"),
        (r"\gcd(x,y)", r"\gcd(y,x)"),
        (r"\sum_{k=1}^{n} k", r"\sum_{j=1}^{n} j"),
        (r"\sum_{k=1}^{n} a_k", r"\sum_{i=1}^{n} a_i"),
        (r"\sum_{k=1}^{n} \sin(k^2)", r"\sum_{i=1}^{n} \sin(i^2)"),
        (r"\int_0^x t dt", r"\int_0^x u du"),
    ],
)
def test_these_share_a_form(first: str, second: str) -> None:
    assert form(first).terms == form(second).terms


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\gcd(x,1)", r"\gcd(x,2)"),
        (r"\log_x 2", r"\log_2 x"),
        (r"\sqrt{x+1}", "x+1"),
        (r"\frac{1}{x-1}", r"\frac{1}{1-x}"),
        (r"\sum_{k=1}^{n} k", r"\sum_{k=1}^{n} n"),
        (r"\sum_{k=1}^{n} k", r"\sum_{k=0}^{n} k"),
        (r"\sum_{k=1}^{n} k", r"\prod_{k=1}^{n} k"),
        ("x^y", "y^x"),
        ("x_1", "x_2"),
        ("e", "x"),
    ],
)
def test_these_do_not(first: str, second: str) -> None:
    assert form(first).terms != form(second).terms


@pytest.mark.parametrize(
    ("text", "is_pure"),
    [
        ("x^2+1", True),
        (r"\frac{1}{x}", True),
        (r"\sqrt{2}+\pi e i", True),
        (r"\frac{1}{x+1}", False),
        (r"\sqrt{x+1}", False),
        (r"\sin x", False),
        ("x^y", False),
        (r"\ldots", False),
        (r"\infty", False),
        (r"\sqrt{i}", False),
        (r"\sqrt[4]{-1}", False),
        (r"\sqrt{-x}", False),
        (r"\sum_{k=1}^{n} k", False),
        (r"\sum_{k=1}^{3} k", True),
        # sqrt of a product of two primes too large to find is not square-free for certain
        (rf"\sqrt{{{2147483647 * 2147483629}}}", False),
        ("2^{20001}", False),
    ],
)
def test_only_what_is_independent_is_pure(text: str, is_pure: bool) -> None:
    assert form(text).is_pure is is_pure


def test_only_a_number_is_rational() -> None:
    assert form("1/2").rational == Fraction(1, 2)
    assert form("x-x").rational == 0
    assert form("x").rational is None
    assert form("x+1").rational is None
    assert form(r"\sqrt2").rational is None


def test_a_square_of_a_large_prime_is_found() -> None:
    prime = 2147483647
    assert str(normal_form(Power(Number(prime**2), HALF))) == str(prime)
    assert str(normal_form(Power(Number(12 * prime**2), HALF))) == f"{2 * prime}*#3^1/2"


def test_the_square_root_of_every_small_number_is_square_free() -> None:
    for number in range(1, 400):
        outside = max(r for r in range(1, isqrt(number) + 1) if number % (r * r) == 0)
        inside = number // outside**2
        ((monomial, coefficient),) = normal_form(Power(Number(number), HALF)).terms.items()
        radicand = 1
        for atom, power in monomial:
            assert power == Fraction(1, 2)
            radicand *= int(atom.removeprefix("#"))
        assert (coefficient, radicand) == (outside, inside)


# -- polynomials, against sympy and against their values -----------------------------------------

COEFFICIENTS = st.lists(st.integers(-5, 5), min_size=9, max_size=9)


def polynomial(coefficients: list[int]) -> Expression:
    """Write a_00 + a_01 y + ... + a_22 x^2 y^2, unexpanded zeros and all."""
    powers = list(product(range(3), range(3)))
    terms = [
        Product((Number(a), Power(X, Number(i)), Power(Y, Number(j))))
        for a, (i, j) in zip(coefficients, powers, strict=True)
    ]
    return Sum(tuple(terms))


def coefficients_of(expression: Expression) -> dict[tuple[int, int], Fraction]:
    found = {}
    for monomial, coefficient in normal_form(expression).terms.items():
        powers = dict(monomial)
        found[powers.get("x", 0), powers.get("y", 0)] = Fraction(coefficient)
    return found


@settings(deadline=None, max_examples=30)
@given(COEFFICIENTS, COEFFICIENTS, st.integers(0, 3))
def test_products_and_powers_expand_as_sympy_expands_them(
    first: list[int], second: list[int], power: int
) -> None:
    ours = Product((polynomial(first), Power(polynomial(second), Number(power))))
    x, y = sympy.symbols("x y")
    powers = list(product(range(3), range(3)))
    one, other = (
        sum(a * x**i * y**j for a, (i, j) in zip(part, powers, strict=True))
        for part in (first, second)
    )
    theirs = sympy.Poly(one * other**power if power else one, x, y)
    expected = {key: Fraction(int(value)) for key, value in theirs.terms() if value}
    assert coefficients_of(ours) == expected


@settings(deadline=None, max_examples=30)
@given(COEFFICIENTS, COEFFICIENTS)
def test_forms_are_equal_exactly_when_the_polynomials_are(
    first: list[int], second: list[int]
) -> None:
    left, right = normal_form(polynomial(first)), normal_form(polynomial(second))
    assert (left.terms == right.terms) == (first == second)
    assert left.is_pure and right.is_pure
    difference = Sum((polynomial(first), Product((Number(-1), polynomial(first)))))
    assert normal_form(difference).terms == {}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 60)), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_a_sum_of_roots_does_not_depend_on_its_order(parts: list[tuple[int, int]], shuffle) -> None:
    def roots(parts: list[tuple[int, int]]) -> Expression:
        terms = [Product((Number(a), Power(Number(n), HALF))) for a, n in parts]
        return Sum((Number(0), *terms))

    shuffled = list(parts)
    shuffle.shuffle(shuffled)
    one, other = normal_form(roots(parts)), normal_form(roots(shuffled))
    assert one.terms == other.terms
    assert str(one) == str(other)
    value = sum(a * n**0.5 for a, n in parts)
    total = 0.0
    for monomial, coefficient in one.terms.items():
        root = 1.0
        for atom, power in monomial:
            root *= int(atom[1:]) ** float(power)
        total += float(coefficient) * root
    assert total == pytest.approx(value, abs=1e-9)


# -- budgets -------------------------------------------------------------------------------------


def test_too_many_terms_are_refused() -> None:
    letters = [Symbol(f"a_{turn}") for turn in range(257)]
    assert len(normal_form(Sum(tuple(letters[:-1]))).terms) == 256
    with pytest.raises(TooLargeError, match="terms"):
        normal_form(Sum(tuple(letters)))
    with pytest.raises(TooLargeError, match="terms"):  # C(66, 2) = 2145 monomials
        form("(x+y+z)^{64}")
    half = Sum(tuple(letters[:100]))
    with pytest.raises(TooLargeError, match="terms"):  # 100 * 100 products, 5050 monomials
        normal_form(Product((half, half)))


def test_a_long_power_of_a_sum_stays_a_power() -> None:
    assert len(form("(x+1)^{64}").terms) == 65
    assert form("(x+1)^{64}").is_pure
    assert str(form("(x+1)^{65}")) == "(x + 1)^65"
    assert not form("(x+1)^{65}").is_pure


def test_too_many_steps_are_refused() -> None:
    assert normal_form(Sum((Number(1),) * 19_999)).rational == 19_999
    with pytest.raises(TooLargeError, match="steps"):
        normal_form(Sum((Number(1),) * 20_000))
    with pytest.raises(TooLargeError, match="steps"):
        form(r"\sum_{j=1}^{10000} \sum_{k=1}^{10000} 1")


def test_a_long_sum_is_refused_before_it_begins() -> None:
    assert form(r"\sum_{k=1}^{1000} k").rational == 500_500
    with pytest.raises(TooLargeError, match="add up"):
        form(r"\sum_{k=1}^{20002} k")
    with pytest.raises(TooLargeError, match="add up"):
        form(r"\prod_{k=1}^{10^{1000}} k")


def test_a_huge_power_is_not_worked_out() -> None:
    assert form("2^{10000}").rational == 2**10_000
    assert form(r"2^{-10000}").rational == Fraction(1, 2**10_000)
    assert str(form("2^{1000000}")) == "#2^1000000"
    assert str(form(r"6^{1000000}")) == "#2^1000000*#3^1000000"
    assert str(form(r"10^{10^{100}}")) == str(form(rf"2^{{{10**100}}}5^{{{10**100}}}"))
    assert form("500!").rational is None


@pytest.mark.parametrize("text", [r"\frac{1}{0}", "0^{-1}", r"\frac{x}{x-x}", "0^{-1/2}"])
def test_a_zero_denominator_raises(text: str) -> None:
    with pytest.raises(ZeroDivisionError):
        form(text)


def test_a_zero_to_a_positive_power_is_zero() -> None:
    assert form("0^5").rational == 0
    assert form(r"\sqrt{0}").rational == 0
    assert form("0^0").rational == 1


def test_a_huge_number_is_written_in_hexadecimal() -> None:
    assert digits(10**100) == str(10**100)
    assert digits(Fraction(-1, 3)) == "-1/3"
    assert digits(16**5000) == "1" + "0" * 5000 + "/1"
    assert digits(Fraction(1, 16**5000)) == "1/1" + "0" * 5000


def test_a_constant_is_no_letter_of_its_name() -> None:
    assert normal_form(Constant("pi")).terms != normal_form(Symbol("pi")).terms
    assert normal_form(Constant("i")).terms != normal_form(Symbol("i")).terms


def test_an_unknown_binder_keeps_its_bounds() -> None:
    one = Binder("int", X, "x", Number(0), Number(1))
    two = Binder("int", X, "x", Number(0), Number(2))
    assert normal_form(one).terms == normal_form(Binder("int", Y, "y", Number(0), Number(1))).terms
    assert normal_form(one).terms != normal_form(two).terms
    assert normal_form(one).terms != normal_form(Binder("int", X, "x")).terms


def test_a_function_of_numbers_beyond_its_budget_stays_a_call() -> None:
    assert str(normal_form(Call("factorial", (Number(500),)))) == "factorial(500)"
    assert str(normal_form(Call("f", (Number(Fraction(4, 2)), X)))) == "f(2,x)"
