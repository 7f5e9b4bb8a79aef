"""What surrounds an answer is taken away; what it says is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.normalise import fold_unicode, normalise, tidy


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("12", "12"),
        ("１２", "12"),
        ("𝟏𝟐", "12"),
        ("٤٢", "42"),
        ("−5", "-5"),
        ("1⁄2", "1/2"),
        ("1\u200b2", "12"),
        ("\ufeff5", "5"),
        ("½", " 1/2"),
        ("1½", "1 1/2"),
        ("4²", "4²"),  # not 42
        ("x₁", "x₁"),
        ("①", "①"),
        ("ℝ", r"\mathbb{R}"),
        ("π", "π"),
        ("1\u202f234", "1234"),
        ("a\u202fb", "a b"),
        ("𝑥", "x"),
        ("\ud800", "\ud800"),
    ],
)
def test_unicode_is_folded(text: str, folded: str) -> None:
    assert fold_unicode(text) == folded


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("18", "18"),
        (" 18 ", "18"),
        ("18.", "18"),
        ("18.,;:", "18"),
        ("**18.**", "18"),
        ("`18`", "18"),
        ("$18$", "18"),
        ("$$18$$", "18"),
        (r"\(18\)", "18"),
        (r"\[18\]", "18"),
        (r"\(18", "18"),
        ("= 18", "18"),
        (r"\boxed{18}", "18"),
        (r"\text{18}", "18"),
        (r"\textbf{\text{B}}", "B"),
        (r"$\(\text{**5**}\)$", "5"),
        (r"\text{a} and \text{b}", r"\text{a} and \text{b}"),
        ("$1$ and $2$", "1  and  2"),
        ("**1** and **2**", "**1** and **2**"),
        ("$5", r"\$ 5"),
        (r"\$5", r"\$5"),
        ("5$", "5"),
        ("1{,}234", "1234"),
        (r"1\,234", "1234"),
        (r"10,\!000", "10000"),
        (r"1\,23", r"1\,23"),
        (r"\\frac{1}{2}", r"\frac{1}{2}"),
        (r"1 \\ 2", r"1 \\ 2"),
        (r"\color{red}5", "5"),
        (r"\textcolor{blue}{5}", "{5}"),
        (r"\left. 5 \right.", "5"),
        ("4²", "4^{2}"),
        ("x₁₂", "x_{12}"),
        ("2⁻¹", "2^{-1}"),
        ("2π", r"2\pi"),
        ("3×4", r"3\times 4"),
        ("x≤5", r"x\le 5"),
        ("5°", r"5\degree"),
        ("1...", "1..."),
        ("", ""),
        ("((((((((((5))))))))))", "5"),
        ("(5)", "(5)"),
    ],
)
def test_an_answer_is_tidied(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        (r"\left( 1 , \frac{1}{2} \right)", r"(1,\frac{1}{2})"),
        ("1 2", "1 2"),
        ("1  \n 2", "1 2"),
        ("x + 1", "x+1"),
        ("a b", "a b"),
        (r"1\,2", "1 2"),
        (r"(1,\,2)", "(1,2)"),
        (r"\displaystyle x", "x"),
        (r"\leftarrow x", r"\leftarrow x"),
        (r"\bigl( 1 \bigr)", "(1)"),
    ],
)
def test_a_text_for_comparing(text: str, normalised: str) -> None:
    assert normalise(text) == normalised


def test_wrappers_are_taken_off_a_fixed_number_of_times() -> None:
    many = "$" * 50 + "18" + "$" * 50
    assert tidy(many).strip("$ ") == "18"
    assert tidy("(" * 50_000 + "5" + ")" * 50_000) == "5"
    assert tidy("(" * 20 + "1)+(2" + ")" * 20).endswith("(1)+(2))")


@settings(deadline=None)
@given(st.text("0123456789+-*/^xyz(){} \\"))
def test_no_digit_is_lost_or_moved(text: str) -> None:
    digits = [character for character in text if character.isdigit()]
    assert [character for character in tidy(text) if character.isdigit()] == digits
    assert [character for character in normalise(text) if character.isdigit()] == digits


@settings(deadline=None)
@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    folded = fold_unicode(text)
    assert fold_unicode(folded) == folded or "\u202f" in text or " " in folded
