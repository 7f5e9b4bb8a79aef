"""What a grading rule is: a completion and a problem in, a verdict out."""

from collections.abc import Callable
from dataclasses import dataclass

from mathrl.schema import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one rule made of one completion."""

    prediction: str | None
    """The answer that the rule read, as it compares it; None: it found none."""
    is_correct: bool | None
    """None: no verdict, because the known answer is missing or cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One way to grade that is in use somewhere, under a name of its own.

    ``apply`` is pure and takes time linear in the completion; the answer that it compares is at
    most ``MAX_ANSWER`` characters.
    """

    name: str
    """What ``--rule`` takes."""
    description: str
    """What it reads and when two answers are equal, in one sentence."""
    source: str
    """Whose rule it is, with the version that it was checked against."""
    apply: Callable[[str, Problem], Verdict]


MAX_ANSWER = 2000
"""Characters of an answer that a rule compares: no answer of a benchmark is near that long."""

NO_ANSWER = Verdict(prediction=None, is_correct=False)
NO_GOLD = Verdict(prediction=None, is_correct=None)


def verdict(
    found: str | None,
    problem: Problem,
    is_equal: Callable[[str, str], bool],
    clean: Callable[[str], str] = str,
) -> Verdict:
    """Compare what a rule read with the known answer.

    Args:
        found: What was read, None where nothing was.
        problem: With its answer.
        is_equal: The rule's comparison of a prediction with a known answer.
        clean: From what was read to the prediction.
    """
    if problem.answer is None:
        return NO_GOLD
    if found is None:
        return NO_ANSWER
    if len(found) > MAX_ANSWER:
        return Verdict(prediction=found[:MAX_ANSWER], is_correct=False)
    prediction = clean(found)
    return Verdict(prediction=prediction, is_correct=is_equal(prediction, problem.answer))
