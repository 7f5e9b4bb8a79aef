"""Compare rational functions exactly: at random points, modulo the prime 2^61 - 1.

No overflow and no rounding; a false "equal" comes about once in 2^55 (Schwartz 1980), and a
"different" is a proof. Constants with names and roots are left to ``identity``.
"""

import random

from mathrl.rewards.normal import TooLargeError, normal_form
from mathrl.rewards.syntax import (
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)

_PRIME = (1 << 61) - 1
_MODULAR_POINTS = 2


class _NotRationalError(ArithmeticError):
    """The expression is no rational function of its letters."""


def is_same_modular(first: Expression, second: Expression) -> bool | None:
    """Compare rational functions at random points; None where one of them is something else."""
    generator = random.Random(_PRIME)  # the same points each time, so a verdict never changes
    compared = 0
    for _ in range(4 * _MODULAR_POINTS):
        values: dict[str, int] = {}
        try:
            left = _modular(first, values, generator)
            right = _modular(second, values, generator)
        except _NotRationalError:
            return None
        except ZeroDivisionError:  # a pole modulo the prime: try another point
            continue
        if left != right:
            return False
        compared += 1
        if compared == _MODULAR_POINTS:
            return True
    return None


def _modular(node: Expression, values: dict[str, int], generator: random.Random) -> int:
    match node:
        case Number(value):
            if isinstance(value, int):
                return value % _PRIME
            return value.numerator * _inverse(value.denominator) % _PRIME
        case Symbol(name):
            if name not in values:
                values[name] = generator.randrange(2, _PRIME)
            return values[name]
        case Sum(terms):
            return sum(_modular(term, values, generator) for term in terms) % _PRIME
        case Product(factors):
            product = 1
            for factor in factors:
                product = product * _modular(factor, values, generator) % _PRIME
            return product
        case Power(base, power):
            exponent = _whole_exponent(power)
            inner = _modular(base, values, generator)
            if exponent < 0:
                inner, exponent = _inverse(inner), -exponent
            return pow(inner, exponent, _PRIME)
    raise _NotRationalError


def _whole_exponent(node: Expression) -> int:
    if isinstance(node, Number) and isinstance(node.value, int):
        return node.value
    try:
        value = normal_form(node).rational
    except (TooLargeError, ZeroDivisionError):
        value = None
    if not isinstance(value, int):
        raise _NotRationalError
    return value


def _inverse(value: int) -> int:
    if value % _PRIME == 0:
        raise ZeroDivisionError
    return pow(value, -1, _PRIME)
