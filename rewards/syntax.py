r"""The expression tree: what ``\frac{x+1}{2}`` is once it has been read.

A node holds its children and nothing else: it is frozen, hashable and compared by its parts, and
no node evaluates anything. Subtraction is a product with -1 and division a power of -1, a square
root is a power of 1/2, so that one meaning has few shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter
from typing import Any, ClassVar, TypeVar, dataclass_transform

Kind = TypeVar("Kind", bound="Node")


class Node:
    """What all parts of a tree share: compared and hashed by kind and fields, shown by both."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]
    contents: ClassVar["attrgetter[Any]"]
    """Gives the values of all fields: of one field alone its value, of several a tuple."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and self.contents(self) == self.contents(other)

    def __hash__(self) -> int:
        return hash((type(self), self.contents(self)))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__name__}({fields})"


@dataclass_transform(frozen_default=True)
def node(kind: type[Kind]) -> type[Kind]:
    """Make a dataclass of a node; what ``Node`` gives to all is not generated again for each.

    Frozen to the type checker only: to stop assignment while running would make reading slower.
    """
    made = dataclass(slots=True, repr=False, eq=False)(kind)
    first, *others = made.__match_args__
    made.contents = attrgetter(first, *others)
    return made


@node
class Number(Node):
    """An exact rational constant; ``places`` counts the decimals of one written as 0.50."""

    value: Fraction | int
    places: int | None = None


@node
class Symbol(Node):
    """A letter or a name: ``x``, ``x_1``, ``alpha``, ``f'``."""

    name: str


@node
class Constant(Node):
    """A number with a name of its own: ``pi``, ``e``, ``i`` or ``oo`` (infinity)."""

    name: str


@node
class Sum(Node):
    """Terms added up; at least two."""

    terms: tuple["Expression", ...]


@node
class Product(Node):
    """Factors multiplied; at least two."""

    factors: tuple["Expression", ...]


@node
class Power(Node):
    r"""A base raised to an exponent: ``x^2``, ``\sqrt{x}`` (1/2), ``1/x`` (-1)."""

    base: "Expression"
    exponent: "Expression"


@node
class Call(Node):
    r"""A function of its arguments: ``sin``, ``log`` (argument, base), ``binom``, ``f`` ….

    Known names: sin cos tan cot sec csc, arcsin … arccsc, sinh … coth, arsinh artanh arcosh,
    ``ln`` (one argument), ``log`` (argument, base), ``exp``, ``abs``, ``floor``, ``ceil``,
    ``factorial``, ``binom`` (n, k), ``gcd`` ``lcm`` ``min`` ``max`` (any number), ``mod`` (a, n),
    ``re`` ``im`` ``conj`` ``arg``, ``det`` and ``pm`` (one argument: plus or minus it). Any other
    name is a function that nothing is known about.
    """

    name: str
    arguments: tuple["Expression", ...]


@node
class Binder(Node):
    r"""A construct that binds a variable: ``sum``, ``prod``, ``int`` or ``lim``.

    ``low`` and ``high`` are None for an indefinite integral; a limit has its point in ``low``.
    """

    name: str
    body: "Expression"
    variable: str
    low: "Expression | None" = None
    high: "Expression | None" = None


Expression = Number | Symbol | Constant | Sum | Product | Power | Call | Binder

ZERO, ONE, MINUS_ONE, HALF = Number(0), Number(1), Number(-1), Number(Fraction(1, 2))


def children(node: Expression) -> tuple[Expression, ...]:
    """List the expressions that a node is directly made of."""
    match node:
        case Sum(terms):
            return terms
        case Product(factors):
            return factors
        case Power(base, exponent):
            return (base, exponent)
        case Call(_, arguments):
            return arguments
        case Binder(_, body, _, low, high):
            return (body, *(part for part in (low, high) if part is not None))
    return ()


def rebuilt(node: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """Put a changed child in the place of each; a binder and what has no children stay.

    Args:
        node: An expression.
        change: What becomes of a child.
    """
    match node:
        case Sum(terms):
            return Sum(tuple(change(term) for term in terms))
        case Product(factors):
            return Product(tuple(change(factor) for factor in factors))
        case Power(base, exponent):
            return Power(change(base), change(exponent))
        case Call(name, arguments):
            return Call(name, tuple(change(argument) for argument in arguments))
    return node
