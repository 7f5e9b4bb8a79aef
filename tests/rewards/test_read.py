"""Answers read from the outside in: what surrounds and joins the expressions."""

import pytest

from mathrl.rewards.language import words_of
from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError
from mathrl.rewards.read import read
from mathrl.rewards.syntax import ONE, Call, Constant, Expression, Number, Power, Product, Symbol
from mathrl.rewards.tokens import tokenize
from mathrl.rewards.values import (
    REALS,
    Braced,
    Bracketed,
    Interval,
    Listing,
    Percent,
    Quantity,
    Ratio,
    Relation,
    Union,
    Value,
    Words,
)

X, Y = Symbol("x"), Symbol("y")
TWO, THREE = Number(2), Number(3)


def tree(text: str) -> Expression:
    return parse(tokenize(text))


def equation(left: Value, right: Value) -> Relation:
    return Relation((left, right), ("=",))


def closed(low: Expression, high: Expression) -> Interval:
    return Interval(low, high, True, True)


def pair(first: Expression, second: Expression) -> Bracketed:
    return Bracketed((first, second), "(", ")")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", TWO),
        ("x+1", tree("x+1")),
        ("{x+1}", tree("x+1")),
        ("(x+1)", tree("x+1")),
        ("[x+1]", tree("x+1")),
        ("(2)", TWO),
        ("2,", TWO),
        ("(1,2)", Bracketed((ONE, TWO), "(", ")")),
        ("(1;2)", Bracketed((ONE, TWO), "(", ")")),
        (r"\langle 1,2\rangle", Bracketed((ONE, TWO), "<", ">")),
        ("[1,2]", Bracketed((ONE, TWO), "[", "]")),
        ("[1,2)", Interval(ONE, TWO, True, False)),
        ("(1,2]", Interval(ONE, TWO, False, True)),
        ("[1,2,3]", Bracketed((ONE, TWO, THREE), "[", "]")),
        (
            "((1,2),(2,3))",
            Bracketed((pair(ONE, TWO), pair(TWO, THREE)), "(", ")"),
        ),
        (r"\{1,2\}", Braced((ONE, TWO))),
        (r"\{1\}", Braced((ONE,))),
        (r"\{\}", Braced(())),
        (r"\emptyset", Braced(())),
        (r"\{x \mid x=2\}", equation(X, TWO)),
        (r"\{x : x=2\}", equation(X, TWO)),
        (r"\mathbb{R}", REALS),
        ("1, 2", Listing((ONE, TWO))),
        ("1; 2", Listing((ONE, TWO))),
        ("1 and 2", Listing((ONE, TWO), "and")),
        (r"1\text{ or }2", Listing((ONE, TWO), "or")),
        ("1, 2, or 3", Listing((ONE, TWO, THREE), "or")),
        (r"\pm 2, 3", Listing((TWO, Product((Number(-1), TWO)), THREE))),
        ("(1,2), (2,3)", Listing((read("(1,2)")[0], read("(2,3)")[0]))),
        ("x=2", equation(X, TWO)),
        ("x=1, y=2", Listing((equation(X, ONE), equation(Y, TWO)))),
        ("x=y=2", Relation((X, Y, TWO), ("=", "="))),
        ("=2", TWO),
        ("x<2", Relation((X, TWO), ("<",))),
        ("1<x<=2", Relation((ONE, X, TWO), ("<", "<="))),
        (r"x \ne 2", Relation((X, TWO), ("!=",))),
        (r"x \in [1,2)", Relation((X, Interval(ONE, TWO, True, False)), ("in",))),
        (r"[1,2)\cup[2,3)", Union((read("[1,2)")[0], Interval(TWO, THREE, True, False)), "cup")),
        (r"[1,2]\cap[2,3]", Union((closed(ONE, TWO), closed(TWO, THREE)), "cap")),
        (r"\mathbb{R}\setminus\{2\}", Union((REALS, Braced((TWO,))), "setminus")),
        ("3:2", Ratio((THREE, TWO))),
        ("1:2:3", Ratio((ONE, TWO, THREE))),
        ("25%", Percent(Number(25))),
        (r"25\%", Percent(Number(25))),
        (r"25\text{ percent}", Percent(Number(25))),
        ("A(1,2)", equation(Symbol("A"), Bracketed((ONE, TWO), "(", ")"))),
        ("x=1 \\implies y=2", equation(Y, TWO)),
        (r"\pi \approx 3.14", Constant("pi")),
        (r"x = \pi \approx 3.14", equation(X, Constant("pi"))),
        (r"x \approx 2", equation(X, TWO)),
        (r"f(x)=x", equation(Call("f", (X,)), X)),
        (r"\text{Area}=2", equation(Words("area"), TWO)),
        (r"x \equiv 2 \pmod{3}", equation(X, Call("class", (Call("mod", (TWO, THREE)), THREE)))),
        (r"x \equiv 2 (\bmod 3)", None),
        ("yes", Words("yes")),
        ("A dog.", Words("a dog")),
        ("2^{10}", Power(TWO, Number(10))),
        ("...", Symbol("...")),
    ],
)  # fmt: skip
def test_an_answer_is_read(text: str, value: Value | None) -> None:
    if value is not None:
        assert read(text)[0] == value


