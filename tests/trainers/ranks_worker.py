"""What two ranks do for ``test_parallel.py``: torchrun starts it, and it writes what it found."""

import copy
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from types import MethodType

import torch
from torch.optim import SGD
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from mathrl import arithmetic
from mathrl.adapters import add_adapter
from mathrl.errors import GradingError, MathrlError, StorageError
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers import checkpoint, load_recipe, parallel, runlog, train
from mathrl.trainers.batch import assemble
from mathrl.trainers.methods import build_method
from mathrl.trainers.offload import offloaded, state_bytes
from mathrl.trainers.optimizer import prepare, stepped
from mathrl.trainers.optimizer_state import save_shards
from mathrl.trainers.parallel import Ranks, start_ranks, stop_ranks
from mathrl.trainers.sharding import shard, whole
from mathrl.trainers.tiny import untrained_policy
from mathrl.trainers.update import update

LORA = ("lora.rank=2",)
CASES = [
    ("plain", "demo"),
    ("zero-spread", "dapo"),
    ("plain", "rloo"),
    ("nan", "demo"),
    ("lora", "demo"),
]
GROUPS = {(5, 6, 7): 4, (8, 9): 3, (3, 4, 5, 6): 2}
"""Prompts and how many completions each has: the ranks get unequal numbers of tokens."""
SETTINGS = [
    "max_steps=4",
    "rollout.num_problems=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "loss.updates_per_rollout=2",
    "optimizer.lr=1e-4",
    "checkpoint.every=2",
]
EVALUATED = ("eval.every=1",)
MEMORY = ("optimizer.dtype=bfloat16", "optimizer.is_checkpointing=true")


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
    if case == "lora":
        reference = adapt(model)
    if ranks.is_sharded:
        shard(model)
        if reference is not model:
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


def adapt(model):
    """Adapters that change something already; the model is its own reference."""
    add_adapter(model, rank=2, alpha=4, target=["all-linear"], seed=0, base="")
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            parameter.data.normal_(std=0.3, generator=generator)
    return model


def bfloat16_step(out: Path | None = None, *, is_sharded: bool = False) -> dict[str, object]:
    """A bfloat16 model's gradient, its float32 weights after a step, and its state offloaded."""
    ranks = start_ranks(is_sharded=is_sharded)
    recipe = load_recipe("demo", ["loss.beta=0", "optimizer.micro_batch_tokens=40", *MEMORY])
    model = untrained_policy(hidden_size=64, num_layers=2).model
    optimizer = prepare(model, recipe.optimizer, is_sharded=ranks.is_sharded)
    seen: list[torch.Tensor] = []

    def keep(*_: object) -> None:
        seen.append(torch.cat([whole(weight.grad).flatten() for weight in stepped(optimizer)]))

    optimizer.register_step_pre_hook(keep)
    method = build_method(recipe)
    batch = assemble(rollouts("plain"), method, recipe, None, model, ranks)
    update(model, optimizer, batch, method, recipe, lr=1e-3, ranks=ranks)
    weights = torch.cat([whole(each.detach()).flatten() for each in stepped(optimizer)])
    if out is not None:
        save_shards(optimizer, out, ranks)
        together = whole(optimizer.state_dict()["state"])
        if ranks.is_first:
            torch.save(together, out / "together.pt")
    state = state_bytes(model, optimizer)
    before = [each.clone() for each in state]
    with offloaded(model, optimizer):
        left = sum(each.untyped_storage().nbytes() for each in state)
    after = state_bytes(model, optimizer)
    return {
        "gradient": seen[0],
        "weights": weights,
        "num_state_bytes": sum(each.numel() for each in before),
        "num_bytes_left": left,
        "is_state_back": all(torch.equal(a, b) for a, b in zip(before, after, strict=True)),
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
    settings: tuple[str, ...] = (),
    evaluate=None,
    ctrl_c_at: int | None = None,
):
    recipe = load_recipe("demo", [*SETTINGS, f"optimizer.sharding={sharding}", *settings])
    # the base of an adapter is not in its checkpoint
    is_needed = not resume or recipe.lora.rank > 0
    policy = untrained_policy(hidden_size=64, num_layers=2) if is_needed else None

    def stop(record):
        if record["step"] == ctrl_c_at:
            for _ in range(2):  # the terminal's, and what torchrun hands on
                os.kill(os.getpid(), signal.SIGINT)
        if record["kind"] == "train" and record["step"] == steps < 4:
            raise KeyboardInterrupt

    problems = arithmetic.generate_problems("train", count=10)
    return train(
        recipe,
        policy=policy,
        problems=problems,
        rewards=[reward],
        out=out,
        evaluate=evaluate,
        on_record=stop,
        resume=resume,
    )


