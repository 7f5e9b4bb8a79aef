"""The training loop: Algorithm 1 of DeepSeekMath (arXiv 2402.03300) for every method.

    mathrl train-grpo deepseekmath --model MODEL --data FILE

It calls and does not compute: a source draws scored rollouts, ``assemble`` credits them,
``update`` takes optimizer steps with the method's coefficient.
"""

import copy
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mathrl.config import to_toml
from mathrl.engines import Engine
from mathrl.engines.local import LocalEngine
from mathrl.errors import ConfigError, DataError, GradingError
from mathrl.files import write_whole
from mathrl.interrupts import deferred_interrupt
from mathrl.manifest import problems_hash, read_manifest, write_manifest
from mathrl.policy import Policy, load_policy, save_policy
from mathrl.prompts import PromptBuilder
from mathrl.rewards.combination import CombinedReward, Reward, combine
from mathrl.rewards.length import LengthPenalty
from mathrl.schema import Problem
from mathrl.trainers.batch import assemble
from mathrl.trainers.checkpoint import (
    checkpoints,
    latest_checkpoint,
    load_state,
    save_checkpoint,
    whole_folder,
)
from mathrl.trainers.logprobs import check_output_head
from mathrl.trainers.methods import Method, build_method
from mathrl.trainers.metrics import step_metrics
from mathrl.trainers.offload import offloaded
from mathrl.trainers.optimizer import prepare
from mathrl.trainers.parallel import Ranks, SharedEngine, SharedReward, start_ranks
from mathrl.trainers.precision import to_bfloat16
from mathrl.trainers.recipe import OptimizerConfig, Recipe, load_recipe
from mathrl.trainers.runlog import OnRecord, RunLog
from mathrl.trainers.sharding import load_optimizer, shard, whole
from mathrl.trainers.sources import ScoresCompletions, Source
from mathrl.trainers.update import learning_rate, update

Evaluate = Callable[[Engine], Mapping[str, float]]
"""Measures the policy that an engine samples from; the metrics go into the run's log."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """How a run ended."""

    policy: Policy
    folder: Path
    step: int
    is_finished: bool
    """False after Ctrl-C: ``resume=True`` goes on from ``step``."""


def train(
    recipe: Recipe | str,
    *,
    policy: Policy | str | Path | None = None,
    problems: Sequence[Problem],
    rewards: Sequence[str | Reward] | None = None,
    out: str | Path = "runs/train",
    engine: Engine | None = None,
    evaluate: Evaluate | None = None,
    on_record: OnRecord | None = None,
    resume: bool = False,
) -> TrainResult:
    """Train a policy.

    Args:
        recipe: A recipe, or the name or file of one.
        policy: What to train, in place, in float32 (which ``optimizer.dtype`` may round); by
            default what ``recipe.model`` names. A resumed run goes on with the policy of its
            newest checkpoint, whatever is given.
        problems: Training problems; the recipe's few-shot examples are taken off the front.
        rewards: Reward functions or their specs; by default those of the recipe.
        out: Folder of the run: config, metrics, rollouts, checkpoints, and at the end ``policy/``.
        engine: Who samples; the policy itself, in this process, by default.
        evaluate: Called before, during (``recipe.eval.every``) and after training.
        on_record: Called with every record of the log.
        resume: Go on from the newest checkpoint in ``out``.

    Returns:
        The trained policy and where it is.

    Raises:
        ConfigError: The recipe or the policy is wrong, ``out`` holds another run, or there is
            nothing to resume, or a resumed run gets another recipe, other problems or rewards.
        DataError: The problems are not what the method needs.
        GradingError: A reward function broke its contract.
        StorageError: A checkpoint could not be written.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    method = build_method(recipe)
    reward = _reward(recipe, rewards if rewards is not None else recipe.rewards)
    folder = Path(out)
    ranks = start_ranks(is_sharded=recipe.optimizer.sharding == "sharded")
    facts = {"data_hash": problems_hash(problems), "rewards": reward.names}
    _check_folder(folder, recipe, facts, resume=resume)
    ranks.wait()  # nobody writes before all have looked
    policy = _load(recipe, policy, folder, resume=resume)
    _check_weights(policy, ranks)
    replica = None
    if ranks.is_sharded:
        replica = replace(policy, model=_rounded(copy.deepcopy(policy.model), recipe.optimizer))
    engine = engine or LocalEngine(replica or policy)
    scores: ScoresCompletions = reward
    if ranks.world > 1:
        engine, scores = SharedEngine(engine, ranks, replica), SharedReward(reward, ranks)
    source = _source(recipe, method, policy, problems, engine, scores)
    run = _open_run(recipe, method, policy, folder, facts, ranks, resume=resume)
    run.on_record = on_record or run.on_record
    engine.sync(run.policy, run.step)
    is_finished = False
    start = time.monotonic()
    try:
        while run.step < recipe.max_steps:
            if ranks.exchange(_is_over_time(recipe, start))[0]:  # all stop after the same step
                raise KeyboardInterrupt
            _evaluate_if_due(run, engine, evaluate)
            _train_step(run, source, engine)
            if run.step % recipe.checkpoint.every == 0 and run.step < recipe.max_steps:
                run.save()
        _evaluate_if_due(run, engine, evaluate)
        run.export()
        is_finished = True
    except KeyboardInterrupt:
        pass  # what is done is saved below, and the result says that the run is not finished
    except (DataError, GradingError):
        run.save()  # found while drawing, where the weights are whole too
        raise
    finally:
        run.log.close()
    if run.is_whole:
        with deferred_interrupt():
            run.save()
    return TrainResult(policy=run.policy, folder=run.folder, step=run.step, is_finished=is_finished)


