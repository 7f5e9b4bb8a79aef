r"""Read tokens as one expression: LaTeX, plain text and calculator notation.

    >>> parse(tokenize(r"\frac{x+1}{2}"))

A rule reads what may begin an expression (a number, a letter, a bracket, a command); ``pratt``
has the operators. Whatever is not mathematics raises ``ParseError``: the reader then takes the
answer for text. Nothing is evaluated here.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from mathrl.rewards.literals import ParseError, endless, number, repeating
from mathrl.rewards.notation import words
from mathrl.rewards.pratt import (
    BEGINS_FACTOR,
    END,
    SUM,
    Pratt,
    divide,
    inverse,
    negative,
    product_of,
)
from mathrl.rewards.syntax import (
    HALF,
    MINUS_ONE,
    ONE,
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
from mathrl.rewards.tokens import Token

__all__ = ["ParseError", "parse"]

_SMALL_WORDS = words("in on of to by at is it as an or if so no we be he my up us do")
_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_MAX_PERIOD_START = 20
_FUNCTIONS = words(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech"
    " csch arsinh arcosh artanh arcsinh arccosh arctanh exp ln log lg gcd lcm max min floor ceil"
    " abs det arg Re Im deg dim ker sgn sign cis"
)
_RENAMED = {"arcsinh": "arsinh", "arccosh": "arcosh", "arctanh": "artanh", "Re": "re", "Im": "im"}
_INVERSE = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")}
_LIST_ENDS = {"(": ")", "{": "}", "{set": "set}"}
_OF_MANY = frozenset(("gcd", "lcm", "max", "min"))
_FUNCTION_LETTERS = frozenset("fghFGH") | {"phi", "psi"}
_FIGURES = words("angle triangle measuredangle square odot widehat overarc")
_DECORATIONS = words(
    "mathbf mathbb mathcal mathfrak mathscr hat vec bar overline tilde widehat underline"
    " overrightarrow bm pmb mathbfit"
)
_PRIME = "'"
_DOTS = {"dot": _PRIME, "ddot": 2 * _PRIME}


def parse(tokens: Sequence[Token]) -> Expression:
    """Read tokens as one expression.

    Args:
        tokens: All of them must belong to it.

    Raises:
        ParseError: They are something else, or nested too deep, or a number is too long.
    """
    parser = _Parser(tokens)
    expression = parser.expression(0)
    if parser.next.kind != "end":
        raise ParseError(f"{parser.next.value!r} is not expected")
    return expression


class _Parser(Pratt):
    def read_number(self) -> Expression:
        text = self.advance().value
        whole = number(text)
        if text.isdigit() and (part := self.mixed_part()) is not None:
            return Number(whole.value + part)
        return whole

    def mixed_part(self) -> Fraction | None:
        r"""Take the fraction of ``2\frac{5}{6}`` or ``2 5/6``; improper ones stay factors."""
        following = [self.peek(ahead).kind for ahead in range(4)]
        if self.next.kind == "command" and self.next.value == "frac":
            top, bottom, length = self.plain_fraction()
        elif self.next.is_spaced and following[:3] == ["number", "/", "number"]:
            if following[3] == "^":
                return None
            top, bottom, length = self.next.value, self.peek(2).value, 3
        else:
            return None
        if not (top.isdigit() and bottom.isdigit()) or len(top) > 9 or len(bottom) > 9:
            return None
        if not 0 < int(top) < int(bottom):
            return None
        for _ in range(length):
            self.advance()
        return Fraction(int(top), int(bottom))

    def plain_fraction(self) -> tuple[str, str, int]:
        r"""Look at the digits of a ``\frac`` ahead: top, bottom and how many tokens it takes."""
        ahead, parts = 1, []
        for _ in range(2):
            token = self.peek(ahead)
            if token.kind == "{" and self.peek(ahead + 2).kind == "}":
                parts.append(self.peek(ahead + 1).value)
                ahead += 3
            elif token.kind == "number" and len(token.value) == 1:
                parts.append(token.value)
                ahead += 1
            elif token.kind == "number" and len(token.value) == 2 and not parts:
                return token.value[0], token.value[1], ahead + 1
            else:
                return "", "", 0
        return parts[0], parts[1], ahead

    def read_repeating(self) -> Expression:
        return repeating(self.advance().value)

    def read_endless(self) -> Expression:
        return endless(self.advance().value)

    def read_dots(self) -> Expression:
        self.advance()
        return Symbol("...")

    def read_symbol(self) -> Expression:
        return self.named(self.advance().value)

    def named(self, name: str) -> Expression:
        """Finish a letter: its subscript, its primes, its arguments if it is a function."""
        place = self.index
        following = self.next
        if following.kind == "_":
            self.advance()
            name = f"{name}_{self.subscript()}"
        elif following.kind == "number" and not following.is_spaced and name not in ("e", "i"):
            if following.value.isdigit() and len(name) == 1 and self.peek().kind != "/":
                name = f"{name}_{self.advance().value}"  # x1 is how plain text writes x_1
        elif name in ("e", "i"):
            return Constant(name)
        name += "'" * self.primes()
        if name in ("C", "P") and (pair := self.pair()):
            return Call("binom" if name == "C" else "permutations", pair)
        is_letter = len(name) == 1 and self.index == place
        if is_letter and not self.next.is_spaced and (point := self.point()):
            return Call(name, (point,))
        if name.rstrip("'").partition("_")[0] in _FUNCTION_LETTERS:
            inverted = [self.peek(ahead).value for ahead in range(5)] == ["^", "{", "-", "1", "}"]
            if inverted and self.peek(5).kind == "(":
                name += "^-1"
                for _ in range(5):
                    self.advance()
            if self.next.kind == "(":
                return Call(name, self.arguments())
        return Symbol(name)

    def point(self) -> Expression | None:
        """Take the argument of ``I(0)`` and ``y(x)``: one number or letter in brackets."""
        inner = self.peek(1)
        if self.next.kind != "(" or self.peek(2).kind != ")" or self.peek(3).kind == "^":
            return None
        if inner.kind not in ("number", "symbol") or inner.value in ("e", "i"):
            return None
        self.advance()
        self.advance()
        self.advance()
        return number(inner.value) if inner.kind == "number" else Symbol(inner.value)

    def pair(self) -> tuple[Expression, ...] | None:
        """Take the two arguments of C(n, k), or nothing at all."""
        if self.next.kind != "(":
            return None
        place = self.index
        try:
            arguments = self.arguments()
        except ParseError:
            arguments = ()
        if len(arguments) == 2:
            return arguments
        self.index, self.next = place, self.tokens[place]
        return None

    def read_word(self) -> Expression:
        """Take a short word for a product of its letters; a long one is language."""
        token = self.advance()
        before = self.tokens[self.index - 2] if self.index > 1 else END
        is_prose = before.kind == "number" and (
            (token.is_spaced and token.value in _SMALL_WORDS)
            or (not token.is_spaced and token.value in _ORDINALS)
        )
        if len(token.value) > 4 or is_prose:
            raise ParseError(f"{token.value!r} is a word")
        letters, last = token.value[:-1], token.value[-1]
        factors = [Constant(name) if name in ("e", "i") else Symbol(name) for name in letters]
        return Product((*factors, self.postfix(self.named(last))))

    def read_text(self) -> Expression:
        token = self.advance()
        if len(token.value) != 1:
            raise ParseError(f"{token.value!r} is text")
        return self.named(token.value)

    def read_group(self) -> Expression:
        return self.group(self.next.kind)

    def read_floor(self) -> Expression:
        name = self.next.kind[1:]
        return Call(name, (self.group(self.next.kind),))

    def read_bars(self) -> Expression:
        kind = self.advance().kind
        self.bars += 1
        inner = self.expression(0)
        self.bars -= 1
        self.expect(kind)
        return Call("abs", (inner,))

    def read_command(self) -> Expression:
        name = self.advance().value
        if name in _FUNCTIONS:
            return self.function(name)
        if rule := _COMMANDS.get(name):
            return rule(self)
        if name in _FIGURES:
            return self.figure(name)
        if name in _DOTS:  # \dot{x}, as physics writes x'
            return self.named(self.subscript() + _DOTS[name])
        if name in _DECORATIONS:
            return self.named(f"{name} {self.subscript()}")
        if name in ("begin", "end", "choose", "emptyset", "forall", "exists", "boxed"):
            raise ParseError(f"{name} is no expression")
        return self.named(name)

    def figure(self, name: str) -> Expression:
        r"""Read ``\angle ABC`` as one name: the order of its letters matters."""
        parts = [name]
        while self.next.kind in ("symbol", "word", "_", "number"):
            parts.append(self.advance().value)
        return Symbol(" ".join(parts))

    def function(self, name: str) -> Expression:
        base: Expression | None = None
        power: Expression | None = None
        while self.next.kind in ("_", "^"):
            if self.advance().kind == "_":
                base = self.log_base()
            else:
                power = self.exponent()
        if name in _INVERSE and power == MINUS_ONE:
            name, power = _INVERSE[name], None
        if name in _OF_MANY:
            arguments = self.arguments()
            call: Expression = Call(name, arguments) if len(arguments) > 1 else arguments[0]
        else:
            argument = self.operand()
            call = _call(name, argument, base)
        return call if power is None else Power(call, power)

    def log_base(self) -> Expression:
        token = self.next
        if token.kind == "number" and len(token.value) > 1 and not self.begins_at(1):
            self.advance()  # \log_28 is the logarithm of 8 to the base 2
            self.index -= 1
            self.tokens[self.index] = Token("number", token.value[1:], False)
            self.next = self.tokens[self.index]
            return number(token.value[0])
        return self.argument()

    def begins_at(self, ahead: int) -> bool:
        return self.peek(ahead).kind in BEGINS_FACTOR

    def operand(self) -> Expression:
        r"""Read what a function without brackets applies to: ``\sin 2x`` is ``\sin(2x)``."""
        if self.next.kind in ("(", "{", "["):
            return self.group(self.next.kind)
        if self.next.kind == "-":
            self.advance()
            self.enter()
            operand = negative(self.operand())
            self.depth -= 1
            return operand
        factors = [self.postfix(self.primary())]
        while self.begins_factor() and self.next.kind not in ("(", "[", "|"):
            if self.next.kind == "command" and self.next.value in _FUNCTIONS:
                break
            factors.append(self.postfix(self.primary()))
        return product_of(factors)

    def arguments(self) -> tuple[Expression, ...]:
        """Read ``(a, b, c)``."""
        closing = _LIST_ENDS.get(self.next.kind)
        if closing is None:
            raise ParseError("a bracket is missing")
        self.advance()
        bars, self.bars = self.bars, 0
        parts = [self.expression(0)]
        while self.next.kind in (",", ";"):
            self.advance()
            parts.append(self.expression(0))
        self.expect(closing)
        self.bars = bars
        return tuple(parts)

    def digit_or_argument(self) -> Expression:
        r"""Read an argument of ``\frac``: in ``\frac12`` each digit is one."""
        token = self.next
        if token.kind == "number" and len(token.value) > 1 and token.value.isdigit():
            self.tokens[self.index] = Token("number", token.value[1:], False)
            self.next = self.tokens[self.index]
            return number(token.value[0])
        return number(self.advance().value) if token.kind == "number" else self.argument()

    def read_fraction(self) -> Expression:
        if self.next.kind == "(":  # frac(1, 2), as some plain texts write it
            top, bottom = (*self.arguments(), ONE)[:2]
            return divide(top, bottom)
        top = self.digit_or_argument()
        bottom = self.digit_or_argument()
        return _derivative(top, bottom) or divide(top, bottom)

    def read_root(self) -> Expression:
        if self.next.kind == "[":
            degree = self.group("[")
            return Power(self.argument(), inverse(degree))
        if self.next.kind == "^":  # \sqrt^3{x} and Unicode's cube root
            self.advance()
            degree = self.argument()
            return Power(self.argument(), inverse(degree))
        return Power(self.argument(), HALF)

    def read_cube_root(self) -> Expression:
        return Power(self.argument(), Number(Fraction(1, 3)))

    def read_binomial(self) -> Expression:
        if self.next.kind == "(":
            if (pair := self.pair()) is None:
                raise ParseError("a binomial coefficient has two numbers")
            return Call("binom", pair)
        top = self.digit_or_argument()
        return Call("binom", (top, self.digit_or_argument()))

    def bounds(self) -> tuple[list[Token], Expression | None]:
        """Read ``_{…}^{…}`` in any order: the tokens below and the expression above."""
        low: list[Token] = []
        high: Expression | None = None
        while self.next.kind in ("_", "^"):
            if self.advance().kind == "^":
                high = self.argument()
            elif self.next.kind == "{":
                low = self.braced()
            else:
                low = [self.advance()]
        return low, high

    def braced(self) -> list[Token]:
        self.advance()
        found, level = [], 1
        while True:
            token = self.advance()
            level += {"{": 1, "}": -1, "end": -level}.get(token.kind, 0)
            if level == 0:
                break
            found.append(token)
        return found

    def read_sum(self) -> Expression:
        name = "sum" if self.tokens[self.index - 1].value == "sum" else "prod"
        low, high = self.bounds()
        if len(low) < 3 or low[1].kind != "=" or high is None:
            raise ParseError(f"a {name} without its range")
        letter = low[0].value
        return Binder(name, _unbound(self.expression(SUM), letter), letter, parse(low[2:]), high)

    def read_limit(self) -> Expression:
        low, _ = self.bounds()
        if len(low) < 3 or low[1].kind != "to":
            raise ParseError("a limit without its point")
        return Binder("lim", self.expression(SUM), low[0].value, parse(low[2:]))

    def read_integral(self) -> Expression:
        low, high = self.bounds()
        place = self.index
        while place < len(self.tokens) and (token := self.tokens[place]).kind != "end":
            if token.kind == "word" and len(token.value) == 2 and token.value[0] == "d":
                body, variable, after = self.tokens[self.index : place], token.value[1], place + 1
                break
            if token.value == "d" and self.tokens[place + 1].kind in ("symbol", "command"):
                variable = self.tokens[place + 1].value
                body, after = self.tokens[self.index : place], place + 2
                break
            place += 1
        else:
            raise ParseError("an integral without its variable")
        self.index = after
        self.next = self.tokens[after]
        inner = _unbound(parse(body), variable) if body else ONE
        return Binder("int", inner, variable, parse(low) if low else None, high)


_Rule = Callable[[_Parser], Expression]
_PRIMARY: dict[str, _Rule] = {
    "number": _Parser.read_number,
    "repeating": _Parser.read_repeating,
    "endless": _Parser.read_endless,
    "dots": _Parser.read_dots,
    "symbol": _Parser.read_symbol,
    "word": _Parser.read_word,
    "text": _Parser.read_text,
    "command": _Parser.read_command,
    "(": _Parser.read_group,
    "[": _Parser.read_group,
    "{": _Parser.read_group,
    "|": _Parser.read_bars,
    "norm": _Parser.read_bars,
    "lfloor": _Parser.read_floor,
    "lceil": _Parser.read_floor,
}
_COMMANDS: dict[str, _Rule] = {
    "frac": _Parser.read_fraction,
    "sqrt": _Parser.read_root,
    "surd": _Parser.read_root,
    "cbrt": _Parser.read_cube_root,
    "binom": _Parser.read_binomial,
    "sum": _Parser.read_sum,
    "prod": _Parser.read_sum,
    "int": _Parser.read_integral,
    "lim": _Parser.read_limit,
    "pi": lambda _: Constant("pi"),
    "infty": lambda _: Constant("oo"),
    "imath": lambda _: Constant("i"),
}


_Parser.rules = _PRIMARY


def _call(name: str, argument: Expression, base: Expression | None) -> Expression:
    if name in ("log", "lg"):
        return Call("log", (argument, base if base is not None else Number(10)))
    if base is not None:
        raise ParseError(f"{name} has no base")
    if name == "exp":
        return Power(Constant("e"), argument)
    if name == "cis":
        sine = Product((Constant("i"), Call("sin", (argument,))))
        return Sum((Call("cos", (argument,)), sine))
    return Call(_RENAMED.get(name, name), (argument,))


def _unbound(node: Expression, letter: str) -> Expression:
    """Take the i of a sum over i for a letter, not for the root of -1."""
    if letter not in ("e", "i"):
        return node
    if node == Constant(letter):
        return Symbol(letter)
    return rebuilt(node, lambda child: _unbound(child, letter))


def _derivative(top: Expression, bottom: Expression) -> Expression | None:
    r"""Keep ``\frac{dv}{dt}`` as a derivative, ``v'/t``: its d is no factor to cancel."""
    above, below = _differential(top), _differential(bottom)
    if above is None or below is None or below == ONE:
        return None
    match above, below, _factors(bottom)[0]:
        case Symbol(), _, Symbol("partial"):
            pass
        case Symbol(name), Symbol(variable), _:
            return Symbol(f"{name}{_PRIME}/{variable}")
        case Symbol(name), Power(Symbol(variable), Number(order)), _ if order in (2, 3):
            return Symbol(f"{name}{int(order) * _PRIME}/{variable}")
    return Call("derivative", (above, below))


def _differential(expression: Expression) -> Expression | None:
    """Give what follows the d of ``dv``, ``d^2y`` or ``\\partial f``, or None."""
    factors = _factors(expression)
    first = factors[0].base if isinstance(factors[0], Power) else factors[0]
    if first not in (Symbol("d"), Symbol("partial")):
        return None
    return product_of(list(factors[1:])) if len(factors) > 1 else ONE


def _factors(expression: Expression) -> list[Expression]:
    if not isinstance(expression, Product):
        return [expression]
    return [part for factor in expression.factors for part in _factors(factor)]
