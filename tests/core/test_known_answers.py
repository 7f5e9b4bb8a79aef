"""A known answer comes out of its cell as the text that a model would give."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mathrl.known_answers import typed_answer, without_float_noise
from mathrl.rewards import grade


@pytest.mark.parametrize(
    ("printed", "answer"),
    [
        ("3244047.0999999996", "3244047.1"),  # 16 digits: the last bit of a double is wrong
        ("385670.9999999999", "385671"),
        ("14053029.666666666", "42159089/3"),  # 14053029 2/3
        ("5489.5466666667", "411716/75"),  # ten decimals; 411716 / 75 = 5489.54666...
        ("-8.8333333333", "-53/6"),
        ("0.30000000000000004", "0.3"),
        ("0.3", "0.3"),
        ("11656320.9375", "11656320.9375"),
        ("36.0000102016", "36.0000102016"),  # ten decimals, but no fraction
        ("3.14159265358979", "3.14159265358979"),  # 355/113 is not this close
        ("2.0107e-06", "2.0107e-06"),
        ("1." + "3" * 40, "1." + "3" * 40),  # no float printed that
        ("1/3", "1/3"),
        ("x = 0.30000000000000004", "x = 0.30000000000000004"),
    ],
)
def test_what_a_float_stands_for(printed: str, answer: str) -> None:
    assert without_float_noise(printed) == answer


@given(st.integers(-(10**6), 10**6), st.integers(1, 999))
def test_every_fraction_is_found_again(numerator: int, denominator: int) -> None:
    printed = str(numerator / denominator)
    assume("e" not in printed)
    found = Fraction(without_float_noise(printed))
    assert found == Fraction(numerator, denominator) or found == Fraction(printed)
    if len(printed.lstrip("-0.").replace(".", "")) >= 15:
        assert found == Fraction(numerator, denominator)


def test_a_rounded_answer_is_right_against_it() -> None:
    # GSM-Hard: the float itself is a decimal, which a shorter decimal cannot equal
    assert grade(r"\boxed{14053029.67}", "14053029.666666666").status == "wrong"
    assert grade(r"\boxed{14053029.67}", typed_answer("14053029.666666666")).status == "correct"
    assert grade(r"\boxed{14053029.76}", typed_answer("14053029.666666666")).status == "wrong"


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"First $\boxed{1}$, then $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),  # MATH
        ("It is 2.\n#### 2", "2"),
        ("42", "42"),
        (None, None),
    ],
)
def test_the_answer_of_a_solution(solution: str | None, answer: str | None) -> None:
    assert typed_answer(solution, is_solution=True) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [("6*3=18\n#### 18", "18"), ("-", None), (" ", None), ("", None), ("-5", "-5"), ("No", "No")],
)
def test_the_answer_of_a_cell(text: str, answer: str | None) -> None:
    assert typed_answer(text) == answer
