r"""Tiers 1 to 3: decide whether two values are equal, under a policy.

Tier 1 compares exact numbers, tier 2 structure and normal forms, tier 3 evaluates. Every rule is
symmetric: what (a, b) gives, (b, a) gives. A rule answers True, False or None; None is
"undecided", and the pairs of expressions it hung on are kept for tier 4.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mathrl.rewards.identity import is_identical, is_proportional, value_of
from mathrl.rewards.normal import Normal, TooLargeError, normal_form
from mathrl.rewards.policy import Policy
from mathrl.rewards.read import is_name, signed
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
    children,
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

Verdict = bool | None
_NOON = 12 * 60
_MAX_MATCHED = 64
_MAX_DIGITS = 4000
_NOTHING = frozenset(
    ("no solution", "no solutions", "none", "no real solution", "no real solutions", "empty set")
)
_DOTS = Symbol("...")
_DIRECTIONS = frozenset(
    f"{style} {letter}" for style in ("hat", "mathbf", "vec", "bm", "overrightarrow")
    for letter in ("i", "j", "k", "imath", "jmath")
)


class Comparison:
    """One comparison of two answers: remembers the highest tier used and what stayed open."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.tier = 1
        self.undecided: list[tuple[Expression, Expression]] = []
        self.settled: dict[tuple[Expression, Expression], bool | None] = {}
        """Verdicts of tier 4 on pairs that were undecided."""
        self._forms: dict[Expression, Normal | None] = {}

    def is_equal(self, first: Value, second: Value) -> Verdict:
        """Decide whether two values are equal.

        Args:
            first: One value.
            second: The other; the order does not matter.

        Returns:
            True, False, or None where these tiers cannot tell.
        """
        if first == second:
            return True
        if isinstance(first, EXPRESSIONS) and isinstance(second, EXPRESSIONS):
            return self.expressions(first, second)
        self.tier = max(self.tier, 2)
        for rule in _RULES:
            verdict = rule(self, first, second)
            if verdict is not NotImplemented:
                return verdict  # type: ignore[no-any-return]
            verdict = rule(self, second, first)
            if verdict is not NotImplemented:
                return verdict  # type: ignore[no-any-return]
        return False

    # -- expressions ---------------------------------------------------------------------------

    def expressions(self, first: Expression, second: Expression) -> Verdict:
        if isinstance(first, Number) and isinstance(second, Number):
            return first.value == second.value or self.is_rounding(first, second)
        self.tier = max(self.tier, 2)
        if (signs := self.with_signs(first, second)) is not NotImplemented:
            return signs  # type: ignore[no-any-return]
        left, right = self.form(first), self.form(second)
        if left is not None and right is not None:
            if left.terms == right.terms:
                return True
            if left.is_pure and right.is_pure:
                return self.is_rounding(first, second)
        if self.settled and (first, second) in self.settled:
            return self.settled[first, second]
        self.tier = 3
        verdict = is_identical(first, second)
        if verdict is False:
            return self.is_rounding(first, second)
        if verdict is None:
            self.undecided.append((first, second))
        return verdict

    def with_signs(self, first: Expression, second: Expression) -> Any:
        left, right = signed(first), signed(second)
        if len(left) == len(right) == 1:
            return NotImplemented
        return self.unordered(left, right)

    def form(self, expression: Expression) -> Normal | None:
        if expression not in self._forms:
            try:
                self._forms[expression] = normal_form(expression)
            except (TooLargeError, ZeroDivisionError):
                self._forms[expression] = None
        return self._forms[expression]

    def is_rounding(self, first: Expression, second: Expression) -> bool:
        """Tell whether one side is the other one rounded, with digits enough to mean it."""
        if not self.policy.relative_tolerance:
            return False
        places = [_decimal_places(side) for side in (first, second)]
        if (places[0] is None) == (places[1] is None):
            return False
        rounded, exact = (first, second) if places[1] is None else (second, first)
        near, target = value_of(rounded), value_of(exact)
        if near is None or target is None or near == 0:
            return False
        gap = abs(near - target)
        if gap <= abs(target) * self.policy.relative_tolerance:
            return True
        unit = _last_place(rounded)
        digits = 0 if unit is None else len(str(int(abs(Fraction(str(near.real)) / unit))))
        return digits >= self.policy.min_rounded_digits and bool(gap <= float(unit) * 0.5000001)

    # -- several values ------------------------------------------------------------------------

    def ordered(self, first: Sequence[Value], second: Sequence[Value]) -> Verdict:
        if len(first) != len(second):
            return False
        verdicts = []
        for left, right in zip(first, second, strict=True):
            verdict = self.is_equal(left, right)
            if verdict is False:
                return False
            verdicts.append(verdict)
        return None if None in verdicts else True

    def ordered_or_false(self, first: Sequence[Value], second: Sequence[Value] | None) -> Verdict:
        return False if second is None else self.ordered(first, second)

    def unordered(self, first: Sequence[Value], second: Sequence[Value]) -> Verdict:
        if len(first) != len(second):
            return False
        if not self.policy.is_order_loose or _DOTS in first or _DOTS in second:
            return self.ordered(first, second)
        rest = list(second)
        unmatched = []
        for left in first:  # equal texts first: most lists are equal but for their order
            if left in rest:
                rest.remove(left)
            else:
                unmatched.append(left)
        if len(unmatched) > _MAX_MATCHED:
            return None
        is_open = False
        for left in unmatched:
            verdicts = [self.is_equal(left, right) for right in rest]
            if True in verdicts:
                del rest[verdicts.index(True)]
            elif None in verdicts:
                is_open = True
                del rest[verdicts.index(None)]
            else:
                return False
        return None if is_open else True

    def distinct(self, items: Sequence[Value]) -> list[Value]:
        found: list[Value] = []
        for item in items[:_MAX_MATCHED]:
            for part in signed(item):
                if not any(self.is_equal(part, other) for other in found):
                    found.append(part)
        return found

    # -- relations -----------------------------------------------------------------------------

    def relations(self, first: Relation, second: Relation) -> Verdict:
        left, right = assignment(first), assignment(second)
        if left and right:
            renamed = self.renamed(left, right)
            if renamed is not None:
                return renamed
        left_set, right_set = real_set(first), real_set(second)
        if left_set is not None and right_set is not None:
            return _same_letter(first, second) and is_same_set(left_set, right_set)
        if len(first.operators) == len(second.operators) == 1:
            return self.single_relations(first, second)
        if first.operators == second.operators:
            return self.ordered(first.sides, second.sides)
        if first.operators == tuple(_TURNED.get(op, op) for op in reversed(second.operators)):
            return self.ordered(first.sides, tuple(reversed(second.sides)))
        return False

    def renamed(
        self, left: tuple[Value, Value], right: tuple[Value, Value]
    ) -> Verdict:
        """Compare two definitions; None where they are better compared as equations."""
        (first_name, first_value), (second_name, second_value) = left, right
        verdict = self.is_equal(first_value, second_value)
        if first_name == second_name:
            return verdict if verdict is not None else None
        match first_name, second_name:
            case Call(one, old), Call(other, new) if one == other and len(old) == len(new):
                letters = {
                    before.name: after.name
                    for before, after in zip(old, new, strict=True)
                    if isinstance(before, Symbol) and isinstance(after, Symbol)
                }
                if len(letters) == len(old) and isinstance(first_value, EXPRESSIONS):
                    return self.is_equal(substituted(first_value, letters), second_value)
            case (Words(), _) | (_, Words()):
                return verdict
            case (Call(one, _), Symbol()) | (Symbol(), Call(one, _)):
                return verdict if one[0] in "fghFGH" else False
            case Product(), Product():
                first_letters, second_letters = set(children(first_name)), set(
                    children(second_name)
                )
                return verdict if first_letters & second_letters else None
        return None

    def single_relations(self, first: Relation, second: Relation) -> Verdict:
        operator, turned = first.operators[0], _TURNED.get(second.operators[0])
        if operator == second.operators[0]:
            signs = (1, -1) if operator in ("=", "!=") else (1,)
        elif operator == turned:
            signs = (-1,)
        else:
            return False
        sides = (*first.sides, *second.sides)
        if not all(isinstance(side, EXPRESSIONS) for side in sides):
            if operator == "=" and isinstance(first.sides[0], Bracketed):
                return self.ordered(first.sides, second.sides)
            return self.ordered(first.sides, second.sides) if operator == second.operators[0] else False
        differences = [
            Sum((relation.sides[0], Product((MINUS_ONE, relation.sides[1]))))  # type: ignore[arg-type]
            for relation in (first, second)
        ]
        return self.proportional(differences[0], differences[1], signs)

    def proportional(
        self, first: Expression, second: Expression, signs: Sequence[int]
    ) -> Verdict:
        """Decide whether one expression is a constant times the other, of one of these signs."""
        left, right = self.form(first), self.form(second)
        if left is not None and right is not None and left.is_pure and right.is_pure:
            return _pure_proportional(left, right, signs)
        self.tier = 3
        return is_proportional(first, second, signs)


