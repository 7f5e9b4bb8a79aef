"""The training loop: Algorithm 1 of DeepSeekMath (arXiv 2402.03300) for every method.

    mathrl train-grpo deepseekmath --model MODEL --data FILE

It calls and does not compute: a source draws scored rollouts, ``assemble`` credits them,
``update`` takes optimizer steps with the method's coefficient.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from mathrl.engines import Engine
from mathrl.engines.choice import open_engine
from mathrl.errors import LostRankError
from mathrl.files import only_process_in
from mathrl.interrupts import deferred_interrupt, noted_interrupts
from mathrl.manifest import problems_hash
from mathrl.policy import Policy
from mathrl.prompts import PromptBuilder
from mathrl.rewards.combination import CombinedReward, Reward, combine
from mathrl.rewards.length import LengthPenalty
from mathrl.schema import Problem
from mathrl.trainers.batch import assemble
from mathrl.trainers.costs import Stopwatch, TimedReward, cost_metrics
from mathrl.trainers.methods import Method, build_method
from mathrl.trainers.metrics import sampler_gap, step_metrics
from mathrl.trainers.parallel import (
    Ranks,
    SharedEngine,
    SharedReward,
    lost_shards_told,
    start_ranks,
)
from mathrl.trainers.patience import best_step, is_out_of_patience
from mathrl.trainers.recipe import Recipe, load_recipe
from mathrl.trainers.run import (
    Run,
    check_folder,
    check_weights,
    load_trained,
    open_run,
    whole_replica,
)
from mathrl.trainers.runlog import OnRecord, Record
from mathrl.trainers.sources import Drawn, ScoresCompletions, Source
from mathrl.trainers.update import learning_rate, update
from mathrl.trainers.wandb_tracker import require_wandb

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
    best_step: int | None = None
    """Where ``eval.patience`` is set: the step of the best evaluation, kept in ``best/``."""


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
            newest checkpoint, whatever is given; that of an adapter holds no more than it, so
            there the policy is the same as at the start.
        problems: Training problems; the recipe's few-shot examples are taken off the front.
        rewards: Reward functions or their specs; by default those of the recipe.
        out: Folder of the run: config, metrics, rollouts, checkpoints, and at the end ``policy/``,
            the policy after the last step; with ``eval.patience`` also ``best/``.
        engine: Who samples; by default what ``recipe.engine`` names.
        evaluate: Called before, during (``recipe.eval.every``) and after training; returns
            ``accuracy`` where ``recipe.eval.patience`` compares it.
        on_record: Called with every record of the log.
        resume: Go on from the newest checkpoint in ``out``.

    Returns:
        The trained policy and where it is.

    Raises:
        ConfigError: The recipe or the policy is wrong, ``out`` holds another run, another process
            trains into it, or there is nothing to resume, or a resumed run gets another recipe,
            other problems or rewards.
        DataError: The problems are not what the method needs.
        GradingError: A reward function broke its contract.
        EngineError: The engine does not start, or is lost: the run is saved, and resumes.
        MissingExtraError: ``recipe.log.wandb`` names a project, and W&B is not installed.
        StorageError: A checkpoint could not be written.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    method = build_method(recipe)
    if recipe.log.wandb:
        require_wandb()  # told now, and not when the model is loaded
    reward = _reward(recipe, rewards if rewards is not None else recipe.rewards)
    folder = Path(out)
    ranks = start_ranks(is_sharded=recipe.optimizer.sharding == "sharded")
    facts = {"data_hash": problems_hash(problems), "rewards": reward.names}
    check_folder(folder, recipe, facts, resume=resume)
    with only_process_in(folder) if ranks.is_first else nullcontext():
        ranks.wait()  # nobody writes before all have looked
        policy = load_trained(recipe, policy, folder, resume=resume)
        check_weights(policy, ranks)
        watch = Stopwatch()
        scores = TimedReward(reward if ranks.world == 1 else SharedReward(reward, ranks), watch)
        with _shared(engine, recipe, policy, folder, ranks) as sampler:
            source = _source(recipe, method, policy, problems, sampler, scores)
            run = open_run(recipe, method, policy, folder, facts, ranks, resume=resume)
            run.watch = watch
            run.on_record = on_record or run.on_record
            is_finished = _train_to_end(run, source, sampler, evaluate)
    return TrainResult(
        policy=run.policy,
        folder=run.folder,
        step=run.step,
        is_finished=is_finished,
        best_step=best_step(run.log.evaluations) if recipe.eval.patience else None,
    )


def _train_to_end(run: Run, source: Source, engine: Engine, evaluate: Evaluate | None) -> bool:
    """Take steps until the run is finished, or stopped by Ctrl-C or the clock (False)."""
    recipe, start = run.recipe, time.monotonic()
    try:
        # several ranks stop after the same step, whichever was told to
        with noted_interrupts(is_on=run.ranks.world > 1) as is_interrupted, lost_shards_told():
            while run.step < recipe.max_steps:
                if any(run.ranks.exchange(is_interrupted() or _is_over_time(recipe, start))):
                    return False
                _evaluate_if_due(run, engine, evaluate)
                if is_out_of_patience(run.log.evaluations, recipe.eval.patience):
                    break
                _train_step(run, source, engine)
                if run.step % recipe.checkpoint.every == 0 and run.step < recipe.max_steps:
                    run.ranks.together(run.save)
            _evaluate_if_due(run, engine, evaluate)
            run.export("policy")
            run.export_adapter()
        return True
    except KeyboardInterrupt:
        return False
    except LostRankError:
        run.is_whole &= not run.ranks.is_sharded  # a lost shard cannot be saved
        raise
    finally:  # whatever ended the run, a whole step is never lost
        run.log.close()
        if run.is_whole:
            with deferred_interrupt():
                run.save()


def _train_step(run: Run, source: Source, engine: Engine) -> None:
    """Lines 5 to 11 of Algorithm 1: sample, score, credit, update."""
    recipe, step, watch = run.recipe, run.step + 1, run.watch
    with watch.phase("sample"), run.sampling():
        _bring_weights(run, engine)
        engine.wake()
        drawn = source.draw(step)
        engine.sleep()
    with deferred_interrupt():
        model, ranks = run.policy.model, run.ranks
        with watch.phase("logprobs"):
            batch = assemble(drawn.rollouts, run.method, recipe, run.reference, model, ranks)
        num_updates = recipe.loss.updates_per_rollout if batch.num_completions else 0
        stats = []
        run.is_whole = False  # a second Ctrl-C is not held back, and must not save half a step
        for index in range(num_updates):
            lr = learning_rate(
                recipe.optimizer, run.step * num_updates + index, recipe.max_steps * num_updates
            )
            with watch.phase("update"):
                stats.append(
                    update(model, run.optimizer, batch, run.method, recipe, lr=lr, ranks=ranks)
                )
        metrics = step_metrics(drawn, stats) | sampler_gap(batch, ranks)
        metrics |= cost_metrics(watch.lap(), metrics["tokens"], ranks)
        record = _keep(run, step, drawn, metrics)
        run.step, run.is_whole = step, True
    _tell(run, record)  # what a watcher raises finds the step whole


def _keep(run: Run, step: int, drawn: Drawn, metrics: Mapping[str, float]) -> Record:
    """Write what the step leaves behind; where the first rank cannot, all are told."""

    def write() -> Record:
        run.log.write_rollouts(step, drawn)
        return run.log.write("train", step, metrics)

    return run.ranks.together(write)[run.ranks.rank]


def _tell(run: Run, record: Record) -> None:
    """Hand a record to whoever watches; what that raises on one rank ends all."""
    run.ranks.together(lambda: run.on_record(record))


def _bring_weights(run: Run, engine: Engine) -> None:
    """Let the engine sample from the policy as it is now: once a step, before its first sample."""
    if run.synced_step != run.step:
        with run.watch.phase("sync"):
            engine.sync(run.policy, run.step)
        run.synced_step = run.step


@contextmanager
def _shared(
    given: Engine | None, recipe: Recipe, policy: Policy, folder: Path, ranks: Ranks
) -> Iterator[Engine]:
    """The engine that was given, or one that is closed at the end; ranks share its work."""
    replica = whole_replica(policy, recipe) if ranks.is_sharded else None
    engine = given or _open_engine(recipe, replica or policy, folder, ranks)
    try:
        yield engine if ranks.world == 1 else SharedEngine(engine, ranks, replica)
    finally:
        if given is None:
            engine.close()


def _open_engine(recipe: Recipe, policy: Policy, folder: Path, ranks: Ranks) -> Engine:
    config = recipe.engine
    if config.dtype == "auto":
        config = replace(config, dtype=recipe.optimizer.dtype)
    return open_engine(config, policy, folder / "engine", is_first=ranks.is_first)


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


def _evaluate_if_due(run: Run, engine: Engine, evaluate: Evaluate | None) -> None:
    """Evaluate at the start, at the end, and where ``eval.every`` says so between, each once."""
    config, evaluations = run.recipe.eval, run.log.evaluations
    is_end = run.step in (0, run.recipe.max_steps)
    is_due = is_end or (config.every and run.step % config.every == 0)
    if evaluate is None or not is_due or run.step in evaluations:
        return

    def measure() -> Record:
        with run.sampling():
            _bring_weights(run, engine)
            metrics = evaluate(engine)
        return run.log.write("eval", run.step, metrics)

    record = run.ranks.together(measure)[0]  # what the first measured: it alone keeps files
    if config.patience and best_step(evaluations) == run.step:
        run.export("best")
    _tell(run, record)


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
