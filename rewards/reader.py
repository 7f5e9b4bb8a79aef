"""Read tokens as one value, from the outside in: lists, relations, sets, brackets, units.

What is left inside is an expression for the parser. Text that is no value raises ``ParseError``.
"""

from collections.abc import Sequence
from itertools import pairwise

from mathrl.rewards.language import words_of
from mathrl.rewards.latex import parse
from mathrl.rewards.literals import ParseError, number
from mathrl.rewards.matrices import combination, environment
from mathrl.rewards.pieces import (
    CLOSINGS,
    OPENINGS,
    bare,
    closes_at_end,
    is_plain_angle,
    is_point,
    rejoined,
    split,
    trimmed,
)
from mathrl.rewards.pratt import negative
from mathrl.rewards.relations import WHOLE, is_name, renamed, signed
from mathrl.rewards.special import read_special
from mathrl.rewards.syntax import (
    Call,
    Expression,
    Number,
    Product,
    Sum,
    Symbol,
)
from mathrl.rewards.tokens import Token
from mathrl.rewards.units import LETTER_UNITS, SMALL_WORDS, is_unit, read_unit, scale_of
from mathrl.rewards.values import (
    EXPRESSIONS,
    REALS,
    Based,
    Braced,
    Bracketed,
    Interval,
    Listing,
    Percent,
    Quantity,
    Ratio,
    Relation,
    Union,
    Value,
    Words,
)

RELATIONS = frozenset(("=", "<", ">", "<=", ">=", "!=", "approx", "in", "equiv", "notin"))
_SEPARATORS = frozenset((",", ";", "and", "or", "newline", "implies"))
_FORMULA_KINDS = frozenset(
    ("number", "symbol", "command", "+", "-", "*", "/", "^", "_", "(", ")", "{", "}", "!", "|")
)
_QUANTIFIERS = frozenset(("exists", "nexists", "forall", "neg"))
_MODULI = frozenset(("pmod", "mod"))
_INFIX = frozenset(("over", "choose", "atop"))
_MAX_ITEMS = 200
_MAX_LETTERS = 4
_MAX_DEPTH = 80
_MONEY = {"dollar": "dollars", "euro": "euros", "pound": "gbp"}


def _may_measure(tokens: Sequence[Token]) -> bool:
    """Tell what may be a number with its unit or its base: 5 m/s, 20 min, 1011_2."""
    if len(tokens) < 2:
        return False
    is_measure = tokens[0].kind == "number" and (
        tokens[1].kind == "_" or (tokens[1].kind == "symbol" and tokens[1].is_spaced)
    )
    is_named = tokens[-1].value in ("min", "Omega") or tokens[-2].value == "mu"
    return len(tokens) == 2 or is_measure or is_named


