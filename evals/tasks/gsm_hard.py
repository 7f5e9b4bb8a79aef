"""Task ``gsm_hard``: GSM8K with large numbers put in, arXiv 2211.10435.

    mathrl eval --task gsm_hard --model MODEL

A program computed the answers, so some are negative, fractions of an egg or rounding noise; 328 of
the 1319 rows are the GSM8K problem unchanged. Made for models that call an interpreter. No figure
is quoted: the published ones count an answer within 0.001, here it must be equal.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import GRADE_SCHOOL_TOKENS

TASK = Task(
    name="gsm_hard",
    data="gsm_hard",
    size=1319,
    about="GSM8K with large numbers",
    answer="target: a number, at times negative or in scientific notation",
    licence="Apache-2.0",
    source="reasoning-machines/pal, arXiv 2211.10435",
    max_new_tokens=GRADE_SCHOOL_TOKENS,
)
