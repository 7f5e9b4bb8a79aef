"""Task ``aime24``: the 30 problems of AIME I and II 2024, answers 0 to 999.

    mathrl eval --task aime24 --model MODEL -n 64

Thirty problems: one sample a problem moves by 10 points with the seed (lighteval PR#661), so draw
many. No figure is quoted: those we found differ in prompt, number of samples and cut-off.
"""

from mathrl.evals.tasks.base import Task

AIME_TOKENS = 16384
"""Models that reason at length need most of it; the truncated rate shows when it is too few."""

TASK = Task(
    name="aime24",
    data="aime24",
    size=30,
    about="AIME I and II 2024",
    answer="answer: a whole number from 0 to 999",
    licence="problems (c) MAA",
    source="AIME I and II 2024",
    max_new_tokens=AIME_TOKENS,
)
