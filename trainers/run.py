"""A run's folder, and its state between two steps: opened new, or where the last one ended.

The folder holds ``config.toml``, ``manifest.json``, the log, ``checkpoints/``, ``reference/``
where a penalty needs one, and at the end ``policy/``, an ordinary model folder.
"""

import copy
import shlex
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mathrl.adapters import (
    adapter_weights,
    add_adapter,
    has_adapter,
    load_adapter,
    merged_weights,
    save_adapter,
)
from mathrl.config import to_toml
from mathrl.errors import ConfigError
from mathrl.files import write_whole
from mathrl.manifest import read_manifest, write_manifest
from mathrl.policy import Policy, load_policy, save_policy
from mathrl.trainers.checkpoint import (
    checkpoint_step,
    checkpoints,
    latest_checkpoint,
    save_checkpoint,
    whole_folder,
)
from mathrl.trainers.costs import Stopwatch
from mathrl.trainers.logprobs import check_output_head
from mathrl.trainers.lora_layers import check_target
from mathrl.trainers.methods import Method
from mathrl.trainers.offload import offloaded
from mathrl.trainers.optimizer import exact_weights, prepare
from mathrl.trainers.optimizer_state import load_optimizer
from mathrl.trainers.parallel import Ranks
from mathrl.trainers.precision import to_bfloat16
from mathrl.trainers.recipe import Recipe, load_recipe
from mathrl.trainers.runlog import OnRecord, RunLog, Tracker
from mathrl.trainers.sharding import shard, whole
from mathrl.trainers.wandb_tracker import WandbTracker


@dataclass(slots=True)
class Run:
    """The state of a run between two steps."""

    recipe: Recipe
    method: Method
    policy: Policy
    reference: PreTrainedModel | None
    optimizer: torch.optim.Optimizer
    log: RunLog
    folder: Path
    ranks: Ranks
    step: int
    watch: Stopwatch = field(default_factory=Stopwatch)
    on_record: OnRecord = lambda record: None
    synced_step: int | None = None
    """The step whose weights the engine has."""
    is_whole: bool = True
    """The weights are those after ``step``; not so from the first update of a step to its end."""

    def save(self) -> None:
        """Write a checkpoint of the last step."""
        if not (self.ranks.is_first or self.ranks.is_sharded):
            return
        save_checkpoint(
            self.folder / "checkpoints",
            self.step,
            self.policy,
            self.optimizer,
            keep=self.recipe.checkpoint.keep,
            ranks=self.ranks,
        )

    def export(self, name: str) -> None:
        """Write the policy as it is now as an ordinary folder."""
        weights = None
        if self.ranks.is_sharded:
            weights = whole(merged_weights(self.policy.model), is_kept=self.ranks.is_first)
            if self.recipe.optimizer.dtype == "bfloat16" and self.ranks.is_first:
                weights = {key: tensor.bfloat16() for key, tensor in weights.items()}

        def write() -> None:
            with whole_folder(self.folder / name) as draft:
                save_policy(self.policy, draft, weights)

        self.ranks.on_first(write)

    def export_adapter(self) -> None:
        """Write what a run with an adapter has trained, without the weights under it."""
        model = self.policy.model
        if not has_adapter(model):
            return
        exact = exact_weights(model, self.optimizer)
        added = whole(adapter_weights(exact), is_kept=self.ranks.is_first)

        def write() -> None:
            with whole_folder(self.folder / "adapter") as draft:
                save_adapter(model, draft, added)

        self.ranks.on_first(write)

    def sampling(self) -> AbstractContextManager[None]:
        """Surrounds what an engine does; the optimizer's state is away meanwhile if it is to be."""
        is_on_cpu = self.policy.device.type == "cpu"
        if is_on_cpu or not self.recipe.optimizer.is_offloaded:
            return nullcontext()
        return offloaded(self.policy.model, self.optimizer)


