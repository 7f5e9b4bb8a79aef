"""The operators of an expression: how far each one reaches, and how chains of them are read.

Binding powers (Pratt 1973) decide what belongs to an operator; two factors side by side are a
product. What may begin an expression is the business of the subclass in ``latex``.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import gcd
from typing import ClassVar

from mathrl.rewards.literals import ParseError
from mathrl.rewards.notation import words
from mathrl.rewards.syntax import (
    MINUS_ONE,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.tokens import Token

MAX_DEPTH = 60
"""Groups inside groups; deeper text is refused before it can exhaust the stack."""
END = Token("end", "", False)
BEGINS_FACTOR = words(
    "number symbol word command text ( [ { | lfloor lceil norm repeating endless dots"
)
SUM, PRODUCT = 10, 20
_CLOSING = {"(": ")", "[": "]", "{": "}", "lfloor": "rfloor", "lceil": "rceil", "norm": "norm"}
_MAX_POSTFIXES = 12
_INFIX = frozenset(("choose", "over", "atop"))


class Pratt:
    """A place in a list of tokens, and the rules for operators."""

    rules: ClassVar[Mapping[str, Callable[..., Expression]]] = {}
    """What may begin an expression, by the kind of its first token."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = [*tokens, END]
        self.index = 0
        self.depth = 0
        self.bars = 0
        self.next = self.tokens[0]

    def advance(self) -> Token:
        token = self.next
        self.index += 1
        self.next = self.tokens[self.index] if self.index < len(self.tokens) else END
        return token

    def expect(self, kind: str) -> None:
        if self.next.kind != kind:
            raise ParseError(f"{kind!r} is missing")
        self.advance()

    def peek(self, ahead: int = 1) -> Token:
        place = self.index + ahead
        return self.tokens[place] if place < len(self.tokens) else END

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError("nested too deep")

    def expression(self, power: int) -> Expression:
        """Read up to the first operator that binds no tighter than ``power``."""
        left = self.factor(power)
        while True:
            kind = self.next.kind
            if kind in ("+", "-", "pm", "mp"):
                if power >= SUM:
                    return left
                left = self.sum(left)
            elif kind in ("*", "/", "mod") or self.begins_factor():
                if power >= PRODUCT:
                    return left
                left = self.product(left)
            elif kind == "pmod":
                raise ParseError("a congruence is no expression")
            else:
                return left

    def sum(self, left: Expression) -> Expression:
        terms = [left]
        while (kind := self.next.kind) in ("+", "-", "pm", "mp"):
            self.advance()
            term = self.expression(SUM)
            if kind == "-":
                term = negative(term)
            elif kind != "+":
                term = Call("pm", (term if kind == "pm" else negative(term),))
            terms.append(term)
        return Sum(tuple(terms))

    def product(self, left: Expression) -> Expression:
        factors: list[Expression] = [*left.factors] if isinstance(left, Product) else [left]
        while True:
            kind = self.next.kind
            if kind == "*":
                self.advance()
                factors.append(self.expression(PRODUCT))
            elif kind == "/":
                self.advance()
                factors.append(inverse(self.expression(PRODUCT)))
            elif kind == "mod":
                self.advance()
                factors = [Call("mod", (product_of(factors), self.expression(PRODUCT)))]
            elif self.begins_factor():
                factors.append(self.expression(PRODUCT))
            else:
                return product_of(factors)

    def begins_factor(self) -> bool:
        """Tell whether the next token multiplies what stands before it."""
        kind = self.next.kind
        if kind not in BEGINS_FACTOR or (kind in ("|", "norm") and self.bars):
            return False
        before = self.tokens[self.index - 1].kind
        if kind in ("number", "repeating", "endless"):  # "1 2 3" is no product, nor "June 20"
            return before not in ("number", "repeating", "endless", "word")
        if self.next.value in _INFIX:
            return False
        if kind == "word" and before == "word":
            return False
        return kind != "text" or len(self.next.value) == 1

    def factor(self, power: int) -> Expression:
        kind = self.next.kind
        if kind in ("+", "-", "pm", "mp"):
            self.advance()
            self.enter()
            operand = self.expression(max(power, SUM))
            self.depth -= 1
            if kind == "+":
                return operand
            if kind == "-":
                return negative(operand)
            return Call("pm", (operand if kind == "pm" else negative(operand),))
        return self.postfix(self.primary())

    def postfix(self, base: Expression) -> Expression:
        for _ in range(_MAX_POSTFIXES):
            kind = self.next.kind
            if kind == "^":
                self.advance()
                if self.skip_degree():
                    base = _degrees(base)
                elif self.next.kind == "{" and self.peek(1).kind == "'":  # y^{\prime}
                    self.advance()
                    base = _primed(base, self.primes())
                    self.expect("}")
                elif self.next.kind == "'":
                    base = _primed(base, self.primes())
                else:
                    base = Power(base, self.exponent())
            elif kind == "!":
                self.advance()
                if self.next.kind == "!":
                    self.advance()
                    base = Call("factorial2", (base,))
                else:
                    base = Call("factorial", (base,))
            elif kind == "degree":
                self.advance()
                base = _degrees(base)
            elif kind == "%":
                self.advance()
                base = Product((base, Number(Fraction(1, 100))))
            elif kind == "'":
                base = _primed(base, self.primes())
            elif kind == "_" and isinstance(base, Power) and isinstance(base.base, Symbol):
                self.advance()  # x^2_1 is x_1^2
                base = Power(Symbol(f"{base.base.name}_{self.subscript()}"), base.exponent)
            else:
                return base
        raise ParseError("too many operators after one value")

    def skip_degree(self) -> bool:
        if self.next.kind == "degree":
            self.advance()
            return True
        if self.next.kind == "{" and [self.peek(1).kind, self.peek(2).kind] == ["degree", "}"]:
            for _ in range(3):
                self.advance()
            return True
        return False

    def primes(self) -> int:
        count = 0
        while self.next.kind == "'":
            self.advance()
            count += 1
        return count

    def exponent(self) -> Expression:
        if self.next.kind in ("-", "+"):
            sign = self.advance().kind
            self.enter()
            exponent = self.exponent()
            self.depth -= 1
            return negative(exponent) if sign == "-" else exponent
        exponent = self.argument()
        if self.next.kind == "^":  # towers lean to the right
            self.advance()
            self.enter()
            exponent = Power(exponent, self.exponent())
            self.depth -= 1
        return exponent

    def subscript(self) -> str:
        if self.next.kind == "word" and not (
            len(self.next.value) > 2 and self.next.value.islower()
        ):
            letters = self.next.value  # m_pc is m_p times c, x_max is one name
            self.tokens[self.index : self.index + 1] = [
                Token("symbol", letter, False) for letter in letters
            ]
            self.next = self.tokens[self.index]
        if self.next.kind != "{":
            return self.advance().value
        self.advance()
        parts = []
        while self.next.kind not in ("}", "end", "{"):
            parts.append(self.advance().value)
        self.expect("}")
        return "".join(parts)

    def argument(self) -> Expression:
        """Read the argument of a command: a group or one token."""
        if self.next.kind == "{":
            return self.group("{")
        if self.next.kind == "word":  # in e^xe^y only the x is raised
            letters = self.next.value
            self.tokens[self.index : self.index + 1] = [
                Token("symbol", letter, False) for letter in letters
            ]
            self.next = self.tokens[self.index]
        if self.next.kind == "symbol":  # one letter: the 2 of \frac n2 is the other argument
            name = self.advance().value
            return Constant(name) if name in ("e", "i") else Symbol(name)
        return self.primary()

    def group(self, opening: str) -> Expression:
        self.expect(opening)
        bars, self.bars = self.bars, 0
        inner = self.expression(0)
        if self.next.value in _INFIX:
            is_choice = self.advance().value == "choose"
            right = self.expression(0)
            inner = Call("binom", (inner, right)) if is_choice else divide(inner, right)
        self.expect(_CLOSING[opening])
        self.bars = bars
        return inner

    def primary(self) -> Expression:
        token = self.next
        rule = self.rules.get(token.kind)
        if rule is None:
            raise ParseError(f"{token.value or 'the end'!r} is not expected")
        self.enter()
        expression = rule(self)
        self.depth -= 1
        return expression