def fill_the_disk(out: Path) -> None:
    """The first rank cannot write a checkpoint, what an evaluation keeps, or a step's rollouts."""
    parallel.STEP_TIMEOUT = timedelta(seconds=30)  # of a rank that waits for another thing
    whole_save, whole_write = checkpoint.save_policy, runlog.write_rollouts

    def save(policy, draft, weights=None):
        if draft.name.endswith("step-000002"):
            raise OSError(28, "No space left on device")
        whole_save(policy, draft, weights)

    def evaluate(engine):
        if start_ranks().is_first and engine.policy_version:
            raise StorageError("no space for an evaluation")
        return {"accuracy": 0.0}

    def write(path, step, *rollouts):
        if "log" in path.parts:
            raise StorageError("no space for rollouts")
        whole_write(path, step, *rollouts)

    checkpoint.save_policy, runlog.write_rollouts = save, write
    jobs = {"save": {}, "evaluation": {"evaluate": evaluate, "settings": EVALUATED}, "log": {}}
    told = {}
    for sharding in ("replicated", "sharded"):
        for job, options in jobs.items():
            folder = out / sharding / job
            try:
                run(folder, sharding=sharding, **options)
            except MathrlError as error:
                saved = [path.name for path in checkpoint.checkpoints(folder / "checkpoints")]
                told[sharding, job] = f"{type(error).__name__}: {error}", saved
    torch.save(told, out / f"told-{start_ranks().rank}.pt")
    stop_ranks()


def get_stuck(out: Path) -> None:
    """The second rank never adds up its gradients."""
    parallel.STEP_TIMEOUT = timedelta(seconds=10)

    def wait_for_ever(ranks, model):
        threading.Event().wait()

    if os.environ["RANK"] == "1":
        Ranks.add_up_gradients = wait_for_ever
    run(out)


def die(out: Path, sharding: str) -> None:
    """The second rank is killed in its third step, before it has added up its gradients."""
    real, calls = Ranks.add_up_gradients, []

    def add_up_gradients(ranks, parameters):
        calls.append(1)
        if ranks.rank == 1 and len(calls) == 5:  # two updates a step
            os.kill(os.getpid(), signal.SIGKILL)
        real(ranks, parameters)

    Ranks.add_up_gradients = add_up_gradients
    run(out, sharding=sharding)


def main() -> None:
    torch.set_num_threads(1)
    job, out = sys.argv[1], Path(sys.argv[2])
    if job == "error":
        run(out / "error", reward=fails_on_the_second_rank)
        return
    if job == "ctrl-c":
        for sharding in ("replicated", "sharded"):
            # pressed on one rank alone: both stop
            pressed = 2 if os.environ["RANK"] == "1" else None
            result = run(out / sharding, sharding=sharding, ctrl_c_at=pressed)
            assert result.step == 2 and not result.is_finished
        stop_ranks()
        return
    if job == "stuck":
        get_stuck(out / "stuck")
        return
    if job in ("replicated", "sharded"):
        die(out, job)
        return
    if job == "full-disk":
        fill_the_disk(out)
        return
    rank = start_ranks().rank
    torch.save([one_step(*case) for case in CASES], out / f"replicated-{rank}.pt")
    torch.save([one_step(*case, is_sharded=True) for case in CASES], out / f"sharded-{rank}.pt")
    run(out / "whole")
    run(out / "half", steps=2)
    run(out / "whole-sharded", sharding="sharded")
    run(out / "half-sharded", steps=2, sharding="sharded")
    run(out / "lora-half", steps=2, settings=LORA)
    run(out / "lora-half-sharded", steps=2, sharding="sharded", settings=LORA)
    run(out / "lora-sharded", sharding="sharded", settings=LORA)
    torch.save(bfloat16_step(), out / f"bfloat16-replicated-{rank}.pt")
    torch.save(bfloat16_step(out, is_sharded=True), out / f"bfloat16-sharded-{rank}.pt")
    run(out / "memory", sharding="sharded", settings=MEMORY)
    run(out / "half-memory", steps=2, sharding="sharded", settings=MEMORY)
    run(out / "half-memory", resume=True, sharding="sharded", settings=MEMORY)
    stop_ranks()


if __name__ == "__main__":
    main()
