"""Task ``amc23``: 40 problems of AMC 12 2023.

    mathrl eval --task amc23 --model MODEL -n 16

Multiple choice in the original; the authors of Qwen2.5-Math rewrote each so that its answer is a
number, and only numbers are graded: a completion that answers with a letter is wrong. No
published number is quoted: those we found differ in prompt and number of samples.
"""

from mathrl.evals.tasks.base import Task
from mathrl.evals.tasks.gsm8k import STEP_BY_STEP

TASK = Task(
    name="amc23",
    data="amc23",
    split="test",
    size=40,
    licence="problems (c) MAA",
    source="AMC 12 2023, rewritten by Qwen2.5-Math",
    template=STEP_BY_STEP,
    max_new_tokens=8192,
)
