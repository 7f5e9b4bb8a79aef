r"""What equations and signs say about an answer: ``x = 3`` names 3, ``\pm 2`` is two values."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import product

from mathrl.rewards.syntax import (
    MINUS_ONE,
    Call,
    Constant,
    Expression,
    Number,
    Power,
    Product,
    Symbol,
    children,
    rebuilt,
)
from mathrl.rewards.values import (
    EXPRESSIONS,
    Bracketed,
    Listing,
    Quantity,
    Ratio,
    Relation,
    Value,
    Words,
)

_MAX_SIGNS = 4
WHOLE = "~Z"
"""The letter of a family of solutions over the whole numbers; over other sets it is their name."""


def is_name(value: Value) -> bool:
    r"""Tell whether a side only names what is asked for: ``x``, ``f(x)``, ``\text{Area}``, ``AB``.

    Args:
        value: The left side of an equation.
    """
    match value:
        case Symbol() | Words():
            return True
        case Call(name, _):
            return name not in ("pm",)
        case Product(factors):
            return all(is_name(factor) for factor in factors)
        case Power(Symbol(), Symbol() | Number(-1 | Fraction())):
            return False
        case Power(Call(), Number()):
            return True
        case Constant("i" | "e"):
            return True
        case Bracketed(items, _, _) | Listing(items, _):
            return all(is_name(item) for item in items)
        case Ratio(parts):
            return all(is_name(part) for part in parts)
    return False


def signed(value: Value) -> tuple[Value, ...]:
    r"""List what a value with ``\pm`` stands for; other values stand for themselves.

    Args:
        value: Any.
    """
    if isinstance(value, Relation) and value.operators == ("=",):
        left, right = value.sides
        return tuple(Relation((left, part), ("=",)) for part in signed(right))
    if isinstance(value, Quantity):
        return tuple(
            Quantity(part, value.unit) if isinstance(part, EXPRESSIONS) else part
            for part in signed(value.value)
        )
    if isinstance(value, Bracketed):
        places = [place for place, item in enumerate(value.items) if len(signed(item)) > 1]
        if len(places) != 1:
            return (value,)
        before, after = value.items[: places[0]], value.items[places[0] + 1 :]
        return tuple(
            Bracketed((*before, part, *after), value.opening, value.closing)
            for part in signed(value.items[places[0]])
        )
    if not isinstance(value, EXPRESSIONS) or not _has_sign(value):
        return (value,)
    count = _count_signs(value)
    if count > _MAX_SIGNS:
        return (value,)
    return tuple(_with_signs(value, iter(choice)) for choice in product((1, -1), repeat=count))


def _has_sign(node: Expression) -> bool:
    return _count_signs(node) > 0


def _count_signs(node: Expression) -> int:
    own = isinstance(node, Call) and node.name == "pm"
    return own + sum(_count_signs(child) for child in children(node))


def _with_signs(node: Expression, signs: "Iterable[int]") -> Expression:
    choose = iter(signs)

    def chosen(part: Expression) -> Expression:
        match part:
            case Call("pm", (inner,)):
                sign = next(choose)
                inside = chosen(inner)
                return inside if sign > 0 else Product((MINUS_ONE, inside))
        return rebuilt(part, chosen)

    return chosen(node)


def assignment(value: Value) -> tuple[Value, Value] | None:
    """Take ``x = 3`` apart: the name and the value at the end of the chain.

    Args:
        value: Any.

    Returns:
        The name and the value, or None where it is no definition.
    """
    if not isinstance(value, Relation):
        return None
    name = value.sides[0]
    if isinstance(name, Symbol) and name.name in letters_of(value.sides[-1]):
        return None  # x = 2x + 3 says nothing yet
    if not is_name(name):  # 5 = x
        is_turned = value.operators == ("=",) and isinstance(value.sides[1], Symbol)
        return (value.sides[1], value.sides[0]) if is_turned else None
    if value.operators == ("in",):
        return value.sides[0], value.sides[1]
    if all(operator == "=" for operator in value.operators):
        return _in_order(name, value.sides[-1])
    return None


def _in_order(names: Value, values: Value) -> tuple[Value, Value]:
    """Bring (y, x) = (3, 4) into the order of the alphabet."""
    if not isinstance(names, Bracketed) or not isinstance(values, Bracketed):
        return names, values
    letters = [item.name if isinstance(item, Symbol) else "" for item in names.items]
    if len(letters) != len(values.items) or not all(len(letter) == 1 for letter in letters):
        return names, values
    order = sorted(range(len(letters)), key=lambda place: letters[place])
    return (
        Bracketed(tuple(names.items[place] for place in order), names.opening, names.closing),
        Bracketed(tuple(values.items[place] for place in order), values.opening, values.closing),
    )


def substituted(node: Expression, letters: Mapping[str, str]) -> Expression:
    """Rename letters, all at once: f(x) = x + 1 is f(t) = t + 1.

    Args:
        node: An expression.
        letters: What each letter becomes.
    """
    if isinstance(node, Symbol):
        return Symbol(letters.get(node.name, node.name))
    return rebuilt(node, lambda child: substituted(child, letters))


def with_plain_primes(first: Expression, second: Expression) -> tuple[Expression, Expression]:
    r"""Write ``\frac{dv}{dt}`` as ``v'`` where the other side says it so, with no variable.

    Args:
        first: One expression.
        second: The other.
    """
    short = [
        {name: name.partition("/")[0] for name in letters_of(side) if "'/" in name}
        for side in (first, second)
    ]
    if bool(short[0]) == bool(short[1]):
        return first, second
    return substituted(first, short[0]), substituted(second, short[1])


def letters_of(value: Value) -> frozenset[str]:
    """List the letters in an expression; other values have none.

    Args:
        value: Any.
    """
    if isinstance(value, Symbol):
        return frozenset((value.name,))
    if not isinstance(value, EXPRESSIONS):
        return frozenset()
    return frozenset().union(*(letters_of(child) for child in children(value)))


def renamed(value: Value, letters: Mapping[str, str]) -> Value:
    """Rename letters in an expression, an equation or a list of them; other values stay.

    Args:
        value: Any.
        letters: What each letter becomes.
    """
    if isinstance(value, EXPRESSIONS):
        return substituted(value, letters)
    if isinstance(value, Relation):
        return Relation(tuple(renamed(side, letters) for side in value.sides), value.operators)
    if isinstance(value, Listing):
        return Listing(tuple(renamed(item, letters) for item in value.items), value.joiner)
    return value
