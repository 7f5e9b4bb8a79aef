r"""Tier 4: let sympy decide whether two expressions are equal; runs in a worker process.

Every sympy object is built from our own tree, and no text of a model reaches sympy, not even as a
name: ``x`` becomes ``v0``. Sympy runs strings as programs; in the worker it can not.

Equal means: equal as functions wherever both are real. What cancels on sight, as in ``x^2/x``,
leaves no trace, and a root is meant where it is real, but the edge of a logarithm counts:
``\ln x^2`` is not ``2\ln x``. True is a proof. False is a point where the values differ, by as much
when twice as many digits are computed, or where one side alone is beyond such an edge.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

from mathrl.rewards import syntax
from mathrl.rewards.isolate import call
from mathrl.rewards.syntax import Expression, children

if TYPE_CHECKING:  # the caller's process never loads sympy: decide() does, in the worker
    import sympy

Formula = Any
"""A sympy expression; sympy has no annotations."""
Point = dict[Formula, Formula]
Signs = tuple[int, ...]

MAX_NODES = 400
MAX_DEPTH = 60
MAX_NUMBER_BITS = 10_000
MAX_POWER_BITS = 200_000
"""Bits of an evaluated power or binomial; 60,000 digits are written down in milliseconds."""
MAX_EXPONENT = 1_000_000
MAX_ROOT = 1_000
MAX_FACTORIAL = 10_000
MAX_TERMS = 10_000
"""Terms of a sum or product whose bounds are numbers."""
MAX_DEGREE = 100
"""Degree of a polynomial that a binomial is written out as."""
MAX_ORTHANTS = 4
"""Combinations of signs that a proof is tried for one by one; more would outlast any time limit."""

_NOISE = 1e-10
"""Far above the rounding of 30 digits; smaller differences are left to a proof."""

_FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tan", "cot", "sec", "csc")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sec", "csc")},
    **{name: name for name in ("sinh", "cosh", "tanh", "coth", "sech", "csch", "exp", "floor")},
    **{name: name for name in ("re", "im", "arg", "sign")},
    **{f"ar{name}": f"a{name}" for name in ("sinh", "cosh", "tanh")},
    "ln": "log",
    "abs": "Abs",
    "ceil": "ceiling",
    "conj": "conjugate",
}
"""Functions of one argument, and what sympy calls them."""
_OTHERS = frozenset(
    ("arccot", "log", "factorial", "binom", "mod", "min", "max", "gcd", "lcm", "det", "pm")
)
_OF_COMPLEX = frozenset({"re", "im", "conj", "arg"})
_OF_INTEGERS = frozenset({"factorial", "binom"})
_USUALLY_INTEGER = frozenset("jklmn")
_USUALLY_COMPLEX = frozenset("wz")


def is_equal(first: Expression, second: Expression, *, timeout_s: float) -> bool | None:
    """Ask a worker whether two expressions are equal; the order of the two does not matter.

    Args:
        first: One expression.
        second: The other one.
        timeout_s: Wall time of the decision, seconds.

    Returns:
        True where they are proved equal, False where they differ, None where sympy cannot tell or
        an expression is too large to try.

    Raises:
        TimeoutError: If the decision takes longer.
        MemoryError: If it takes more memory than a worker has.
        GradingError: If no worker runs.
    """
    if not (is_small(first) and is_small(second)):
        return None
    verdict = call(f"{__name__}:decide", first, second, timeout_s=timeout_s)
    return verdict if isinstance(verdict, bool) else None


def is_small(expression: Expression) -> bool:
    """Tell whether an expression is within the budgets on nodes, depth and digits."""
    nodes, stack = 0, [(expression, 1)]
    while stack:
        node, depth = stack.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            return False
        if isinstance(node, syntax.Number) and _bits(node.value) > MAX_NUMBER_BITS:
            return False
        stack.extend((child, depth + 1) for child in children(node))
    return True


def prepare() -> None:
    """Disarm sympy's reader of strings, and warm up: the first decision is as quick as the next."""
    global sympy
    import sympy
    import sympy.physics.units  # reads strings while it is imported

    def read_fraction(text: str, *_: object, **__: object) -> Formula:
        try:
            return _rational(Fraction(text))  # sympy's own tables write '3/2'
        except ValueError:
            raise sympy.SympifyError(text) from None  # which sympy expects, and goes on without

    sympy.parsing.sympy_parser.parse_expr = read_fraction
    x, two = syntax.Symbol("x"), syntax.Number(2)
    squares = (syntax.Power(syntax.Call(name, (x,)), two) for name in ("sin", "cos"))
    decide(syntax.Sum(tuple(squares)), syntax.Number(1))
    decide(syntax.Binder("sum", x, "x", syntax.Number(1), syntax.Symbol("n")), syntax.Symbol("n"))


