r"""What a strict policy wants of an answer beyond being equal: that it is worked out and alone.

``2^{10}`` equals 1024 and still only restates the question; ``41 = 42`` names two numbers. A rule
here never makes a wrong answer right; it only says why a right-looking one is not paid.
"""

import re
from collections.abc import Sequence

from mathrl.rewards.compare import Comparison
from mathrl.rewards.notation import words
from mathrl.rewards.relations import assignment
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
from mathrl.rewards.values import (
    EXPRESSIONS,
    Braced,
    Bracketed,
    Interval,
    Listing,
    Matrix,
    Percent,
    Quantity,
    Ratio,
    Relation,
    Union,
    Value,
    Words,
)

_TO_EVALUATE = words("binom permutations factorial factorial2 gcd lcm mod max min floor ceil det")
_KNOWN = words("sin cos tan cot sec csc arcsin arccos arctan ln log exp abs") | _TO_EVALUATE
_APPROXIMATE = re.compile(
    r"\\(?:approx|simeq|sim|doteq|approxeq|implies|Rightarrow)(?![A-Za-z])|\u2248|\u21d2|^\s*~|^\s*-\s*-"
)
_ENDLESS = re.compile(r"[0-9]\s?(?:\\(?:ldots|dots|cdots)(?![A-Za-z])|\.\.\.)\s*\$?\s*$")
_MAX_RAISED = 4
_RAISED = frozenset("²³⁴⁵⁶⁷⁸⁹")


def refusal(prediction: Value, gold: Value, written: str, comparison: Comparison) -> str | None:
    """Say why an answer that equals the known one is not paid, or None where it is.

    Args:
        prediction: What was read.
        gold: The known answer.
        written: The prediction as the model wrote it.
        comparison: The policy's comparison, for the sides of a chain.
    """
    if isinstance(prediction, Relation) and not isinstance(gold, Relation):
        if not _is_consistent(prediction, comparison):
            return "the sides of the equation differ"
        if isinstance(prediction.sides[0], Call) and prediction.sides[0].name in _KNOWN:
            return "an equation does not say what is asked for"
        if len(set(prediction.sides)) < len(prediction.sides):
            return "an identity gives no answer"
        if prediction.operators == ("if",) or "approx" in prediction.operators:
            return "the answer is conditional, or approximate"
        if prediction.operators == ("in",) and isinstance(gold, Number | Product | Quantity):
            return "a number is no set"
    is_relation = isinstance(gold, Relation | Interval | Union)
    if is_relation and _is_solved(gold) and not _is_solved(prediction):
        return "the equation is not solved"
    if _APPROXIMATE.search(written) and not isinstance(gold, Words):
        return "the answer is approximate, or a derivation"
    if _ENDLESS.search(written) and isinstance(gold, Number) and gold.places is not None:
        return "the decimals go on"
    wanted, given = _expressions(gold), _expressions(prediction)
    if any(_has_binder(part) for part in given) and not any(map(_has_binder, wanted)):
        return "the answer is not worked out"
    if any(_letters(part) for part in wanted):
        return None
    if len(written) <= _MAX_RAISED and any(character in _RAISED for character in written):
        return None  # 4² is how 16 is written there
    if not _constructs(given) <= _constructs(wanted):
        return "the answer is not worked out"
    if all(_is_plain(part) for part in wanted):
        is_whole = all(isinstance(_value(part), int) for part in wanted)
        is_open = any(not _is_plain(part, is_whole=is_whole) for part in given)
        return "the answer is not worked out" if is_open else None
    return None


def _is_solved(relation: Value) -> bool:
    """Tell ``x = 2`` and ``x < 2`` from an equation that says it in more words."""
    if not isinstance(relation, Relation):
        return True
    names = [isinstance(side, Symbol | Call) for side in relation.sides]
    rest = [side for side, is_name in zip(relation.sides, names, strict=True) if not is_name]
    return any(names) and all(
        not isinstance(side, EXPRESSIONS) or _is_plain(side, is_whole=True) or _is_form(side)
        for side in rest
    )


