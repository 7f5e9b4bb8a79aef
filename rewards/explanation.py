r"""Explain a grade: what was extracted, how both answers were read, which tier decided, and why.

The command is ``mathrl explain COMPLETION ANSWER``.
"""

from dataclasses import dataclass, fields
from typing import Any

from mathrl.rewards.answers import Answer, read_gold
from mathrl.rewards.extract import extract
from mathrl.rewards.grade import grade
from mathrl.rewards.normal import TooLargeError, digits, normal_form
from mathrl.rewards.policy import EVAL, Policy
from mathrl.rewards.syntax import Call, Constant, Number, Symbol
from mathrl.rewards.units import Unit
from mathrl.rewards.values import EXPRESSIONS, Value, Words
from mathrl.schema import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One meaning of an answer: its tree and, where it has one, its normal form."""

    tree: str
    normal_form: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Everything that led to a score."""

    policy: str
    cue: str | None
    extracted: str | None
    """The answer as the model wrote it."""
    prediction: tuple[Reading, ...]
    answer: tuple[Reading, ...]
    score: Score


def explain(completion: str, answer: str, policy: Policy = EVAL) -> Explanation:
    """Grade a completion and keep the steps.

    Args:
        completion: What the model wrote.
        answer: The known answer.
        policy: ``EVAL``, ``REWARD`` or another.
    """
    found = extract(completion, policy)
    gold = read_gold(answer, policy)
    return Explanation(
        policy=policy.name,
        cue=found.cue,
        extracted=found.text,
        prediction=() if found.text is None else _readings(Answer(found.text, policy)),
        answer=() if gold is None else _readings(gold),
        score=grade(completion, answer, policy),
    )


def tree(value: Value) -> str:
    r"""Write a value as nested calls: ``Sum(Power(x, 2), 1)`` for ``x^2+1``.

    Args:
        value: Any value or expression.
    """
    match value:
        case Number(number, _):
            return digits(number)
        case Symbol(name) | Constant(name):
            return name
        case Words(text):
            return f"Words({text!r})"
        case Call(name, arguments):
            return f"{name}({', '.join(tree(argument) for argument in arguments)})"
    parts = [_part(getattr(value, field.name)) for field in fields(value)]
    return f"{type(value).__name__}({', '.join(parts)})"


def _part(part: Any) -> str:
    if isinstance(part, Unit):
        return part.name or "unit"
    if isinstance(part, tuple):
        return f"[{', '.join(_part(item) for item in part)}]"
    return repr(part) if part is None or isinstance(part, str | bool | int) else tree(part)


def _readings(answer: Answer) -> tuple[Reading, ...]:
    if len(answer.text) > answer.policy.max_answer_characters:
        return ()
    return tuple(
        Reading(tree=tree(value), normal_form=_normal_form(value)) for value in answer.readings
    )


def _normal_form(value: Value) -> str | None:
    if not isinstance(value, EXPRESSIONS):
        return None
    try:
        return str(normal_form(value))
    except (TooLargeError, ZeroDivisionError):
        return None
