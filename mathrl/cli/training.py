"""What every training command shares: problems, held-out evaluation, live view."""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from mathrl.cli.train_view import TrainView
from mathrl.data import load_problems
from mathrl.engines import Engine, SamplingParams
from mathrl.errors import DataError
from mathrl.evals import EvalResult, evaluate, save_result
from mathrl.evals.paired import load_rates, paired_differences, problem_rates, save_rates
from mathrl.evals.stats import PairedResult
from mathrl.evals.tasks import Task
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
        folder: Results are kept in ``step-000000/`` and so on: a resumed run needs the first, and
            ``mathrl compare`` takes any two.
    """
    if not problems.held_out:
        return None
    prompts = PromptBuilder(recipe.prompt, tokenizer=tokenizer, examples=problems.training)
    task = _held_out_task(recipe, len(problems.held_out))
    params = SamplingParams(
        temperature=recipe.rollout.temperature, max_new_tokens=recipe.rollout.max_new_tokens
    )

    def measure(engine: Engine) -> Mapping[str, float]:
        result = evaluate(
            task,
            problems.held_out,
            engine,
            prompts,
            params,
            num_samples=recipe.eval.num_samples,
            seed=recipe.seed,
        )
        metrics = eval_metrics(result)
        if is_first_process():  # what one process logs, no other has to read
            metrics |= _since_start(result, engine.policy_version, folder)
        return metrics

    return measure


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
    """Keep an evaluation, and pair it with the one before training where that is still there."""
    rates, target = problem_rates(result), folder / f"step-{step:06d}"
    save_result(target, result)
    save_rates(target, rates)
    if step == 0:
        return {}
    is_single = result.n_samples == 1
    try:
        start = load_rates(folder / "step-000000")
        return difference_metrics(paired_differences(start, rates, single_samples=is_single))
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