def unit_of(text: str) -> tuple[Expression, str] | None:
    value = read(text)[0]
    return (value.value, value.unit.name) if isinstance(value, Quantity) else None


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("5 cm", "5", "cm"),
        ("5cm", "5", "cm"),
        (r"5\text{ cm}^2", "5", "cm"),
        (r"5\,\mathrm{m}", "5", "m"),
        ("5 m", "5", "m"),
        (r"\frac12\text{ hours}", r"\frac12", "hours"),
        (r"3x\text{ dollars}", "3x", "dollars"),
        ("5 red apples", "5", "red apples"),
        ("$5", "5", "dollars"),
        (r"\$5.50", "5.50", "dollars"),
        ("5 dollars", "5", "dollars"),
        ("-$5", "-5", "dollars"),
        (r"\$5 per hour", "5", "dollars"),
        (r"5\euro", "5", "euros"),
        ("30^\\circ", "30", "degree"),
        (r"30^{\circ}", "30", "degree"),
        (r"30\text{ degrees}", "30", "degree"),
        (r"\sqrt{2}\text{ m}", r"\sqrt2", "m"),
        (r"10 / \text{day}", "10", "day"),
    ],
)
def test_a_number_has_its_unit(text: str, number: str, name: str) -> None:
    found = unit_of(text.replace("$5", r"\$5") if text[0] in "$-" else text)
    assert found is not None
    assert found[0] == tree(number)
    assert found[1] == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5 million", "5000000"),
        (r"2.5\text{ million}", "2500000"),
        ("3 dozen", "36"),
    ],
)
def test_a_word_may_scale_a_number(text: str, value: str) -> None:
    from mathrl.rewards.normal import normal_form

    found = read(text)[0]
    assert normal_form(found).rational == int(value)  # type: ignore[arg-type]


def test_a_scaled_number_keeps_its_unit() -> None:
    found = unit_of("5 million dollars")
    assert found is not None
    assert found == (Product((Number(5), Number(1_000_000))), "dollars")


def test_degrees_inside_a_function_are_part_of_it() -> None:
    assert read(r"\sin 30^\circ")[0] == tree(r"\sin 30^\circ")


@pytest.mark.parametrize("text", ["5x", "5 x", "2m", "x y", "2^m", r"5\text{x}", "mc^2"])
def test_letters_are_no_units(text: str) -> None:
    assert unit_of(text) is None


def test_an_ambiguous_text_has_its_readings_in_order() -> None:
    assert read("1,234") == (Number(1234), Listing((ONE, Number(234))))
    assert read("1,5")[0] == Listing((ONE, Number(5)))
    assert read("2m")[0] == Product((TWO, Symbol("m")))
    assert [type(value) for value in read("2m")] == [Product, Quantity]
    assert read("B) 5")[0] == Symbol("B")
    assert len(read("8:30")) == 2


@pytest.mark.parametrize("text", ["x=", "=", ",", "1:", ":1", "(1,2", "()", "x+", "$"])
def test_what_cannot_be_read_is_words_or_less(text: str) -> None:
    value = read(text)[0]
    assert isinstance(value, Words | Quantity | Number | Listing)
    assert not isinstance(value, Relation)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Yes.", "yes"),
        (r"\text{The  Red} Ball!", "the red ball"),
        ("don't", "don't"),
        ("version 2.5", "version 2.5"),
        (r"\textbf{(A)}", "a"),
        ("", ""),
    ],
)
def test_language_is_reduced_to_its_words(text: str, words: str) -> None:
    assert words_of(text) == words


def test_too_many_items_and_too_deep_brackets_are_words() -> None:
    assert isinstance(read(",".join("1" * 200))[0], Listing)
    assert isinstance(read(", ".join("x" * 201))[0], Words)
    deep = "(1," * 30 + "1" + ")" * 30
    assert isinstance(read(deep)[0], Bracketed)
    assert isinstance(read("(" * 30 + "1,2" + ")" * 30)[0], Bracketed)
    assert isinstance(read("(" * 45 + "1,2" + ")" * 45)[0], Words)
    for count in (200, 3000):
        assert isinstance(read("(1," * count + "1" + ")" * count)[0], Words)
        assert isinstance(read("{" * count + "1" + "}" * count)[0], Words)


def test_a_parse_error_is_a_value_error() -> None:
    assert issubclass(ParseError, ValueError)
