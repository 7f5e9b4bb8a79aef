"""Task ``amc23``: 40 problems of AMC 12 2023.

    mathrl eval --task amc23 --model MODEL -n 16

Multiple choice in the original; the authors of Qwen2.5-Math rewrote each so that its answer is a
number: a completion that answers with a letter is wrong. No figure is quoted: those we found
differ in prompt and number of samples.
"""

from mathrl.evals.tasks.base import Task

TASK = Task(
    name="amc23",
    data="amc23",
    size=40,
    about="AMC 12 2023",
    answer="answer: a number",
    licence="problems (c) MAA",
    source="AMC 12 2023, rewritten by Qwen2.5-Math",
    max_new_tokens=8192,
)
