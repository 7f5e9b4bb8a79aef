r"""Tiers 1 to 3: decide whether two values are equal, under a policy.

Tier 1 compares exact numbers, tier 2 structure and normal forms, tier 3 evaluates. Every rule is
symmetric: what (a, b) gives, (b, a) gives. A rule answers True, False or None; None is
"undecided", and the pairs of expressions it hung on are kept for tier 4.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from typing import Any

from mathrl.rewards.identity import is_identical, is_proportional, value_of
from mathrl.rewards.kinds import RULES
from mathrl.rewards.normal import Normal, TooLargeError, normal_form
from mathrl.rewards.policy import Policy
from mathrl.rewards.quantities import Verdict
from mathrl.rewards.relations import (
    assignment,
    letters_of,
    signed,
    substituted,
    with_plain_primes,
)
from mathrl.rewards.sets import is_same_set, real_set
from mathrl.rewards.syntax import (
    MINUS_ONE,
    Call,
    Expression,
    Number,
    Product,
    Sum,
    Symbol,
    children,
)
from mathrl.rewards.values import (
    EXPRESSIONS,
    Bracketed,
    Relation,
    Value,
    Words,
)

_MAX_MATCHED = 64
_MAX_NOISE = 1e-3
"""How far a float may be from a whole number and still be it, however large it is."""
_MAX_CONSTANTS = 3
_CONSTANTS = frozenset((*"ABCDKc", *(f"{name}_{i}" for name in "CcAB" for i in range(4))))
"""Letters that an answer may choose freely beside its variables: constants of integration."""
_WHOLE_LETTERS = frozenset("kmnl")
_DOTS = Symbol("...")


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
        for rule in RULES:
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
        first, second = with_plain_primes(first, second)
        left, right = self.form(first), self.form(second)
        if left is not None and right is not None:
            if left.terms == right.terms:
                return True
            if left.is_pure and right.is_pure:
                return self.with_constants(first, second) or self.is_rounding(first, second)
        if self.settled and (first, second) in self.settled:
            return self.settled[first, second]
        if (constants := self.with_constants(first, second)) is not None:
            return constants
        self.tier = 3
        verdict = is_identical(first, second)
        if verdict is False:
            return self.is_rounding(first, second)
        if verdict is None:
            self.undecided.append((first, second))
        return verdict

    def with_constants(self, first: Expression, second: Expression) -> Verdict:
        """Compare up to the names of free constants: + C is + K, C_1 e^x is A e^x."""
        mine, other = letters_of(first), letters_of(second)
        extra, others = sorted(mine - other), sorted(other - mine)
        if not extra or len(extra) != len(others) or len(extra) > _MAX_CONSTANTS:
            return None
        is_free = _CONSTANTS.issuperset([*extra, *others]) and bool((mine & other) - _CONSTANTS)
        names = {*extra, *others}
        families = {name for name in names if name[0] == "~"}
        is_whole = len(families) == 1 and names - families <= _WHOLE_LETTERS
        if not (is_free or is_whole) or not self.policy.is_bracket_loose:
            return None
        for order in permutations(others):
            turned = substituted(first, dict(zip(extra, order, strict=True)))
            left, right = self.form(turned), self.form(second)
            if left is not None and right is not None and left.terms == right.terms:
                return True
        return None

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
        form = self.form(exact)
        gap = abs(near - target)
        is_near = gap <= abs(target) * self.policy.relative_tolerance
        if is_near and (gap <= _MAX_NOISE or form is None or not isinstance(form.rational, int)):
            return True
        unit = _last_place(rounded)
        digits = 0 if unit is None else len(str(int(abs(Fraction(str(near.real)) / unit))))
        if unit is None or digits < self.policy.min_rounded_digits:
            return False
        return bool(gap <= float(unit) * 0.5000001)

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
        for item in items:
            for part in signed(item):
                if part in found:
                    continue
                is_new = len(found) > _MAX_MATCHED or not any(
                    self.is_equal(part, other) for other in found
                )
                if is_new:
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
        if left_set and right_set:
            return _same_letter(first, second) and is_same_set(left_set, right_set)
        if len(first.operators) == len(second.operators) == 1:
            return self.single_relations(first, second)
        if first.operators == second.operators:
            return self.ordered(first.sides, second.sides)
        if first.operators == tuple(_TURNED.get(op, op) for op in reversed(second.operators)):
            return self.ordered(first.sides, tuple(reversed(second.sides)))
        return False

    def renamed(self, left: tuple[Value, Value], right: tuple[Value, Value]) -> Verdict:
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
                if len(letters) == len(old) and isinstance(second_value, EXPRESSIONS):
                    return self.same_function(first_value, second_value, letters)
            case (Words(), _) | (_, Words()):
                return verdict
            case (Symbol(one), Symbol(other)) if one.split()[-1] == other.split()[-1]:
                return verdict  # \hat{p} and p
            case (Symbol(), Symbol()) if len({*with_plain_primes(first_name, second_name)}) == 1:
                return verdict  # dy/dx and y'
            case (Call(one, held), Symbol(other)) | (Symbol(other), Call(one, held)):
                if not all(isinstance(part, Symbol) for part in held):
                    return False  # y(0) = 1 does not say y = 1
                is_argument = Symbol(other) in held
                return (
                    verdict if one == other or (one[0] in "fghFGH" and not is_argument) else False
                )
            case Product(), Product():
                first_letters, second_letters = (
                    set(children(first_name)),
                    set(children(second_name)),
                )
                return verdict if first_letters & second_letters else None
        return None

    def same_function(
        self, first: Value, second: Expression, letters: Mapping[str, str]
    ) -> Verdict:
        """Compare two definitions after giving the arguments of both fresh names."""
        if not isinstance(first, EXPRESSIONS):
            return False
        fresh = {name: f"~{place}" for place, name in enumerate(letters)}
        other = {name: f"~{place}" for place, name in enumerate(letters.values())}
        return self.is_equal(substituted(first, fresh), substituted(second, other))

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
            return (
                self.ordered(first.sides, second.sides)
                if operator == second.operators[0]
                else False
            )
        differences = [
            Sum((relation.sides[0], Product((MINUS_ONE, relation.sides[1]))))  # type: ignore[arg-type]
            for relation in (first, second)
        ]
        return self.proportional(differences[0], differences[1], signs)

    def proportional(self, first: Expression, second: Expression, signs: Sequence[int]) -> Verdict:
        """Decide whether one expression is a constant times the other, of one of these signs."""
        first, second = with_plain_primes(first, second)
        left, right = self.form(first), self.form(second)
        if left is not None and right is not None and left.is_pure and right.is_pure:
            return _pure_proportional(left, right, signs)
        self.tier = 3
        return is_proportional(first, second, signs)


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
        frozenset().union(*(letters_of(side) for side in relation.sides))
        for relation in (first, second)
    ]
    return not letters[0] or not letters[1] or letters[0] == letters[1]


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
