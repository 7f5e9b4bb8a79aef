r"""Exact normal form of an expression: a sum of rational multiples of independent monomials.

    2\sqrt{12} + x(x - 1)  ->  4*3^(1/2) + x^2 - x

A monomial is a product of atoms with rational exponents: letters, pi, e, i and square-free
radicals of primes. These are linearly independent over the rationals (roots of distinct primes:
Besicovitch 1940), so two pure normal forms are equal exactly when their terms are. What is not
polynomial (a function, the inverse of a sum) becomes an atom of its own, named by the normal form
of what is inside; such a form is not pure, and its difference from another proves nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, isqrt, lcm

from mathrl.rewards.exact import FUNCTIONS, Rational, exact
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
    rebuilt,
)

Monomial = tuple[tuple[str, Rational], ...]
Terms = dict[Monomial, Rational]

MAX_TERMS = 256
MAX_BITS = 20_000
"""Bits of a power that is worked out; a larger one stays a power."""
_MAX_COEFFICIENT_BITS = 100_000
_MAX_STEPS = 20_000
_MAX_TRIAL_DIVISOR = 2_000
_I, _ENDLESS = "~i", "~oo"
_ONE: Monomial = ()


class TooLargeError(ValueError):
    """The normal form would need more work than it is allowed."""


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal form: coefficients by monomial, and whether a difference of two is a proof."""

    terms: Mapping[Monomial, Rational]
    is_pure: bool

    @property
    def rational(self) -> Rational | None:
        """The value where it is a rational number, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1:
            return self.terms.get(_ONE)
        return None

    def __str__(self) -> str:
        """Write it out in one fixed order, so that equal forms are equal texts."""
        return _text(self.terms)


def normal_form(expression: Expression) -> Normal:
    """Bring an expression to its normal form.

    Args:
        expression: Any; nothing in it is evaluated beyond the budgets.

    Raises:
        TooLargeError: It would take more terms or steps than allowed.
        ZeroDivisionError: A denominator is zero.
    """
    work = _Work()
    terms = work.terms(expression)
    if work.is_endless and set(terms) != {((_ENDLESS, 1),)}:
        raise TooLargeError("infinity is no number to reckon with")
    return Normal(terms, work.is_pure)


class _Work:
    """One conversion: counts its steps and remembers whether it stayed pure."""

    def __init__(self) -> None:
        self.is_pure = True
        self.is_endless = False
        self.steps = 0
        self.values: dict[str, Rational] = {}

    def terms(self, node: Expression) -> Terms:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise TooLargeError("too many steps")
        rule = _RULES.get(type(node))
        if rule is None:
            raise TooLargeError("a set inside an expression")
        return rule(self, node)

    def number(self, node: Number) -> Terms:
        return {_ONE: node.value} if node.value else {}

    def symbol(self, node: Symbol) -> Terms:
        if self.values:
            if node.name in self.values:
                value = self.values[node.name]
                return {_ONE: value} if value else {}
            letter, _, index = node.name.partition("_")
            if index in self.values:  # x_i in a sum over i
                return {((f"{letter}_{self.values[index]}", 1),): 1}
        self.is_pure &= node.name != "..."
        return {((node.name, 1),): 1}

    def constant(self, node: Constant) -> Terms:
        if node.name == "i":
            return {((_I, 1),): 1}
        if node.name == "oo":
            self.is_endless, self.is_pure = True, False
        return {((f"~{node.name}", 1),): 1}

    def sum(self, node: Sum) -> Terms:
        total: Terms = {}
        for term in node.terms:
            for monomial, coefficient in self.terms(term).items():
                _add(total, monomial, coefficient)
        return self.limited(total)

    def product(self, node: Product) -> Terms:
        total = self.terms(node.factors[0])
        for factor in node.factors[1:]:
            total = self.times(total, self.terms(factor))
        return total

    def limited(self, terms: Terms) -> Terms:
        if len(terms) > MAX_TERMS:
            raise TooLargeError("too many terms")
        return terms

    def times(self, first: Terms, second: Terms) -> Terms:
        if len(first) * len(second) > 16 * MAX_TERMS:
            raise TooLargeError("too many terms")
        self.steps += len(first) * len(second)
        total: Terms = {}
        for left, first_coefficient in first.items():
            for right, second_coefficient in second.items():
                factor, monomial = _merge(left, right)
                coefficient = first_coefficient * second_coefficient * factor
                if coefficient.numerator.bit_length() > _MAX_COEFFICIENT_BITS:
                    raise TooLargeError("a coefficient is too long")
                _add(total, monomial, coefficient)
        return self.limited(total)

    # -- powers --------------------------------------------------------------------------------

    def power(self, node: Power) -> Terms:
        base = self.terms(node.base)
        if isinstance(node.exponent, Number):
            return self.raised(base, node.exponent.value)
        exponent = self.terms(node.exponent)
        if not exponent or (len(exponent) == 1 and _ONE in exponent):
            return self.raised(base, exponent.get(_ONE, 0))
        self.is_pure = False
        result: Terms = {_ONE: 1}
        for monomial, coefficient in exponent.items():
            if monomial == _ONE:
                part = self.raised(base, coefficient)
            else:  # e^(2x) is (e^x)^2: the atom is e^x
                name = f"({_text(base)})^({_text({monomial: 1})})"
                part = {((name, coefficient),): 1}
            result = self.times(result, part)
        return result

    def raised(self, base: Terms, exponent: Rational) -> Terms:
        if exponent == 1:
            return base
        if exponent == 0:
            return {_ONE: 1}
        if not base:
            if exponent < 0:
                raise ZeroDivisionError
            return {}
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            exponent = exponent.numerator
        if len(base) == 1:
            (monomial, coefficient), *_ = base.items()
            return self.raised_term(monomial, coefficient, exponent)
        if isinstance(exponent, int) and 0 < exponent <= 64:
            return self.repeated(base, exponent)
        return self.opaque_power(base, exponent)

    def repeated(self, base: Terms, exponent: int) -> Terms:
        result: Terms = {_ONE: 1}
        while exponent:
            if exponent & 1:
                result = self.times(result, base)
            exponent >>= 1
            if exponent:
                base = self.times(base, base)
        return result

    def opaque_power(self, base: Terms, exponent: Rational) -> Terms:
        """Keep the power of a sum as one atom, its content taken out."""
        self.is_pure = False
        content = _content(base)
        if isinstance(exponent, int):
            content *= 1 if _leading(base) > 0 else -1
        inner = {monomial: exact(Fraction(value) / content) for monomial, value in base.items()}
        atom: Terms = {((f"({_text(inner)})", exponent),): 1}
        return self.times(self.raised({_ONE: content}, exponent), atom)

    def raised_term(self, monomial: Monomial, coefficient: Rational, exponent: Rational) -> Terms:
        if isinstance(exponent, int):
            number = self.number_power(coefficient, exponent)
            return self.times(number, self.atoms_power(monomial, exponent))
        if coefficient < 0 and exponent.denominator % 2 == 0 and monomial != _ONE:
            self.is_pure = False
            name = f"({_text({monomial: -1})})"
            number = self.number_power(-coefficient, exponent)
            return self.times(number, {((name, exponent),): 1})
        return self.times(
            self.number_power(coefficient, exponent), self.atoms_power(monomial, exponent)
        )

    def atoms_power(self, monomial: Monomial, exponent: Rational) -> Terms:
        result: Terms = {_ONE: 1}
        for atom, power in monomial:
            raised = exact(power * exponent)
            name = atom
            if isinstance(exponent, Fraction):
                if atom == _I:
                    self.is_pure = False
                    name, raised = "~sqrt(i)", exponent
                even = isinstance(power, int) and power % 2 == 0
                if even and exponent.denominator % 2 == 0 and atom[0] not in "#~":
                    self.is_pure = False  # |x| and x are not independent
                    is_odd = isinstance(raised, int) and raised % 2 == 0
                    name = atom if is_odd else f"abs({_text({((atom, 1),): 1})})"
            factor, reduced = _merge(_ONE, ((name, raised),))
            raised_terms: Terms = {reduced: factor}
            result = self.times(result, raised_terms)
        return result

    def number_power(self, base: Rational, exponent: Rational) -> Terms:
        if base == 1:
            return {_ONE: 1}
        if isinstance(exponent, int):
            if _bits(base) * abs(exponent) <= MAX_BITS:
                return {_ONE: exact(Fraction(base) ** exponent)}
            self.is_pure = False
        result: Terms = {_ONE: 1}
        if base < 0:
            result = self.sign_power(exponent)
            base = -base
        for part, sign in ((base.numerator, 1), (base.denominator, -1)):
            for prime, count in self.factors(part).items():
                factor, monomial = _merge(_ONE, ((f"#{prime}", exact(count * sign * exponent)),))
                result = self.times(result, {monomial: factor})
        return result

    def sign_power(self, exponent: Rational) -> Terms:
        if exponent.denominator % 2:  # an odd root of -1 is -1
            return {_ONE: -1 if exponent.numerator % 2 else 1}
        if exponent.denominator == 2:
            factor, monomial = _merge(_ONE, ((_I, exponent.numerator),))
            return {monomial: factor}
        self.is_pure = False
        return {(("~-1", exponent),): 1}

    def factors(self, number: int) -> dict[int, int]:
        """Factor by small primes; a large cofactor is left whole, then nothing is proved."""
        found: dict[int, int] = {}
        divisor = 2
        while divisor * divisor <= number and divisor <= _MAX_TRIAL_DIVISOR:
            while number % divisor == 0:
                found[divisor] = found.get(divisor, 0) + 1
                number //= divisor
            divisor += 1 if divisor == 2 else 2
        if number == 1:
            return found
        if number > divisor * divisor:
            root = isqrt(number)
            if root * root == number:
                for prime, count in self.factors(root).items():
                    found[prime] = found.get(prime, 0) + 2 * count
                return found
            self.is_pure = False
        found[number] = found.get(number, 0) + 1
        return found

    # -- functions -----------------------------------------------------------------------------

    def call(self, node: Call) -> Terms:
        parts = [self.terms(argument) for argument in node.arguments]
        values = [_rational(part) for part in parts]
        if None not in values and (evaluate := FUNCTIONS.get(node.name)):
            result = evaluate(*values)
            if result is not None:
                return {_ONE: result} if result else {}
        self.is_pure = False
        names = [_text(part) for part in parts]
        if node.name in ("gcd", "lcm", "max", "min"):
            names.sort()
        if node.name == "abs" and len(parts) == 1 and parts[0]:
            return self.absolute(parts[0])
        return {((f"{node.name}({','.join(names)})", 1),): 1}

    def absolute(self, inner: Terms) -> Terms:
        content = _content(inner)
        sign = 1 if _leading(inner) > 0 else -1
        scaled = {key: exact(Fraction(value) / (content * sign)) for key, value in inner.items()}
        return {((f"abs({_text(scaled)})", 1),): content}

    def binder(self, node: Binder) -> Terms:
        low = None if node.low is None else self.terms(node.low)
        high = None if node.high is None else self.terms(node.high)
        first = None if low is None else _rational(low)
        last = None if high is None else _rational(high)
        if node.name in ("sum", "prod") and isinstance(first, int) and isinstance(last, int):
            return self.finite(node, first, last)
        self.is_pure = False
        inner = _Work()
        inner.values = {**self.values}
        inner.values.pop(node.variable, None)
        body = _text(inner.terms(_renamed(node.body, node.variable, "~bound")))
        bounds = ",".join("" if part is None else _text(part) for part in (low, high))
        return {((f"{node.name}({body},{bounds})", 1),): 1}

    def finite(self, node: Binder, first: int, last: int) -> Terms:
        if last - first > _MAX_STEPS:
            raise TooLargeError("too many terms to add up")
        outer = self.values
        total: Terms = {} if node.name == "sum" else {_ONE: 1}
        for value in range(first, last + 1):
            self.values = {**outer, node.variable: value}
            term = self.terms(node.body)
            if node.name == "prod":
                total = self.times(total, term)
                continue
            for monomial, coefficient in term.items():
                _add(total, monomial, coefficient)
            self.limited(total)
        self.values = outer
        return total


def _renamed(node: Expression, old: str, new: str) -> Expression:
    """Rename a bound variable, so that the letter does not matter."""
    match node:
        case Symbol(name):
            letter, _, index = name.partition("_")
            if name == old:
                return Symbol(new)
            return Symbol(f"{letter}_{new}") if index == old else node
        case Constant("i") if old == "i":
            return Symbol(new)
    return rebuilt(node, lambda child: _renamed(child, old, new))


_Rule = Callable[[_Work, "Expression"], Terms]
_RULES: dict[type, _Rule] = {  # each rule takes only the node type that it is listed under
    Number: _Work.number,  # type: ignore[dict-item]
    Symbol: _Work.symbol,  # type: ignore[dict-item]
    Constant: _Work.constant,  # type: ignore[dict-item]
    Sum: _Work.sum,  # type: ignore[dict-item]
    Product: _Work.product,  # type: ignore[dict-item]
    Power: _Work.power,  # type: ignore[dict-item]
    Call: _Work.call,  # type: ignore[dict-item]
    Binder: _Work.binder,  # type: ignore[dict-item]
}


def _merge(left: Monomial, right: Monomial) -> tuple[Rational, Monomial]:
    """Multiply two monomials; whole powers of primes and of i go into the coefficient."""
    if not left and len(right) == 1:
        powers = dict(right)
    elif not left:
        return 1, right
    elif not right:
        return 1, left
    else:
        powers = dict(left)
        for atom, power in right:
            powers[atom] = powers.get(atom, 0) + power
    factor: Rational = 1
    kept: list[tuple[str, Rational]] = []
    for atom, power in powers.items():
        if power == 0:
            continue
        power = exact(power)
        if atom == _I:
            turns = int(power) % 4
            factor = -factor if turns >= 2 else factor
            power = turns % 2
        elif atom[0] == "#":
            whole = power.numerator // power.denominator
            prime = int(atom[1:])
            if whole and prime.bit_length() * abs(whole) <= MAX_BITS:
                factor *= exact(Fraction(prime) ** whole)
                power -= whole
        if power:
            kept.append((atom, power))
    if len(kept) > 1:
        kept.sort()
    return factor, tuple(kept)


def _add(total: Terms, monomial: Monomial, coefficient: Rational) -> None:
    value = total.get(monomial, 0) + coefficient
    if value:
        total[monomial] = value
    else:
        total.pop(monomial, None)


def _rational(terms: Terms) -> Rational | None:
    if not terms:
        return 0
    return exact(terms[_ONE]) if len(terms) == 1 and _ONE in terms else None


def _bits(value: Rational) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _content(terms: Terms) -> Fraction:
    """Give the positive rational that makes all coefficients coprime integers."""
    values = list(terms.values())
    return Fraction(
        gcd(*(value.numerator for value in values)), lcm(*(value.denominator for value in values))
    )


def _leading(terms: Terms) -> Rational:
    return terms[max(terms, key=_order)]


def _order(monomial: Monomial) -> tuple[bool, Monomial]:
    return (monomial != _ONE, monomial)


def _text(terms: Mapping[Monomial, Rational]) -> str:
    if not terms:
        return "0"
    parts = []
    for monomial in sorted(terms, key=_order, reverse=True):
        atoms = "*".join(atom if power == 1 else f"{atom}^{power}" for atom, power in monomial)
        coefficient = terms[monomial]
        if coefficient == 1 and atoms:
            parts.append(atoms)
        else:
            parts.append(f"{digits(coefficient)}*{atoms}" if atoms else digits(coefficient))
    return " + ".join(parts)


def digits(value: Rational) -> str:
    """Write a rational number: in decimal digits, or in hexadecimal ones where it is huge.

    Args:
        value: Any.
    """
    # Python refuses to print more than 4300 decimal digits, or fewer where it was told so
    return str(value) if _bits(value) < 2_000 else f"{value.numerator:x}/{value.denominator:x}"
