"""Task ``math``: the 5000 test problems of MATH, arXiv 2103.03874.

    mathrl eval --task math --model MODEL
    mathrl eval --task math --data math_test.jsonl --model MODEL

Seven subjects, levels 1 to 5. A model that was trained on "MATH 12k" has seen 4500 of these: use
``math500`` for it. Two problems are also in the training set, word for word.
"""

from mathrl.evals.tasks.base import Published, Task

COMPETITION_TOKENS = 2048
"""Qwen2.5-Math's cap."""

TASK = Task(
    name="math",
    data="math",
    size=5000,
    about="competition problems, 7 subjects",
    answer="solution, what its last box holds: any expression",
    licence="MIT",
    source="hendrycks/math, arXiv 2103.03874",
    max_new_tokens=COMPETITION_TOKENS,
    published=(
        Published(
            model="DeepSeekMath-7B Instruct",
            protocol="this prompt, greedy, 1024 tokens",
            accuracy=0.4682,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="DeepSeekMath-7B RL",
            protocol="this prompt, greedy, 1024 tokens",
            accuracy=0.517,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="Qwen2.5-Math-7B-Instruct",
            protocol="the instruction as system message, greedy, 2048 tokens",
            accuracy=0.836,
            source="Qwen2.5-Math README",
        ),
        Published(
            model="DeepSeekMath-7B Base",
            protocol="Minerva 4-shot, greedy",
            accuracy=0.3618,
            source="DeepSeek-Math evaluation_results.json",
        ),
        Published(
            model="Qwen2.5-Math-7B",
            protocol="few-shot chain of thought",
            accuracy=0.554,
            source="Qwen2.5-Math, table as transcribed",
        ),
    ),
)
