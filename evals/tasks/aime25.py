"""Task ``aime25``: the 30 problems of AIME I and II 2025, answers 0 to 999.

    mathrl eval --task aime25 --model MODEL -n 64

As noisy as ``aime24``, and younger than the training data of many models. No figure is quoted:
those we found differ in prompt, number of samples and cut-off.
"""

from mathrl.evals.tasks.aime24 import AIME_TOKENS
from mathrl.evals.tasks.base import Task

TASK = Task(
    name="aime25",
    data="aime25",
    size=30,
    about="AIME I and II 2025",
    answer="answer: a whole number from 0 to 999",
    licence="problems (c) MAA",
    source="AIME I and II 2025",
    max_new_tokens=AIME_TOKENS,
)
