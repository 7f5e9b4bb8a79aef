"""``mathrl train-grpo``: train a policy with GRPO.

mathrl train-grpo --max-steps 20
mathrl train-grpo deepseekmath --model Qwen/Qwen2.5-0.5B --data gsm8k_train.jsonl
"""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.cli import INTERRUPTED
from mathrl.cli.choice import Choice
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.trainers import TrainResult


@click.command("train-grpo")
@click.argument("recipe", required=False)
@click.option("--model", help="Model folder or hub id. [default: the embedded tiny policy]")
@click.option("--data", help="Training problems: data set, hub id or file. [default: arithmetic]")
@click.option("--question-column", help="Column of --data with the question.")
@click.option("--answer-column", help="Column of --data with the answer.")
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    help="Reward function, name or pkg.mod:function, with =weight; repeat for several.",
)
@click.option("--template", help=r"Text around the question, with {prompt}; \n is a line break.")
@click.option("--system", help="System message.")
@click.option("--num-few-shot", type=int, help="Worked examples, taken from the front of --data.")
@click.option("--engine", type=Choice(["local", "vllm"]), help="Who samples. [default: local]")
@click.option(
    "--engine-url",
    "engine_urls",
    multiple=True,
    metavar="URL",
    help="Address of a vLLM server; repeat for several. [default: vLLM in this process]",
)
@click.option("--max-steps", type=int, help="Rollout steps.")
@click.option("--max-hours", type=float, help="Stop and save after this much time.")
@click.option("--seed", type=int, help="Decides the order of the problems and every sample.")
@click.option("--out", help="Folder of the run. [default: runs/<recipe>-<data>]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other key of the recipe, such as loss.beta=0.01; repeat for several.",
)
@click.option(
    "--resume", metavar="DIR", help="Go on with the run in this folder, as it was started."
)
@click.pass_context
def command(
    context: click.Context,
    /,
    recipe: str | None,
    model: str | None,
    data: str | None,
    question_column: str | None,
    answer_column: str | None,
    rewards: tuple[str, ...],
    template: str | None,
    system: str | None,
    num_few_shot: int | None,
    engine: str | None,
    engine_urls: tuple[str, ...],
    max_steps: int | None,
    max_hours: float | None,
    seed: int | None,
    out: str | None,
    assignments: tuple[str, ...],
    resume: str | None,
) -> None:
    """Train a policy with GRPO (DeepSeekMath, arXiv 2402.03300).

    RECIPE is a shipped recipe or a TOML file; by default ``demo`` for the embedded policy and
    ``deepseekmath`` (the paper's numbers) where a --model is given. Ctrl-C saves a checkpoint.
    """
    run = {
        "model": model,
        "data.name": data,
        "data.question_column": question_column,
        "data.answer_column": answer_column,
        "rewards": list(rewards) or None,
        "prompt.template": template.replace("\\n", "\n") if template else None,
        "prompt.system": system,
        "prompt.num_few_shot": num_few_shot,
        "max_steps": max_steps,
        "max_hours": max_hours,
        "seed": seed,
    }
    options = [*assignments, *_assignments(run)]
    engine_options = _assignments(
        {
            "engine.kind": "vllm" if engine_urls and engine is None else engine,
            "engine.urls": list(engine_urls) if engine_urls or engine else None,
        }
    )
    if resume is not None:
        if recipe or out or options:
            raise ConfigError(
                "--resume goes on with the run as it was started, on any engine: drop the rest"
            )
        result = resume_run(Path(resume), engine_options)
    else:
        name = recipe or ("deepseekmath" if model else "demo")
        result = start_run(name, [*options, *engine_options], out)
    report(context, result)


def start_run(name: str, assignments: list[str], out: str | None) -> "TrainResult":
    """Train a recipe into a new folder."""
    from mathrl.cli.training import run_training
    from mathrl.policy import load_policy
    from mathrl.trainers import load_recipe

    recipe = load_recipe(name, assignments)
    folder = Path(out or f"runs/{Path(name).stem}-{Path(recipe.data.name).stem}")
    if recipe.method != "grpo":
        raise ConfigError(f"recipe {name} has the method {recipe.method}, not grpo")
    return run_training(recipe, folder, load_policy(recipe.model or None))


def resume_run(folder: Path, assignments: list[str]) -> "TrainResult":
    """Go on with a run from its newest checkpoint, with another engine where one is named."""
    from mathrl.cli.training import run_training
    from mathrl.trainers import load_recipe

    if not (folder / "config.toml").is_file():
        raise ConfigError(f"{folder} is not a run: it has no config.toml")
    return run_training(load_recipe(folder / "config.toml", assignments), folder, None)


def report(context: click.Context, result: "TrainResult") -> None:
    """Say where the policy is, or how to go on."""
    from mathrl.trainers.parallel import is_first_process

    if not is_first_process():
        context.exit(0 if result.is_finished else INTERRUPTED)
    if result.is_finished:
        click.echo(f"policy: {result.folder / 'policy'}")
        if result.best_step is not None:
            click.echo(f"best: {result.folder / 'best'} (step {result.best_step})")
        return
    folder = shlex.quote(str(result.folder))
    click.echo(
        f"stopped after step {result.step}; go on with: mathrl train-grpo --resume {folder}",
        err=True,
    )
    context.exit(INTERRUPTED)


def _assignments(options: dict[str, Any]) -> list[str]:
    """Options that were given, as ``--set`` writes them: JSON's values are TOML's."""
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in options.items()
        if value is not None
    ]
