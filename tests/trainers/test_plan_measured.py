"""The plan against peaks of real updates."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from benchmarks.plan_probe import recorded_peak, whole_batch
from mathrl.adapters import add_adapter
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.trainers import load_recipe
from mathrl.trainers.batch import all_logprobs
from mathrl.trainers.methods import build_method
from mathrl.trainers.model_shape import shape_of
from mathrl.trainers.optimizer import prepare
from mathrl.trainers.plan import plan_memory
from mathrl.trainers.plan_shape import training_shape
from mathrl.trainers.update import update
from tests.trainers.test_plan import BFLOAT16, CHECKPOINTING

pytestmark = pytest.mark.usefixtures("through_transformers")

SIZES = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
WIDE = Qwen2Config(**SIZES, vocab_size=4096, num_key_value_heads=2, intermediate_size=352)
TIED = Qwen2Config(
    **SIZES,
    vocab_size=4096,
    num_key_value_heads=1,
    intermediate_size=352,
    tie_word_embeddings=True,
)
GROUPED = Qwen2Config(**SIZES, vocab_size=64, num_key_value_heads=2, intermediate_size=128)
NARROW = LlamaConfig(**SIZES, vocab_size=64, num_key_value_heads=4, intermediate_size=512)


def batch_of(num_prompts, group_size, prompt, completion):
    rows = [
        (tuple((u + p) % 60 for p in range(prompt)), tuple((g + t) % 60 for t in range(completion)))
        for u in range(num_prompts)
        for g in range(group_size)
    ]
    return whole_batch(rows)


def planned_and_measured(config, prompt, completion, group_size, *settings):
    """Bytes of an update beyond what is held throughout."""
    torch.manual_seed(0)
    recipe = load_recipe(
        "deepseekmath",
        [
            "rollout.num_problems=2",
            f"rollout.group_size={group_size}",
            f"rollout.max_new_tokens={completion}",
            "optimizer.micro_batch_tokens=256",
            "loss.beta=0.0",
            *settings,
        ],
    )
    lora, dtype = recipe.lora, getattr(torch, recipe.optimizer.dtype)
    # a copy: transformers writes the dtype into the configuration
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32).eval()
    if lora.rank:
        add_adapter(model, rank=lora.rank, alpha=1, target=lora.target, seed=0, base="it")
    method, optimizer = build_method(recipe), prepare(model, recipe.optimizer)

    def step():
        batch = batch_of(2, group_size, prompt, completion)
        update(model, optimizer, batch, method, recipe, lr=1e-6)

    step()  # from then on the optimizer has its state
    shape = training_shape(
        recipe,
        shape_of(config, name="it", dtype=dtype, lora=lora),
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
    phase = plan_memory(shape).phases["update"]
    ours = sum(phase[key] for key in ("gradients", "activations", "working space"))
    return ours + phase.get("logits", 0.0), recorded_peak(step)


@pytest.mark.parametrize(
    "config", [WIDE, TIED, GROUPED, NARROW], ids=["wide", "tied", "grouped", "narrow"]
)
@pytest.mark.parametrize("lengths", [(96, 32, 8), (16, 96, 8), (96, 4, 64)])
def test_an_update_peaks_within_ten_percent_of_the_plan(config, lengths):
    ours, measured = planned_and_measured(config, *lengths)
    assert measured == pytest.approx(ours, rel=0.1)


@pytest.mark.parametrize("config", [GROUPED, NARROW], ids=["grouped", "narrow"])
@pytest.mark.parametrize(
    ("lengths", "settings"),
    [
        ((96, 32, 8), (BFLOAT16,)),
        ((96, 32, 8), (CHECKPOINTING,)),
        ((96, 32, 8), (BFLOAT16, CHECKPOINTING)),
        ((96, 4, 64), (BFLOAT16, CHECKPOINTING)),
        ((96, 32, 8), ("lora.rank=4",)),
        ((96, 32, 8), ("lora.rank=4", 'lora.target=["q_proj"]')),
    ],
)
def test_so_it_does_with_every_option(config, lengths, settings):
    ours, measured = planned_and_measured(config, *lengths, *settings)
    assert measured == pytest.approx(ours, rel=0.1)


@pytest.mark.parametrize("config", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_reference_pass_stays_below_the_plan_and_near_it(config):
    model = AutoModelForCausalLM.from_config(config).eval()
    recipe = load_recipe(
        "deepseekmath",
        [
            "rollout.num_problems=2",
            "rollout.group_size=8",
            "rollout.max_new_tokens=64",
            "optimizer.micro_batch_tokens=256",
        ],
    )
    rows = batch_of(2, 8, 64, 64).rows
    shape = training_shape(
        recipe, shape_of(config, name="it"), prompt_tokens=64, completion_tokens=64
    )
    phase = plan_memory(shape).phases["score"]
    ours = sum(phase.get(key, 0.0) for key in ("activations", "working space", "logits"))
    peak = recorded_peak(lambda: all_logprobs(model, rows, recipe))
    assert 0.7 * ours <= peak <= 1.05 * ours


@pytest.mark.parametrize("config", [WIDE, NARROW], ids=["wide", "narrow"])
def test_sampling_stays_below_the_plan_and_near_it(config, policy):
    model = AutoModelForCausalLM.from_config(config).eval()
    recipe = load_recipe(
        "deepseekmath",
        ["rollout.num_problems=2", "rollout.group_size=32", "rollout.max_new_tokens=48"],
    )
    shape = training_shape(recipe, shape_of(config, name="it"), prompt_tokens=32)
    phase = plan_memory(shape).phases["sample"]
    ours = phase["sampler"] + phase["working space"]
    requests = [
        SampleRequest(
            problem_id=str(b // 32),
            sample_index=b,
            prompt="",
            prompt_ids=tuple((b // 32 + t) % 60 for t in range(32)),
            seed=b,
        )
        for b in range(64)
    ]
    engine = LocalEngine(replace(policy, model=model))
    peak = recorded_peak(lambda: list(engine.sample(requests, SamplingParams(max_new_tokens=48))))
    assert 0.8 * ours <= peak <= 1.05 * ours


def test_adamw_makes_one_more_copy_as_it_steps_on_a_gpu():
    model = AutoModelForCausalLM.from_config(NARROW)
    # what the default is on CUDA
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)

    def step():
        optimizer.step()

    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        peak = recorded_peak(step)
    assert peak == pytest.approx(4 * sum(p.numel() for p in model.parameters()), rel=0.01)
