r"""How values of different kinds compare: a tuple with a matrix, a percentage with a number.

A rule takes two values in one order, and gives NotImplemented where the pair is not its own; the
comparison tries both orders, so every rule holds both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mathrl.rewards.quantities import Verdict, counted, percent, quantity
from mathrl.rewards.relations import assignment, is_name, letters_of, signed
from mathrl.rewards.sets import is_same_set, real_set, solution
from mathrl.rewards.syntax import (
    MINUS_ONE,
    Call,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.values import (
    EXPRESSIONS,
    Based,
    Braced,
    Bracketed,
    Clock,
    Interval,
    Listing,
    Matrix,
    Percent,
    Quantity,
    Ratio,
    Relation,
    Union,
    Value,
    Words,
)

if TYPE_CHECKING:
    from mathrl.rewards.compare import Comparison

_NOON = 12 * 60
_MAX_DIGITS = 4000
_NOTHING = frozenset(
    ("nosolution", "nosolutions", "none", "norealsolution", "norealsolutions", "emptyset")
)
_MISSING = frozenset(("doesnotexist", "dne", "limitdoesnotexist", "undefined"))
_FILLERS = frozenset(
    ("the", "a", "an", "there", "is", "are", "it", "they", "on", "in", "at", "has", "have")
)
_DIRECTIONS = frozenset(
    f"{style} {letter}"
    for style in ("hat", "mathbf", "vec", "bm", "overrightarrow")
    for letter in ("i", "j", "k", "imath", "jmath")
)

# -- rules for pairs of kinds --------------------------------------------------------------------
# Each takes the two values in this order and gives NotImplemented where it is not theirs.

_Rule = Callable[["Comparison", Value, Value], Any]


def _words(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Words):
        return NotImplemented
    if isinstance(second, Words):
        same = _plain(first.text) == _plain(second.text)
        pair = {_plain(first.text), _plain(second.text)}
        return same or (self.policy.is_bracket_loose and (pair <= _NOTHING or pair <= _MISSING))
    if isinstance(second, Braced) and not second.items:
        return _plain(first.text) in _NOTHING
    if isinstance(second, Symbol):
        return first.text == second.name.lower()
    if isinstance(second, Relation) and (defined := assignment(second)):
        return self.is_equal(first, defined[1])
    return False


def _plain(text: str) -> str:
    """Leave out the small words of a sentence, and where a compound is cut."""
    words = text.split()
    return "".join(word for word in words if word not in _FILLERS) or "".join(words)


def _relation(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Relation):
        return NotImplemented
    if first.operators == ("if",) and not (
        isinstance(second, Relation) and second.operators == ("if",)
    ):
        return not isinstance(second, Listing) and self.is_equal(first.sides[0], second)
    if isinstance(second, Relation):
        if second.operators == ("if",) and first.operators != ("if",):
            return NotImplemented
        return self.relations(first, second)
    if isinstance(second, Listing):
        if len(signed(first)) > 1:
            return self.unordered(signed(first), second.items)
        if (spread := _spread(first)) is not None:
            return self.is_equal(spread, second)
        if (defined := assignment(first)) and first.operators == ("in",):
            return self.is_equal(defined[1], second)
        return _listing_to_set(self, second, first)
    if defined := assignment(first):
        return self.is_equal(defined[1], second)
    if (solved := solution(first)) is not None:
        return self.is_equal(solved, second)
    if all(operator == "=" for operator in first.operators):
        last = first.sides[-1]
        is_derivation = all(
            not letters_of(side) or self.is_equal(side, last) for side in first.sides[:-1]
        ) or (len(first.sides) > 2 and is_name(first.sides[-2]))
        return is_derivation and self.is_equal(last, second)
    return False


def _spread(relation: Relation) -> Listing | None:
    """Write (x, y) = (1, 2) as x = 1, y = 2."""
    match relation:
        case Relation((Bracketed(names, _, _), Bracketed(values, _, _)), ("=",)):
            if len(names) == len(values):
                pairs = zip(names, values, strict=True)
                return Listing(tuple(Relation(pair, ("=",)) for pair in pairs))
    return None


def _listing_to_set(self: Comparison, listing: Listing, other: Value) -> Any:
    left, right = real_set(listing), real_set(other)
    return bool(left and right) and is_same_set(left or (), right or ())


def _sets(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Interval | Union):
        return NotImplemented
    if isinstance(second, (*EXPRESSIONS, Quantity, Percent, Matrix)):
        return False
    left, right = real_set(first), real_set(second)
    if left and right:  # an empty interval says something else than its emptiness
        return is_same_set(left, right)
    if isinstance(first, Interval):
        return _interval_ends(self, first, second)
    if isinstance(first, Union) and isinstance(second, Union):
        if first.operator != second.operator:
            return None
        if first.operator == "setminus":
            return self.ordered(first.parts, second.parts)
        return self.unordered(first.parts, second.parts)
    return False


def _interval_ends(self: Comparison, first: Interval, second: Value) -> Any:
    if isinstance(second, Bracketed) and len(second.items) == 2:
        ends = (second.opening == "[", second.closing == "]")
        low, high = second.items
    elif isinstance(second, Interval):
        ends, (low, high) = (second.has_low, second.has_high), (second.low, second.high)
    else:
        return False
    if ends != (first.has_low, first.has_high):
        return False
    return self.ordered((first.low, first.high), (low, high))


def _based(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Based):
        return NotImplemented
    value = _base_value(first)
    if isinstance(second, Based):
        other = _base_value(second)
        if first.base == second.base:
            return first.digits.lstrip("0") == second.digits.lstrip("0") or value == other
        return False  # the question asks for one base: the value in another is no answer
    if isinstance(second, Number):
        is_bare = first.digits == str(second.value)
        if self.policy.is_base_strict:
            return first.base == 10 and value == second.value
        return is_bare or (first.base == 10 and value == second.value)
    return False


def _base_value(number: Based) -> Fraction | None:
    whole, _, part = number.digits.partition(".")
    if len(number.digits) > _MAX_DIGITS:
        return None
    try:
        return Fraction(int(whole + part, number.base), number.base ** len(part))
    except ValueError:  # a digit that the base does not have
        return None


def _ratio(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Ratio):
        return NotImplemented
    if isinstance(second, Ratio):
        if len(first.parts) != len(second.parts):
            return False
        if any(part == Number(0) for part in (*first.parts, *second.parts)):
            return self.ordered(first.parts, second.parts)  # 0 : 0 is in proportion to anything
        crossed = [
            self.is_equal(Product((first.parts[0], right)), Product((second.parts[0], left)))
            for left, right in zip(first.parts[1:], second.parts[1:], strict=True)
        ]
        return False if False in crossed else None if None in crossed else True
    if isinstance(second, EXPRESSIONS) and len(first.parts) == 2:
        if not self.policy.is_bracket_loose:
            return False
        quotient = Product((first.parts[0], Power(first.parts[1], MINUS_ONE)))
        return self.is_equal(quotient, second)
    return False


def _clock(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Clock):
        return NotImplemented
    if isinstance(second, Number):
        is_hour = first.minutes % 60 == 0 and not self.policy.is_unit_strict
        return is_hour and first.minutes // 60 % 12 == second.value
    if not isinstance(second, Clock):
        return NotImplemented if isinstance(second, Relation) else False
    if first.minutes % (2 * _NOON) == second.minutes % (2 * _NOON):
        return True
    is_open = first.half is None or second.half is None
    return (
        is_open
        and self.policy.is_unit_strict is False
        and first.minutes % _NOON == second.minutes % _NOON
    )


def _matrix(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Matrix):
        return NotImplemented
    if isinstance(second, Matrix):
        if [len(row) for row in first.rows] != [len(row) for row in second.rows]:
            return False
        return self.ordered(_entries(first), _entries(second))
    if isinstance(second, Bracketed):
        if len(first.rows) == 1 or len(first.rows[0]) == 1:
            return self.ordered(_entries(first), second.items)
        rows = [row.items for row in second.items if isinstance(row, Bracketed)]
        if [len(row) for row in rows] != [len(row) for row in first.rows]:
            return False
        return self.ordered(_entries(first), [item for row in rows for item in row])
    if isinstance(second, Call) and second.name == "binom" and len(first.rows[0]) == 1:
        return self.ordered(_entries(first), second.arguments)  # \binom{1}{2} drawn as a column
    if isinstance(second, EXPRESSIONS) and len(first.rows[0]) == 1:
        return self.ordered_or_false(_entries(first), _components(self, second, len(first.rows)))
    return False


def _components(self: Comparison, value: Expression, count: int) -> Sequence[Value] | None:
    r"""Read ``2\hat{i} - 3\hat{j}`` and ``\binom{2}{-3}`` as vectors."""
    form = self.form(value)
    if form is None or count not in (2, 3):
        return None
    parts: list[list[Expression]] = [[] for _ in range(count)]
    for term in value.terms if isinstance(value, Sum) else (value,):
        factors = _flat_factors(term)
        direction = next((factor for factor in factors if _direction(factor) is not None), None)
        place = None if direction is None else _direction(direction)
        if direction is None or place is None or place >= count:
            return None
        factors.remove(direction)
        parts[place].append(Product((Number(1), Number(1), *factors)))
    return [Sum((Number(0), *terms)) for terms in parts]


def _flat_factors(term: Expression) -> list[Expression]:
    if not isinstance(term, Product):
        return [term]
    return [part for factor in term.factors for part in _flat_factors(factor)]


def _direction(value: Expression) -> int | None:
    if isinstance(value, Symbol) and value.name in _DIRECTIONS:
        return "ijk".index(value.name.split()[-1][0])
    return None


def _entries(matrix: Matrix) -> tuple[Expression, ...]:
    return tuple(entry for row in matrix.rows for entry in row)


def _bracketed(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Bracketed):
        return NotImplemented
    if isinstance(second, Bracketed):
        is_point = self.policy.is_bracket_loose and _is_falling(first) and _is_falling(second)
        is_pair = len(first.items) == 2 and not is_point
        if is_pair and _shape(first) != _shape(second):
            return False
        return self.ordered(first.items, second.items)
    if isinstance(second, Listing):
        if len(points := signed(first)) > 1:
            return self.unordered(points, second.items)
        if (said := _inequalities(second)) is not None:
            between = real_set(first)
            return bool(between) and is_same_set(between or (), said)
        named = _named_values(second)
        if named is not None:
            return self.ordered(first.items, named)
        if self.policy.is_bracket_loose and first.opening != "[":
            return self.ordered(first.items, second.items)
        return False
    if isinstance(second, EXPRESSIONS):
        return self.ordered_or_false(first.items, _components(self, second, len(first.items)))
    return NotImplemented if isinstance(second, Relation) else False


def _is_falling(value: Bracketed) -> bool:
    """Tell a pair that can be no interval: [10, 0] is a point, whatever its brackets."""
    match value.items:
        case (Number(low), Number(high)):
            return low > high
    return False


def _shape(value: Bracketed) -> tuple[bool, bool]:
    """Tell which ends are square: a vector in angle brackets is like one in round ones."""
    return value.opening == "[", value.closing == "]"


def _named_values(listing: Listing) -> list[Value] | None:
    """Give the values of x = 1, y = 2 in the order of the names, or None where there are none."""
    named = [assignment(item) for item in listing.items]
    if not all(named):
        return None
    pairs = [(str(pair[0]), pair[1]) for pair in named if pair]
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        return None
    return [value for _, value in sorted(pairs, key=lambda pair: pair[0])]


def _listing(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Listing | Braced):
        return NotImplemented
    if isinstance(second, Listing | Braced):
        return _listings(self, first, second)
    if isinstance(second, EXPRESSIONS) and len(signed(second)) > 1:
        return self.unordered(_values_of(first), signed(second))
    if isinstance(first, Braced) and len(first.items) == 1 and isinstance(second, EXPRESSIONS):
        return self.policy.is_bracket_loose and self.is_equal(first.items[0], second)
    if isinstance(first, Listing) and isinstance(second, Interval | Union):
        return _listing_to_set(self, first, second)
    if isinstance(first, Listing) and first.joiner == "or" and isinstance(second, EXPRESSIONS):
        is_loose = self.policy.is_bracket_loose  # "1/2, or 50%" says one thing twice
        return is_loose and all(self.is_equal(item, second) is True for item in first.items)
    return NotImplemented if isinstance(second, Bracketed | Relation | Interval | Union) else False


def _listings(self: Comparison, first: Listing | Braced, second: Listing | Braced) -> Verdict:
    if isinstance(first, Braced) or isinstance(second, Braced):
        return self.unordered(self.distinct(_values_of(first)), self.distinct(_values_of(second)))
    counts, other_counts = _by_noun(first), _by_noun(second)
    if counts and other_counts and sorted(counts) == sorted(other_counts):
        return self.ordered(list(counts.values()), [other_counts[noun] for noun in counts])
    left_set, right_set = _inequalities(first), _inequalities(second)
    if left_set is not None and right_set is not None:
        return is_same_set(left_set, right_set)
    for one, other in ((first, second), (second, first)):
        in_order = None if _is_indexed(one) else _named_values(one)
        if in_order is not None and _named_values(other) is None:
            return self.ordered(in_order, other.items)
    verdict = self.unordered(first.items, second.items)
    if verdict is not False:
        return verdict
    is_named = [
        [assignment(item) is not None for item in listing.items] for listing in (first, second)
    ]
    if all(is_named[0]) and all(is_named[1]):
        return False
    if any(is_named[0]) or any(is_named[1]):
        return self.unordered(_values_of(first), _values_of(second))
    return False


def _by_noun(listing: Listing) -> dict[str, Value]:
    """Give what a list counts by its noun: 3 boys and 5 girls are not 5 boys and 3 girls."""
    by_noun: dict[str, Value] = {
        counted(item.unit): item
        for item in listing.items
        if isinstance(item, Quantity) and not item.unit.is_known
    }
    return by_noun if len(by_noun) == len(listing.items) > 1 else {}


def _is_indexed(listing: Listing) -> bool:
    """Tell x_1 = 2, x_2 = -3: roots, which have no order of their own."""
    return any(
        isinstance(item, Relation)
        and isinstance(item.sides[0], Symbol)
        and "_" in item.sides[0].name
        for item in listing.items
    )


def _inequalities(listing: Listing) -> Any:
    if not any(isinstance(item, Relation) for item in listing.items):
        return None
    return (
        real_set(listing)
        if all(isinstance(item, Relation | Interval | Union) for item in listing.items)
        else None
    )


def _values_of(value: Listing | Braced) -> tuple[Value, ...]:
    """Drop the names of x = 1, x = 2."""
    values: list[Value] = []
    for item in value.items:
        defined = assignment(item)
        values.extend(signed(defined[1] if defined else item))
    return tuple(values)


RULES: Sequence[_Rule] = (
    _words, _relation, _clock, _ratio, _based, percent, quantity, _matrix, _sets, _listing,
    _bracketed,
)  # fmt: skip
