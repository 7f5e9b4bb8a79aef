"""What the memory options save and cost: one update in a process of its own for each.

    python benchmarks/memory.py

A random Qwen2 of 11.5M parameters and 12 layers on one thread of the CPU, two updates on 16
completions of 256 tokens behind 4 prompts of 64, all in one micro-batch. Memory is the highest
resident size of the process beyond its size before the model was made; seconds are process-CPU
seconds of the second update. With 8-bit state torchao has to be installed.
"""

import importlib.util
import os
import resource
import subprocess
import sys
import time

import click

OPTIONS = {
    "none": [],
    "is_checkpointing": ["is_checkpointing=true"],
    "state = 8bit": ["state=8bit"],
    "dtype = bfloat16": ["dtype=bfloat16"],
    "dtype = bfloat16, is_checkpointing": ["dtype=bfloat16", "is_checkpointing=true"],
    "all three": ["dtype=bfloat16", "is_checkpointing=true", "state=8bit"],
}
SIZES = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 768,
}


def measure(assignments: list[str]) -> None:
    """Take two updates and print the memory in MB and the seconds of the second."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from mathrl.schema import Completion, Problem, Rollout, Score
    from mathrl.trainers.batch import assemble
    from mathrl.trainers.methods import build_method
    from mathrl.trainers.optimizer import prepare
    from mathrl.trainers.recipe import load_recipe
    from mathrl.trainers.update import update

    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False)).eval()
    settings = [f"optimizer.{assignment}" for assignment in assignments]
    recipe = load_recipe("demo", ["loss.beta=0", "rollout.group_size=4", *settings])
    optimizer, method = prepare(model, recipe.optimizer), build_method(recipe)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(2, 4000, (length,)).tolist())

    prompts = [ids(64) for _ in range(4)]
    rollouts = [
        Rollout(
            problem=Problem(id=str(i // 4), prompt="", answer=""),
            prompt_ids=prompts[i // 4],
            completion=Completion(text="", token_ids=ids(256)),
            group=i // 4,
            policy_version=0,
            score=Score(value=float(i % 2), status="correct"),
        )
        for i in range(16)
    ]
    for _ in range(2):
        batch = assemble(rollouts, method, recipe, None, model)
        start = time.process_time()
        update(model, optimizer, batch, method, recipe, lr=1e-5)
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    click.echo(f"{peak / 1024:.0f} {seconds:.2f}")


def main() -> None:
    """Measure each set of options in a process of its own."""
    if len(sys.argv) > 1:
        measure(sys.argv[1:] if sys.argv[1] != "none" else [])
        return
    click.echo("| optimizer. | MB | CPU s an update |")
    click.echo("|---|---|---|")
    for name, assignments in OPTIONS.items():
        if "state=8bit" in assignments and importlib.util.find_spec("torchao") is None:
            click.echo(f"| {name} | needs mathrl[lowbit] | |")
            continue
        command = [sys.executable, __file__, *(assignments or ["none"])]
        quiet = {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, env={**os.environ, **quiet}, stdout=subprocess.PIPE, text=True, check=True
        )
        memory, seconds = done.stdout.split()[-2:]
        click.echo(f"| {name} | {memory} | {seconds} |")


if __name__ == "__main__":
    main()
