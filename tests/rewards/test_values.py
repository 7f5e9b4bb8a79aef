"""Numbers are read exactly, or not at all."""

import sys
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.values import MAX_DIGITS, read_number


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
        (r"\left 5 \right.", "5"),
        ("٤٢", "42"),
    ],
)
def test_read_number_is_exact(text: str, value: str) -> None:
    number = read_number(text)
    assert number is not None
    assert (number.value, number.text) == (Fraction(value), value)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "-", "--5", "+-5", "x", "x = y", "1,2", "1,23", "12,3456", "1,0,0,0", "1 2"),
        *("1/2/3", "1/0", "5!", "1. one", "5x", "5 ab", "2(3)", "(1,2)", "2^3", "4²", "1_2"),
        *("1e", "1e401", "1e99999", r"10^{10^{10}}", r"\frac{1}{x}", r"2\frac{5}{3}", "41 = 42"),
        *("2 pi", "3 million", r"5\text{ or }6", r"5\text{ or six}", "5 or six", r"\sqrt{2}"),
        *("0x10", "12:30", "1011_2", r"\sin(x) = 1", "inf", "nan", "1_000"),
    ],
)
def test_anything_else_is_not_a_number(text: str) -> None:
    assert read_number(text) is None


def test_a_percentage_is_a_hundredth_and_says_so() -> None:
    for text in ("25%", r"25\%", "25 percent", r"25\text{ percent}"):
        number = read_number(text)
        assert number is not None
        assert (number.value, number.is_percent, number.text) == (Fraction(1, 4), True, "25%")


def test_plain_words_are_units_up_to_the_limit() -> None:
    assert read_number("18 miles per hour", max_unit_words=3) is not None
    assert read_number("18 miles per hour", max_unit_words=2) is None


def test_digits_and_powers_are_capped() -> None:
    longest = "9" * MAX_DIGITS
    number = read_number(longest)
    assert number is not None and number.text == longest
    assert read_number(longest + "9") is None
    assert read_number("9" * (MAX_DIGITS - 1) + "e9") is None
    assert read_number("1/" + longest) is None


@pytest.fixture
def low_digit_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("low_digit_limit")
def test_a_lower_limit_of_python_does_not_raise() -> None:
    assert read_number("9" * 641) is None
    assert read_number("9" * 600 + "e300") is None


@settings(deadline=None)
@given(st.fractions())
def test_every_fraction_reads_back(value: Fraction) -> None:
    for text in (str(value), rf"\frac{{{value.numerator}}}{{{value.denominator}}}"):
        number = read_number(text)
        assert number is not None
        assert (number.value, number.text) == (value, str(value))


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_every_decimal_reads_as_its_fraction(value: object) -> None:
    number = read_number(f"{value:f}")
    assert number is not None and number.value == Fraction(str(value))


@settings(deadline=None)
@given(st.integers())
def test_thousands_separators_change_nothing(value: int) -> None:
    number = read_number(f"{value:,}")
    assert number is not None and number.value == value
