"""What a training step needs of each GPU's memory, item by item and phase by phase.

    mathrl plan train deepseekmath --model Qwen/Qwen2.5-1.5B --gpu H200

Pure arithmetic on sizes: no tensor is made. A step has four phases that hold different things, so
what must fit is the largest phase and not the sum of all items. ``docs/plan.md`` has the formulas
and how they compare with measured peaks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mathrl.trainers.flops import Pass, decoding_pass, padded_pass, shared_pass
from mathrl.trainers.logprobs import CHUNK_ELEMENTS
from mathrl.trainers.plan_shape import FLOAT32, TrainingShape

SAMPLED_ROWS = 256
"""Completions that the local engine decodes side by side."""
CHUNK_COPIES = 4
"""A chunk of logits in float32 at its backward pass: log-probs, their gradient, that of the scaled
logits, that of the logits."""
CACHE_GRADIENTS = 1.5
"""As attention runs backward: the gradients of a layer's keys and values, and one of the two once
more on its way to the prompts."""
DRAW_BYTES = 28
"""Drawing a token, for each row and word: logits and log-probs in float32, exponentials and their
running sum in float64, and one of the two more while it is made."""
CONTEXT_BYTES = 1.3e9
"""CUDA's kernels and context, before any tensor (transformers' guide "Model training anatomy")."""
FRAGMENTATION = 0.15
"""Of what comes and goes, the share that the caching allocator holds and cannot use: the mean over
eight models in GMLake, arXiv 2401.08156."""

PHASES = ("sample", "score", "update", "step")
"""Sampling; passes without a gradient; forward and backward; the optimizer's step."""
ITEMS = (
    "weights",
    "reference",
    "masters",
    "moments",
    "gradients",
    "sampler",
    "activations",
    "logits",
    "working space",
    "CUDA context",
    "fragmentation",
)
OVERHEADS = frozenset(("CUDA context", "fragmentation"))
PERSISTENT = frozenset(("weights", "reference", "masters", "moments"))
"""Items that are there from the start and leave no holes."""
OFFLOADED = frozenset(("masters", "moments"))
"""Items that may be on the CPU while completions are sampled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPlan:
    """Bytes on each GPU, by phase and item; items that a phase does not hold are left out."""

    phases: Mapping[str, Mapping[str, float]]

    def total(self, phase: str) -> float:
        """Bytes that a phase holds at its peak."""
        return sum(self.phases[phase].values())

    def tensors(self, phase: str) -> float:
        """Bytes of the tensors alone, as ``torch.cuda.max_memory_allocated`` tells them."""
        items = self.phases[phase].items()
        return sum(size for name, size in items if name not in OVERHEADS)

    @property
    def peak_phase(self) -> str:
        """The phase that needs the most."""
        return max(self.phases, key=self.total)

    @property
    def peak(self) -> float:
        """Bytes that must fit."""
        return self.total(self.peak_phase)


def plan_memory(shape: TrainingShape) -> MemoryPlan:
    """Count what each phase of a step holds on the GPU with the most of it."""
    phases = {"update": _update(shape), "step": _optimizer_step(shape)}
    if shape.num_scoring_passes:
        phases = {"score": _score(shape), **phases}
    if shape.has_sampling:
        phases = {"sample": _sample(shape), **phases}
    return MemoryPlan(phases={name: _with_overheads(items) for name, items in phases.items()})


def widest_micro_batch(shape: TrainingShape, length: float) -> tuple[int, float]:
    """Rows and tokens a row of a micro-batch of completions of ``length`` tokens."""
    width = length if shape.is_shared else shape.prompt_tokens + length
    rows = max(1, int(shape.micro_batch_tokens // width))
    return min(rows, shape.rows_here), width


def scored_pass(shape: TrainingShape) -> Pass:
    """What goes through the model when every completion is scored once, on all GPUs together."""
    rows = shape.num_problems * shape.group_size
    prompt, completion = shape.prompt_tokens, shape.completion_tokens
    if not shape.is_shared:
        return padded_pass(num_rows=rows, prompt=prompt, completion=completion)
    return shared_pass(
        num_prompts=shape.num_problems, num_rows=rows, prompt=prompt, completion=completion
    )


def sampled_pass(shape: TrainingShape) -> Pass:
    """What goes through the model when every completion is sampled, on all GPUs together."""
    return decoding_pass(
        num_prompts=shape.num_problems,
        num_rows=shape.num_problems * shape.group_size,
        prompt=shape.prompt_tokens,
        completion=shape.completion_tokens,
    )


def _held(shape: TrainingShape) -> dict[str, float]:
    """What stays from step to step."""
    shards = shape.num_shards
    in_passes = shape.model.parameters * shape.weight_bytes
    # a shard is its own master, and is rounded on its way into a pass
    own_bytes = FLOAT32 if shape.is_sharded else shape.weight_bytes
    held = {
        "weights": shape.parameters * own_bytes / shards,
        "moments": 2 * shape.trainable * shape.moment_bytes / shards,
    }
    if shape.has_masters:
        held["masters"] = shape.trainable * FLOAT32
    if shape.has_reference:
        held["reference"] = in_passes / shards
    if shape.is_sharded and shape.has_sampling and shape.sampler == "local":
        held["sampler"] = in_passes  # the engine samples from a whole copy, which stays
    if shape.is_sampler_kept:
        held["sampler"] = shape.sampler_bytes
    return held


def _sample(shape: TrainingShape) -> dict[str, float]:
    held = _held(shape)
    if shape.is_offloaded:
        held = {name: size for name, size in held.items() if name not in OFFLOADED}
    if shape.sampler == "servers":
        return held
    if shape.sampler == "vllm":
        return {**held, "sampler": shape.sampler_bytes}
    rows = min(SAMPLED_ROWS, shape.rows_here)
    capacity = shape.prompt_tokens + shape.max_new_tokens
    cache = rows * capacity * shape.model.activations.kv_elements * shape.weight_bytes
    prompts = min(rows, shape.prompts_here) * shape.prompt_tokens
    # as rows are dropped, a layer's cache is there twice: whole, and what stays
    dropping = cache / shape.model.num_layers
    drawing = rows * shape.model.vocab_size * DRAW_BYTES
    prefill = prompts * _layer_bytes(shape, wide=3, hidden=4)
    fused = shape.model.sizes.linear_parameters if shape.model.is_fused else 0
    return {
        **held,
        "sampler": held.get("sampler", 0.0) + cache + fused * shape.weight_bytes,
        "working space": max(drawing, prefill, dropping),
    }


def _score(shape: TrainingShape) -> dict[str, float]:
    return {**_held(shape), **_largest(shape, _passing)}


def _update(shape: TrainingShape) -> dict[str, float]:
    gradients = shape.trainable * FLOAT32 / shape.num_shards
    return {**_held(shape), "gradients": gradients, **_largest(shape, _training)}


def _optimizer_step(shape: TrainingShape) -> dict[str, float]:
    gradients = shape.trainable * FLOAT32 / shape.num_shards
    # on CUDA, AdamW makes the square roots of all second moments at once
    working = gradients
    if shape.moment_bytes < FLOAT32:  # one weight after another, its two moments in float32
        largest = max(shape.model.embedding_parameters, shape.model.sizes.head_parameters)
        working = min(gradients, 2 * FLOAT32 * largest)
    return {**_held(shape), "gradients": gradients, "working space": working}


def _largest(
    shape: TrainingShape, count: Callable[[TrainingShape, float], dict[str, float]]
) -> dict[str, float]:
    """The micro-batch that needs the most: of the longest completions, or of more, shorter ones."""
    counted = [count(shape, n) for n in (shape.completion_tokens, shape.max_new_tokens)]
    return max(counted, key=lambda items: sum(items.values()))


def _passing(shape: TrainingShape, length: float) -> dict[str, float]:
    """A micro-batch without a gradient; a layer's tensors are gone before the head's come."""
    rows, width = widest_micro_batch(shape, length)
    kv_bytes = shape.model.activations.kv_elements * shape.weight_bytes
    context = rows * (shape.prompt_tokens + length) if shape.is_shared else 0.0
    in_layers = context * kv_bytes + rows * width * _layer_bytes(shape, wide=3, hidden=4)
    return {
        "activations": _prompt_tokens_at_once(shape) * kv_bytes if shape.is_shared else 0.0,
        **_at_head_or_in_layers(shape, rows * length, in_layers),
    }


def _training(shape: TrainingShape, length: float) -> dict[str, float]:
    """A micro-batch with its gradient, at the beginning of the backward pass, where all is kept."""
    rows, width = widest_micro_batch(shape, length)
    scored = rows * length
    kept = shape.model.activations
    kv_bytes = kept.kv_elements * shape.weight_bytes
    in_layers = rows * width * _layer_bytes(shape, wide=2, hidden=2)
    if shape.is_checkpointing:
        return _recomputing(shape, length, in_layers)
    if not shape.is_shared:
        activations = kept.alone.num_bytes(rows, width, width)
    else:
        prompts = _prompt_tokens_at_once(shape)
        forwarded, context = length - 1, shape.prompt_tokens + length - 1
        activations = kept.behind.num_bytes(rows, forwarded, context)
        activations += kept.alone.num_bytes(
            prompts / shape.prompt_tokens, shape.prompt_tokens, shape.prompt_tokens
        )
        activations += prompts * kv_bytes  # what the prompts' keys and values gather
        if kept.behind.per_context > kv_bytes:
            # heads that share keys keep a repeated copy, and the cache's is there until the end
            in_layers = max(in_layers, rows * context * kv_bytes)
    return {"activations": activations, **_at_head_or_in_layers(shape, scored, in_layers)}


def _recomputing(shape: TrainingShape, length: float, working: float) -> dict[str, float]:
    """The same where layers run again: their inputs, then all of one layer at a time."""
    rows, width = widest_micro_batch(shape, length)
    model = shape.model
    kept, scored = model.activations, rows * length
    kv_bytes = kept.kv_elements * shape.weight_bytes
    inputs = model.num_layers * model.hidden_size * shape.weight_bytes  # of a token
    if not shape.is_shared:
        layer = kept.alone.num_bytes(rows, width, width) / model.num_layers
        items = _at_head_or_in_layers(shape, scored, layer + working)
        return {"activations": rows * width * inputs, **items}
    prompts = _prompt_tokens_at_once(shape)
    forwarded, context = length - 1, shape.prompt_tokens + length - 1
    activations = rows * forwarded * inputs + rows * shape.prompt_tokens * kv_bytes
    activations += prompts * (inputs + 2 * kv_bytes)  # keys and values, and what they gather
    layer = kept.behind.num_bytes(rows, forwarded, context) / model.num_layers
    keys = rows * context * kept.behind.per_context / model.num_layers
    in_layers = layer + max(working, CACHE_GRADIENTS * keys)
    return {"activations": activations, **_at_head_or_in_layers(shape, scored, in_layers)}


def _at_head_or_in_layers(
    shape: TrainingShape, scored: float, in_layers: float
) -> dict[str, float]:
    """The larger of what the output head and what a layer needs for the moment."""
    model = shape.model
    logits = scored * model.vocab_size
    chunk = min(CHUNK_ELEMENTS, logits)
    hidden = 3 * scored * model.hidden_size * shape.weight_bytes  # joined, selected, its gradient
    # the head's gradient is added up over the chunks before it reaches the weight's
    is_waiting = logits > CHUNK_ELEMENTS and not model.adapter_parameters
    waiting = model.sizes.head_parameters * shape.weight_bytes if is_waiting else 0.0
    in_layers += _gathered_bytes(shape)
    at_head = CHUNK_COPIES * FLOAT32 * chunk
    beside = hidden + waiting + _gathered_bytes(shape)
    if at_head + beside >= in_layers:
        return {"logits": at_head, "working space": beside}
    return {"working space": in_layers + (waiting if model.is_tied else 0.0)}


def _layer_bytes(shape: TrainingShape, *, wide: int, hidden: int) -> float:
    """Of a token, what a layer computes and drops again: some of its widest tensors, and some as
    wide as its hidden states; how many was seen in the peaks of real passes."""
    elements = wide * shape.model.widest + hidden * shape.model.hidden_size
    return elements * shape.weight_bytes


def _prompt_tokens_at_once(shape: TrainingShape) -> int:
    """Tokens of the prompts that are forwarded together."""
    prompts = max(1, shape.micro_batch_tokens // shape.prompt_tokens)
    return min(prompts, shape.prompts_here) * shape.prompt_tokens


def _gathered_bytes(shape: TrainingShape) -> float:
    """Whole weights of the parts at work, and their gradients, where a rank holds shards."""
    if not shape.is_sharded:
        return 0.0
    model = shape.model
    # this layer and the next, which is fetched meanwhile
    layers = 2 * model.sizes.linear_parameters / model.num_layers
    elements = model.embedding_parameters + model.sizes.head_parameters + layers
    return 2 * elements * shape.weight_bytes


def _with_overheads(items: Mapping[str, float]) -> dict[str, float]:
    passing = sum(size for name, size in items.items() if name not in PERSISTENT)
    overheads = {"CUDA context": CONTEXT_BYTES, "fragmentation": FRAGMENTATION * passing}
    both = {**items, **overheads}
    return {name: both[name] for name in ITEMS if both.get(name)}
