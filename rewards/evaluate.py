"""Evaluate an expression at one point to many digits, within budgets: reals where there is no i."""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

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

DIGITS = 60
_MAX_STEPS = 20_000
_MAX_EXPONENT_BITS = 256
_MAX_GAMMA = 10**12
_MAX_ANGLE_BITS = 1_000
_Function = Callable[..., Any]


class UndefinedError(ArithmeticError):
    """No real value at this point; ``is_edge`` where a logarithm's domain ends."""

    def __init__(self, *, is_edge: bool = False) -> None:
        super().__init__()
        self.is_edge = is_edge


class TooMuchError(ArithmeticError):
    """The evaluation would need more than its budget."""


def letters_in(expression: Expression) -> set[str]:
    found: set[str] = set()
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Symbol):
            found.add(node.name)
        if isinstance(node, Binder):  # its own letter is no letter of the whole
            found |= letters_in(node.body) - {node.variable}
            stack.extend(part for part in (node.low, node.high) if part is not None)
        else:
            stack.extend(children(node))
    return found


def _rational_exponent(node: Expression) -> Fraction | int | None:
    """Give the value of an exponent such as 2 or 1/3: odd roots of negatives are real."""
    if isinstance(node, Number):
        return node.value
    if letters_in(node):
        return None
    try:
        return normal_form(node).rational
    except (TooLargeError, ZeroDivisionError):
        return None


@cache
def _context(digits: int) -> Any:
    """Make an mpmath context of our own: nobody else's precision changes."""
    from mpmath import MPContext

    context = MPContext()
    context.dps = digits
    return context


class Evaluation:
    """One evaluation at one point, counted step by step."""

    def __init__(
        self, values: dict[str, Fraction], *, is_complex: bool, digits: int = DIGITS
    ) -> None:
        self.mp = _context(digits)
        self.largest = self.mp.mpf(0)
        """The largest number met on the way: it says how much rounding may have taken."""
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
            raise TooMuchError
        match node:
            case Number(value):
                return self.fraction(value)
            case Symbol(name):
                return self.values[name] if name in self.values else self.unknown(name)
            case Constant(name):
                return self.constant(name)
            case Sum(terms):
                return self.sum([self.value(term) for term in terms])
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
        raise TooMuchError

    def sum(self, terms: list[Any]) -> Any:
        for term in terms:
            if abs(term) > self.largest:
                self.largest = abs(term)
        return sum(terms, self.mp.mpf(0))

    def unknown(self, name: str) -> Any:
        raise TooMuchError

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
                raise TooMuchError
            return self.whole_power(base, int(self.mp.re(power)))
        is_negative = self.mp.im(base) == 0 and base < 0
        if is_negative and not self.is_complex:
            raise UndefinedError
        if base == 0:
            if self.mp.re(power) > 0:
                return self.mp.mpf(0)
            raise ZeroDivisionError
        self.check_size(power * self.mp.log(abs(base)))
        return self.mp.power(base, power)

    def whole_power(self, base: Any, exponent: int) -> Any:
        if exponent.bit_length() > _MAX_EXPONENT_BITS:
            raise TooMuchError
        if base == 0 and exponent < 0:
            raise ZeroDivisionError
        if base != 0:
            self.check_size(exponent * self.mp.log(abs(base)))
        if self.mp.im(base) != 0 and abs(exponent) > 10_000:
            return self.mp.exp(exponent * self.mp.log(base))
        return base**exponent

    def check_size(self, logarithm: Any) -> None:
        if abs(logarithm) > self.mp.mpf(2) ** _MAX_EXPONENT_BITS:
            raise TooMuchError

    def call(self, name: str, arguments: list[Any]) -> Any:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise TooMuchError
        if not self.is_complex and any(self.mp.im(part) != 0 for part in arguments):
            raise UndefinedError
        result = function(self, *(self.real(argument) for argument in arguments))
        if not self.is_complex and self.mp.im(result) != 0:
            raise UndefinedError
        return result

    def binder(self, node: Binder) -> Any:
        if node.name not in ("sum", "prod") or node.low is None or node.high is None:
            raise TooMuchError
        low, high = self.value(node.low), self.value(node.high)
        if not (self.mp.isint(low) and self.mp.isint(high)) or high - low > _MAX_STEPS:
            raise TooMuchError
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
            raise UndefinedError(is_edge=True)
        if self.mp.im(value) == 0 and value < 0 and not self.is_complex:
            raise UndefinedError(is_edge=True)
        return self.mp.log(value)

    def angle(self, value: Any) -> Any:
        if abs(value) > self.mp.mpf(2) ** _MAX_ANGLE_BITS:
            raise TooMuchError
        return value

    def ratio(self, top: Any, bottom: Any) -> Any:
        if abs(bottom) < self.mp.mpf(10) ** -(self.mp.dps - 10):
            raise ZeroDivisionError
        return top / bottom

    def gamma(self, value: Any) -> Any:
        if abs(value) > _MAX_GAMMA:
            raise TooMuchError
        if self.mp.im(value) == 0 and value <= 0 and self.mp.isint(value):
            raise UndefinedError
        return self.mp.gamma(value)

    def binomial(self, n: Any, k: Any) -> Any:
        if max(abs(n), abs(k)) > _MAX_GAMMA:
            raise TooMuchError
        return self.mp.binomial(n, k)

    def whole(self, function: Callable[..., Any], *values: Any) -> Any:
        """Apply an integer function, or a rounding one, to real numbers within reach."""
        if any(self.mp.im(value) != 0 or abs(value) > 2**200 for value in values):
            raise TooMuchError
        return self.mp.mpf(function(*values))

    def ordered(self, function: Callable[..., Any], *values: Any) -> Any:
        if any(self.mp.im(value) != 0 for value in values):
            raise UndefinedError
        return function(values)

    def integers(self, function: Callable[..., int], *values: Any) -> Any:
        if not all(self.mp.isint(value) for value in values):
            raise UndefinedError
        return self.whole(lambda *parts: function(*(int(part) for part in parts)), *values)


def _least_common(*values: int) -> int:
    from math import lcm

    return lcm(*values)


def _greatest_common(*values: int) -> int:
    from math import gcd

    return gcd(*values)


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
