r"""Tier 3: decide whether two expressions are the same function, by evaluating both.

Rational functions are compared at random points modulo the prime 2^61 - 1 (Schwartz 1980): no
overflow, no rounding, and a false "equal" about once in 2^55. Everything else is evaluated with
60 digits at fixed points of both signs. Where both sides are real they must agree; where only one
is, a logarithm's edge is a difference (ln x^2 is not 2 ln x), while under a root the answer is
taken to live where the root does. Every operation has a budget, so nothing here takes long.
"""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from mathrl.rewards.modular import is_same_modular
from mathrl.rewards.normal import TooLargeError, normal_form
from mathrl.rewards.syntax import (
    Binder,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    children,
)

_DIGITS = 60
_AGREE = 45
"""Digits of 60 that must agree; rounding takes a few."""
_SIZES: tuple[int | Fraction, ...] = (
    1,
    2,
    1,
    8,
    9,
    40,
    41,
    300,
    301,
    Fraction(1, 50),
    Fraction(1, 40),
)
"""How far out each point lies: a floor or an absolute value shows itself far from zero."""
_MAX_STEPS = 20_000
_MAX_NODES = 1_200
_MAX_EXPONENT_BITS = 256
_MAX_GAMMA = 10**12
_MAX_ANGLE_BITS = 1_000
_ENDLESS = float("inf")


class _UndefinedError(ArithmeticError):
    """No real value at this point; ``is_edge`` where a logarithm's domain ends."""

    def __init__(self, *, is_edge: bool = False) -> None:
        super().__init__()
        self.is_edge = is_edge


class _TooLargeError(ArithmeticError):
    """The evaluation would need more than its budget."""


def is_identical(first: Expression, second: Expression) -> bool | None:
    """Decide whether two expressions are equal wherever both have a value.

    Args:
        first: One expression.
        second: The other; the order does not matter.

    Returns:
        True or False, or None where they cannot be evaluated within the budgets.
    """
    letters = _letters(first) | _letters(second)
    if "..." in letters:
        return None
    if (verdict := is_same_modular(first, second)) is not None:
        return verdict
    try:
        return _is_same_numeric(first, second, sorted(letters))
    except _TooLargeError:
        return None


def is_proportional(first: Expression, second: Expression, signs: Sequence[int]) -> bool | None:
    """Decide whether one expression is a constant times the other.

    Args:
        first: One side of an equation brought to zero.
        second: That of the other equation.
        signs: The signs that the constant may have.

    Returns:
        True or False, or None where they cannot be evaluated.
    """
    letters = sorted(_letters(first) | _letters(second))
    ratios = []
    for values in _real_points(letters):
        try:
            pair = [_Evaluation(values, is_complex=False).value(side) for side in (first, second)]
        except (_UndefinedError, ZeroDivisionError, ValueError, OverflowError):
            continue
        except _TooLargeError:
            return None
        if any(abs(side) == _ENDLESS for side in pair):
            return None
        if abs(pair[0]) < 1e-40 or abs(pair[1]) < 1e-40:
            return bool(abs(pair[0]) < 1e-40 and abs(pair[1]) < 1e-40) or None
        ratios.append(pair[0] / pair[1])
    if len(ratios) < 2:
        return None
    if any(abs(ratio - ratios[0]) > abs(ratios[0]) * 1e-40 for ratio in ratios):
        return False
    if abs(ratios[0].imag) > abs(ratios[0]) * 1e-40:
        return len(signs) == 2  # an equation may be multiplied by i, an inequality may not
    return any(ratios[0].real * sign > 0 for sign in signs)


def value_of(expression: Expression) -> Any:
    """Evaluate an expression without letters to 60 digits.

    Args:
        expression: Any.

    Returns:
        An mpmath number, or None where there are letters, no value or too much work.
    """
    if _letters(expression):
        return None
    try:
        return _Evaluation({}, is_complex=True).value(expression)
    except (_UndefinedError, _TooLargeError, ZeroDivisionError, ValueError, OverflowError):
        return None


def _letters(expression: Expression) -> set[str]:
    found: set[str] = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Symbol):
            found.add(node.name)
        if isinstance(node, Binder):  # its own letter is no letter of the whole
            found |= _letters(node.body) - {node.variable}
            stack.extend(part for part in (node.low, node.high) if part is not None)
        else:
            stack.extend(children(node))
    return found


def _size(expression: Expression) -> int:
    count, stack = 0, [expression]
    while stack:
        count += 1
        stack.extend(children(stack.pop()))
    return count


# -- rational functions, modulo a prime ----------------------------------------------------------


# -- everything else, to 60 digits ---------------------------------------------------------------


