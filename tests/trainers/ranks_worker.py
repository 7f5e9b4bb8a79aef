"""What two ranks do for ``test_parallel.py``: torchrun starts it, and it writes what it found."""

import copy
import sys
from pathlib import Path
from types import MethodType

import torch
from torch.optim import SGD
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from mathrl import arithmetic
from mathrl.errors import GradingError
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers import load_recipe, train
from mathrl.trainers.batch import assemble
from mathrl.trainers.methods import build_method
from mathrl.trainers.parallel import start_ranks, stop_ranks
from mathrl.trainers.sharding import shard, whole
from mathrl.trainers.tiny import untrained_policy
from mathrl.trainers.update import update

CASES = [("plain", "demo"), ("zero-spread", "dapo"), ("plain", "rloo"), ("nan", "demo")]
GROUPS = {(5, 6, 7): 4, (8, 9): 3, (3, 4, 5, 6): 2}
"""Prompts and how many completions each has: the ranks get unequal numbers of tokens."""
SETTINGS = [
    "max_steps=4",
    "rollout.num_problems=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "loss.updates_per_rollout=2",
    "optimizer.lr=0.01",
    "checkpoint.every=2",
]


def rollouts(case: str) -> list[Rollout]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for group, (prompt, size) in enumerate(GROUPS.items()):
        for _ in range(size):
            length = int(torch.randint(1, 12, (1,), generator=generator))
            ids = torch.randint(2, 300, (length,), generator=generator).tolist()
            reward = float(torch.rand(1, generator=generator))
            if case == "zero-spread" and group > 0:
                reward = 1.0  # one group is left, so one rank has nothing to do
            found.append(
                Rollout(
                    problem=Problem(id=str(group), prompt="", answer=""),
                    prompt_ids=prompt,
                    completion=Completion(text="", token_ids=tuple(ids)),
                    group=group,
                    policy_version=0,
                    score=Score(value=reward, status="correct"),
                )
            )
    return found


def exact_norm(self: Qwen2RMSNorm, hidden: torch.Tensor) -> torch.Tensor:
    """In float64, where transformers computes it in float32 whatever the model's type."""
    return torch.nn.functional.rms_norm(
        hidden, self.weight.shape, self.weight, self.variance_epsilon
    )


def one_step(case: str, name: str, *, is_sharded: bool = False) -> dict[str, object]:
    """The weights after an update in float64, plain SGD, and what was measured."""
    ranks = start_ranks(is_sharded=is_sharded)
    recipe = load_recipe(name, ["optimizer.max_grad_norm=1e9", "optimizer.micro_batch_tokens=40"])
    model = untrained_policy(hidden_size=64, num_layers=2).model.double()
    for module in model.modules():
        if isinstance(module, Qwen2RMSNorm):  # shards go through transformers, and the rest not
            module.forward = MethodType(exact_norm, module)
    reference = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(1.01)
    if ranks.is_sharded:
        shard(model)
        shard(reference)
    method = build_method(recipe)
    batch = assemble(
        rollouts(case), method, recipe, reference if recipe.loss.beta else None, model, ranks
    )
    if case == "nan" and ranks.rank == ranks.world - 1:
        batch.advantages_BT[0, 0] = float("nan")
    stats = update(
        model, SGD(model.parameters(), lr=1.0), batch, method, recipe, lr=0.5, ranks=ranks
    )
    return {
        "weights": torch.cat([whole(p.detach()).flatten() for p in model.parameters()]),
        "stats": [stats.logprob, stats.kl, stats.entropy, stats.grad_norm],
        "is_skipped": stats.is_skipped,
        "num_rows": len(batch.rows),
    }


def even_share(completions, completion_ids, **columns):
    """The share of tokens with an even id."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def fails_on_the_second_rank(completions, **columns):
    """Raise where the other rank does not."""
    if start_ranks().rank == 1:
        raise GradingError("the reward server is gone")
    return [0.0] * len(completions)


def run(
    out: Path,
    *,
    steps: int = 4,
    resume: bool = False,
    reward=even_share,
    sharding: str = "replicated",
):
    recipe = load_recipe("demo", [*SETTINGS, f"optimizer.sharding={sharding}"])
    policy = None if resume else untrained_policy(hidden_size=64, num_layers=2)

    def stop(record):
        if record["kind"] == "train" and record["step"] == steps < 4:
            raise KeyboardInterrupt

    problems = arithmetic.generate_problems("train", count=10)
    return train(
        recipe,
        policy=policy,
        problems=problems,
        rewards=[reward],
        out=out,
        on_record=stop,
        resume=resume,
    )


def main() -> None:
    torch.set_num_threads(1)
    job, out = sys.argv[1], Path(sys.argv[2])
    if job == "error":
        run(out / "error", reward=fails_on_the_second_rank)
        return
    rank = start_ranks().rank
    torch.save([one_step(*case) for case in CASES], out / f"replicated-{rank}.pt")
    torch.save([one_step(*case, is_sharded=True) for case in CASES], out / f"sharded-{rank}.pt")
    run(out / "whole")
    run(out / "half", steps=2)
    run(out / "whole-sharded", sharding="sharded")
    run(out / "half-sharded", steps=2, sharding="sharded")
    stop_ranks()


if __name__ == "__main__":
    main()
