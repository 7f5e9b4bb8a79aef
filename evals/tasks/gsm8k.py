"""Task ``gsm8k``: grade-school word problems, arXiv 2110.14168.

    mathrl eval --task gsm8k --model MODEL
    mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl

Zero-shot chain of thought with the prompt of DeepSeekMath. Published with this prompt, greedy:
DeepSeekMath-7B Instruct 82.87, RL 88.25 (arXiv 2402.03300 and its repository's
evaluation_results.json). The prompt is worth more than most training: Qwen2.5-Math-7B is
published at 91.6 few-shot and was measured at 65.5 zero-shot (simpleRL-reason's README).
"""

from mathrl.evals.tasks.base import Task

STEP_BY_STEP = "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."
"""The zero-shot prompt of DeepSeekMath, which Qwen2.5-Math took over."""

TASK = Task(
    name="gsm8k",
    data="gsm8k",
    split="test",
    size=1319,
    licence="MIT",
    source="openai/grade-school-math",
    template=STEP_BY_STEP,
    max_new_tokens=1024,
)
