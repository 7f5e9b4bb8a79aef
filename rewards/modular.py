"""Compare rational functions exactly: at random points, modulo primes near 2^61.

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

_PRIMES = ((1 << 61) - 1, (1 << 61) - 31)
"""Two, so that no number written into an answer is zero in both."""


class _NotRationalError(ArithmeticError):
    """The expression is no rational function of its letters."""


def is_same_modular(first: Expression, second: Expression) -> bool | None:
    """Compare rational functions at random points; None where one of them is something else."""
    compared = 0
    for turn in range(4 * len(_PRIMES)):
        point = _Point(_PRIMES[turn % len(_PRIMES)], seed=turn)
        try:
            left, right = point.value(first), point.value(second)
        except _NotRationalError:
            return None
        except ZeroDivisionError:  # a pole modulo the prime: try another point
            continue
        if left != right:
            return False
        compared += 1
        if compared == len(_PRIMES):
            return True
    return None


class _Point:
    """Random residues for the letters; the same each time, so that a verdict never changes."""

    def __init__(self, prime: int, seed: int) -> None:
        self.prime = prime
        self.generator = random.Random(prime + seed)
        self.values: dict[str, int] = {}

    def value(self, node: Expression) -> int:
        match node:
            case Number(value):
                if isinstance(value, int):
                    return value % self.prime
                return value.numerator * self.inverse(value.denominator) % self.prime
            case Symbol(name):
                if name not in self.values:
                    self.values[name] = self.generator.randrange(2, self.prime)
                return self.values[name]
            case Sum(terms):
                return sum(self.value(term) for term in terms) % self.prime
            case Product(factors):
                product = 1
                for factor in factors:
                    product = product * self.value(factor) % self.prime
                return product
            case Power(base, power):
                exponent = _whole_exponent(power)
                inner = self.value(base)
                if exponent < 0:
                    inner, exponent = self.inverse(inner), -exponent
                return pow(inner, exponent, self.prime)
        raise _NotRationalError

    def inverse(self, value: int) -> int:
        if value % self.prime == 0:
            raise ZeroDivisionError
        return pow(value, -1, self.prime)


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
