"""Sets of reals: against membership worked out point by point."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mathrl.rewards.read import read
from mathrl.rewards.sets import RealSet, is_same_set, real_set, solution
from mathrl.rewards.syntax import Call, Constant, Number, Product, Sum, Symbol
from mathrl.rewards.values import Braced, Interval, Relation, Union, Value

POINTS = [Fraction(step, 4) for step in range(-60, 61)]
"""Every number that the ends of the tests lie on or between: quarters from -15 to 15."""
X = Symbol("x")
OPERATORS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "!=": lambda left, right: left != right,
}


def has(pieces: RealSet | None, point: Fraction) -> bool:
    assert pieces is not None
    x = float(point)  # a quarter, so exact
    for piece in pieces:
        is_low, is_high = abs(piece.low - x) < 1e-30, abs(piece.high - x) < 1e-30
        is_above = piece.has_low if is_low else piece.low < x
        if is_above and (piece.has_high if is_high else x < piece.high):
            return True
    return False


def set_of(text: str) -> RealSet | None:
    return real_set(read(text)[0])


# -- sets put together, against booleans ---------------------------------------------------------

Model = tuple[Value, frozenset[Fraction]]


def interval(low: int, high: int, has_low: bool, has_high: bool) -> Model:
    points = (
        point
        for point in POINTS
        if (low <= point if has_low else low < point)
        and (point <= high if has_high else point < high)
    )
    return Interval(Number(low), Number(high), has_low, has_high), frozenset(points)


def finite(numbers: list[int]) -> Model:
    return Braced(tuple(Number(number) for number in numbers)), frozenset(map(Fraction, numbers))


def ray(bound: int, *, is_up: bool, is_closed: bool) -> Model:
    end = Number(bound)
    minus = Product((Number(-1), Constant("oo")))
    if is_up:
        points = [p for p in POINTS if p > bound or (is_closed and p == bound)]
        return Interval(end, Constant("oo"), is_closed, False), frozenset(points)
    points = [p for p in POINTS if p < bound or (is_closed and p == bound)]
    return Interval(minus, end, False, is_closed), frozenset(points)


def joined(operator: str, first: Model, second: Model) -> Model:
    sets = {
        "cup": first[1] | second[1],
        "cap": first[1] & second[1],
        "setminus": first[1] - second[1],
    }
    return Union((first[0], second[0]), operator), sets[operator]  # type: ignore[arg-type]


ENDS = st.integers(-9, 9)
MODELS = st.recursive(
    st.one_of(
        st.builds(interval, ENDS, ENDS, st.booleans(), st.booleans()),
        st.builds(finite, st.lists(ENDS, max_size=3)),
        st.builds(
            lambda bound, up, closed: ray(bound, is_up=up, is_closed=closed),
            ENDS,
            st.booleans(),
            st.booleans(),
        ),
    ),
    lambda inner: st.builds(joined, st.sampled_from(["cup", "cap", "setminus"]), inner, inner),
    max_leaves=4,
)


@settings(deadline=None, max_examples=200)
@given(MODELS)
def test_a_set_has_the_points_of_its_parts(model: Model) -> None:
    value, points = model
    pieces = real_set(value)
    assert {point for point in POINTS if has(pieces, point)} == points
    for left, right in zip(pieces or (), (pieces or ())[1:], strict=False):
        # canonical: pieces in order that do not touch, so that equal sets are equal pieces
        assert left.high < right.low or (
            left.high == right.low and not left.has_high and not right.has_low
        )


@settings(deadline=None, max_examples=200)
@given(MODELS, MODELS)
def test_sets_are_the_same_exactly_when_their_points_are(first: Model, second: Model) -> None:
    left, right = real_set(first[0]), real_set(second[0])
    assert left is not None and right is not None
    assert is_same_set(left, right) == (first[1] == second[1])
    assert is_same_set(right, left) == is_same_set(left, right)


# -- inequalities, against arithmetic ------------------------------------------------------------

SMALL = st.integers(-4, 4)
LINES = st.tuples(SMALL, SMALL)


def line(slope: int, constant: int) -> Sum:
    return Sum((Product((Number(slope), X)), Number(constant)))


@settings(deadline=None, max_examples=200)
@given(LINES, st.sampled_from(sorted(OPERATORS)), LINES)
def test_a_linear_inequality_is_solved(
    left: tuple[int, int], operator: str, right: tuple[int, int]
) -> None:
    relation = Relation((line(*left), line(*right)), (operator,))
    solved = solution(relation)
    if left[0] == right[0]:
        assert solved is None, "there is no letter to solve for"
        return
    assert solved is not None
    holds = OPERATORS[operator]
    for x in POINTS:
        expected = holds(left[0] * x + left[1], right[0] * x + right[1])
        assert has(real_set(solved), x) == expected


@settings(deadline=None, max_examples=200)
@given(LINES.filter(lambda line: line[0] != 0), st.sampled_from(["<", ">", "<=", ">="]), ENDS)
def test_an_absolute_value_is_solved(inner: tuple[int, int], operator: str, bound: int) -> None:
    holds = OPERATORS[operator]
    flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}[operator]
    call = Call("abs", (line(*inner),))
    for relation in (
        Relation((call, Number(bound)), (operator,)),
        Relation((Number(bound), call), (flipped,)),
    ):
        solved = real_set(relation)
        for x in POINTS:
            expected = holds(abs(inner[0] * x + inner[1]), Fraction(bound))
            assert has(solved, x) == expected


@settings(deadline=None, max_examples=100)
@given(ENDS, ENDS, st.sampled_from(["<", "<="]), st.sampled_from(["<", "<="]), st.booleans())
def test_a_chain_is_an_interval(low: int, high: int, one: str, two: str, is_turned: bool) -> None:
    chain = Relation((Number(low), X, Number(high)), (one, two))
    if is_turned:
        turn = {"<": ">", "<=": ">="}
        chain = Relation((Number(high), X, Number(low)), (turn[two], turn[one]))
    for x in POINTS:
        expected = OPERATORS[one](Fraction(low), x) and OPERATORS[two](x, Fraction(high))
        assert has(real_set(chain), x) == expected


# -- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"[0,2)\cup[2,3]", "[0,3]"),
        (r"[0,2)\cup(1,3]", "[0,3]"),
        (r"(0,1)\cup\{1\}\cup(1,2)", "(0,2)"),
        (r"[\sqrt4,3]", "[2,3]"),
        (r"(-\infty,2)\cup(2,\infty)", r"x \ne 2"),
        (r"\mathbb{R}\setminus\{2\}", r"x \ne 2"),
        (r"[0,5]\setminus(1,2)", r"[0,1]\cup[2,5]"),
        (r"[0,3]\cap(1,9)", "(1,3]"),
        (r"x>2", r"(2,\infty)"),
        (r"2<x", r"(2,\infty)"),
        (r"-x \ge -1", r"(-\infty,1]"),
        (r"2x+1<x+4", r"(-\infty,3)"),
        (r"1<x \le 5", "(1,5]"),
        (r"5 \ge x > 1", "(1,5]"),
        (r"0<2x-1<5", r"(\frac12,3)"),
        (r"|x-1|<2", "(-1,3)"),
        (r"x<1\text{ or }x>2", r"(-\infty,1)\cup(2,\infty)"),
        (r"x>1\text{ and }x<2", "(1,2)"),
        (r"x \in [1,2]", "[1,2]"),
        (r"\{1,2\}", r"\{2,1\}"),
        (r"\{1,1\}", r"\{1\}"),
        (r"\emptyset", "(1,1)"),
        (r"\emptyset", r"(0,1)\cap(2,3)"),
        (r"[1,1]", r"\{1\}"),
        (r"x>\sqrt2", r"(\sqrt2,\infty)"),
    ],
)
def test_these_are_the_same_set(first: str, second: str) -> None:
    left, right = set_of(first), set_of(second)
    assert left is not None and right is not None
    assert is_same_set(left, right)
    assert is_same_set(right, left)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("[0,1]", "[0,1)"),
        ("[0,1]", "(0,1]"),
        ("[0,1]", "[0,2]"),
        ("[0,1]", "[-1,1]"),
        (r"[0,1)\cup(1,2]", "[0,2]"),
        (r"x>2", r"x \ge 2"),
        (r"|x|<2", r"|x|>2"),
        (r"[0,1]", r"[0,1+10^{-30}]"),
        (r"\{1,2\}", "[1,2]"),
        (r"(0,\infty)", r"(-\infty,0)"),
        (r"(0,\infty)", "(0,10^{50})"),
    ],
)
def test_these_are_not(first: str, second: str) -> None:
    left, right = set_of(first), set_of(second)
    assert left is not None and right is not None
    assert not is_same_set(left, right)
    assert not is_same_set(right, left)


@pytest.mark.parametrize(
    "text",
    [
        *("[a,b]", "x^2<4", "x<y", r"|x|<y", r"\{1,a\}", "(1,2,3)", "5", "[0,i]"),
        *(r"\{i\}", r"[0,1]\cup[a,2]", "1<x<2<y", r"xy<2", r"\sin x<2 x"),
    ],
)
def test_what_is_no_set_of_known_reals(text: str) -> None:
    assert set_of(text) is None


def test_a_relation_that_is_no_inequality_has_no_solution() -> None:
    for operators in (("=",), ("in",), ("approx",)):
        assert solution(Relation((X, Number(2)), operators)) is None
    assert solution(Relation((X, Interval(Number(0), Number(1), True, True)), ("<",))) is None
    assert solution(Relation((Call("abs", (X,)), Number(1)), ("!=",))) is None