def decide(first: Expression, second: Expression) -> bool | None:
    """Decide whether two expressions are equal, here and now; for the worker process.

    Args:
        first: One expression.
        second: The other one.

    Returns:
        As ``is_equal``.
    """
    global sympy
    import sympy

    if not (is_small(first) and is_small(second)):
        return None
    one, other = sorted((first, second), key=repr)  # so that both orders take the same path
    try:
        builder = _Builder.of(one, other)
        return _decide(builder.build(one), builder.build(other), builder)
    except _faults():
        return None


def _faults() -> tuple[type[Exception], ...]:
    """List what sympy raises on what it cannot handle; RecursionError is a RuntimeError."""
    from mpmath.libmp import NoConvergence

    common = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError)
    return (*common, ValueError, NoConvergence, sympy.polys.polyerrors.BasePolynomialError)


class _RefusedError(ValueError):
    """An expression is too large to build, or means nothing that sympy could compare."""


# ---- from our tree to sympy's ----


@dataclass(frozen=True, slots=True)
class _Builder:
    """Turns our trees into sympy's; both sides of a comparison share one."""

    symbols: Mapping[str, Formula]
    is_complex: bool
    """A side speaks of complex numbers: roots are principal values, and z need not be real."""
    functions: dict[str, Formula] = field(default_factory=dict)

    @classmethod
    def of(cls, *trees: Expression) -> "_Builder":
        """Choose a symbol for every name, with what its uses say about it."""
        nodes = [node for tree in trees for node in _nodes(tree)]
        is_complex = syntax.Constant("i") in nodes or any(
            isinstance(node, syntax.Call) and node.name in _OF_COMPLEX for node in nodes
        )
        counting, integer = set(), set()
        for node in nodes:
            match node:
                case syntax.Call(name, arguments) if name in _OF_INTEGERS:
                    counting |= _names(*arguments)
                case syntax.Binder("sum" | "prod", _, _, low, high):
                    counting |= _names(*(bound for bound in (low, high) if bound))
                case syntax.Power(syntax.Number(value), exponent) if value < 0:
                    integer |= _names(exponent)
        symbols: dict[str, Formula] = {}
        for name in sorted(_names(*trees)):
            number = f"v{len(symbols)}"
            facts = {"integer" if name in counting | integer else "real": True}
            if name in counting:
                facts["positive"] = True
            symbols[name] = sympy.Symbol(number, **facts)
            if is_complex and name.partition("_")[0] in _USUALLY_COMPLEX:
                symbols[name] += sympy.I * sympy.Symbol(f"{number}i", real=True)
        return cls(symbols, is_complex)

    def build(self, node: Expression, bound: Mapping[str, Formula] | None = None) -> Formula:
        """Build a node, with the symbols of the variables bound around it."""
        bound = bound or {}
        match node:
            case syntax.Number(value):
                return _rational(value)
            case syntax.Symbol(name):
                return bound[name] if name in bound else self.symbols[name]
            case syntax.Constant(name):
                constants = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "oo": sympy.oo}
                return constants[name]
            case syntax.Sum(terms):
                return sympy.Add(*(self.build(term, bound) for term in terms))
            case syntax.Product(factors):
                return sympy.Mul(*(self.build(factor, bound) for factor in factors))
            case syntax.Power(base, exponent):
                return self._power(self.build(base, bound), self.build(exponent, bound))
            case syntax.Call(name, arguments):
                return self._call(name, [self.build(part, bound) for part in arguments])
            case syntax.Binder():
                return self._binder(node, bound)

    def _power(self, base: Formula, exponent: Formula) -> Formula:
        if not exponent.is_Rational:
            return sympy.Pow(base, exponent)
        numerator, root = abs(int(exponent.p)), int(exponent.q)
        if base.is_Rational and base not in (-1, 0, 1):
            size = _bits(Fraction(int(base.p), int(base.q))) * numerator // root
        else:
            size = 0 if base in (-1, 0, 1) else numerator * MAX_POWER_BITS // MAX_EXPONENT
        if size > MAX_POWER_BITS or root > MAX_ROOT:
            raise _RefusedError("power too large")
        if self.is_complex or root % 2 == 0 or root == 1 or base.is_nonnegative:
            return sympy.Pow(base, exponent)
        # the cube root of -8 is -2 in school, where sympy's is 1 + i sqrt 3
        sign = sympy.sign(base) if numerator % 2 else 1
        return sign * sympy.Pow(sympy.Abs(base), exponent)

    def _call(self, name: str, arguments: list[Formula]) -> Formula:
        match name, arguments:
            case _, [argument] if name in _FUNCTIONS:
                return getattr(sympy, _FUNCTIONS[name])(argument)
            case "arccot", [argument]:  # between 0 and pi (ISO 80000-2); sympy's jumps at 0
                return sympy.pi / 2 - sympy.atan(argument)
            case "log", [argument, base]:
                return sympy.log(argument, base)
            case "factorial", [argument]:
                return _factorial(argument)
            case "binom", [top, bottom]:
                return _binomial(top, bottom)
            case "mod", [argument, modulus]:
                return sympy.Mod(argument, modulus)
            case "min" | "max", [_, *_]:
                return (sympy.Min if name == "min" else sympy.Max)(*arguments)
            case "gcd" | "lcm", [_, *_] if all(part.is_Integer for part in arguments):
                function = math.gcd if name == "gcd" else math.lcm
                return sympy.Integer(function(*map(int, arguments)))
        if name in _FUNCTIONS or name in _OTHERS:  # pm is two values, det has no matrix, ...
            raise _RefusedError(f"nothing to compute for {name}")
        function = self.functions.setdefault(name, sympy.Function(f"f{len(self.functions)}"))
        return function(*arguments)

    def _binder(self, node: syntax.Binder, bound: Mapping[str, Formula]) -> Formula:
        is_discrete = node.name in ("sum", "prod")
        # equal names for equal sums, whatever their letter, and never that of one inside or outside
        inside = sum(isinstance(part, syntax.Binder) for part in _nodes(node.body))
        kind = {"integer": True} if is_discrete else {"real": True}
        variable = sympy.Symbol(f"b{inside}", **kind)
        body = self.build(node.body, {**bound, node.variable: variable})
        if node.low is None or (node.high is None and node.name != "lim"):
            raise _RefusedError("an indefinite integral is a family of functions")
        low = self.build(node.low, bound)
        if node.name == "lim":
            return sympy.limit(body, variable, low, "+-")
        assert node.high is not None
        high = self.build(node.high, bound)
        if is_discrete:
            is_summable = node.name == "sum" and body.is_polynomial(variable)  # by a formula
            _check_range(low, high, is_summable=bool(is_summable))
        form = {"sum": sympy.Sum, "prod": sympy.Product, "int": sympy.Integral}[node.name]
        return _generic(form(body, (variable, low, high)).doit())