def negative(expression: Expression) -> Expression:
    """Put a minus before an expression."""
    if isinstance(expression, Number):
        return Number(-expression.value, expression.places)
    return Product((MINUS_ONE, expression))


def inverse(expression: Expression) -> Expression:
    """Divide one by an expression."""
    if isinstance(expression, Number) and expression.value:
        value = 1 / Fraction(expression.value)
        return Number(value.numerator if value.denominator == 1 else value)
    return Power(expression, MINUS_ONE)


def divide(top: Expression, bottom: Expression) -> Expression:
    """Divide one expression by another."""
    if isinstance(top, Number) and isinstance(bottom, Number):
        numerator, denominator = top.value, bottom.value
        if not (isinstance(numerator, int) and isinstance(denominator, int)):
            return Product((top, Power(bottom, MINUS_ONE)))
        if denominator > 1 and gcd(numerator, denominator) == 1:
            return Number(Fraction(numerator, denominator))
        return Product((top, Power(bottom, MINUS_ONE)))  # not in lowest terms: kept as written
    return product_of([top, inverse(bottom)])


def product_of(factors: list[Expression]) -> Expression:
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def _degrees(base: Expression) -> Expression:
    return Product((base, Constant("pi"), Number(Fraction(1, 180))))


def _primed(base: Expression, count: int) -> Expression:
    if isinstance(base, Symbol):
        return Symbol(base.name + "'" * count)
    raise ParseError("a prime belongs to a letter")
