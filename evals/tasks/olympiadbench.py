"""Task ``olympiadbench``: olympiad problems in English without pictures, arXiv 2402.14008.

    mathrl eval --task olympiadbench --model MODEL

The open-ended mathematics of competitions (OE_TO_maths_en_COMP); 94 have several answers, which
count in any order. One answer ends in a condition in words that no grader here reads: its samples
are left out. The copy on the hub has 674 rows, that of Qwen2.5-Math 675. No figure is quoted:
those we found differ in prompt and grader.
"""

from mathrl.evals.tasks.base import Task

TASK = Task(
    name="olympiadbench",
    data="olympiadbench",
    size=675,
    about="olympiad problems, text only",
    answer="final_answer, a list: $...$, several separated by commas",
    licence="MIT",
    source="OpenBMB/OlympiadBench, arXiv 2402.14008",
    max_new_tokens=4096,
)
