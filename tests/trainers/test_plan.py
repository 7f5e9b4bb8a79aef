"""The arithmetic of the plan, by hand."""

from dataclasses import replace

import pytest

from mathrl.errors import ConfigError
from mathrl.trainers import load_recipe
from mathrl.trainers.activations import Activations, Kept
from mathrl.trainers.flops import MatrixSizes
from mathrl.trainers.gpus import GPUS, find_gpu, recognise_gpu
from mathrl.trainers.model_shape import ModelShape
from mathrl.trainers.plan import plan_memory
from mathrl.trainers.plan_advice import advise
from mathrl.trainers.plan_report import plan_training
from mathrl.trainers.plan_shape import FLOAT32, GIB, TrainingShape, training_shape
from mathrl.trainers.plan_time import STEP_PASSES, plan_time

BFLOAT16 = "optimizer.dtype=bfloat16"
CHECKPOINTING = "optimizer.is_checkpointing=true"

MODEL = ModelShape(
    name="by hand",
    parameters=1000,
    sizes=MatrixSizes(linear_parameters=600, head_parameters=200, attention_elements=40),
    embedding_parameters=200,
    num_layers=2,
    hidden_size=10,
    vocab_size=20,
    widest=30,
    is_tied=False,
    is_shareable=True,
    is_fused=False,
    is_layered=True,
    max_positions=64,
    activations=Activations(
        alone=Kept(per_token=100), behind=Kept(per_token=90, per_context=5), kv_elements=8
    ),
)
SHAPE = TrainingShape(
    model=MODEL,
    num_problems=2,
    group_size=4,
    prompt_tokens=10,
    completion_tokens=8,
    max_new_tokens=16,
    micro_batch_tokens=32,
)


def test_what_is_held_by_hand():
    held = plan_memory(replace(SHAPE, has_reference=True, num_scoring_passes=1))
    assert held.phases["step"]["weights"] == 4000
    assert held.phases["step"]["reference"] == 4000
    assert held.phases["step"]["moments"] == 8000
    assert held.phases["step"]["gradients"] == 4000
    # 8 rows of 10 + 16 tokens, 8 keys and values each
    assert held.phases["sample"]["sampler"] == 8 * 26 * 8 * 4
    assert "gradients" not in held.phases["sample"]
    assert set(plan_memory(SHAPE).phases) == {"sample", "update", "step"}
    assert set(plan_memory(replace(SHAPE, has_sampling=False)).phases) == {"update", "step"}


def test_activations_by_hand():
    # two rows of 16 tokens: 15 forwarded behind 10, all of both prompts (20 tokens) and what their
    # keys and values gather; four rows of 8 keep less: 4 * (90 * 7 + 5 * 17) = 2860
    behind = 2 * (90 * 15 + 5 * 25)
    assert behind == 2950
    found = plan_memory(SHAPE).phases["update"]["activations"]
    assert found == behind + 20 * 100 + 20 * 8 * FLOAT32


def test_a_small_model_in_bfloat16_by_hand():
    phases = plan_memory(replace(SHAPE, weight_bytes=2)).phases
    assert phases["step"]["weights"] == 2000
    assert phases["step"]["masters"] == 4000
    assert phases["step"]["gradients"] == 4000
    assert phases["sample"]["sampler"] == 8 * 26 * 8 * 2


def test_an_adapter_by_hand():
    adapted = replace(SHAPE, model=replace(MODEL, adapter_parameters=50))
    phases = plan_memory(adapted).phases
    assert phases["step"]["weights"] == 4200
    assert phases["step"]["moments"] == 400
    assert phases["step"]["gradients"] == 200


def test_shards_by_hand():
    one, four = SHAPE, replace(SHAPE, num_gpus=4, is_sharded=True)
    held = plan_memory(four).phases["step"]
    assert held["weights"] == 1000
    assert held["moments"] == 2000
    assert held["gradients"] == 1000
    assert held["sampler"] == 4000  # whole
    assert "sampler" not in plan_memory(one).phases["step"]
    assert "sampler" not in plan_memory(replace(SHAPE, num_gpus=4)).phases["step"]


def test_what_is_offloaded_is_not_there_while_sampling():
    phases = plan_memory(replace(SHAPE, is_offloaded=True, weight_bytes=2)).phases
    assert not {"moments", "masters"} & set(phases["sample"])
    assert phases["update"]["moments"] == 8000
    assert phases["update"]["masters"] == 4000


PER_WEIGHT = ("weights", "masters", "gradients", "moments")