def assignment(value: Value) -> tuple[Value, Value] | None:
    """Take ``x = 3`` apart: the name and the value at the end of the chain.

    Args:
        value: Any.

    Returns:
        The name and the value, or None where it is no definition.
    """
    if not isinstance(value, Relation):
        return None
    if not is_name(value.sides[0]):  # 5 = x
        is_turned = value.operators == ("=",) and isinstance(value.sides[1], Symbol)
        return (value.sides[1], value.sides[0]) if is_turned else None
    if value.operators == ("in",):
        return value.sides[0], value.sides[1]
    if all(operator == "=" for operator in value.operators):
        return value.sides[0], value.sides[-1]
    return None


def substituted(node: Expression, letters: Mapping[str, str]) -> Expression:
    """Rename letters, all at once: f(x) = x + 1 is f(t) = t + 1.

    Args:
        node: An expression.
        letters: What each letter becomes.
    """
    match node:
        case Symbol(name):
            return Symbol(letters.get(name, name))
        case Sum(terms):
            return Sum(tuple(substituted(term, letters) for term in terms))
        case Product(factors):
            return Product(tuple(substituted(factor, letters) for factor in factors))
        case Power(base, exponent):
            return Power(substituted(base, letters), substituted(exponent, letters))
        case Call(name, arguments):
            return Call(name, tuple(substituted(part, letters) for part in arguments))
    return node


