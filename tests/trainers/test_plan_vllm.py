"""What the plan counts for vLLM, by hand."""

from dataclasses import replace

import pytest

from mathrl.errors import ConfigError
from mathrl.trainers import load_recipe
from mathrl.trainers.gpus import find_gpu
from mathrl.trainers.plan import plan_memory
from mathrl.trainers.plan_shape import training_shape
from mathrl.trainers.plan_time import plan_time
from tests.trainers.test_plan import MODEL

VLLM = ["rollout.max_new_tokens=16", "engine.kind=vllm", "engine.memory_fraction=0.25"]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_vllm_takes_its_share_and_gives_it_back_unless_it_stays_awake(level):
    recipe = load_recipe("deepseekmath", [*VLLM, f"engine.sleep_level={level}"])
    shape = training_shape(recipe, MODEL, prompt_tokens=10, capacity=10**6)
    phases = plan_memory(shape).phases
    assert phases["sample"]["sampler"] == 250_000
    for phase in ("score", "update", "step"):
        assert phases[phase].get("sampler", 0) == (250_000 if level == 0 else 0)
    away = plan_memory(replace(shape, is_offloaded=True)).phases["sample"]
    assert "moments" not in away and away["sampler"] == 250_000


def test_vllm_needs_its_weights_and_the_completions_where_no_memory_is_known():
    recipe = load_recipe("deepseekmath", [*VLLM, "engine.dtype=bfloat16"])
    found = plan_memory(training_shape(recipe, MODEL, prompt_tokens=10)).phases["sample"]
    # 16 prompts of 10 tokens, 16 * 64 completions of 16, 8 keys and values each
    assert found["sampler"] == 2 * (1000 + 8 * (16 * 10 + 16 * 64 * 16))
    assert found["weights"] == 4000


def test_a_share_too_small_for_vllm_is_refused():
    recipe = load_recipe("deepseekmath", VLLM)
    with pytest.raises(ConfigError, match=r"engine\.memory_fraction gives vLLM"):
        training_shape(recipe, MODEL, prompt_tokens=10, capacity=4 * 4000)


def test_servers_take_nothing_here():
    recipe = load_recipe("deepseekmath", [*VLLM, 'engine.urls=["http://a:8000"]'])
    shape = training_shape(recipe, MODEL, prompt_tokens=10, capacity=10**6)
    assert "sampler" not in plan_memory(shape).phases["sample"]
    assert set(plan_time(shape, find_gpu("H100"))) == {"score", "update", "step"}
