"""The toolkit's own rule, as every evaluation applies it: the first row of every grader matrix."""

from mathrl.evals.rules.base import Rule, Verdict
from mathrl.rewards import EVAL, grade
from mathrl.schema import Problem


def _mathrl(text: str, problem: Problem) -> Verdict:
    score = grade(text, problem.answer, EVAL)
    is_correct = None if score.value is None else score.status == "correct"
    return Verdict(prediction=score.prediction, is_correct=is_correct)


MATHRL = Rule(
    name="mathrl",
    description="the box, the marks and phrases that give an answer, else the last number; equal "
    "as mathematics",
    source="mathrl.rewards.grade under EVAL",
    apply=_mathrl,
)
