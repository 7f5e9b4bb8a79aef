"""Task ``math500``: 500 test problems of MATH, drawn by arXiv 2305.20050.

    mathrl eval --task math500 --model MODEL -n 16

One sample a problem cannot show a gain below some 3 points: draw several. The same weights are
published 18 to 29 points apart under two prompts, so compare under one only.
"""

from mathrl.evals.tasks.base import Published, Task
from mathrl.evals.tasks.competition_math import COMPETITION_TOKENS

_TABLE = "understand-r1-zero benchmark_table.png"
_QWEN = "Qwen template (the instruction as system message)"

TASK = Task(
    name="math500",
    data="math500",
    size=500,
    about="500 of MATH's test problems",
    answer="answer: any expression",
    licence="MIT",
    source="openai/prm800k, arXiv 2305.20050",
    max_new_tokens=COMPETITION_TOKENS,
    published=(
        Published(model="Qwen2.5-Math-1.5B", protocol="no template", accuracy=0.618, source=_TABLE),
        Published(model="Qwen2.5-Math-1.5B", protocol=_QWEN, accuracy=0.330, source=_TABLE),
        Published(model="Qwen2.5-Math-7B", protocol="no template", accuracy=0.690, source=_TABLE),
        Published(model="Qwen2.5-Math-7B", protocol=_QWEN, accuracy=0.506, source=_TABLE),
        Published(
            model="Qwen2.5-Math-7B SimpleRL-Zoo",
            protocol="zero-shot",
            accuracy=0.802,
            source="simpleRL-reason README",
        ),
        Published(
            model="rho-math-1b-v0.1",
            protocol="few-shot chain of thought",
            accuracy=0.158,
            source="rho metrics.json",
        ),
    ),
)