@pytest.mark.parametrize(
    ("settings", "bytes_each", "together"),
    [
        ([], (4, 0, 4, 8), 16),
        (["optimizer.state=8bit"], (4, 0, 4, 2.03), 10.03),
        ([BFLOAT16], (2, 4, 4, 8), 18),
        ([BFLOAT16, "optimizer.state=8bit"], (2, 4, 4, 2.03), 12.03),
    ],
)
def test_bytes_a_weight_are_those_of_the_memory_page(settings, bytes_each, together):
    recipe = load_recipe("deepseekmath", ["rollout.max_new_tokens=16", *settings])
    phases = plan_memory(training_shape(recipe, MODEL, prompt_tokens=10)).phases
    found = [phases["step"].get(item, 0) / 1000 for item in PER_WEIGHT]
    assert found == pytest.approx(bytes_each, abs=0.002)
    assert sum(found) == pytest.approx(together, abs=0.002)
    assert phases["step"]["reference"] == phases["step"]["weights"]
    offloaded = replace(training_shape(recipe, MODEL, prompt_tokens=10), is_offloaded=True)
    sampling = plan_memory(offloaded).phases["sample"]
    assert [sampling.get(item, 0) / 1000 for item in PER_WEIGHT] == [bytes_each[0], 0, 0, 0]


def test_shards_in_bfloat16_are_float32_and_their_own_masters():
    settings = ["rollout.max_new_tokens=16", BFLOAT16, "optimizer.sharding=sharded"]
    recipe = load_recipe("deepseekmath", settings)
    held = plan_memory(training_shape(recipe, MODEL, prompt_tokens=10, num_gpus=4)).phases["step"]
    assert sum(held.get(item, 0) for item in PER_WEIGHT) == 1000 * 16 / 4
    assert held["reference"] == 1000 * 2 / 4
    assert held["sampler"] == 1000 * 2


@pytest.mark.parametrize(
    ("settings", "bytes_frozen", "bytes_adapter"),
    [([], 4, 16), ([BFLOAT16], 2, 18), (["optimizer.state=8bit"], 4, 10.03)],
)
def test_frozen_weights_have_neither_gradient_nor_state(settings, bytes_frozen, bytes_adapter):
    recipe = load_recipe("deepseekmath", ["rollout.max_new_tokens=16", *settings])
    adapted = replace(MODEL, adapter_parameters=50)
    shape = training_shape(recipe, adapted, prompt_tokens=10)
    held = plan_memory(shape).phases["step"]
    total = sum(held.get(item, 0) for item in PER_WEIGHT)
    assert total == pytest.approx(1000 * bytes_frozen + 50 * bytes_adapter, abs=0.2)
    assert "reference" not in held  # the policy itself, its adapters off
    assert shape.num_scoring_passes == 1


@pytest.mark.parametrize("setting", [CHECKPOINTING, "optimizer.sharding=sharded"])
def test_a_model_without_a_list_of_layers_is_refused(setting):
    recipe = load_recipe("deepseekmath", ["rollout.max_new_tokens=16", setting])
    with pytest.raises(ConfigError, match="has no list of layers"):
        training_shape(recipe, replace(MODEL, is_layered=False), prompt_tokens=10, num_gpus=2)


def test_the_peak_is_the_largest_phase():
    plan = plan_memory(SHAPE)
    assert plan.peak == max(plan.total(phase) for phase in plan.phases)
    assert plan.peak < sum(plan.total(phase) for phase in plan.phases)
    overheads = plan.phases["update"]["CUDA context"] + plan.phases["update"]["fragmentation"]
    assert plan.total("update") == pytest.approx(plan.tensors("update") + overheads)