_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def _pure_proportional(left: Normal, right: Normal, signs: Sequence[int]) -> bool:
    if left.terms.keys() != right.terms.keys() or not left.terms:
        return not left.terms and not right.terms
    key = next(iter(left.terms))
    factor = Fraction(left.terms[key]) / right.terms[key]
    if not any(factor * sign > 0 for sign in signs):
        return False
    return all(value == factor * right.terms[other] for other, value in left.terms.items())


def _same_letter(first: Relation, second: Relation) -> bool:
    letters = [
        frozenset().union(*(_letters(side) for side in relation.sides))
        for relation in (first, second)
    ]
    return not letters[0] or not letters[1] or letters[0] == letters[1]


def _letters(value: Value) -> frozenset[str]:
    if isinstance(value, Symbol):
        return frozenset((value.name,))
    if not isinstance(value, EXPRESSIONS):
        return frozenset()
    return frozenset().union(*(_letters(child) for child in children(value)))


def _decimal_places(node: Expression) -> int | None:
    """Give the most decimals that a constant is written with, or None where it has none."""
    if isinstance(node, Number):
        return node.places
    found = [places for child in children(node) if (places := _decimal_places(child)) is not None]
    return max(found) if found else None


def _last_place(node: Expression) -> Fraction | None:
    """Give the unit of the last decimal written: 0.01 for 3.14, 10^18 for 1.25 x 10^20."""
    match node:
        case Number(_, places):
            return None if places is None else Fraction(1, 10**places)
        case Product(factors):
            units = [unit for factor in factors if (unit := _last_place(factor)) is not None]
            form = None
            try:
                form = normal_form(node).rational
            except (TooLargeError, ZeroDivisionError):
                return None
            decimal = next((part for part in factors if _last_place(part) is not None), None)
            if len(units) != 1 or form is None or not isinstance(decimal, Number):
                return None
            return abs(Fraction(form) / decimal.value) * units[0] if decimal.value else None
    return None


# -- rules for pairs of kinds --------------------------------------------------------------------
# Each takes the two values in this order and gives NotImplemented where it is not theirs.

_Rule = Callable[[Comparison, Value, Value], Any]


def _words(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Words):
        return NotImplemented
    if isinstance(second, Words):
        return _plain(first.text) == _plain(second.text)
    if isinstance(second, Braced) and not second.items:
        return self.policy.is_bracket_loose and first.text in _NOTHING
    if isinstance(second, Symbol):
        return first.text == second.name.lower()
    if isinstance(second, Relation) and (defined := assignment(second)):
        return self.is_equal(first, defined[1])
    return False


def _plain(text: str) -> str:
    words = [word for word in text.split() if word not in ("the", "a", "an")]
    return " ".join(words)


def _relation(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Relation):
        return NotImplemented
    if isinstance(second, Relation):
        return self.relations(first, second)
    if isinstance(second, Listing):
        if len(signed(first)) > 1:
            return self.unordered(signed(first), second.items)
        if (spread := _spread(first)) is not None:
            return self.is_equal(spread, second)
        return _listing_to_set(self, second, first)
    if defined := assignment(first):
        return self.is_equal(defined[1], second)
    if (solved := solution(first)) is not None:
        return self.is_equal(solved, second)
    if all(operator == "=" for operator in first.operators):
        last = first.sides[-1]
        is_derivation = all(
            not _letters(side) or self.is_equal(side, last) for side in first.sides[:-1]
        ) or is_name(first.sides[-2])
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
    return left is not None and right is not None and is_same_set(left, right)


