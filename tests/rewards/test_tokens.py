"""One answer, cut into tokens: every notation ends in the same small alphabet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.tokens import Token, tokenize


def kinds(text: str) -> list[str]:
    return [token.kind for token in tokenize(text)]


def pairs(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.value) for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2**3", ["number", "^", "number"]),
        ("x=<5", ["symbol", "<=", "number"]),
        ("x==5", ["symbol", "=", "number"]),
        ("x->0", ["symbol", "to", "number"]),
        (r"a\leqslant b", ["symbol", "<=", "symbol"]),
        (r"a \cdot b\times c\ast d", ["symbol", "*", "symbol", "*", "symbol", "*", "symbol"]),
        (r"a \div b", ["symbol", "/", "symbol"]),
        (r"\left(1\right)", ["(", "number", ")"]),
        (r"\bigl[ 1 \bigr]", ["[", "number", "]"]),
        (r"\lvert x\rvert", ["|", "symbol", "|"]),
        (r"\| v \|", ["norm", "symbol", "norm"]),
        (r"\{1\}", ["{set", "number", "set}"]),
        (r"\lbrace 1\rbrace", ["{set", "number", "set}"]),
        (r"a \\ b", ["symbol", "newline", "symbol"]),
        (r"\$5\%", ["dollar", "number", "%"]),
        (r"5^\circ", ["number", "^", "degree"]),
        (r"[0,1]\cup\emptyset", ["[", "number", ",", "number", "]", "cup", "command"]),
        ("1,...,9", ["number", ",", "dots", ",", "number"]),
        ("3 and 4 or 5", ["number", "and", "number", "or", "number"]),
        (r"3\text{ and }4", ["number", "and", "number"]),
        ("5 degrees", ["number", "degree"]),
        (r"\notin\neq\approx\equiv", ["notin", "!=", "approx", "equiv"]),
    ],
)
def test_a_notation_becomes_the_kinds_of_the_parser(text: str, expected: list[str]) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5e3", [("number", "1.5e3")]),
        (".5", [("number", ".5")]),
        ("1.", [("number", "1"), ("unknown", ".")]),
        ("2e", [("number", "2"), ("symbol", "e")]),
        ("2e5x", [("number", "2"), ("symbol", "e"), ("number", "5"), ("symbol", "x")]),
        ("0.333...", [("endless", "0.333...")]),
        (r"0.3\ldots", [("endless", r"0.3\ldots")]),
        ("0.(3)", [("repeating", "0.(3)")]),
        ("12.(34)", [("repeating", "12.(34)")]),
        (r"0.1\overline{6}", [("repeating", r"0.1\overline{6}")]),
        (r"0.\dot 3", [("repeating", r"0.\dot 3")]),
        ("0.1(6)", [("repeating", "0.1(6)")]),
        # a bracket after any other decimal is a factor: 2.5(3) is 7.5
        ("2.5(3)", [("number", "2.5"), ("(", "("), ("number", "3"), (")", ")")]),
        ("0.5(3)x", [("number", "0.5"), ("(", "("), ("number", "3"), (")", ")"), ("symbol", "x")]),
    ],
)
def test_the_digits_of_a_number_stay_together(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sinx", [("command", "sin"), ("symbol", "x")]),
        ("cos2x", [("command", "cos"), ("number", "2"), ("symbol", "x")]),
        ("lnxy", [("command", "ln"), ("word", "xy")]),
        ("arctanx", [("command", "arctan"), ("symbol", "x")]),
        ("sinxyz", [("word", "sinxyz")]),
        ("cost", [("word", "cost")]),
        ("sqrt(2)", [("command", "sqrt"), ("(", "("), ("number", "2"), (")", ")")]),
        ("asin", [("command", "arcsin")]),
        ("infinity", [("command", "infty")]),
        ("alpha", [("command", "alpha")]),
        ("apples", [("word", "apples")]),
        ("1orW=2", [("number", "1"), ("or", "or"), ("symbol", "W"), ("=", "="), ("number", "2")]),
        (r"\dfrac12", [("command", "frac"), ("number", "12")]),
        (r"\varphi", [("command", "phi")]),
        (r"\text{cm}", [("text", "cm")]),
        (r"\mathrm{e}", [("symbol", "e")]),
        (r"\text{sin}x", [("command", "sin"), ("symbol", "x")]),
        (r"\operatorname*{lcm}", [("command", "lcm")]),
        (r"\text{}", []),
        (r"\rm x", [("symbol", "x")]),
        (r"\quadx", [("symbol", "x")]),
        (r"\begin {pmatrix*}", [("environment", "begin{pmatrix*}")]),
        (r"\end{cases}", [("environment", "end{cases}")]),
        ("@", [("unknown", "@")]),
    ],
)
def test_letters_are_functions_words_or_text(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text) == expected


@pytest.mark.parametrize(
    ("text", "is_spaced"),
    [
        ("1x", False),
        ("1 x", True),
        ("1~x", True),
        (r"1\,x", True),
        (r"1\!x", False),
        (r"1\quad x", True),
        (r"1\text{cm}", False),
        (r"1\text{ cm}", True),
        ("1@x", False),
        ("1 @x", False),
    ],
)
def test_white_space_before_the_last_token_is_kept(text: str, is_spaced: bool) -> None:
    assert tokenize(text)[-1].is_spaced is is_spaced


def test_a_command_that_only_draws_leaves_no_token() -> None:
    assert tokenize(r"\left\displaystyle\limits\bigskip") == []
    assert tokenize(r"\left x") == [Token("symbol", "x", True)]


@settings(deadline=None)
@given(st.text("0123456789xy+*/() "))
def test_no_character_of_plain_mathematics_is_lost(text: str) -> None:
    tokens = tokenize(text)
    assert "".join(token.value for token in tokens) == text.replace(" ", "")
    place = 0
    for token in tokens:
        start = text.index(token.value, place)
        assert token.is_spaced == text[place:start].startswith(" ")
        place = start + len(token.value)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_cut_into_tokens(text: str) -> None:
    for token in tokenize(text):
        assert token.kind
