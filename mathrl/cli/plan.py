"""``mathrl plan``: what a run will need, before anything is allocated.

mathrl plan train deepseekmath --model Qwen/Qwen2.5-1.5B --gpu H200
mathrl plan eval --gain 2
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mathrl.cli import plan_eval
from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.trainers import Recipe
    from mathrl.trainers.gpus import Gpu
    from mathrl.trainers.model_shape import ModelShape

DOES_NOT_FIT = 1
PROMPT_TOKENS = 256
"""A question of a few sentences, its instructions and a chat template."""


@click.group("plan")
def command() -> None:
    """Say what a run needs before it starts."""


command.add_command(plan_eval.command)


@command.command("train")
@click.argument("recipe", required=False)
@click.option("--model", help="Model folder (config.json is enough) or hub id. [default: embedded]")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of the recipe, such as optimizer.micro_batch_tokens=4096; repeat for several.",
)
@click.option("--gpu", help="Kind of GPU, such as H100. [default: the CUDA device here, if any]")
@click.option("--num-gpus", type=int, default=1, show_default=True, help="Ranks of torchrun.")
@click.option("--gpu-memory", type=float, metavar="GIB", help="Memory of each GPU.")
@click.option(
    "--prompt-tokens",
    type=int,
    help=f"Tokens of a prompt. [default: {PROMPT_TOKENS}, or what the model has room for]",
)
@click.option(
    "--completion-tokens",
    type=float,
    help="Expected mean of a completion. [default: half of rollout.max_new_tokens]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes, seconds, operations.")
@click.pass_context
def train(
    context: click.Context,
    /,
    recipe: str | None,
    model: str | None,
    assignments: tuple[str, ...],
    gpu: str | None,
    num_gpus: int,
    gpu_memory: float | None,
    prompt_tokens: int | None,
    completion_tokens: float | None,
    *,
    as_json: bool,
) -> None:
    """Memory and time of a training step, by item, and what to change if it does not fit.

    RECIPE is read as train-grpo reads it. Nothing is allocated and no weights are needed. The exit
    code is 0 where it fits (or no memory is known to fit into), 1 where it does not, 2 for wrong
    input.
    """
    from mathrl.cli.plan_view import as_record, show
    from mathrl.trainers import load_recipe
    from mathrl.trainers.model_shape import shape_reader
    from mathrl.trainers.plan_report import plan_training

    name = recipe or ("deepseekmath" if model else "demo")
    options = [f"model={json.dumps(model)}"] if model else []
    loaded = load_recipe(name, [*assignments, *options])
    hardware = _hardware(gpu, gpu_memory)
    read = shape_reader(loaded.model or None)
    plan = plan_training(
        loaded,
        read,
        prompt_tokens=_prompt_tokens(loaded, read(loaded))
        if prompt_tokens is None
        else prompt_tokens,
        completion_tokens=completion_tokens,
        num_gpus=num_gpus,
        gpu=hardware.gpu,
        capacity=hardware.capacity,
    )
    if as_json:
        click.echo(json.dumps(as_record(plan, hardware.name), indent=1))
    else:
        show(plan, recipe=name, hardware=hardware.name)
    context.exit(DOES_NOT_FIT if plan.fits is False else 0)


def _prompt_tokens(recipe: "Recipe", model: "ModelShape") -> int:
    """The default, or what the model's positions leave beside a completion."""
    if model.max_positions is None:
        return PROMPT_TOKENS
    return max(1, min(PROMPT_TOKENS, model.max_positions - recipe.rollout.max_new_tokens))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hardware:
    """What the run is planned for; None: not known."""

    name: str | None
    gpu: "Gpu | None"
    capacity: float | None
    """Bytes."""


def _hardware(name: str | None, memory_gib: float | None) -> _Hardware:
    """The GPU that was asked for, the one in this machine, or none."""
    from mathrl.trainers.gpus import find_gpu, recognise_gpu
    from mathrl.trainers.plan_shape import GIB

    if memory_gib is not None and not memory_gib > 0:
        raise ConfigError(f"--gpu-memory must be above 0 GiB, got {memory_gib:g}")
    given = None if memory_gib is None else memory_gib * GIB
    if name is not None:
        gpu = find_gpu(name)
        return _Hardware(name=gpu.name, gpu=gpu, capacity=given or gpu.memory_gib * GIB)
    import torch

    if given is None and torch.cuda.is_available():
        here = torch.cuda.get_device_properties(0)
        found = recognise_gpu(here.name, here.total_memory / GIB)
        return _Hardware(name=here.name, gpu=found, capacity=float(here.total_memory))
    return _Hardware(name=None, gpu=None, capacity=given)