def _sets(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Interval | Union):
        return NotImplemented
    if isinstance(second, (*EXPRESSIONS, Quantity, Percent, Matrix)):
        return False
    left, right = real_set(first), real_set(second)
    if left is not None and right is not None:
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


def _percent(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Percent):
        return NotImplemented
    if isinstance(second, Percent):
        return self.is_equal(first.value, second.value)
    if isinstance(second, Quantity) and not second.unit.is_known:
        second = second.value
    if not isinstance(second, EXPRESSIONS):
        return NotImplemented if isinstance(second, Listing | Ratio) else False
    part = Product((first.value, Number(Fraction(1, 100), 2)))
    if self.is_equal(part, second):
        return True
    return self.policy.is_percent_loose and self.is_equal(first.value, second)


def _quantity(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Quantity):
        return NotImplemented
    if isinstance(second, Quantity):
        return _quantities(self, first, second)
    if isinstance(second, Percent):
        return NotImplemented
    if isinstance(second, EXPRESSIONS):
        return self.is_equal(first.value, second)
    if isinstance(second, Ratio | Clock | Based):
        return False
    return NotImplemented


def _quantities(self: Comparison, first: Quantity, second: Quantity) -> Verdict:
    one, other = first.unit, second.unit
    if not (one.is_known and other.is_known):
        if self.policy.is_unit_strict and one.is_known != other.is_known:
            return False
        return self.is_equal(first.value, second.value)
    if one.dimension != other.dimension:
        return False
    if one.scale == other.scale:
        return self.is_equal(first.value, second.value)
    if self.policy.is_unit_strict:
        return False
    scale = Number(one.scale / other.scale)
    return self.is_equal(Product((first.value, scale)), second.value)


def _based(self: Comparison, first: Value, second: Value) -> Any:
    if not isinstance(first, Based):
        return NotImplemented
    value = _base_value(first)
    if isinstance(second, Based):
        other = _base_value(second)
        if first.base == second.base:
            return first.digits.lstrip("0") == second.digits.lstrip("0") or value == other
        return value is not None and value == other and not self.policy.is_base_strict
    if isinstance(second, Number):
        is_bare = first.digits == str(second.value)
        if self.policy.is_base_strict:
            return first.base == 10 and value == second.value
        return is_bare or value == second.value
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
        crossed = [
            self.is_equal(
                Product((first.parts[0], right)), Product((second.parts[0], left))
            )
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
        is_open and self.policy.is_unit_strict is False
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
    if isinstance(second, EXPRESSIONS) and len(first.rows[0]) == 1:
        return self.ordered_or_false(_entries(first), _components(self, second, len(first.rows)))
    return False


def _components(self: Comparison, value: Expression, count: int) -> Sequence[Value] | None:
    r"""Read ``2\hat{i} - 3\hat{j}`` and ``\binom{2}{-3}`` as vectors."""
    if isinstance(value, Call) and value.name == "binom":
        return value.arguments
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
        if len(first.items) == 2 and _shape(first) != _shape(second):
            return False
        return self.ordered(first.items, second.items)
    if isinstance(second, Listing):
        named = _named_values(second)
        if named is not None:
            return self.ordered(first.items, named)
        if self.policy.is_bracket_loose and first.opening != "[":
            return self.ordered(first.items, second.items)
        return False
    if isinstance(second, EXPRESSIONS):
        return self.ordered_or_false(first.items, _components(self, second, len(first.items)))
    return NotImplemented if isinstance(second, Relation) else False


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
    return NotImplemented if isinstance(second, Bracketed | Relation | Interval | Union) else False


def _listings(self: Comparison, first: Listing | Braced, second: Listing | Braced) -> Verdict:
    if isinstance(first, Braced) or isinstance(second, Braced):
        return self.unordered(
            self.distinct(_values_of(first)), self.distinct(_values_of(second))
        )
    left_set, right_set = _inequalities(first), _inequalities(second)
    if left_set is not None and right_set is not None:
        return is_same_set(left_set, right_set)
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


def _inequalities(listing: Listing) -> Any:
    if not any(isinstance(item, Relation) for item in listing.items):
        return None
    return real_set(listing) if all(
        isinstance(item, Relation | Interval | Union) for item in listing.items
    ) else None


def _values_of(value: Listing | Braced) -> tuple[Value, ...]:
    """Drop the names of x = 1, x = 2."""
    values: list[Value] = []
    for item in value.items:
        defined = assignment(item)
        values.extend(signed(defined[1] if defined else item))
    return tuple(values)


_RULES: Sequence[_Rule] = (
    _words, _relation, _clock, _ratio, _based, _percent, _quantity, _matrix, _sets, _listing,
    _bracketed,
)  # fmt: skip