@dataclass(slots=True)
class _Run:
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
    on_record: OnRecord = lambda record: None
    is_whole: bool = True
    """The weights are those after ``step``; not so from the first update of a step to its end."""

    def save(self) -> None:
        if not (self.ranks.is_first or self.ranks.is_sharded):
            return
        save_checkpoint(
            self.folder / "checkpoints",
            self.step,
            self.policy,
            self.optimizer,
            keep=self.recipe.checkpoint.keep,
            is_writing=self.ranks.is_first,
        )

    def export(self) -> None:
        """Write the trained policy as an ordinary folder."""
        weights = whole(self.policy.model.state_dict()) if self.ranks.is_sharded else None
        if weights and self.recipe.optimizer.dtype == "bfloat16":
            weights = {name: tensor.bfloat16() for name, tensor in weights.items()}
        if self.ranks.is_first:
            with whole_folder(self.folder / "policy") as draft:
                save_policy(self.policy, draft, weights)

    def sampling(self) -> AbstractContextManager[None]:
        """Surrounds what an engine does; the optimizer's state is away meanwhile if it is to be."""
        is_on_cpu = self.policy.device.type == "cpu"
        if is_on_cpu or not self.recipe.optimizer.is_offloaded:
            return nullcontext()
        return offloaded(self.policy.model, self.optimizer)


def _train_step(run: _Run, source: Source, engine: Engine) -> None:
    """Lines 5 to 11 of Algorithm 1: sample, score, credit, update."""
    recipe, step = run.recipe, run.step + 1
    start = time.perf_counter()
    with run.sampling():
        engine.wake()
        drawn = source.draw(step)
        engine.sleep()
    sampled = time.perf_counter()
    with deferred_interrupt():
        model, ranks = run.policy.model, run.ranks
        batch = assemble(drawn.rollouts, run.method, recipe, run.reference, model, ranks)
        num_updates = recipe.loss.updates_per_rollout if batch.num_completions else 0
        stats = []
        run.is_whole = False  # a second Ctrl-C is not held back, and must not save half a step
        for index in range(num_updates):
            lr = learning_rate(
                recipe.optimizer, run.step * num_updates + index, recipe.max_steps * num_updates
            )
            stats.append(
                update(model, run.optimizer, batch, run.method, recipe, lr=lr, ranks=ranks)
            )
        engine.sync(run.policy, step)
        metrics = step_metrics(drawn, stats)
        now = time.perf_counter()
        metrics |= {"time/sample_s": sampled - start, "time/update_s": now - sampled}
        metrics["tokens_per_s"] = metrics["tokens"] / (time.perf_counter() - start)
        run.log.write_rollouts(step, [*drawn.rollouts, *drawn.discarded])
        record = run.log.write("train", step, metrics)
        run.step, run.is_whole = step, True
    run.on_record(record)  # what a watcher raises finds the step whole


def _reward(recipe: Recipe, rewards: Sequence[str | Reward]) -> CombinedReward:
    """The recipe's rewards as one, the punishment of overlong completions among them."""
    parts: list[str | Reward] = list(rewards)
    if recipe.rollout.overlong_cache:
        parts.append(
            LengthPenalty(
                max_length=recipe.rollout.max_new_tokens,
                cache_length=recipe.rollout.overlong_cache,
            )
        )
    return combine(parts, is_normalised=recipe.is_reward_normalised)


def _is_over_time(recipe: Recipe, start: float) -> bool:
    return bool(recipe.max_hours) and time.monotonic() - start >= 3600 * recipe.max_hours


