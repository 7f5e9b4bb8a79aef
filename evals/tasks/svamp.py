"""Task ``svamp``: one-step word problems varied to catch guessing, arXiv 2103.07191.

    mathrl eval --task svamp --model MODEL

All 1000 problems, training split included, as the harnesses that quote SVAMP do. No figure is
quoted: those we found are few-shot or with an interpreter.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import GRADE_SCHOOL_TOKENS

TASK = Task(
    name="svamp",
    data="svamp",
    size=1000,
    about="one-step word problems, varied",
    answer="Answer: a number",
    licence="MIT",
    source="arkilpatel/SVAMP, arXiv 2103.07191",
    max_new_tokens=GRADE_SCHOOL_TOKENS,
)