@pytest.mark.parametrize(
    ("assignments", "passes", "has_reference"),
    [
        ([], 1, True),
        (["loss.beta=0.0"], 0, False),
        (['loss.kl_in="reward"'], 2, True),
    ],
)
def test_the_recipe_decides_the_passes(assignments, passes, has_reference):
    recipe = load_recipe("deepseekmath", ["rollout.max_new_tokens=16", *assignments])
    shape = training_shape(recipe, MODEL, prompt_tokens=10)
    assert shape.num_scoring_passes == passes
    assert shape.has_reference == has_reference
    assert shape.completion_tokens == 8  # half of what is allowed


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt_tokens": 0}, "--prompt-tokens must be at least 1, got 0"),
        ({"num_gpus": 0}, "--num-gpus must be at least 1, got 0"),
        ({"completion_tokens": 0.5}, "--completion-tokens must be at least 1, got 0.5"),
        ({"completion_tokens": float("nan")}, "must be at least 1, got nan"),
        ({"completion_tokens": 17}, "is more than rollout.max_new_tokens"),
        ({"prompt_tokens": 60}, "do not fit the 64 positions"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(options, says):
    recipe = load_recipe("deepseekmath", ["rollout.max_new_tokens=16"])
    with pytest.raises(ConfigError, match=says):
        training_shape(recipe, MODEL, **{"prompt_tokens": 10, **options})


def test_tied_embeddings_cannot_be_sharded():
    recipe = load_recipe("deepseekmath", ["optimizer.sharding=sharded"])
    tied = replace(MODEL, is_tied=True, max_positions=None)
    with pytest.raises(ConfigError, match="ties its output head"):
        training_shape(recipe, tied, prompt_tokens=10, num_gpus=2)


def test_times_by_hand():
    gpu = replace(find_gpu("H100"), float32_tflops=1e-6, bfloat16_tflops=1e-5, bandwidth_gbps=1e-6)
    times = plan_time(SHAPE, gpu)  # 10^6 operations and 10^3 bytes a second
    # 20 prompt tokens and 8 * 7 completion tokens through 600 parameters, 2 * 100 pairs of prompt
    # tokens and 8 * 7 * 17 of completion tokens with 40 elements, 64 tokens through 200: in one
    # chunk the head goes three times, attention three and a half times
    update = 3 * 2 * 600 * 76 + 3.5 * 2 * 40 * (200 + 952) + 3 * 2 * 200 * 64
    assert times["update"].flops == update
    assert times["update"].limit_s == pytest.approx(update / 1e6)
    assert times["update"].low_s == pytest.approx(update / 1e6 / 0.8)
    assert times["update"].high_s == pytest.approx(update / 1e6 / 0.36)
    assert times["step"].limit_s == pytest.approx(STEP_PASSES * 4 * 1000 / 1e3)
    # sampling is bound by memory: the weights 8 times, 200 + 8 * 7 * (10 + 4) pairs of 8 keys and
    # values, 64 draws of 20 words
    moved = 8 * 4000 + (200 + 784) * 8 * 4 + 64 * 20 * 28
    assert times["sample"].limit_s == pytest.approx(moved / 1e3)
    assert times["sample"].high_s >= (moved + 8 * 4000) / 1e3 / 0.5
    assert plan_time(replace(SHAPE, weight_bytes=2), gpu)["update"].limit_s == pytest.approx(
        update / 1e7
    )
    twice = plan_time(replace(SHAPE, updates_per_rollout=2), gpu)
    assert twice["update"].flops == 2 * update


def test_frozen_weights_cost_one_gradient_and_adapters_two():
    adapted = replace(SHAPE, model=replace(MODEL, adapter_parameters=50))
    # as above, but the layers and the head go twice, and the adapters' 50 parameters three times
    update = 2 * 2 * 600 * 76 + 3.5 * 2 * 40 * (200 + 952) + 2 * 2 * 200 * 64 + 3 * 2 * 50 * 76
    assert plan_time(adapted, find_gpu("H100"))["update"].flops == update


def test_gpus_are_found_by_name():
    assert find_gpu("nvidia rtx 4090").name == "RTX4090"
    with pytest.raises(ConfigError, match=r"unknown GPU 'H999'; known: T4, .*B200"):
        find_gpu("H999")
    assert recognise_gpu("NVIDIA A100-SXM4-40GB", 39.4).name == "A100-40"
    assert recognise_gpu("NVIDIA A100-SXM4-80GB", 79.2).name == "A100-80"
    assert recognise_gpu("NVIDIA H200", 139.8).name == "H200"
    assert recognise_gpu("Some Card", 16) is None
    assert len({gpu.name for gpu in GPUS}) == len(GPUS)


RECIPE = load_recipe(
    "deepseekmath", ["rollout.max_new_tokens=16", "optimizer.micro_batch_tokens=16384"]
)


def shape_by_hand(recipe, num_gpus):
    a_token = Kept(per_token=10**5 * (1 if recipe.optimizer.dtype == "float32" else 0.5))
    kept = Activations(alone=a_token, behind=a_token, kv_elements=8)
    big = replace(MODEL, parameters=10**7, activations=kept, max_positions=None)
    return training_shape(recipe, big, prompt_tokens=10, num_gpus=num_gpus)


def peak_with(num_gpus=1, **options):
    recipe = replace(RECIPE, optimizer=replace(RECIPE.optimizer, **options))
    return plan_memory(shape_by_hand(recipe, num_gpus)).peak


def test_advice_keeps_as_much_of_the_micro_batch_as_fits():
    now, capacity = peak_with(), peak_with(micro_batch_tokens=2048)
    assert capacity < now
    advice = advise(RECIPE, shape_by_hand, num_gpus=1, capacity=capacity)
    assert [c.assignment for c in advice.fitting.changes] == ["optimizer.micro_batch_tokens=2048"]
    assert advice.fitting.peak == capacity
    assert advice.most_tokens == 2048
    alone = {attempt.changes[0].key: attempt.peak for attempt in advice.alone}
    assert alone["optimizer.micro_batch_tokens"] == peak_with(micro_batch_tokens=16)


def test_of_two_changes_that_fit_alone_the_cheaper_is_taken():
    no_reference = replace(RECIPE, loss=replace(RECIPE.loss, beta=0.0))
    capacity = plan_memory(shape_by_hand(no_reference, 1)).peak
    advice = advise(RECIPE, shape_by_hand, num_gpus=1, capacity=capacity)
    assert [c.assignment for c in advice.fitting.changes] == ["optimizer.micro_batch_tokens=8192"]


def test_a_dearer_change_comes_only_where_the_cheaper_ones_do_not_suffice():
    all_others = {"is_checkpointing": True, "dtype": "bfloat16", "state": "8bit"}
    optimizer = replace(RECIPE.optimizer, micro_batch_tokens=16, is_offloaded=True, **all_others)
    recipe = replace(RECIPE, optimizer=optimizer)
    smallest = plan_memory(shape_by_hand(recipe, 1)).peak
    advice = advise(recipe, shape_by_hand, num_gpus=1, capacity=0.995 * smallest)
    assert "loss.beta=0.0" in [change.assignment for change in advice.fitting.changes]
    assert advice.fitting.peak <= 0.995 * smallest


def test_more_gpus_where_nothing_else_helps():
    settings = ["optimizer.micro_batch_tokens=16", "rollout.max_new_tokens=16", CHECKPOINTING]
    recipe = load_recipe("deepseekmath", settings)
    capacity = 1.3e9 + 10**7 * 8
    advice = advise(recipe, shape_by_hand, num_gpus=1, capacity=capacity)
    assert advice.fitting.num_gpus > 1
    assert "optimizer.sharding=sharded" in [c.assignment for c in advice.fitting.changes]
    assert advice.fitting.peak <= capacity
    assert advise(recipe, shape_by_hand, num_gpus=1, capacity=1e6).fitting is None


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4, 0.2])
@pytest.mark.parametrize("num_gpus", [1, 4])
@pytest.mark.parametrize("start", [[], ["optimizer.state=8bit"], [CHECKPOINTING, BFLOAT16]])
def test_what_is_advised_is_accepted_and_fits(share, num_gpus, start):
    start = ["rollout.max_new_tokens=16", *start]
    recipe = load_recipe("deepseekmath", start)
    now = plan_memory(shape_by_hand(recipe, num_gpus)).peak
    capacity = 1.31e9 + share * (now - 1.3e9)
    advice = advise(recipe, shape_by_hand, num_gpus=num_gpus, capacity=capacity)
    assert len(advice.fitting.changes) <= 3
    for attempt in (*advice.alone, advice.fitting):
        changed = load_recipe("deepseekmath", [*start, *(c.assignment for c in attempt.changes)])
        assert plan_memory(shape_by_hand(changed, attempt.num_gpus)).peak == attempt.peak
    assert advice.fitting.peak <= capacity


def test_what_the_recipe_or_the_model_refuses_is_not_advised():
    def shape_of_another(recipe, num_gpus):
        shape = shape_by_hand(recipe, num_gpus)
        other = replace(shape.model, is_layered=False)
        return training_shape(recipe, other, prompt_tokens=10, num_gpus=num_gpus)

    keys = {
        change.key
        for shape_of in (shape_by_hand, shape_of_another)
        for attempt in advise(RECIPE, shape_of, num_gpus=4, capacity=1e6).alone
        for change in attempt.changes
        if shape_of is shape_of_another
    }
    assert "optimizer.dtype" in keys
    assert not keys & {"optimizer.is_checkpointing", "optimizer.sharding"}


def test_what_fits_is_told_how_far():
    plan = plan_training(RECIPE, lambda recipe: MODEL, prompt_tokens=10, capacity=100 * GIB)
    assert plan.fits
    assert plan.advice.fitting is None
    tokens = plan.advice.most_tokens
    assert tokens >= 16 * 64 * 16  # all completions at once
