"""How long a training step takes on a GPU, from its operations and the bytes that it moves.

Each figure is a range: the share of its peak that a GPU reaches differs more between programs than
any formula is wrong. What ranks send each other, the reward and the log are not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mathrl.trainers.flops import forward_flops, update_flops
from mathrl.trainers.gpus import Gpu
from mathrl.trainers.logprobs import CHUNK_ELEMENTS
from mathrl.trainers.plan import DRAW_BYTES, SAMPLED_ROWS, sampled_pass, scored_pass
from mathrl.trainers.plan_shape import FLOAT32, TrainingShape

BFLOAT16_SHARE = (0.11, 0.36)
"""Of the peak rate, reached in training: prime-rl's published measurements, Qwen3-0.6B on one H100
and Qwen3-4B on eight H200 with 64k tokens (its benchmarks/results)."""
FLOAT32_SHARE = (0.36, 0.8)
"""Of the float32 rate; an assumption: it is lower by an order, so that less of the time is spent
waiting, from the best share in bfloat16 to that of a large matrix product."""
BANDWIDTH_SHARE = (0.5, 0.8)
"""Of the memory's bandwidth, while weights and caches are read; an assumption."""
LAUNCH_S = 1.2e-3
"""To start a layer's kernels one by one: 25 tokens a second with the 32 layers of Llama-7B on an
A100, before anything is compiled (PyTorch's article on gpt-fast)."""
STEP_PASSES = 23
"""Times that clipping and AdamW, one operation after another, read or write a float32 for each
parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseTime:
    """One phase of a step on one GPU."""

    flops: float
    limit_s: float
    """At the peak rate and the peak bandwidth, whichever takes longer."""
    low_s: float
    high_s: float


def plan_time(shape: TrainingShape, gpu: Gpu) -> Mapping[str, PhaseTime]:
    """Estimate each phase of a step on its own GPUs; the phases follow each other."""
    updates = shape.updates_per_rollout
    scored = scored_pass(shape)
    sizes = shape.model.sizes
    logits = scored.scored * shape.model.vocab_size / shape.num_gpus
    update = update_flops(
        sizes,
        scored,
        is_head_twice=min(logits, _micro_batch_logits(shape)) > CHUNK_ELEMENTS,
        is_checkpointing=shape.is_checkpointing,
        adapter_parameters=shape.model.adapter_parameters,
    )
    moved = STEP_PASSES * FLOAT32 * shape.trainable / shape.num_shards
    times = {}
    if shape.has_sampling and shape.sampler != "servers":
        times["sample"] = _sampling(shape, gpu)
    if shape.num_scoring_passes:
        score = shape.num_scoring_passes * forward_flops(sizes, scored)
        times["score"] = _phase(gpu, shape.weight_bytes, flops=score / shape.num_gpus)
    times["update"] = _phase(gpu, shape.weight_bytes, flops=updates * update / shape.num_gpus)
    times["step"] = _phase(gpu, shape.weight_bytes, moved=updates * moved)
    return times


def _micro_batch_logits(shape: TrainingShape) -> float:
    return shape.micro_batch_tokens * shape.model.vocab_size


def _sampling(shape: TrainingShape, gpu: Gpu) -> PhaseTime:
    """Every token reads all weights once a batch of rows, and the cache of each row."""
    done = sampled_pass(shape)
    tokens_here = shape.rows_here * shape.completion_tokens
    weight_bytes, is_vllm = shape.sampler_weight_bytes, shape.sampler == "vllm"
    kv_bytes = shape.model.activations.kv_elements * weight_bytes
    caches = done.pairs / shape.num_gpus * kv_bytes
    drawing = tokens_here * shape.model.vocab_size * DRAW_BYTES
    batches = 1 if is_vllm else -(-shape.rows_here // SAMPLED_ROWS)
    weights = shape.model.parameters * weight_bytes
    flops = forward_flops(shape.model.sizes, done) / shape.num_gpus

    def lasting(steps: float) -> PhaseTime:
        moved = batches * steps * weights + caches + drawing
        return _phase(gpu, weight_bytes, flops=flops, moved=moved)

    # a batch ends with its longest row: the mean at best, the limit at worst
    best, worst = lasting(shape.completion_tokens), lasting(shape.max_new_tokens)
    launches = batches * shape.max_new_tokens * shape.model.num_layers * LAUNCH_S
    return PhaseTime(
        flops=flops,
        limit_s=best.limit_s,
        low_s=best.low_s,
        high_s=max(worst.high_s, 0 if is_vllm else launches),
    )


def _phase(gpu: Gpu, weight_bytes: int, *, flops: float = 0.0, moved: float = 0.0) -> PhaseTime:
    """Whatever takes longer, the operations or the bytes."""
    at_peak = flops / (gpu.tflops(weight_bytes) * 1e12)
    in_memory = moved / (gpu.bandwidth_gbps * 1e9)
    least, most = BFLOAT16_SHARE if weight_bytes < FLOAT32 else FLOAT32_SHARE
    slow, fast = BANDWIDTH_SHARE
    return PhaseTime(
        flops=flops,
        limit_s=max(at_peak, in_memory),
        low_s=max(at_peak / most, in_memory / fast),
        high_s=max(at_peak / least, in_memory / slow),
    )
