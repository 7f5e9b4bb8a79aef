"""Task ``gsm8k``: grade-school word problems, arXiv 2110.14168.

    mathrl eval --task gsm8k --model MODEL
    mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl

Zero-shot chain of thought with the prompt of DeepSeekMath. The prompt is worth more than most
training: Qwen2.5-Math-7B is published at 91.6 few-shot and was measured at 65.5 zero-shot.
"""

from mathrl.evals.tasks.base import Published, Task

GRADE_SCHOOL_TOKENS = 1024
"""DeepSeekMath's cap."""

TASK = Task(
    name="gsm8k",
    data="gsm8k",
    size=1319,
    about="grade-school word problems",
    answer="answer, what follows its last ####: a whole number",
    licence="MIT",
    source="openai/grade-school-math, arXiv 2110.14168",
    max_new_tokens=GRADE_SCHOOL_TOKENS,
    published=(
        Published(
            model="DeepSeekMath-7B Instruct",
            protocol="this prompt, greedy",
            accuracy=0.8287,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="DeepSeekMath-7B RL",
            protocol="this prompt, greedy",
            accuracy=0.8825,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="Qwen2.5-Math-7B-Instruct",
            protocol="the instruction as system message, greedy, 2048 tokens",
            accuracy=0.952,
            source="Qwen2.5-Math, table as transcribed",
        ),
        Published(
            model="Qwen2.5-Math-7B",
            protocol="zero-shot",
            accuracy=0.655,
            source="simpleRL-reason README",
        ),
        Published(
            model="DeepSeekMath-7B Base",
            protocol="8-shot chain of thought, greedy",
            accuracy=0.6422,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="rho-math-1b-v0.1",
            protocol="few-shot chain of thought",
            accuracy=0.362,
            source="rho README",
        ),
    ),
)