def _factorial(argument: Formula) -> Formula:
    if argument.is_number and not (argument.is_Integer and 0 <= argument <= MAX_FACTORIAL):
        raise _RefusedError("factorial of a large number, or of no natural one")
    return sympy.factorial(argument)


def _binomial(top: Formula, bottom: Formula) -> Formula:
    if bottom.is_number:
        is_natural = bottom.is_Integer and bottom >= 0
        bits = _bits(int(top)) if top.is_Integer else 1
        if not is_natural or bottom * bits > MAX_POWER_BITS:
            raise _RefusedError("binomial of large numbers, or not of a natural one")
        if not top.is_Integer and bottom > MAX_DEGREE:
            raise _RefusedError("binomial of a high degree")
    return sympy.binomial(top, bottom)


def _check_range(low: Formula, high: Formula, *, is_summable: bool) -> None:
    """Refuse sums and products that are long, or that run backwards: conventions differ there."""
    ends = [end for end in (low, high) if end.is_number and end.is_finite]
    if not all(end.is_Integer for end in ends):
        raise _RefusedError("a bound is not an integer")
    if any(abs(end) > MAX_TERMS for end in ends) and not is_summable:
        raise _RefusedError("too many terms")
    if len(ends) == 2 and high < low - 1:
        raise _RefusedError("an empty range")