def _is_same_numeric(first: Expression, second: Expression, letters: list[str]) -> bool | None:
    if _size(first) + _size(second) > _MAX_NODES:
        raise _TooLargeError
    is_complex = not letters or _has_i(first) or _has_i(second)
    compared = 0
    sequences = [_real_points(letters), _whole_points(letters)]
    if _has_steps(first) or _has_steps(second):
        sequences[0].extend(_small_points(letters))
    for points in sequences:
        for values in points:
            verdict = _compare_at(first, second, values, is_complex=is_complex)
            if verdict is False:
                return False
            compared += verdict is True
            if not letters:
                return verdict
        if compared:
            return True
    return None


def _has_i(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if node == Constant("i"):
            return True
        stack.extend(children(node))
    return False


def _has_steps(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Call) and node.name in ("floor", "ceil", "mod"):
            return True
        stack.extend(children(node))
    return False


def _small_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """List natural numbers and points between them: rounding functions step there."""
    whole = [dict.fromkeys(letters, Fraction(value)) for value in range(1, 41)]
    return whole + [dict.fromkeys(letters, Fraction(37 * value, 60)) for value in range(-20, 20)]


def _real_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """Choose points: two with all letters positive, the others of mixed signs and sizes."""
    generator = random.Random(61)
    points = []
    for turn, scale in enumerate(_SIZES):
        point = {}
        for place, letter in enumerate(letters):
            size = scale * (Fraction(generator.randrange(301, 2903), 1000) + Fraction(1, 7919))
            is_negative = turn >= 2 and (turn + place) % 2 == 0
            point[letter] = -size if is_negative else size
        points.append(point)
    return points


def _whole_points(letters: Sequence[str]) -> list[dict[str, Fraction]]:
    """Choose natural numbers: (-1)^n has no other real values."""
    generator = random.Random(67)
    return [{letter: Fraction(generator.randrange(2, 12)) for letter in letters} for _ in range(5)]


def _compare_at(
    first: Expression, second: Expression, values: dict[str, Fraction], *, is_complex: bool
) -> bool | None:
    """Compare at one point; None where a side has no value there and that proves nothing."""
    results, edges = [], []
    for side in (first, second):
        try:
            results.append(_Evaluation(values, is_complex=is_complex).value(side))
        except _UndefinedError as error:
            edges.append(error.is_edge)
        except (ZeroDivisionError, ValueError, OverflowError):
            edges.append(False)
    if len(results) == 2:
        return _agree(first, second, results, values, is_complex=is_complex)
    return False if len(edges) == 1 and edges[0] else None


def _agree(
    first: Expression,
    second: Expression,
    results: Sequence[Any],
    values: dict[str, Fraction],
    *,
    is_complex: bool,
) -> bool | None:
    from mpmath import mp

    left, right = results
    with mp.workdps(_DIGITS):
        if mp.isinf(left) or mp.isinf(right):
            return bool(left == right)
        gap = abs(left - right)
        size = max(abs(left), abs(right))
        if gap <= size * mp.mpf(10) ** -_AGREE:
            # of a number with more digits than these, agreement proves nothing
            is_readable = size == 0 or abs(mp.log10(size)) < _DIGITS
            return True if is_readable else None
        is_plain = size < mp.mpf(10) ** (_DIGITS // 4)
        if gap > mp.mpf(10) ** -(_AGREE // 2) and is_plain and not _cancels(left, right):
            return False
    # a tiny gap is rounding if it shrinks with more digits, and a difference if it stays
    try:
        finer = [
            _Evaluation(values, is_complex=is_complex, digits=3 * _DIGITS).value(side)
            for side in (first, second)
        ]
    except (_UndefinedError, ZeroDivisionError, ValueError, OverflowError):
        return None
    with mp.workdps(3 * _DIGITS):
        left, right = finer
        finest = abs(left - right)
        if finest < gap * mp.mpf(10) ** -_DIGITS:
            return True
        # what cancels at any precision says nothing: e^(2x) - (e^(2x) - 1) far from zero
        return None if _cancels(left, right) else False


def _cancels(left: Any, right: Any) -> bool:
    """Tell a pair of which one is lost in rounding: exactly 0 beside something else."""
    return bool((left == 0) != (right == 0))


def _rational_exponent(node: Expression) -> Fraction | int | None:
    """Give the value of an exponent such as 2 or 1/3: odd roots of negatives are real."""
    if isinstance(node, Number):
        return node.value
    if _letters(node):
        return None
    try:
        return normal_form(node).rational
    except (TooLargeError, ZeroDivisionError):
        return None


class _Evaluation:
    """One evaluation at one point, counted step by step."""

    def __init__(
        self, values: dict[str, Fraction], *, is_complex: bool, digits: int = _DIGITS
    ) -> None:
        from mpmath import MPContext

        global _CONTEXTS
        if digits not in _CONTEXTS:
            _CONTEXTS[digits] = MPContext()
            _CONTEXTS[digits].dps = digits
        self.mp = _CONTEXTS[digits]
        self.values: dict[str, Any] = {key: self.fraction(value) for key, value in values.items()}
        self.is_complex = is_complex
        self.steps = 0

    def fraction(self, value: Fraction | int) -> Any:
        if isinstance(value, int):
            return self.mp.mpf(value)
        return self.mp.mpf(value.numerator) / value.denominator

    def value(self, node: Expression) -> Any:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise _TooLargeError
        match node:
            case Number(value):
                return self.fraction(value)
            case Symbol(name):
                return self.values[name] if name in self.values else self.unknown(name)
            case Constant(name):
                return self.constant(name)
            case Sum(terms):
                return sum((self.value(term) for term in terms), self.mp.mpf(0))
            case Product(factors):
                product = self.mp.mpf(1)
                for factor in factors:
                    product *= self.value(factor)
                return product
            case Power(base, exponent):
                return self.power(self.value(base), exponent)
            case Call(name, arguments):
                return self.call(name, [self.value(argument) for argument in arguments])
            case Binder():
                return self.binder(node)
        raise _TooLargeError

    def unknown(self, name: str) -> Any:
        raise _TooLargeError

    def constant(self, name: str) -> Any:
        if name == "pi":
            return +self.mp.pi
        if name == "e":
            return +self.mp.e
        return self.mp.mpc(0, 1) if name == "i" else self.mp.inf

    def real(self, value: Any) -> Any:
        """Drop an imaginary part of zero: 0 i is 0, and only reals can be ordered."""
        return value.real if hasattr(value, "imag") and value.imag == 0 else value

    def power(self, base: Any, exponent: Expression) -> Any:
        base = self.real(base)
        rational = _rational_exponent(exponent)
        if rational is not None:
            exact = Fraction(rational)
            if exact.denominator == 1:
                return self.whole_power(base, exact.numerator)
            if exact.denominator % 2 and self.mp.im(base) == 0 and base < 0:
                root = self.mp.power(-base, self.fraction(exact))  # odd roots of negatives are real
                return -root if exact.numerator % 2 else root
        power = self.value(exponent)
        if self.mp.isint(power) and self.mp.im(power) == 0:
            if abs(power) > self.mp.mpf(2) ** _MAX_EXPONENT_BITS:
                raise _TooLargeError
            return self.whole_power(base, int(self.mp.re(power)))
        is_negative = self.mp.im(base) == 0 and base < 0
        if is_negative and not self.is_complex:
            raise _UndefinedError
        if base == 0:
            if self.mp.re(power) > 0:
                return self.mp.mpf(0)
            raise ZeroDivisionError
        self.check_size(power * self.mp.log(abs(base)))
        return self.mp.power(base, power)

    def whole_power(self, base: Any, exponent: int) -> Any:
        if exponent.bit_length() > _MAX_EXPONENT_BITS:
            raise _TooLargeError
        if base == 0 and exponent < 0:
            raise ZeroDivisionError
        if base != 0:
            self.check_size(exponent * self.mp.log(abs(base)))
        if self.mp.im(base) != 0 and abs(exponent) > 10_000:
            return self.mp.exp(exponent * self.mp.log(base))
        return base**exponent

    def check_size(self, logarithm: Any) -> None:
        if abs(logarithm) > self.mp.mpf(2) ** _MAX_EXPONENT_BITS:
            raise _TooLargeError

    def call(self, name: str, arguments: list[Any]) -> Any:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise _TooLargeError
        if not self.is_complex and any(self.mp.im(part) != 0 for part in arguments):
            raise _UndefinedError
        result = function(self, *(self.real(argument) for argument in arguments))
        if not self.is_complex and self.mp.im(result) != 0:
            raise _UndefinedError
        return result

    def binder(self, node: Binder) -> Any:
        if node.name not in ("sum", "prod") or node.low is None or node.high is None:
            raise _TooLargeError
        low, high = self.value(node.low), self.value(node.high)
        if not (self.mp.isint(low) and self.mp.isint(high)) or high - low > _MAX_STEPS:
            raise _TooLargeError
        outer = self.values
        total = self.mp.mpf(node.name == "prod")
        for turn in range(int(low), int(high) + 1):
            self.values = {**outer, node.variable: self.mp.mpf(turn)}
            term = self.value(node.body)
            total = total * term if node.name == "prod" else total + term
        self.values = outer
        return total

    # -- functions -----------------------------------------------------------------------------

    def logarithm(self, value: Any) -> Any:
        if value == 0:
            raise _UndefinedError(is_edge=True)
        if self.mp.im(value) == 0 and value < 0 and not self.is_complex:
            raise _UndefinedError(is_edge=True)
        return self.mp.log(value)

    def angle(self, value: Any) -> Any:
        if abs(value) > self.mp.mpf(2) ** _MAX_ANGLE_BITS:
            raise _TooLargeError
        return value

    def ratio(self, top: Any, bottom: Any) -> Any:
        if abs(bottom) < self.mp.mpf(10) ** -(self.mp.dps - 10):
            raise ZeroDivisionError
        return top / bottom

    def gamma(self, value: Any) -> Any:
        if abs(value) > _MAX_GAMMA:
            raise _TooLargeError
        if self.mp.im(value) == 0 and value <= 0 and self.mp.isint(value):
            raise _UndefinedError
        return self.mp.gamma(value)

    def binomial(self, n: Any, k: Any) -> Any:
        if max(abs(n), abs(k)) > _MAX_GAMMA:
            raise _TooLargeError
        return self.mp.binomial(n, k)

    def whole(self, function: Callable[..., Any], *values: Any) -> Any:
        """Apply an integer function, or a rounding one, to real numbers within reach."""
        if any(self.mp.im(value) != 0 or abs(value) > 2**200 for value in values):
            raise _TooLargeError
        return self.mp.mpf(function(*values))

    def ordered(self, function: Callable[..., Any], *values: Any) -> Any:
        if any(self.mp.im(value) != 0 for value in values):
            raise _UndefinedError
        return function(values)

    def integers(self, function: Callable[..., int], *values: Any) -> Any:
        if not all(self.mp.isint(value) for value in values):
            raise _UndefinedError
        return self.whole(lambda *parts: function(*(int(part) for part in parts)), *values)


_CONTEXTS: dict[int, Any] = {}


def _least_common(*values: int) -> int:
    from math import lcm

    return lcm(*values)


def _greatest_common(*values: int) -> int:
    from math import gcd

    return gcd(*values)


_Function = Callable[..., Any]
_FUNCTIONS: dict[str, _Function] = {
    "sin": lambda e, x: e.mp.sin(e.angle(x)),
    "cos": lambda e, x: e.mp.cos(e.angle(x)),
    "tan": lambda e, x: e.ratio(e.mp.sin(e.angle(x)), e.mp.cos(x)),
    "cot": lambda e, x: e.ratio(e.mp.cos(e.angle(x)), e.mp.sin(x)),
    "sec": lambda e, x: e.ratio(1, e.mp.cos(e.angle(x))),
    "csc": lambda e, x: e.ratio(1, e.mp.sin(e.angle(x))),
    "arcsin": lambda e, x: e.mp.asin(x),
    "arccos": lambda e, x: e.mp.acos(x),
    "arctan": lambda e, x: e.mp.atan(x),
    "arccot": lambda e, x: e.mp.pi / 2 - e.mp.atan(x),
    "arcsec": lambda e, x: e.mp.acos(e.ratio(1, x)),
    "arccsc": lambda e, x: e.mp.asin(e.ratio(1, x)),
    "sinh": lambda e, x: e.mp.sinh(e.angle(x)),
    "cosh": lambda e, x: e.mp.cosh(e.angle(x)),
    "tanh": lambda e, x: e.mp.tanh(e.angle(x)),
    "coth": lambda e, x: e.ratio(1, e.mp.tanh(e.angle(x))),
    "sech": lambda e, x: e.ratio(1, e.mp.cosh(e.angle(x))),
    "csch": lambda e, x: e.ratio(1, e.mp.sinh(e.angle(x))),
    "arsinh": lambda e, x: e.mp.asinh(x),
    "arcosh": lambda e, x: e.mp.acosh(x),
    "artanh": lambda e, x: e.mp.atanh(x),
    "ln": lambda e, x: e.logarithm(x),
    "log": lambda e, x, base: e.ratio(e.logarithm(x), e.logarithm(base)),
    "abs": lambda e, x: abs(x),
    "floor": lambda e, x: e.whole(e.mp.floor, x),
    "ceil": lambda e, x: e.whole(e.mp.ceil, x),
    "factorial": lambda e, n: e.gamma(n + 1),
    "binom": lambda e, n, k: e.binomial(n, k),
    "gcd": lambda e, *values: e.integers(_greatest_common, *values),
    "lcm": lambda e, *values: e.integers(_least_common, *values),
    "max": lambda e, *values: e.ordered(max, *values),
    "min": lambda e, *values: e.ordered(min, *values),
    "mod": lambda e, a, n: e.whole(lambda x, y: x - y * e.mp.floor(e.ratio(x, y)), a, n),
    "re": lambda e, z: e.mp.re(z),
    "im": lambda e, z: e.mp.im(z),
    "conj": lambda e, z: e.mp.conj(z),
    "arg": lambda e, z: e.mp.arg(z),
}
