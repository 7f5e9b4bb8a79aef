"""Trains with vLLM in every rank's own process: ``torchrun ranks_worker.py OUT SHARDING``."""

import sys
from pathlib import Path

from mathrl import arithmetic
from mathrl.policy import load_policy
from mathrl.trainers import load_recipe, train
from mathrl.trainers.parallel import stop_ranks

SETTINGS = [
    "max_steps=3",
    "rollout.num_problems=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=24",
    "optimizer.lr=0.01",
    "engine.kind='vllm'",
    "engine.max_positions=256",
]


def odd_share(completions, completion_ids, **columns):
    """A reward that every group differs in: the share of tokens with an odd id."""
    return [sum(token % 2 for token in ids) / len(ids) for ids in completion_ids]


def run(out, settings=(), **options):
    recipe = load_recipe("demo", [*SETTINGS, *settings])
    problems = arithmetic.generate_problems("train", count=10)
    options = {"policy": load_policy(device="cpu"), **options}
    return train(recipe, problems=problems, rewards=[odd_share], out=out, **options)


if __name__ == "__main__":
    run(Path(sys.argv[1]), [f"optimizer.sharding={sys.argv[2]!r}"])
    stop_ranks()