def _is_form(side: Expression) -> bool:
    """Tell a constant that is no plain number, such as a root: it may stand in a solution."""
    return not _letters(side) and any(
        isinstance(part, Constant | Power) for part in (side, *children(side))
    )


def _constructs(parts: Sequence[Expression]) -> frozenset[str]:
    """List what is still to be worked out in constants: functions, roots, complex powers."""
    return frozenset().union(*(_constructs_of(part) for part in parts))


def _constructs_of(node: Expression) -> frozenset[str]:
    own: set[str] = set()
    match node:
        case Call("ln" | "log", _):
            own.add("logarithm")
        case Call("pm", _):
            pass
        case Call(name, _):
            own.add("inverse function" if name.startswith("arc") else name)
        case Power(_, Number(value)) if not isinstance(value, int):
            own.add("root")
        case Power(_, Product() | Sum()):
            own.add("root")
        case Power(Sum(terms), Number()) if any(map(_has_i, terms)):
            own.add("complex power")
        case Product(factors) if len([part for part in factors if isinstance(part, Sum)]) > 1:
            own.update(["complex power"] if any(map(_has_i, factors)) else [])
        case Sum(terms) if len([term for term in terms if isinstance(term, Number)]) > 1:
            own.add("sum of numbers")
    return frozenset(own).union(*(_constructs_of(child) for child in children(node)))


def _has_i(node: Expression) -> bool:
    return node == Constant("i") or any(_has_i(child) for child in children(node))


def _is_consistent(chain: Relation, comparison: Comparison) -> bool:
    """Tell whether all sides of ``x = 6 * 7 = 42`` but its name are equal."""
    if any(operator != "=" for operator in chain.operators):
        return True
    sides = chain.sides[1:] if assignment(chain) else chain.sides
    return all(comparison.is_equal(side, sides[-1]) for side in sides[:-1])


def _expressions(value: Value) -> list[Expression]:
    """List the expressions that an answer is made of; of a definition only its value."""
    match value:
        case Percent(inner) | Quantity(inner, _):
            return _expressions(inner)
        case Bracketed(items, _, _) | Braced(items) | Listing(items, _):
            return [part for item in items for part in _expressions(item)]
        case Interval(low, high, _, _):
            return [low, high]
        case Union(parts, _):
            return [part for item in parts for part in _expressions(item)]
        case Matrix(rows):
            return [entry for row in rows for entry in row]
        case Ratio(parts):
            return list(parts)
        case Relation(sides, _):
            return _expressions(sides[-1]) if assignment(value) else []
    return [value] if isinstance(value, EXPRESSIONS) else []


def _letters(node: Expression) -> bool:
    return isinstance(node, Symbol) or any(_letters(child) for child in children(node))


def _value(node: Expression) -> object:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Product) and len(node.factors) == 2:
        return None if not isinstance(node.factors[0], Number) else _signed_value(node)
    return None


def _signed_value(node: Product) -> object:
    first, second = node.factors
    if first == Number(-1):
        return _value(second)
    return None


def _is_plain(node: Expression, *, is_whole: bool = False) -> bool:
    """Tell whether a constant is written as a number: 42, -1/2, 2.5, 6.02 x 10^23.

    Where the known answer is a whole number, a quotient is still to be worked out.
    """
    match node:
        case Number():
            return True
        case Constant("oo"):
            return True
        case Product((Number(-1), Number(value))) if value < 0:
            return False  # --42
        case Product((Number(-1), inner)) | Call("pm", (inner,)):
            return _is_plain(inner, is_whole=is_whole)
        case Product((Number(), Number(value))):
            return not is_whole and not isinstance(value, int) and value.numerator == 1
        case Product((Number(), Power(Number(10), Number(value)))):
            return isinstance(value, int) and (value > 0 or (value < 0 and not is_whole))
        case Product((Number(), Power(Number(), Number(-1)))):
            return not is_whole
        case Power(Number(10), Number(value)):
            return isinstance(value, int) and value < 0
    return False


def _has_binder(node: Expression) -> bool:
    return isinstance(node, Binder) or any(_has_binder(child) for child in children(node))