def check_folder(folder: Path, recipe: Recipe, facts: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse to overwrite a run, and to go on with another than the one that was started.

    Raises:
        ConfigError: The folder holds a run; or, to resume, none or another one.
    """
    config = folder / "config.toml"
    if not resume:
        # a run that never got beyond its first checkpoint has nothing to lose
        done = [path for path in checkpoints(folder / "checkpoints") if path.name > "step-000000"]
        if config.exists() and (done or (folder / "policy").exists()):
            raise ConfigError(
                f"{folder} holds a run already: go on with --resume {shlex.quote(str(folder))}, "
                "or choose another folder (--out)"
            )
        return
    if not config.exists():
        raise ConfigError(f"{folder} is not a run that can be resumed: it has no config.toml")
    # servers may have moved, and another engine samples the same
    if replace(load_recipe(config), engine=recipe.engine) != recipe:
        raise ConfigError(f"the run in {folder} has another recipe: resume it with {config}")
    started = read_manifest(folder)
    for key, kind in (("data_hash", "problems"), ("rewards", "rewards")):
        if started.get(key) != facts[key]:
            raise ConfigError(
                f"the run in {folder} was started with other {kind}: resume it with the same ones"
            )


def load_trained(
    recipe: Recipe, policy: Policy | str | Path | None, folder: Path, *, resume: bool
) -> Policy:
    """The policy to train: given, named by the recipe, or that of the newest checkpoint.

    Raises:
        ConfigError: It cannot be loaded, or cannot be trained as it is.
    """
    if resume and not recipe.lora.rank:
        policy = latest_checkpoint(folder / "checkpoints")
    policy = policy if isinstance(policy, Policy) else load_policy(policy or recipe.model or None)
    wrong = {str(p.dtype) for p in policy.model.parameters()} - {"torch.float32"}
    if wrong:
        raise ConfigError(
            f"the policy has {', '.join(sorted(wrong))} weights: training adds steps that those "
            "cannot hold; give a float32 policy, such as load_policy makes"
        )
    if has_adapter(policy.model):
        raise ConfigError(
            "the policy has adapters already: save it with save_policy, which merges them, and "
            "train what is in that folder"
        )
    check_target(policy.model, recipe.lora.target)
    policy.model.eval()  # dropout would make the trainer's log-probs differ from the sampler's
    check_output_head(policy.model)
    return policy


def check_weights(policy: Policy, ranks: Ranks) -> None:
    """Refuse ranks that would each train another policy.

    Raises:
        ConfigError: Their weights differ.
    """
    if ranks.world > 1 and len(set(ranks.exchange(policy.fingerprint()))) > 1:
        raise ConfigError(
            "the ranks have different weights: give the policy as a folder or a hub id, or build "
            "it with the same seed on every rank"
        )


def whole_replica(policy: Policy, recipe: Recipe) -> Policy:
    """All weights of a policy that is to be sharded, which an engine samples from or copies."""
    model = _rounded(copy.deepcopy(policy.model), recipe)
    if recipe.engine.kind == "vllm":
        model.to("cpu")  # type: ignore[arg-type]  # transformers wraps it and loses its type
    return replace(policy, model=model)


def open_run(
    recipe: Recipe,
    method: Method,
    policy: Policy,
    folder: Path,
    facts: Mapping[str, Any],
    ranks: Ranks,
    *,
    resume: bool,
) -> Run:
    """Make a new run's folder, or read what the newest checkpoint holds besides the weights.

    Args:
        recipe: The run's.
        method: Tells whether a reference is needed.
        policy: What ``load_trained`` gave; made here what is trained (adapted, rounded, sharded).
        folder: The run's.
        facts: What a resumed run must share with its beginning.
        ranks: Who trains.
        resume: Go on from the newest checkpoint.

    Raises:
        ConfigError: The policy cannot be adapted or sharded as the recipe says, or is not the one
            that the run's adapter belongs to.
        StorageError: The first checkpoint cannot be written.
    """
    is_adapted = recipe.lora.rank > 0
    reference, step = None, 0
    fingerprint = policy.fingerprint() if is_adapted or not resume else ""
    if is_adapted:
        _adapt(policy, recipe, folder, fingerprint, resume=resume)
        reference = policy.model if method.needs_reference else None
    elif method.needs_reference:
        reference = _reference(recipe, policy, folder / "reference", ranks, resume=resume)
    optimizer = prepare(policy.model, recipe.optimizer, is_sharded=ranks.is_sharded)
    if resume:
        newest = latest_checkpoint(folder / "checkpoints")
        load_optimizer(optimizer, newest, ranks)
        step = checkpoint_step(newest)
    elif ranks.is_first:
        model = Path(policy.name).name  # a manifest names no folder
        start = {"model": model, "policy_fingerprint": fingerprint, "seed": recipe.seed}
        _begin(folder, {**facts, **start})
    run = Run(
        recipe=recipe,
        method=method,
        policy=policy,
        reference=reference,
        optimizer=optimizer,
        log=_open_log(recipe, folder, step, ranks, resume=resume),
        folder=folder,
        ranks=ranks,
        step=step,
    )
    if not resume:
        run.save()
    if ranks.is_first:  # written last: a folder that holds a config can be resumed
        write_whole(folder / "config.toml", to_toml(recipe))  # again, for its engine may be another
    return run


def _begin(folder: Path, facts: Mapping[str, Any]) -> None:
    """Say what the run starts from; what one that got nowhere has left is dropped."""
    for left in ("checkpoints", "rollouts"):
        shutil.rmtree(folder / left, ignore_errors=True)
    write_manifest(folder, facts)


def _adapt(policy: Policy, recipe: Recipe, folder: Path, fingerprint: str, *, resume: bool) -> None:
    """Put a new adapter into the policy, or that of the newest checkpoint into the same policy."""
    if resume and read_manifest(folder)["policy_fingerprint"] != fingerprint:
        raise ConfigError(
            f"the run in {folder} adapts other weights than those of {policy.name}: resume it "
            "with the policy that it was started with"
        )
    lora = recipe.lora
    add_adapter(
        policy.model,
        rank=lora.rank,
        alpha=lora.alpha,
        target=lora.target,
        seed=recipe.seed,
        base=policy.name,
    )
    if resume:
        load_adapter(policy.model, latest_checkpoint(folder / "checkpoints"))


def _open_log(recipe: Recipe, folder: Path, step: int, ranks: Ranks, *, resume: bool) -> RunLog:
    trackers: list[Tracker] = []
    if recipe.log.wandb and ranks.is_first:
        config = asdict(recipe)
        trackers = [WandbTracker(recipe.log.wandb, folder, config, is_resumed=resume)]
    return RunLog(folder, last_step=step, is_writing=ranks.is_first, trackers=trackers)


def _rounded(model: PreTrainedModel, recipe: Recipe) -> PreTrainedModel:
    """The same model, with its weights in the type in which they sample and score."""
    if recipe.optimizer.dtype == "bfloat16":
        to_bfloat16(model)
    return model


def _reference(
    recipe: Recipe, policy: Policy, folder: Path, ranks: Ranks, *, resume: bool
) -> PreTrainedModel:
    """The policy that the run started from; kept in a folder, for a resume has lost it."""
    if not resume and ranks.is_first:
        with whole_folder(folder) as draft:
            save_policy(policy, draft)
    model = load_policy(folder).model if resume else copy.deepcopy(policy.model)
    model = _rounded(model, recipe)
    if ranks.is_sharded:
        shard(model)
    return model