def _generic(formula: Formula) -> Formula:
    """Drop the cases of single points, as r = 1 in a geometric sum: no sample meets them."""
    for piecewise in formula.atoms(sympy.Piecewise):
        if any(symbol.is_integer for _, at in piecewise.args for symbol in at.free_symbols):
            continue  # a single integer is met
        cases = [case for case in piecewise.args if not isinstance(case.cond, sympy.Eq)]
        if cases and (cases[0].cond is sympy.true or isinstance(cases[0].cond, sympy.Ne)):
            formula = formula.xreplace({piecewise: cases[0].expr})
    return formula


def _nodes(tree: Expression) -> Iterator[Expression]:
    yield tree
    for child in children(tree):
        yield from _nodes(child)


def _names(*trees: Expression) -> set[str]:
    return {node.name for tree in trees for node in _nodes(tree) if isinstance(node, syntax.Symbol)}


def _rational(value: Fraction | int) -> Formula:
    return sympy.Rational(value.numerator, value.denominator)


def _bits(value: Fraction | int) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


# ---- the decision ----


def _decide(one: Formula, other: Formula, builder: _Builder) -> bool | None:
    if any(side.has(sympy.zoo, sympy.nan, sympy.AccumBounds) for side in (one, other)):
        return None
    if one == other:
        return True
    if one.is_infinite or other.is_infinite:
        is_known = all(side.is_number and side.is_finite is not None for side in (one, other))
        return False if is_known else None
    open_forms = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Piecewise)
    unknown = (*open_forms, sympy.core.function.AppliedUndef)
    is_computable = not any(side.has(*unknown) for side in (one, other))
    orthants: set[Signs] = set()
    if is_computable:
        for point, signs in _points(one, other, builder):
            match _at_point(one, other, point, is_complex=builder.is_complex):
                case False:
                    return False
                case True:
                    orthants.add(signs)
    return True if _is_proved(one, other) or _is_proved_by_signs(one, other, orthants) else None


def _points(one: Formula, other: Formula, builder: _Builder) -> Iterator[tuple[Point, Signs]]:
    """Choose points to compare at, the same ones every time, and the signs of their coordinates."""
    from random import Random  # not for the caller: it takes milliseconds to import

    symbols = _variables(one, other)
    names = {symbol: name for name, symbol in builder.symbols.items()}
    random = Random(0)
    signs = list(product((1, -1), repeat=min(len(symbols), 4)))
    # inside and outside the unit interval for every combination of signs: |x| < 1 is a domain
    for largest, pattern in product((1, 3, 30), signs):
        point: Point = {}
        for index, symbol in enumerate(symbols):
            value = sympy.Rational(random.randrange(1, 1009 * largest), 1009)
            if symbol.is_integer or names.get(symbol, "").partition("_")[0] in _USUALLY_INTEGER:
                value = sympy.Integer(random.randrange(1, 4 + largest))
            is_negative = pattern[index % 4] < 0 and not symbol.is_positive
            point[symbol] = -value if is_negative else value
        yield point, tuple(1 if value > 0 else -1 for value in point.values())


def _at_point(one: Formula, other: Formula, point: Point, *, is_complex: bool) -> bool | None:
    """Compare at a point: False where values or domains differ, None where nothing is learned."""
    values = [_value(side, point) for side in (one, other)]
    if None in values:
        return None
    are_real = [_is_real(value) for value in values]
    if point and not is_complex and not all(are_real):
        # an answer with a root is meant where the root is real; a logarithm's edge is a difference
        hidden = other if are_real[0] else one
        return False if any(are_real) and _is_beyond_edge(hidden, point) else None
    difference = one - other
    rough = difference.evalf(30, subs=point, maxn=100)
    fine = difference.evalf(60, subs=point, maxn=300)
    # what rounding leaves shrinks with more digits; a true difference stays
    if not (fine != 0 and abs(fine - rough) < abs(fine) * _NOISE):
        return True
    return False if not point or is_complex or _is_real_inside(one + other, point) else None


def _is_beyond_edge(side: Formula, point: Point) -> bool:
    """Tell whether a logarithm is taken of a negative number."""
    values = [_value(log.args[0], point) for log in side.atoms(sympy.log)]
    return any(value is not None and _is_real(value) and value[0] < 0 for value in values)