def _evaluate_if_due(run: _Run, engine: Engine, evaluate: Evaluate | None) -> None:
    """Evaluate at the start, at the end, and where ``eval.every`` says so between."""
    every = run.recipe.eval.every
    is_end = run.step in (0, run.recipe.max_steps)
    if evaluate is not None and (is_end or (every and run.step % every == 0)):
        with run.sampling():
            metrics = evaluate(engine)
        run.on_record(run.log.write("eval", run.step, metrics))


def _check_folder(folder: Path, recipe: Recipe, facts: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse to overwrite a run, and to go on with another than the one that was started."""
    config = folder / "config.toml"
    if not resume:
        # a run that never got beyond its first checkpoint has nothing to lose
        done = [path for path in checkpoints(folder / "checkpoints") if path.name > "step-000000"]
        if config.exists() and (done or (folder / "policy").exists()):
            raise ConfigError(
                f"{folder} holds a run already: go on with --resume {folder}, or choose another "
                "folder (--out)"
            )
        return
    if not config.exists():
        raise ConfigError(f"{folder} is not a run that can be resumed: it has no config.toml")
    if config.read_text(encoding="utf-8") != to_toml(recipe):
        raise ConfigError(f"the run in {folder} has another recipe: resume it with {config}")
    started = read_manifest(folder)
    for key, kind in (("data_hash", "problems"), ("rewards", "rewards")):
        if started.get(key) != facts[key]:
            raise ConfigError(
                f"the run in {folder} was started with other {kind}: resume it with the same ones"
            )


def _load(
    recipe: Recipe, policy: Policy | str | Path | None, folder: Path, *, resume: bool
) -> Policy:
    """The policy to train: given, named by the recipe, or that of the newest checkpoint."""
    if resume:
        policy = latest_checkpoint(folder / "checkpoints")
    policy = policy if isinstance(policy, Policy) else load_policy(policy or recipe.model or None)
    wrong = {str(p.dtype) for p in policy.model.parameters()} - {"torch.float32"}
    if wrong:
        raise ConfigError(
            f"the policy has {', '.join(sorted(wrong))} weights: training adds steps that those "
            "cannot hold; give a float32 policy, such as load_policy makes"
        )
    policy.model.eval()  # dropout would make the trainer's log-probs differ from the sampler's
    check_output_head(policy.model)
    return policy


def _check_weights(policy: Policy, ranks: Ranks) -> None:
    """Refuse ranks that would each train another policy."""
    if ranks.world > 1 and len(set(ranks.exchange(policy.fingerprint()))) > 1:
        raise ConfigError(
            "the ranks have different weights: give the policy as a folder or a hub id, or build "
            "it with the same seed on every rank"
        )


def _open_run(
    recipe: Recipe,
    method: Method,
    policy: Policy,
    folder: Path,
    facts: Mapping[str, Any],
    ranks: Ranks,
    *,
    resume: bool,
) -> _Run:
    """Make a new run's folder, or read what the newest checkpoint holds besides the weights."""
    reference, step, fingerprint = None, 0, "" if resume else policy.fingerprint()
    if method.needs_reference:
        reference = _reference(recipe, policy, folder / "reference", ranks, resume=resume)
    optimizer = prepare(policy.model, recipe.optimizer, is_sharded=ranks.is_sharded)
    if resume:
        state = load_state(latest_checkpoint(folder / "checkpoints"))
        load_optimizer(optimizer, state["optimizer"])
        step = int(state["step"])
    elif ranks.is_first:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # of a run that got nowhere
        model = Path(policy.name).name  # a manifest names no folder
        start = {"model": model, "policy_fingerprint": fingerprint, "seed": recipe.seed}
        write_manifest(folder, {**facts, **start})
    run = _Run(
        recipe=recipe,
        method=method,
        policy=policy,
        reference=reference,
        optimizer=optimizer,
        log=RunLog(folder, last_step=step, is_writing=ranks.is_first),
        folder=folder,
        ranks=ranks,
        step=step,
    )
    if not resume:
        run.save()
        if ranks.is_first:  # written last: a folder that holds a config can be resumed
            write_whole(folder / "config.toml", to_toml(recipe))
    return run


def _rounded(model: PreTrainedModel, config: OptimizerConfig) -> PreTrainedModel:
    """The same model, with its weights in the type in which they sample and score."""
    if config.dtype == "bfloat16":
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
    model = _rounded(model, recipe.optimizer)
    if ranks.is_sharded:
        shard(model)
    return model


def _source(
    recipe: Recipe,
    method: Method,
    policy: Policy,
    problems: Sequence[Problem],
    engine: Engine,
    reward: ScoresCompletions,
) -> Source:
    prompts = PromptBuilder(recipe.prompt, tokenizer=policy.tokenizer, examples=problems)
    shots = {problem.id for problem in prompts.shots}
    remaining = [problem for problem in problems if problem.id not in shots]
    return method.source(recipe, remaining, prompts, engine, reward)
