"""Task ``asdiv``: varied primary-school word problems, arXiv 2106.15772.

    mathrl eval --task asdiv --model MODEL

The 2215 problems with a single answer. Units are cut off; 131 answers are no plain numbers but
times, ratios, fractions and names, and one is a dash, which is never graded. No figure is quoted:
those we found are few-shot or with an interpreter.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import GRADE_SCHOOL_TOKENS

TASK = Task(
    name="asdiv",
    data="asdiv",
    size=2215,
    about="primary-school word problems",
    answer="answer, without its unit: a number, a ratio, a time or a name",
    licence="CC BY-NC 4.0",
    source="chaochun/nlu-asdiv-dataset, arXiv 2106.15772",
    max_new_tokens=GRADE_SCHOOL_TOKENS,
)