def _is_real_inside(sides: Formula, point: Point) -> bool:
    r"""Tell whether no part is complex: at -1, ``\sqrt x\sqrt x`` is real, but not meant to be."""
    return all(_is_real(_value(part, point)) for part in sides.atoms(sympy.Pow, sympy.Function))


def _is_real(value: tuple[Formula, Formula] | None) -> bool:
    return value is not None and bool(abs(value[1]) <= (1 + abs(value[0])) * _NOISE)


def _variables(one: Formula, other: Formula) -> list[Formula]:
    return sorted(one.free_symbols | other.free_symbols, key=lambda symbol: symbol.name)


def _value(side: Formula, point: Point) -> tuple[Formula, Formula] | None:
    """Compute the real and the imaginary part, or None where they are not finite numbers."""
    parts = side.evalf(30, subs=point, maxn=100).as_real_imag()
    return parts if all(part.is_Number and part.is_finite for part in parts) else None


def _is_proved_by_signs(one: Formula, other: Formula, orthants: Collection[Signs]) -> bool:
    r"""Prove equality for every combination of signs alone: ``\sqrt{1/x}`` is simple for x > 0."""
    if not 0 < len(orthants) <= MAX_ORTHANTS:
        return False
    symbols = _variables(one, other)
    for signs in sorted(orthants):
        signed = {}
        for symbol, sign in zip(symbols, signs, strict=True):
            facts = {"integer": True} if symbol.is_integer else {}
            signed[symbol] = sign * sympy.Symbol(symbol.name, positive=True, **facts)
        if not _is_proved(one.subs(signed), other.subs(signed)):
            return False
    return True


def _is_proved(one: Formula, other: Formula) -> bool:
    difference = one - other
    for tactic in _TACTICS:
        with suppress(*_faults()):  # where one way does not lead there, the next one may
            result = tactic(difference)
            if result == 0:
                return True
            difference = min(difference, result, key=sympy.count_ops)  # what is left to prove
    return False


def _over_one_bar(difference: Formula) -> Formula:
    return sympy.expand(sympy.numer(sympy.together(difference)))


def _exponentials(difference: Formula) -> Formula:
    return _over_one_bar(sympy.expand(difference.rewrite(sympy.exp)))


def _inverses(difference: Formula) -> Formula:
    """Leave one of the functions that are the same up to a right angle."""
    difference = difference.replace(sympy.asec, lambda u: sympy.acos(1 / u))
    difference = difference.replace(sympy.acsc, lambda u: sympy.asin(1 / u))
    return sympy.simplify(difference.replace(sympy.acos, lambda u: sympy.pi / 2 - sympy.asin(u)))


def _constants(difference: Formula) -> Formula:
    """Prove a constant zero by its minimal polynomial, or e to its power to be 1."""
    if difference.free_symbols or not abs(difference.evalf(30, maxn=100)) < _NOISE:
        return difference  # the power is 1 at all multiples of 2 pi i: only 0 may be left
    if difference.equals(0):
        return 0
    if difference.has(sympy.log):
        return sympy.simplify(sympy.exp(difference)) - 1
    difference = difference.replace(
        sympy.atan, lambda u: -sympy.I * sympy.log((1 + sympy.I * u) / sympy.sqrt(1 + u**2))
    )
    turn = sympy.exp(sympy.expand(sympy.I * difference.rewrite(sympy.log)))
    return sympy.radsimp(sympy.expand(turn, complex=True)) - 1


_TACTICS: tuple[Callable[[Formula], Formula], ...] = (
    lambda difference: sympy.expand(difference),
    _over_one_bar,
    lambda difference: sympy.radsimp(sympy.sqrtdenest(sympy.expand(difference))),
    lambda difference: sympy.gammasimp(sympy.expand_func(difference)),
    lambda difference: sympy.expand(sympy.expand_log(sympy.logcombine(difference))),
    _exponentials,
    lambda difference: sympy.simplify(difference),
    lambda difference: sympy.simplify(sympy.expand_trig(sympy.powdenest(difference))),
    _inverses,
    lambda difference: sympy.simplify(difference.rewrite(sympy.Abs)),  # of Max and Min
    _constants,
)
"""Ways to bring a difference that is zero to 0, and no other; cheap ones first."""
