"""What every training command shares: problems, held-out evaluation, live view."""

import logging
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from mathrl.cli.train_view import TrainView
from mathrl.data import load_problems
from mathrl.engines import Engine, SamplingParams
from mathrl.errors import DataError
from mathrl.evals import EvalResult, evaluate_into, load_run
from mathrl.evals.paired import paired_differences
from mathrl.evals.runner import Verification, run
from mathrl.evals.spec import EvalSpec, specify
from mathrl.evals.stats import PairedResult
from mathrl.evals.tasks import Task
from mathrl.evals.verifiers import Grader
from mathrl.policy import Policy, load_tokenizer
from mathrl.prompts import PromptBuilder
from mathrl.schema import Problem
from mathrl.trainers import Recipe, TrainResult, train
from mathrl.trainers.checkpoint import latest_checkpoint
from mathrl.trainers.parallel import is_first_process, stop_ranks
from mathrl.trainers.runlog import read_records

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitProblems:
    """The problems of a recipe: ``training`` and the ``held_out`` ones that measure it."""

    training: list[Problem]
    held_out: list[Problem]


def run_training(recipe: Recipe, folder: Path, policy: Policy | None) -> TrainResult:
    """Train with all that a person wants to see; without a policy, go on with the folder's run."""
    problems = split_problems(recipe)
    view = TrainView(recipe.method, max_steps=recipe.max_steps, is_shown=is_first_process())
    if policy is not None:
        tokenizer = policy.tokenizer
    else:
        # the weights are loaded once, by train
        tokenizer = load_tokenizer(latest_checkpoint(folder / "checkpoints"))
        for record in read_records(folder / "metrics.jsonl"):
            view.recall(record)
    try:
        with view:
            return train(
                recipe,
                policy=policy,
                problems=problems.training,
                out=folder,
                evaluate=held_out_evaluation(recipe, problems, tokenizer, folder / "evals"),
                on_record=view,
                resume=policy is None,
            )
    finally:
        stop_ranks()


def split_problems(recipe: Recipe) -> SplitProblems:
    """Load a recipe's problems and hold some out, drawn with the recipe's seed.

    The few-shot examples stay at the front of the training problems.

    Raises:
        DataError: The data cannot be read, or is too small to hold problems out of it.
    """
    data = recipe.data
    problems = load_problems(
        data.name,
        split=data.split,
        question_column=data.question_column or None,
        answer_column=data.answer_column or None,
        limit=data.limit or None,
    )
    count = recipe.eval.num_problems
    candidates = problems[recipe.prompt.num_few_shot :]
    if count >= len(candidates):
        raise DataError(
            f"{data.name} has {len(problems)} problems: too few to hold {count} out of them; "
            "lower eval.num_problems"
        )
    chosen = random.Random(f"held-out-{recipe.seed}").sample(candidates, count)
    held = {problem.prompt for problem in chosen}  # a problem that comes twice goes out twice
    return SplitProblems(
        training=[problem for problem in problems if problem.prompt not in held], held_out=chosen
    )


def held_out_evaluation(
    recipe: Recipe, problems: SplitProblems, tokenizer: "PreTrainedTokenizerBase", folder: Path
) -> Callable[[Engine], Mapping[str, float]] | None:
    """The evaluation that a training run calls; None where nothing is held out.

    Every call asks the same problems with the same seeds, so two points of the curve differ by
    the policy and not by luck; each is paired with the one before training.

    Args:
        recipe: The run's.
        problems: Training problems, for the prompt's examples, and those held out.
        tokenizer: The policy's.
        folder: Each evaluation is a run folder in it, ``step-000000/`` ...: ``mathrl compare``
            takes any of them, and a resumed run compares with the first.
    """
    if not problems.held_out:
        return None
    prompts = PromptBuilder(recipe.prompt, tokenizer=tokenizer, examples=problems.training)
    task = _held_out_task(recipe, len(problems.held_out))
    params = SamplingParams(
        temperature=recipe.rollout.temperature, max_new_tokens=recipe.rollout.max_new_tokens
    )

    def measure(engine: Engine) -> Mapping[str, float]:
        spec = specify(
            task.name,
            problems.held_out,
            engine,
            prompts,
            params,
            num_samples=recipe.eval.num_samples,
            seed=recipe.seed,
        )
        target = folder / f"step-{engine.policy_version:06d}"
        result = _evaluate_on_all_ranks(spec, engine, target)
        metrics = eval_metrics(result)
        if is_first_process() and engine.policy_version:  # what one logs, no other has to read
            metrics |= _since_start(result, engine.policy_version, folder)
        return metrics

    return measure


def _evaluate_on_all_ranks(spec: EvalSpec, engine: Engine, target: Path) -> EvalResult:
    """Evaluate where every rank asks the same; the first keeps the run folder."""
    verification = Verification(verifier=Grader())
    if not is_first_process():
        return run(spec, engine, verification)
    shutil.rmtree(target, ignore_errors=True)  # of half an evaluation only this rank would know
    return evaluate_into(target, spec, engine, verification, facts={"engine": "training"})


def _held_out_task(recipe: Recipe, size: int) -> Task:
    return Task(
        name="held-out",
        data=recipe.data.name,
        split=recipe.data.split,
        size=size,
        licence="",
        source="held out of the training data",
        template=recipe.prompt.template,
        max_new_tokens=recipe.rollout.max_new_tokens,
        chat=recipe.prompt.chat,
    )


def _since_start(result: EvalResult, step: int, folder: Path) -> dict[str, float]:
    """Pair an evaluation with the one before training, where that is still there."""
    try:
        start = load_run(folder / "step-000000")[result.task].result
        return difference_metrics(paired_differences(start, result))
    except DataError as error:  # the curve goes on without; the policy of step 0 is gone
        logger.warning("held out, step %d: no difference to the start: %s", step, error)
        return {}


def eval_metrics(result: EvalResult) -> dict[str, float]:
    """The figures of an evaluation that belong on a learning curve."""
    metrics = {
        "accuracy": result.accuracy,
        "ci95_low": result.ci95.low,
        "ci95_high": result.ci95.high,
        "length": result.mean_length,
    }
    for k, value in result.pass_at_k.items():
        metrics[f"pass_at_{k}"] = value
    for k, value in result.maj_at_k.items():
        metrics[f"maj_at_{k}"] = value
    if result.truncated is not None:
        metrics["truncated"] = result.truncated
    return metrics


def difference_metrics(differences: Mapping[str, PairedResult]) -> dict[str, float]:
    """Paired differences as metrics; a p-value only where there is a spread to test against."""
    metrics = {}
    for figure, paired in differences.items():
        metrics[f"difference/{figure}"] = paired.difference
        metrics[f"difference/{figure}/ci95_low"] = paired.ci95.low
        metrics[f"difference/{figure}/ci95_high"] = paired.ci95.high
        if not isnan(paired.p_value):
            metrics[f"difference/{figure}/p_value"] = paired.p_value
    return metrics
