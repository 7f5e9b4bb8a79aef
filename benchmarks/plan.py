"""What ``mathrl plan train`` says beside what a step takes, over a few shapes, on this machine.

    python benchmarks/plan.py            # some minutes on one core
    python benchmarks/plan.py --scale 8  # larger models, for a GPU

Random models go through real updates, reference passes and sampling. On a GPU the figure is
``torch.cuda.max_memory_allocated``; on a CPU it is the highest sum of the allocations and releases
that torch's profiler records. Both count tensors alone, so the plan's allowances for CUDA's context
and for fragmentation are left out. The optimizer's step is measured as CUDA makes it (foreach).
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import torch
from plan_probe import recorded_peak, whole_batch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from mathrl.adapters import add_adapter
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.policy import EMBEDDED_POLICY, Policy, load_tokenizer
from mathrl.trainers import Recipe, load_recipe
from mathrl.trainers.batch import all_logprobs
from mathrl.trainers.logprobs import Row
from mathrl.trainers.methods import build_method
from mathrl.trainers.model_shape import shape_of
from mathrl.trainers.optimizer import prepare, stepped
from mathrl.trainers.plan import OVERHEADS, PERSISTENT, plan_memory
from mathrl.trainers.plan_shape import training_shape
from mathrl.trainers.update import update

MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One model and one shape of a step."""

    name: str
    config: PretrainedConfig
    prompt: int
    completion: int
    num_problems: int = 2
    group_size: int = 16
    micro_batch_tokens: int = 1024
    settings: tuple[str, ...] = ()
    """Of the recipe."""


def cases(scale: int) -> Iterator[Case]:
    """Models with few and many vocabulary entries, tied and not, long prompts and completions."""
    sizes = {"hidden_size": 128 * scale, "num_hidden_layers": 6, "num_attention_heads": 8}
    mlp = {"intermediate_size": 352 * scale}
    qwen = Qwen2Config(**sizes, **mlp, vocab_size=8192, num_key_value_heads=2)
    tied = Qwen2Config(
        **sizes, **mlp, vocab_size=32_768, num_key_value_heads=2, tie_word_embeddings=True
    )
    llama = LlamaConfig(**sizes, **mlp, vocab_size=2048, num_key_value_heads=8)
    gpt2 = GPT2Config(
        vocab_size=2048,
        n_embd=128 * scale,
        n_layer=6,
        n_head=8,
        bos_token_id=1,
        eos_token_id=1,
    )
    for name, config in {"qwen2": qwen, "qwen2, tied": tied, "llama": llama, "gpt2": gpt2}.items():
        for prompt, completion in ((192, 64), (32, 192)):
            yield Case(
                name=name,
                config=config,
                prompt=prompt,
                completion=completion,
            )
    options = {
        "bfloat16": ("optimizer.dtype=bfloat16",),
        "checkpointing": ("optimizer.is_checkpointing=true",),
        "both": ("optimizer.dtype=bfloat16", "optimizer.is_checkpointing=true"),
        "LoRA": ("lora.rank=8",),
    }
    for name, settings in options.items():
        for kind, config in {"qwen2": qwen, "llama": llama}.items():
            yield Case(
                name=f"{kind}, {name}",
                config=config,
                prompt=192,
                completion=64,
                settings=settings,
            )
    yield Case(
        name="llama, G 1",
        config=llama,
        prompt=64,
        completion=64,
        num_problems=24,
        group_size=1,
    )


def peak_bytes(work: Callable[[], object]) -> float:
    """The most bytes that tensors took at a time beyond those that were there before."""
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    return recorded_peak(work)


def rows_of(case: Case) -> list[Row]:
    """Prompts that differ, and completions of the same length each."""
    return [
        (
            tuple((u + 2 * p) % 1000 for p in range(case.prompt)),
            tuple((g + 3 * t) % 1000 for t in range(case.completion)),
        )
        for u in range(case.num_problems)
        for g in range(case.group_size)
    ]


def measure(case: Case) -> Iterator[tuple[str, float, float]]:
    """Yield each phase with its planned and its measured bytes, those held throughout left out."""
    torch.manual_seed(0)
    recipe = load_recipe(
        "deepseekmath",
        [
            'loss.advantage="batch_standardised"',
            f"rollout.num_problems={case.num_problems}",
            f"rollout.group_size={case.group_size}",
            f"rollout.max_new_tokens={case.completion}",
            f"optimizer.micro_batch_tokens={case.micro_batch_tokens}",
            *case.settings,
        ],
    )
    dtype = getattr(torch, recipe.optimizer.dtype)
    shape = training_shape(
        recipe,
        shape_of(case.config, name=case.name, dtype=dtype, lora=recipe.lora),
        prompt_tokens=case.prompt,
        completion_tokens=case.completion,
    )
    plan = plan_memory(shape)
    for phase, measured in _peaks(case, _float32_model(case, recipe), recipe).items():
        items = plan.phases[phase].items()
        yield (
            phase,
            sum(size for name, size in items if name not in PERSISTENT | OVERHEADS),
            measured,
        )


def _float32_model(case: Case, recipe: Recipe) -> PreTrainedModel:
    """A random model with the recipe's adapters, as ``optimizer.prepare`` takes it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = copy.deepcopy(case.config)  # transformers writes the dtype into it
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().to(device)
    lora = recipe.lora
    if lora.rank:
        add_adapter(
            model, rank=lora.rank, alpha=lora.alpha, target=lora.target, seed=0, base=case.name
        )
    return model


def _peaks(case: Case, model: PreTrainedModel, recipe: Recipe) -> dict[str, float]:
    """Measured bytes of each phase."""
    rows = rows_of(case)
    optimizer = prepare(model, recipe.optimizer)
    for group in optimizer.param_groups:
        group["foreach"] = True
    method = build_method(recipe)

    def step() -> None:
        update(model, optimizer, whole_batch(rows), method, recipe, lr=recipe.optimizer.lr)

    step()  # from then on the optimizer has its state, and kernels their workspaces
    weights = stepped(optimizer)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    gradients = sum(weight.numel() * weight.element_size() for weight in weights)
    adamw = gradients + peak_bytes(optimizer.step)
    optimizer.zero_grad(set_to_none=True)
    return {
        "sample": peak_bytes(lambda: _sample(case, model, rows)),
        "score": peak_bytes(lambda: all_logprobs(model, rows, recipe)),
        "update": peak_bytes(step),
        "step": adamw,
    }


def _sample(case: Case, model: PreTrainedModel, rows: list[Row]) -> None:
    engine = LocalEngine(
        Policy(model=model, tokenizer=load_tokenizer(EMBEDDED_POLICY), name=case.name)
    )
    requests = [
        SampleRequest(problem_id=str(prompt), sample_index=b, prompt="", prompt_ids=prompt, seed=b)
        for b, (prompt, _) in enumerate(rows)
    ]
    list(engine.sample(requests, SamplingParams(max_new_tokens=case.completion)))


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scale", type=int, default=2, help="Hidden size in units of 128.")
    arguments = parser.parse_args()
    click.echo("| model | prompt + completion | phase | planned, MiB | measured, MiB | ratio |")
    click.echo("|---|---|---|---|---|---|")
    for case in cases(arguments.scale):
        for phase, planned, measured in measure(case):
            click.echo(
                f"| {case.name} | {case.prompt} + {case.completion} | {phase} "
                f"| {planned / MIB:.1f} | {measured / MIB:.1f} | {planned / measured:.2f} |"
            )


if __name__ == "__main__":
    main()
