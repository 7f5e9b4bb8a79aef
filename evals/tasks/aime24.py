"""Task ``aime24``: the 30 problems of AIME I and II 2024, answers 0 to 999.

    mathrl eval --task aime24 --model MODEL -n 64

Thirty problems: one sample a problem moves by 10 points with the seed (lighteval PR#661), so draw
many. Every answer is a whole number, which is what the grader reads. No published number is
quoted: those we found differ in prompt, number of samples and cut-off.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import STEP_BY_STEP

TASK = Task(
    name="aime24",
    data="aime24",
    split="test",
    size=30,
    licence="problems (c) MAA",
    source="AIME I and II 2024",
    template=STEP_BY_STEP,
    max_new_tokens=16384,
)
