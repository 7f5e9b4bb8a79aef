"""Functions of rational numbers whose values are rational: worked out exactly, within budgets."""

from collections.abc import Callable
from fractions import Fraction
from math import comb, factorial, gcd, lcm, prod

Rational = Fraction | int
_MAX_FACTORIAL = 400


def _factorial(n: Rational) -> Rational | None:
    return factorial(n) if isinstance(n, int) and 0 <= n <= _MAX_FACTORIAL else None


def _double_factorial(n: Rational) -> Rational | None:
    if not isinstance(n, int) or not 0 <= n <= _MAX_FACTORIAL:
        return None
    return prod(range(n, 0, -2))


def _permutations(n: Rational, k: Rational) -> Rational | None:
    chosen = _binomial(n, k)
    return None if chosen is None else chosen * factorial(int(k))


def _binomial(n: Rational, k: Rational) -> Rational | None:
    is_small = isinstance(n, int) and isinstance(k, int) and 0 <= k <= n <= 4 * _MAX_FACTORIAL
    return comb(int(n), int(k)) if is_small else None


def _modulo(a: Rational, n: Rational) -> Rational | None:
    return exact(a % n) if n else None


def _integers(function: Callable[..., int]) -> Callable[..., Rational | None]:
    def apply(*values: Rational) -> Rational | None:
        return function(*values) if all(isinstance(value, int) for value in values) else None

    return apply


def _logarithm(value: Rational, base: Rational) -> Rational | None:
    """Give a logarithm that is a small integer, for example log_2 8 or log_10 0.01."""
    if base <= 1 or value <= 0:
        return None
    power, count = Fraction(base), 1
    target = Fraction(value) if value >= 1 else 1 / Fraction(value)
    if target == 1:
        return 0
    while power < target and count < 200:
        power, count = power * base, count + 1
    if power != target:
        return None
    return count if value >= 1 else -count


def exact(value: Rational) -> Rational:
    """Write a whole fraction as an integer: integers are many times faster."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return value.numerator
    return value


FUNCTIONS: dict[str, Callable[..., Rational | None]] = {
    "factorial": _factorial,
    "binom": _binomial,
    "permutations": _permutations,
    "factorial2": _double_factorial,
    "mod": _modulo,
    "gcd": _integers(gcd),
    "lcm": _integers(lcm),
    "max": max,
    "min": min,
    "abs": abs,
    "floor": lambda value: value.numerator // value.denominator,
    "ceil": lambda value: -(-value.numerator // value.denominator),
    "log": _logarithm,
    "ln": lambda value: 0 if value == 1 else None,
    "sin": lambda value: 0 if value == 0 else None,
    "tan": lambda value: 0 if value == 0 else None,
    "cos": lambda value: 1 if value == 0 else None,
}
