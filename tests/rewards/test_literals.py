"""Numbers are read exactly, whatever surrounds them, or not as numbers at all."""

import sys
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.literals import MAX_DIGITS
from mathrl.rewards.normal import TooLargeError, normal_form
from mathrl.rewards.normalise import tidy
from mathrl.rewards.read import read
from mathrl.rewards.relations import assignment
from mathrl.rewards.values import EXPRESSIONS, Percent, Quantity


def read_number(text: str) -> Fraction | None:
    """Give the rational value of the first reading, its name and its unit taken off."""
    value = read(tidy(text))[0]
    if defined := assignment(value):
        value = defined[1]
    if isinstance(value, Quantity):
        value = value.value
    if isinstance(value, Percent):
        number = read_number_of(value.value)
        return None if number is None else number / 100
    return read_number_of(value)


def read_number_of(value: object) -> Fraction | None:
    if not isinstance(value, EXPRESSIONS):
        return None
    try:
        rational = normal_form(value).rational
    except (TooLargeError, ZeroDivisionError):
        return None
    return None if rational is None else Fraction(rational)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"),
        ("+18", "18"),
        ("-18.50", "-37/2"),
        (".5", "1/2"),
        ("5.", "5"),
        ("1,234,567", "1234567"),
        ("1{,}234", "1234"),
        (r"1\,234", "1234"),
        (r"10,\!000", "10000"),
        ("1/2", "1/2"),
        ("-3 / 4", "-3/4"),
        (r"\frac{1}{2}", "1/2"),
        (r"\dfrac{-3}{4}", "-3/4"),
        (r"-\tfrac12", "-1/2"),
        (r"\frac1{20}", "1/20"),
        (r"\frac{1.5}{2}", "3/4"),
        ("2 1/2", "5/2"),
        (r"-2\frac{1}{2}", "-5/2"),
        ("$5$", "5"),
        (r"\$1,080.25", "4321/4"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("1.2e3", "1200"),
        (r"1.2 \times 10^{-3}", "3/2500"),
        ("2 * 10^3", "2000"),
        ("x = 5", "5"),
        (r"f(2) = \frac{1}{3}", "1/3"),
        (r"x_{1}=7", "7"),
        (r"\text{Total cost} = 7", "7"),
        (r"18\text{ dollars}", "18"),
        (r"15\mbox{ cm}^2", "15"),
        ("12 cm", "12"),
        ("3 million", "3000000"),
        (r"\left 5 \right.", "5"),
        ("٤٢", "42"),
        (r"0.1\overline{6}", "1/6"),  # 0.1 + 0.0666... = 1/10 + 6/90
        (r"0.\overline{142857}", "1/7"),
        ("0.333...", "1/3"),
        (r"1.1666\ldots", "7/6"),
        ("25%", "1/4"),
        (r"25\text{ percent}", "1/4"),
    ],
)
def test_a_number_is_read_exactly(text: str, value: str) -> None:
    assert read_number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        *(".", "-", "x", "x = y", "1 2", "1/0", "1. one", "5x", "5 ab", "(1,2)"),
        *("1e99999", r"10^{10^{10}}", r"\frac{1}{x}", "2 pi", r"5\text{ or }6", "5 or six"),
        *(r"\sqrt{2}", "12:30", "1011_2", r"\sin(x) = y", "inf", "nan"),
    ],
)
def test_anything_else_is_not_a_number(text: str) -> None:
    assert read_number(text) is None


def test_plain_words_are_units_up_to_the_limit() -> None:
    assert isinstance(read("18 miles per hour", 3)[0], Quantity)
    assert not isinstance(read("18 red and blue balls in a very big bag", 3)[0], Quantity)


def test_digits_and_powers_are_capped() -> None:
    longest = "9" * MAX_DIGITS
    assert read_number(longest) == int(longest)
    assert read_number(longest + "9") is None
    assert read_number("9" * (MAX_DIGITS - 1) + "e9") is None
    assert read_number("1/" + longest + "9") is None


@pytest.fixture
def low_digit_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("low_digit_limit")
def test_a_lower_limit_of_python_does_not_raise() -> None:
    assert read_number("9" * 641) is None
    assert read_number("9" * 600 + "e300") is not None


@settings(deadline=None)
@given(st.fractions())
def test_every_fraction_reads_back(value: Fraction) -> None:
    for text in (str(value), rf"\frac{{{value.numerator}}}{{{value.denominator}}}"):
        assert read_number(text) == value


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_every_decimal_reads_as_its_fraction(value: object) -> None:
    assert read_number(f"{value:f}") == Fraction(str(value))


@settings(deadline=None)
@given(st.integers())
def test_thousands_separators_change_nothing(value: int) -> None:
    assert read_number(f"{value:,}") == value


@settings(deadline=None)
@given(st.integers(0, 99), st.text("0123456789", min_size=0, max_size=4), st.integers(1, 9999))
def test_a_repeating_decimal_is_its_geometric_series(whole: int, fixed: str, block: int) -> None:
    digits = str(block)
    tail = Fraction(block, 10 ** len(fixed) * (10 ** len(digits) - 1))
    exact = Fraction(f"{whole}.{fixed or 0}") + tail
    assert read_number(rf"{whole}.{fixed}\overline{{{digits}}}") == exact