class Reader:
    """Reads values from tokens, from the outside in."""

    def __init__(self, max_unit_words: int) -> None:
        self.max_unit_words = max_unit_words
        self.depth = 0

    def value(self, tokens: Sequence[Token]) -> Value:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ParseError("nested too deep")
        try:
            return self.listing(trimmed(tokens))
        finally:
            self.depth -= 1

    def listing(self, tokens: Sequence[Token]) -> Value:
        if not tokens:
            raise ParseError("nothing to read")
        if _FORMULA_KINDS.issuperset({token.kind for token in tokens}) and not _may_measure(tokens):
            return self.expression(tokens)  # nothing in it joins, relates or measures
        pieces, found = split(tokens, _SEPARATORS)
        if not found:
            return self.relation(tokens)
        has_equation = any(token.kind in RELATIONS for token in tokens)
        if "implies" in found and not has_equation:
            raise ParseError("a statement")
        if "implies" in found:  # of a derivation only the end is the answer
            last = max(index for index, kind in enumerate(found) if kind == "implies")
            return self.listing(rejoined(tokens, pieces, last + 1))
        parts = [piece for piece in (trimmed(piece) for piece in pieces) if piece]
        if len(parts) > _MAX_ITEMS:
            raise ParseError("too many items")
        if len(parts) == 1:
            return self.relation(parts[0])
        joiner = "or" if "or" in found else "and" if "and" in found else ","
        items = [self.relation(part) for part in parts]
        return _added_up(items) or _listing(items, joiner)

    def relation(self, tokens: Sequence[Token]) -> Value:
        if any(token.kind == "where" for token in tokens) and split(tokens, ("where",))[1]:
            return self.conditional(tokens)
        pieces, operators = split(tokens, RELATIONS)
        if not operators:
            if len(tokens) > 4 and tokens[1].kind == "(" and is_point(tokens):  # A(1, 2)
                return Relation((Symbol(tokens[0].value), self.set(tokens[1:])), ("=",))
            return self.set(tokens)
        if not pieces[0]:
            if operators[0] not in ("=", "approx", "in"):
                raise ParseError("an inequality without its left side")
            pieces, operators = pieces[1:], operators[1:]
        if not operators:
            return self.set(pieces[0])
        if not pieces[-1]:
            raise ParseError("a relation without its right side")
        if operators[-1] == "equiv" and any(token.kind in _MODULI for token in pieces[-1]):
            return self.congruence(pieces)
        return _related([self.side(piece) for piece in pieces], operators)

    def congruence(self, pieces: Sequence[Sequence[Token]]) -> Value:
        last = pieces[-1]
        place = next(place for place, token in enumerate(last) if token.kind in _MODULI)
        residue, modulus = last[:place], last[place + 1 :]
        if residue and residue[-1].kind == "(":
            residue, modulus = residue[:-1], modulus[:-1]
        divisor = parse(bare(modulus))
        value = Call("class", (Call("mod", (self.expression(residue), divisor)), divisor))
        return Relation((self.side(pieces[0]), value), ("=",))

    def conditional(self, tokens: Sequence[Token]) -> Value:
        """Read ``x + 1 if x > 0``: a value and its condition."""
        pieces, _ = split(tokens, ("where",))
        pieces = [piece for piece in (trimmed(piece) for piece in pieces) if piece]
        if len(pieces) != 2:
            raise ParseError("a condition without its value")
        return Relation((self.relation(pieces[0]), self.condition(pieces[1])), ("if",))

    def condition(self, tokens: Sequence[Token]) -> Value:
        if any(token.kind in ("word", "text") for token in tokens):
            return Words(words_of(" ".join(token.value for token in tokens)))
        return self.relation(tokens)

    def side(self, tokens: Sequence[Token]) -> Value:
        if any(token.value in _QUANTIFIERS for token in tokens):
            raise ParseError("a statement")
        if len(tokens) == 1 and tokens[0].kind == "word" and len(tokens[0].value) <= _MAX_LETTERS:
            return parse(tokens)  # beside an equals sign nRT is three letters
        try:
            return self.set(trimmed(tokens))
        except ParseError:
            words = " ".join(token.value for token in tokens)
            if any(token.kind not in ("word", "text", "symbol", "command") for token in tokens):
                raise
            return Words(words_of(words))

    def set(self, tokens: Sequence[Token]) -> Value:
        if not tokens:
            raise ParseError("nothing to read")
        for operator in ("cup", "setminus", "cap"):
            pieces, found = split(tokens, (operator,))
            if found:
                parts = tuple(_as_set(self.set(trimmed(piece))) for piece in pieces if piece)
                return parts[0] if len(parts) == 1 else Union(parts, operator)
        return self.bracketed(tokens)

    def bracketed(self, tokens: Sequence[Token]) -> Value:
        first, last = tokens[0].kind, tokens[-1].kind
        if first in OPENINGS and last in CLOSINGS and closes_at_end(tokens):
            inner = tokens[1:-1]
            if first == "{set":
                return self.braced(inner)
            if first in ("(", "[", "<angle"):
                return self.in_brackets(inner, first, last)
            if first == "{" and not any(token.value in _INFIX for token in inner):
                return self.value(inner)
        if first == "pm" and last in CLOSINGS and tokens[1].kind in ("(", "<angle"):
            return self.both_signs(tokens[1:])
        if any(token.kind == "environment" for token in tokens):
            return self.with_environment(tokens)
        if len(tokens) > 3 and (vector := self.combined(tokens)) is not None:
            return vector
        return self.quantity(tokens)

    def both_signs(self, tokens: Sequence[Token]) -> Value:
        r"""Read ``\pm(1, 2)`` as two points."""
        point = self.bracketed(tokens)
        if not isinstance(point, Bracketed):
            return self.quantity([Token("pm", "pm", False), *tokens])
        items = [negative(item) for item in point.items if isinstance(item, EXPRESSIONS)]
        if len(items) != len(point.items):
            raise ParseError("a sign belongs to numbers")
        return Listing((point, Bracketed(tuple(items), point.opening, point.closing)), "and")

    def in_brackets(self, inner: Sequence[Token], first: str, last: str) -> Value:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ParseError("nested too deep")
        try:
            return self.items(inner, first, last)
        finally:
            self.depth -= 1

    def items(self, inner: Sequence[Token], first: str, last: str) -> Value:
        opening = "<" if first == "<angle" else first
        closing = ">" if last == "angle>" else last
        pieces, found = split(inner, (",", ";"))
        parts = [piece for piece in (trimmed(piece) for piece in pieces) if piece]
        if not found:
            if not parts:
                raise ParseError("empty brackets")
            if (opening == "(") != (closing == ")"):
                raise ParseError("the brackets do not match")
            return self.value(inner)
        items = tuple(self.relation(part) for part in parts)
        if len(items) == 1:
            return items[0]
        if len(items) == 2 and (opening == "(") != (closing == ")") and "<" not in opening:
            low, high = items
            if isinstance(low, EXPRESSIONS) and isinstance(high, EXPRESSIONS):
                return Interval(low, high, opening == "[", closing == "]")
        return Bracketed(items, opening, closing)  # type: ignore[arg-type]

    def braced(self, inner: Sequence[Token]) -> Value:
        if not inner:
            return Braced(())
        for bar in ("|", ":"):
            pieces, found = split(inner, (bar,))
            if len(found) == 1:
                return self.described(pieces[0], pieces[1])
        inside = self.value(inner)
        if isinstance(inside, Listing):
            return Braced(inside.items)
        return Braced((inside,))

    def described(self, member: Sequence[Token], condition: Sequence[Token]) -> Value:
        """Read ``{x | x > 2}`` as its condition, and keep ``{2k | k in Z}`` as it is."""
        if len(member) == 1:
            return self.value(condition)
        if len(member) > 2 and member[1].kind == "in":
            return self.within(member, condition)
        value, when = self.value(member), self.condition(condition)
        match when:
            case Relation((Symbol(letter), Symbol("mathbb Z" | "mathbb N")), ("in",)):
                value, when = renamed(value, {letter: WHOLE}), renamed(when, {letter: WHOLE})
        return Braced((Relation((value, when), ("if",)),))

    def within(self, member: Sequence[Token], condition: Sequence[Token]) -> Value:
        """Read ``{x in D | x > 2}``: of the reals its condition, else what D and it share."""
        domain, rule = self.value(member[2:]), self.value(condition)
        if domain == REALS:
            return rule
        domain = _as_set(domain)
        if isinstance(domain, Interval | Union):
            return Union((domain, rule), "cap")
        return Braced((Relation((rule, domain), ("if",)),))

    def with_environment(self, tokens: Sequence[Token]) -> Value:
        matrix = environment(tokens, self.value)
        if matrix is not None:
            return matrix
        combined = self.combined(tokens)
        if combined is None:
            raise ParseError("an environment inside an expression")
        return combined

    def combined(self, tokens: Sequence[Token]) -> Value | None:
        """Read a sum of multiples of vectors or matrices, entry by entry."""
        is_vector = any(token.kind in (",", "environment") for token in tokens)
        return combination(tokens, self.value) if is_vector else None

    # -- units ---------------------------------------------------------------------------------

    def quantity(self, tokens: Sequence[Token], *, has_unit: bool = False) -> Value:
        if len(tokens) > 2 and tokens[1].kind == "_" and tokens[0].kind == "number":
            return _based(tokens)
        if len(tokens) > 1 and tokens[-1].value == "min" and tokens[-2].kind == "number":
            tokens = [*tokens[:-1], Token("word", "min", True)]  # minutes, not a minimum
        if tokens[0].kind in _MONEY or (len(tokens) > 2 and tokens[1].kind in _MONEY):
            return self.money(tokens)
        if tokens[-1].kind == "%" and len(tokens) > 1:
            value = self.expression(tokens[:-1])
            if not isinstance(value, EXPRESSIONS):
                raise ParseError("a percentage of no number")
            return Percent(value)
        if tokens[-1].kind in _MONEY and len(tokens) > 1:
            return self.money([tokens[-1], *tokens[:-1]])
        if has_unit:
            return self.ratio(tokens)
        if tokens[0].kind == "number" and (mixed := self.mixed_units(tokens)) is not None:
            return mixed
        for place in range(1, len(tokens)):
            if self.may_begin_unit(tokens, place):
                start = place + (tokens[place].kind == "^")
                unit = read_unit(tokens[start:], self.max_unit_words)
                if unit is not None:
                    return self.with_unit(tokens[:place], unit)
                if (scaled := self.scaled(tokens, place)) is not None:
                    return scaled
        return self.ratio(tokens)

    def mixed_units(self, tokens: Sequence[Token]) -> Value | None:
        """Read ``2 hours 30 minutes`` as one quantity."""
        starts = [
            place
            for place, token in enumerate(tokens)
            if token.kind == "number" and (place == 0 or _ends_unit(tokens[place - 1]))
        ]
        if len(starts) < 2:
            return None
        ends = [*starts[1:], len(tokens)]
        parts = [self.quantity(tokens[start:end]) for start, end in zip(starts, ends, strict=True)]
        return _added_up(parts)

    def may_begin_unit(self, tokens: Sequence[Token], place: int) -> bool:
        token, before = tokens[place], tokens[place - 1]
        if before.kind in ("^", "_", "*", "+", "-") or before.value in ("sqrt", "frac"):
            return False
        if token.kind == "text":
            return True
        if token.kind == "command":
            is_unit_fraction = token.value == "frac" and tokens[place + 2 : place + 3] != []
            is_ohm = token.value == "Omega" and place + 1 == len(tokens)
            is_micro = token.value == "mu" and place + 2 == len(tokens)
            if is_micro and is_unit(f"~u{tokens[-1].value}"):
                return before.kind == "number"
            return is_ohm or (is_unit_fraction and tokens[place + 2].kind == "text")
        if token.kind == "/":  # 10 / day
            return place + 1 < len(tokens) and tokens[place + 1].kind in ("word", "text")
        if token.kind == "degree" and before.kind != "^":
            return is_plain_angle(tokens[:place])
        if token.kind == "word":
            if not any(earlier.kind == "number" for earlier in tokens[:place]):
                return False
            is_long = token.is_spaced and (len(token.value) >= 3 or token.value in SMALL_WORDS)
            return is_unit(token.value) or is_long or scale_of(token.value) is not None
        if token.kind == "^" and is_plain_angle(tokens[:place]):
            return [part.kind for part in tokens[place + 1 :][:3]] in (
                ["degree"],
                ["{", "degree", "}"],
                ["degree", "text"],
                ["degree", "symbol"],
            )
        is_letter = token.kind == "symbol" and token.is_spaced and token.value in LETTER_UNITS
        return is_letter and before.kind == "number" and place == 1

    def with_unit(self, tokens: Sequence[Token], unit: object) -> Value:
        core = self.quantity(tokens, has_unit=True)
        if isinstance(core, Percent | Ratio):
            return core
        if isinstance(core, Quantity):  # "$5 per hour": the sign before it is the unit
            return core
        if isinstance(core, EXPRESSIONS):
            return Quantity(core, unit)  # type: ignore[arg-type]
        raise ParseError("a unit belongs to a number")

    def scaled(self, tokens: Sequence[Token], place: int) -> Value | None:
        """Read ``5 million dollars``: the word multiplies."""
        scale = scale_of(tokens[place].value)
        if scale is None or tokens[place].kind not in ("word", "text"):
            return None
        value = Product((self.expression(tokens[:place]), Number(scale)))
        if place + 1 == len(tokens):
            return value
        unit = read_unit(tokens[place + 1 :], self.max_unit_words)
        return None if unit is None else Quantity(value, unit)

    def money(self, tokens: Sequence[Token]) -> Value:
        place = 0 if tokens[0].kind in _MONEY else 1
        name = _MONEY[tokens[place].kind]
        unit = read_unit([Token("word", name, False)], 1)
        rest = [*tokens[:place], *tokens[place + 1 :]]
        if not rest:
            raise ParseError("a currency without its number")
        value = self.quantity(rest)
        if isinstance(value, Quantity):
            value = value.value
        if unit is None or not isinstance(value, EXPRESSIONS):
            raise ParseError("a currency belongs to a number")
        return Quantity(value, unit)

    def ratio(self, tokens: Sequence[Token]) -> Value:
        pieces, found = split(tokens, (":",))
        if not found:
            return self.expression(tokens)
        if not all(pieces):
            raise ParseError("a ratio with an empty part")
        parts = tuple(self.expression(piece) for piece in pieces)
        if not all(isinstance(part, EXPRESSIONS) for part in parts):
            raise ParseError("a ratio of sets")
        return Ratio(parts)

    def expression(self, tokens: Sequence[Token]) -> Expression:
        if not tokens:
            raise ParseError("nothing to read")
        if len(tokens) == 1 and tokens[0].kind == "dots":
            return Symbol("...")
        if tokens[0].value in ("emptyset", "mathbb"):
            return _named_set(tokens)  # type: ignore[return-value]
        if len(tokens) == 1 and tokens[0].kind == "number":
            return number(tokens[0].value)
        if any(token.value in _INFIX for token in tokens):  # 3 \over 4 without its braces
            tokens = [Token("{", "{", False), *tokens, Token("}", "}", False)]
        word = tokens[0].value if len(tokens) == 1 and tokens[0].kind == "word" else ""
        if len(word) > 2 or word.lower() == "no":
            raise ParseError("a word")
        return parse(tokens)


