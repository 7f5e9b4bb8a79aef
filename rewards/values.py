r"""What an answer can be: one type a kind of answer, over the expression tree of ``syntax``.

A plain number or formula is an ``Expression``. The types here are what surrounds or joins
expressions: ``(1, 2)``, ``[0, 1)``, ``x = 3``, ``5\text{ cm}``, ``\{1, 2\}``, ``8:30 PM``.
"""

from typing import Literal

from mathrl.rewards.syntax import (
    Binder,
    Call,
    Constant,
    Expression,
    Node,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    node,
)
from mathrl.rewards.units import Unit


@node
class Percent(Node):
    """A percentage, as written: 25 for 25%."""

    value: Expression


@node
class Quantity(Node):
    """A value with its unit; the currency sign before a number is one too."""

    value: Expression
    unit: Unit


@node
class Bracketed(Node):
    """Items in order, in brackets: a tuple, a vector or, where two, perhaps an interval."""

    items: tuple["Value", ...]
    opening: Literal["(", "[", "<"]
    closing: Literal[")", "]", ">"]


@node
class Braced(Node):
    """A set in braces; the empty set has no items."""

    items: tuple["Value", ...]


@node
class Listing(Node):
    """Answers side by side without brackets: ``1, 2``, ``x = 1 or x = 2``, boxes in a row."""

    items: tuple["Value", ...]
    joiner: Literal[",", "or", "and"] = ","


@node
class Interval(Node):
    """The numbers between two ends; ``has_low`` and ``has_high`` where an end belongs to it."""

    low: Expression
    high: Expression
    has_low: bool
    has_high: bool


@node
class Union(Node):
    """Intervals and sets put together, or one taken from another (``operator``)."""

    parts: tuple["Value", ...]
    operator: Literal["cup", "cap", "setminus"] = "cup"


@node
class Matrix(Node):
    """Rows of entries; a column vector has rows of one."""

    rows: tuple[tuple["Expression", ...], ...]


@node
class Relation(Node):
    """An equation, an inequality or a chain of them: one more side than operators."""

    sides: tuple["Value", ...]
    operators: tuple[str, ...]


@node
class Based(Node):
    """A number written in another base: ``1011_2``."""

    digits: str
    base: int


@node
class Ratio(Node):
    """Two or more numbers in proportion: ``3:4``."""

    parts: tuple[Expression, ...]


@node
class Clock(Node):
    """A time of day in minutes after midnight; ``half`` is am or pm where it was said."""

    minutes: int
    half: Literal["am", "pm"] | None


@node
class Words(Node):
    """Language: a name, yes or no, the letter of a choice; lower case, single spaces."""

    text: str


Value = (
    Number
    | Symbol
    | Constant
    | Sum
    | Product
    | Power
    | Call
    | Binder
    | Percent
    | Quantity
    | Bracketed
    | Braced
    | Listing
    | Interval
    | Union
    | Matrix
    | Relation
    | Based
    | Ratio
    | Clock
    | Words
)
EXPRESSIONS = (Number, Symbol, Constant, Sum, Product, Power, Call, Binder)
REALS = Interval(Product((Number(-1), Constant("oo"))), Constant("oo"), False, False)
