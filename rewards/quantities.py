"""Rules of comparison for percentages and quantities: units of a kind, and what has none.

As in ``kinds``, a rule gives NotImplemented where the pair of values is not its own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mathrl.rewards.syntax import Constant, Expression, Number, Product
from mathrl.rewards.units import Unit
from mathrl.rewards.values import (
    EXPRESSIONS,
    Based,
    Clock,
    Listing,
    Percent,
    Quantity,
    Ratio,
    Value,
)

if TYPE_CHECKING:
    from mathrl.rewards.compare import Comparison

Verdict = bool | None
_DEGREES, _RADIANS = (("angle", 1),), (("radian", 1),)
_TEMPERATURES = ((("temperature", 1),), (("fahrenheit", 1),))
_POUNDS = frozenset(("pound", "pounds", "gbp"))
"""Money or weight: the word alone does not say which."""


def percent(self: Comparison, first: Value, second: Value) -> Any:
    """Compare a percentage: 25% is 1/4, and 25 too where the policy is loose."""
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
    is_plain = isinstance(first.value, Number)
    return self.policy.is_percent_loose and is_plain and self.is_equal(first.value, second)


def quantity(self: Comparison, first: Value, second: Value) -> Any:
    """Compare a number with its unit."""
    if not isinstance(first, Quantity):
        return NotImplemented
    if isinstance(second, Quantity):
        return _quantities(self, first, second)
    if isinstance(second, Percent):
        return NotImplemented
    if isinstance(second, EXPRESSIONS):
        is_vague = first.unit.is_symbol or first.unit.name == "k"
        if self.policy.is_unit_strict and is_vague and first.unit.name:
            return False  # 42 K may be kelvin or thousands
        return self.is_equal(first.value, second)
    if isinstance(second, Ratio | Clock | Based):
        return False
    return NotImplemented


def _radians(degrees: Expression) -> Expression:
    return Product((degrees, Constant("pi"), Number(Fraction(1, 180))))


def counted(unit: Unit) -> str:
    """Give the noun that a number counts, in the singular: 5 boys are not 5 girls."""
    return unit.name.split()[-1].removesuffix("s") if unit.name else ""


def _quantities(self: Comparison, first: Quantity, second: Quantity) -> Verdict:
    one, other = first.unit, second.unit
    if one.is_generic != other.is_generic:  # 5 units, whatever they are
        return self.is_equal(first.value, second.value)
    if one.is_symbol and other.is_symbol and one.name != other.name:
        return False
    if (one.is_symbol and one.name and other.is_known) or (
        other.is_symbol and other.name and one.is_known
    ):
        return False  # kelvin is no degree, whatever the number
    if {one.dimension, other.dimension} == {_DEGREES, _RADIANS} and not self.policy.is_unit_strict:
        degrees, radians = (first, second) if one.dimension == _DEGREES else (second, first)
        return self.is_equal(_radians(degrees.value), radians.value)
    if {one.name, other.name} <= _POUNDS:
        return self.is_equal(first.value, second.value)
    if not (one.is_known and other.is_known):
        if self.policy.is_unit_strict and counted(one) != counted(other):
            return False
        return self.is_equal(first.value, second.value)
    if one.dimension != other.dimension:
        is_open = {one.name, other.name} & {"degree", "degrees"} and not self.policy.is_unit_strict
        is_warmth = one.dimension in _TEMPERATURES or other.dimension in _TEMPERATURES
        return bool(is_open and is_warmth) and self.is_equal(first.value, second.value)
    if one.scale == other.scale:
        return self.is_equal(first.value, second.value)
    if self.policy.is_unit_strict:
        return False
    scale = Number(one.scale / other.scale)
    return self.is_equal(Product((first.value, scale)), second.value)
