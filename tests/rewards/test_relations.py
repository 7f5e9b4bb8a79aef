r"""Names, definitions, and the two values of ``\pm``."""

import pytest

from mathrl.rewards.read import read
from mathrl.rewards.relations import assignment, is_name, letters_of, signed, substituted
from mathrl.rewards.syntax import Binder, Call, Constant, Expression, Number, Product, Sum, Symbol
from mathrl.rewards.values import EXPRESSIONS, Quantity, Relation, Value

X, Y = Symbol("x"), Symbol("y")


def one(text: str) -> Value:
    return read(text)[0]


def expression(text: str) -> Expression:
    value = one(text)
    assert isinstance(value, EXPRESSIONS)
    return value


@pytest.mark.parametrize(
    "text",
    [
        *("x", "x_1", "f(x)", "AB", "yes", "i", "(x,y)", "x:y", "f(x)^2", "P(A)", "x, y"),
        *(r"\sin x",),
    ],
)
def test_these_name_what_is_asked_for(text: str) -> None:
    assert is_name(one(text))


@pytest.mark.parametrize(
    "text", ["2", "2x", "x+1", "x^2", "x^y", r"\pm x", r"\frac1x", "(x,2)", "x:2", r"\pi", "x=2"]
)
def test_these_do_not(text: str) -> None:
    assert not is_name(one(text))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("x=3", "x", "3"),
        ("x=y=3", "x", "3"),
        ("f(x)=x+1", "f(x)", "x+1"),
        ("5=x", "x", "5"),
        (r"x \in [0,1)", "x", "[0,1)"),
        ("(x,y)=(1,2)", "(x,y)", "(1,2)"),
    ],
)
def test_a_definition_is_a_name_and_a_value(text: str, name: str, value: str) -> None:
    assert assignment(one(text)) == (one(name), one(value))


@pytest.mark.parametrize("text", ["3", "x<3", "x+1=3", "3=3", "5=x+1", "x=y<3", "(x,y)"])
def test_other_values_are_no_definition(text: str) -> None:
    assert assignment(one(text)) is None


def at(node: Expression, x: int) -> int:
    """Evaluate whole sums and products at one x."""
    match node:
        case Number(int(value)):
            return value
        case Symbol("x"):
            return x
        case Sum(terms):
            return sum(at(term, x) for term in terms)
        case Product(factors):
            product = 1
            for factor in factors:
                product *= at(factor, x)
            return product
        case Call("f", (inner,)):
            return 1000 + at(inner, x)
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3", [3]),
        (r"\pm 3", [3, -3]),
        (r"\mp 3", [-3, 3]),
        (r"5 \pm 3", [8, 2]),
        (r"5 \mp 3", [2, 8]),
        (r"2(1 \pm 3)", [8, -4]),
        (r"\pm 1 \pm 10", [11, -9, 9, -11]),
        (r"\pm(1 \pm 10)", [11, -9, -11, 9]),
        (r"f(\pm 3)", [1003, 997]),
        (r"x \pm 2", [9, 5]),
    ],
)
def test_a_sign_stands_for_two_values(text: str, values: list[int]) -> None:
    parts = signed(expression(text))
    assert [at(part, 7) for part in parts] == values  # type: ignore[arg-type]


def test_every_sign_doubles_the_values_up_to_a_limit() -> None:
    for count in (1, 2, 3, 4):
        assert len(signed(expression(r"\pm 1" * count))) == 2**count
    five = expression(r"\pm 1" * 5)
    assert signed(five) == (five,)


def test_a_sign_inside_an_equation_or_a_quantity_is_seen() -> None:
    equations = signed(one(r"x=\pm 2"))
    assert [part.sides[0] for part in equations if isinstance(part, Relation)] == [X, X]
    assert [at(part.sides[1], 0) for part in equations if isinstance(part, Relation)] == [2, -2]  # type: ignore[arg-type]
    quantities = signed(one(r"\pm 2\text{ cm}"))
    assert len(quantities) == 2
    assert all(isinstance(part, Quantity) and part.unit.name == "cm" for part in quantities)
    pair = one("(1,2)")
    assert signed(pair) == (pair,)


def test_letters_are_renamed_all_at_once() -> None:
    node = expression("x^y+f(x)z-2")
    assert substituted(node, {"x": "y", "y": "x"}) == expression("y^x+f(y)z-2")
    assert substituted(node, {}) == node
    bound = Binder("sum", X, "x", Number(1), Y)
    assert substituted(bound, {"z": "t"}) == bound


def test_the_letters_of_a_value() -> None:
    assert letters_of(expression("x^y+f(z)-2")) == {"x", "y", "z"}
    assert letters_of(Constant("e")) == frozenset()
    assert letters_of(one("(x,y)")) == frozenset()
