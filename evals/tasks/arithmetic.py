"""Task ``arithmetic``: the embedded word problems, for the embedded policy.

    mathrl eval --task arithmetic -n 8

No network and no GPU; every other task takes the same commands with ``--model``. No figure is
published: ``mathrl demo`` measures its own.
"""

from mathrl.evals.tasks.base import Task

TASK = Task(
    name="arithmetic",
    data="arithmetic",
    size=1000,
    about="embedded word problems, 3 levels",
    answer="answer: a whole number",
    licence="Apache-2.0",
    source="mathrl.arithmetic (generated)",
    template="{prompt}\n",
    chat="off",
    max_new_tokens=96,
)
