r"""Sets of real numbers: intervals, unions, inequalities and ``x \ne 2`` in one canonical form.

A set is its pieces in increasing order, each with its ends and whether they belong to it; pieces
that touch are one. Ends are compared by value, so ``[\sqrt 4, 3]`` is ``[2, 3]``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mathrl.rewards.identity import value_of
from mathrl.rewards.normal import Normal, TooLargeError, normal_form
from mathrl.rewards.relations import letters_of
from mathrl.rewards.syntax import (
    MINUS_ONE,
    Call,
    Constant,
    Expression,
    Number,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.values import (
    EXPRESSIONS,
    REALS,
    Braced,
    Bracketed,
    Interval,
    Listing,
    Quantity,
    Relation,
    Union,
    Value,
)

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}
_CLOSE = 1e-40
_ENDLESS = float("inf")
_INFINITY = Constant("oo")
_MINUS_INFINITY = Product((MINUS_ONE, _INFINITY))


@dataclass(frozen=True, slots=True)
class Piece:
    """An interval with ends that have values, for sorting."""

    low: Any
    high: Any
    has_low: bool
    has_high: bool

    @property
    def is_empty(self) -> bool:
        """Tell whether no number is in it."""
        if _same(self.low, self.high):
            return not (self.has_low and self.has_high)
        return bool(self.low > self.high)


RealSet = tuple[Piece, ...]


def real_set(value: Value) -> RealSet | None:
    """Bring a value to the set of reals that it says, or None where it says none.

    Args:
        value: An interval, a union, an inequality in one letter, a set of numbers.
    """
    match value:
        case Interval(low, high, has_low, has_high):
            return _interval(low, high, has_low=has_low, has_high=has_high)
        case Bracketed((low, high), opening, closing) if opening != "<":
            if isinstance(low, EXPRESSIONS) and isinstance(high, EXPRESSIONS):
                return _interval(low, high, has_low=opening == "[", has_high=closing == "]")
        case Braced(items):
            points = [_point(item) for item in items]
            return None if None in points else _merged([piece for piece in points if piece])
        case Union(parts, operator):
            return _combined([real_set(part) for part in parts], operator)
        case Listing(items, joiner):
            pieces = [real_set(item) for item in items]
            letters = {letter for item in items if (letter := _letter_of(item)) is not None}
            if not any(_is_range(item) for item in items) or len(letters) > 1:
                return None
            common = _combined(pieces, "cup" if joiner == "or" else "cap")
            # "x < 1, x > 3" means one or the other
            return common if common or joiner == "and" else _combined(pieces, "cup")
        case Relation(sides, operators):
            if operators == ("in",):
                return real_set(sides[1]) if isinstance(sides[0], Symbol | Call) else None
            if operators == ("=",):
                point = Braced((sides[1],))
                return real_set(point) if isinstance(sides[0], Symbol) else None
            interval = solution(value)
            return None if interval is None else real_set(interval)
        case Quantity(inner, _):
            return real_set(inner) if isinstance(inner, Interval) else None
    return None


def _letter_of(value: Value) -> Value | None:
    """Give what an inequality or an equation is about: its letter, or the function in it."""
    if not isinstance(value, Relation):
        return None
    named = [side for side in value.sides if isinstance(side, Symbol | Call)]
    return named[0] if named else value.sides[0]


def _is_range(value: Value) -> bool:
    """Tell an interval or an inequality from a point."""
    if isinstance(value, Relation):
        return any(operator in _FLIPPED for operator in value.operators)
    return isinstance(value, Interval | Union)


def is_same_set(first: RealSet, second: RealSet) -> bool:
    """Compare two canonical sets piece by piece.

    Args:
        first: One set.
        second: The other.
    """
    return len(first) == len(second) and all(
        _same(left.low, right.low)
        and _same(left.high, right.high)
        and (left.has_low, left.has_high) == (right.has_low, right.has_high)
        for left, right in zip(first, second, strict=True)
    )


def solution(relation: Relation) -> Value | None:
    """Solve an inequality for its one letter: ``2 < x <= 5``, ``-x >= -1``, ``x != 2``.

    Args:
        relation: Any relation.

    Returns:
        An interval or a union, or None where there is no single letter to solve for.
    """
    sides, operators = relation.sides, relation.operators
    if not all(isinstance(side, EXPRESSIONS) for side in sides) or "=" in operators:
        return None
    if any(letter[0] == "~" for side in sides for letter in letters_of(side)):
        return None  # over the whole numbers it is no interval
    if not all(operator in _FLIPPED for operator in operators):
        return None
    if len(sides) == 2:
        match sides:
            case (Call("abs", (inner,)), bound):
                return _solve_absolute(inner, operators[0], bound)  # type: ignore[arg-type]
            case (bound, Call("abs", (inner,))):
                return _solve_absolute(inner, _FLIPPED[operators[0]], bound)  # type: ignore[arg-type]
        return _solve(sides[0], operators[0], sides[1])  # type: ignore[arg-type]
    if len(sides) == 3:
        parts = [
            _solve(sides[place], operators[place], sides[place + 1])  # type: ignore[arg-type]
            for place in range(2)
        ]
        if isinstance(parts[0], Interval) and isinstance(parts[1], Interval):
            return _overlap(parts[0], parts[1])
    return None


def _solve(left: Expression, operator: str, right: Expression) -> Value | None:
    """Solve one linear inequality; what is compared may also be an expression such as f(x)."""
    if _is_constant(right) and not _is_constant(left):
        solved = _isolated(left, operator, right)
    elif _is_constant(left) and not _is_constant(right):
        solved = _isolated(right, _FLIPPED[operator], left)
    else:
        difference = Sum((left, Product((MINUS_ONE, right))))
        solved = _linear(difference, operator)
    return None if solved is None else _ray(*solved)


def _solve_absolute(inner: Expression, operator: str, bound: Expression) -> Value | None:
    """Solve |u| < c as -c < u < c, and |u| > c as the union of both outsides."""
    if operator == "!=" or not _is_constant(bound):
        return None
    below = _solve(inner, operator, bound)
    above = _solve(Product((MINUS_ONE, bound)), operator, inner)
    if not isinstance(below, Interval) or not isinstance(above, Interval):
        return None
    if operator in ("<", "<="):
        return _overlap(below, above)
    return Union((above, below))


def _isolated(
    side: Expression, operator: str, constant: Expression
) -> tuple[str, Expression] | None:
    if isinstance(side, Symbol | Call):
        return operator, constant
    return _linear(Sum((side, Product((MINUS_ONE, constant)))), operator)


def _linear(difference: Expression, operator: str) -> tuple[str, Expression] | None:
    """Solve a x + b (operator) 0 for x, where a is rational and b has no letters."""
    try:
        form = normal_form(difference)
    except (TooLargeError, ZeroDivisionError):
        return None
    letters = [key for key in form.terms if _has_letters(key)]
    if len(letters) != 1 or len(letters[0]) != 1 or letters[0][0][1] != 1:
        return None
    slope = form.terms[letters[0]]
    rest = Sum((difference, Product((Number(-slope), Symbol(letters[0][0][0])))))
    constant = _constant_part(form, letters[0]) or rest
    bound = Product((constant, Number(-1), _reciprocal(slope)))
    return (operator if slope > 0 else _FLIPPED[operator]), bound


def _constant_part(form: Normal, letter: Any) -> Expression | None:
    rest = {key: value for key, value in form.terms.items() if key != letter}
    if not rest:
        return Number(0)
    return Number(rest[()]) if set(rest) == {()} else None


def _reciprocal(value: Any) -> Expression:
    from fractions import Fraction

    return Number(1 / Fraction(value))


def _has_letters(monomial: Any) -> bool:
    return any(atom[0] not in "#~" for atom, _ in monomial)


def _is_constant(expression: Expression) -> bool:
    return value_of(expression) is not None


def _ray(operator: str, bound: Expression) -> Value | None:
    if operator == "!=":
        return Union(
            (
                Interval(_MINUS_INFINITY, bound, False, False),
                Interval(bound, _INFINITY, False, False),
            )
        )
    if operator in ("<", "<="):
        return Interval(_MINUS_INFINITY, bound, False, operator == "<=")
    return Interval(bound, _INFINITY, operator == ">=", False)


def _overlap(first: Interval, second: Interval) -> Interval:
    """Join the two halves of a chain: one has its low end, the other its high one."""
    lower, upper = (first, second) if first.low != _MINUS_INFINITY else (second, first)
    return Interval(lower.low, upper.high, lower.has_low, upper.has_high)


def _interval(
    low: Expression, high: Expression, *, has_low: bool, has_high: bool
) -> RealSet | None:
    bottom, top = value_of(low), value_of(high)
    if bottom is None or top is None or bottom.imag or top.imag:
        return None
    piece = Piece(bottom.real, top.real, has_low, has_high)
    return () if piece.is_empty else (piece,)


def _point(value: Value) -> Piece | None:
    if not isinstance(value, EXPRESSIONS):
        return None
    number = value_of(value)
    if number is None or number.imag:
        return None
    return Piece(number.real, number.real, True, True)


def _combined(sets: Sequence[RealSet | None], operator: str) -> RealSet | None:
    known = [part for part in sets if part is not None]
    if len(known) != len(sets) or not known:
        return None
    if operator == "cup":
        return _merged([piece for part in known for piece in part])
    result = known[0]
    for part in known[1:]:
        result = _common(result, part if operator == "cap" else _complement(part))
    return result


def _merged(pieces: Sequence[Piece]) -> RealSet:
    merged: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.low, not piece.has_low)):
        if piece.is_empty:
            continue
        last = merged[-1] if merged else None
        if last is None or not _touches(last, piece):
            merged.append(piece)
        elif piece.high > last.high or (_same(piece.high, last.high) and piece.has_high):
            merged[-1] = Piece(last.low, piece.high, last.has_low, piece.has_high)
    return tuple(merged)


def _touches(left: Piece, right: Piece) -> bool:
    if _same(left.high, right.low):
        return left.has_high or right.has_low
    return bool(right.low < left.high)


def _common(first: RealSet, second: RealSet) -> RealSet:
    found = []
    for left in first:
        for right in second:
            if _same(left.low, right.low):
                low, has_low = left.low, left.has_low and right.has_low
            else:
                low, has_low = max((left.low, left.has_low), (right.low, right.has_low))
            if _same(left.high, right.high):
                high, has_high = left.high, left.has_high and right.has_high
            else:
                high, has_high = min((left.high, left.has_high), (right.high, right.has_high))
            piece = Piece(low, high, has_low, has_high)
            if not piece.is_empty:
                found.append(piece)
    return _merged(found)


def _complement(pieces: RealSet) -> RealSet:
    everything = real_set(REALS) or ()
    low, has_low = everything[0].low, False
    gaps = []
    for piece in pieces:
        gaps.append(Piece(low, piece.low, has_low, not piece.has_low))
        low, has_low = piece.high, not piece.has_high
    gaps.append(Piece(low, everything[0].high, has_low, False))
    return tuple(gap for gap in gaps if not gap.is_empty)


def _same(first: Any, second: Any) -> bool:
    if first == second:
        return True
    gap = abs(first - second)
    if gap == _ENDLESS:
        return False
    return bool(gap <= _CLOSE * max(abs(first), abs(second), 1e-30))