def _ends_unit(token: Token) -> bool:
    return token.kind in ("word", "text") or token.value in LETTER_UNITS


def _based(tokens: Sequence[Token]) -> Value:
    """Read ``422_8`` where it stands inside an equation or a list."""
    text = "".join(token.value for token in tokens)
    special = read_special(text)
    if special is None or not isinstance(special[0], Based):
        raise ParseError("a subscript belongs to a letter")
    return special[0]


def _added_up(items: Sequence[Value]) -> Value | None:
    """Add 2 hours and 30 minutes: quantities of one kind, from large units to small."""
    if len(items) < 2 or not all(isinstance(item, Quantity) for item in items):
        return None
    quantities = [item for item in items if isinstance(item, Quantity)]
    scales = [quantity.unit.scale for quantity in quantities]
    kinds = {quantity.unit.dimension for quantity in quantities}
    is_falling = all(left > right for left, right in pairwise(scales))
    if len(kinds) != 1 or not quantities[0].unit.is_known or not is_falling:
        return None
    terms = tuple(
        Product((quantity.value, Number(quantity.unit.scale / scales[-1])))
        for quantity in quantities
    )
    return Quantity(Sum(terms), quantities[-1].unit)


def _as_set(value: Value) -> Value:
    if isinstance(value, Bracketed) and len(value.items) == 2:
        low, high = value.items
        if isinstance(low, EXPRESSIONS) and isinstance(high, EXPRESSIONS):
            return Interval(low, high, value.opening == "[", value.closing == "]")
    return value


def _listing(items: Sequence[Value], joiner: str) -> Value:
    flat: list[Value] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Listing) else signed(item))
    return Listing(tuple(flat), joiner)  # type: ignore[arg-type]


def _named_set(tokens: Sequence[Token]) -> Value:
    if tokens[0].value == "emptyset" and len(tokens) == 1:
        return Braced(())
    named = parse(tokens)
    return REALS if named == Symbol("mathbb R") else named


def _related(sides: Sequence[Value], operators: Sequence[str]) -> Value:
    if "approx" in operators:
        place = operators.index("approx")
        if place or not is_name(sides[0]):  # the exact side is the answer, the rounding is not
            sides, operators = sides[: place + 1], operators[:place]
        else:
            operators = ["=" if operator == "approx" else operator for operator in operators]
    return Relation(tuple(sides), tuple(operators)) if operators else sides[0]
