"""Our half of ``train_step_gpu.py``: a run of ``mathrl.trainers.train`` with its local engine."""

import argparse
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import transformers
from train_step_gpu_shape import WARM_UP_STEPS, Clock, prompts, reward, run_half, versions

from mathrl.policy import load_policy
from mathrl.schema import Problem
from mathrl.trainers import load_recipe, train
from mathrl.trainers.recipe import OptimizerConfig
from mathrl.trainers.runlog import Record


class Measured(Exception):
    """Ends the run before it writes checkpoints that nobody reads."""


def settings(arguments: argparse.Namespace) -> list[str]:
    """The recipe's changes; ``rows`` completions go through the model at once."""
    chosen = [
        f"max_steps={WARM_UP_STEPS + arguments.steps}",
        f"rollout.num_problems={arguments.rollouts // arguments.group}",
        f"rollout.group_size={arguments.group}",
        f"rollout.max_new_tokens={arguments.completion}",
        f"optimizer.micro_batch_tokens={arguments.rows * arguments.completion}",
        "optimizer.lr=1e-6",
        "loss.beta=0.0",
        "checkpoint.every=1000",
        'prompt.template="{prompt}"',
    ]
    if has_bfloat16():
        chosen.append('optimizer.dtype="bfloat16"')
    return chosen


def has_bfloat16() -> bool:
    """Tell whether recipes know the type of the weights."""
    return "dtype" in {each.name for each in fields(OptimizerConfig)}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train some steps, measure each."""
    policy = load_policy(arguments.model, device=arguments.device)
    vocabulary = policy.model.config.vocab_size
    clock = Clock(arguments.device)

    def on_record(record: Record) -> None:
        clock.end_step(generate_s=float(record["time/sample_s"]), tokens=float(record["tokens"]))
        if len(clock.steps) == arguments.steps:
            raise Measured

    with tempfile.TemporaryDirectory() as folder:
        try:
            train(
                load_recipe("deepseekmath", settings(arguments)),
                policy=policy,
                problems=[
                    Problem(id=str(index), prompt=prompt, answer="0")
                    for index, prompt in enumerate(prompts(512, arguments.prompt, vocabulary))
                ],
                rewards=[reward],
                out=Path(folder) / "run",
                on_record=on_record,
            )
        except Measured:
            precision = "bfloat16, float32 masters" if has_bfloat16() else "float32"
            found = versions(arguments.device, torch, transformers)
            return {**clock.report(), "precision": precision, "versions": found}
    raise RuntimeError("the run ended before its last step")


if __name__ == "__main__":
    run_half(measure)
