"""What a training step needs of each GPU's memory, item by item and phase by phase.

    mathrl plan train deepseekmath --model Qwen/Qwen2.5-1.5B --gpu H200

Pure arithmetic on sizes: no tensor is made. A step has four phases that hold different things, so
what must fit is the largest phase and not the sum of all items. ``docs/plan.md`` has the formulas
and how they compare with measured peaks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mathrl.errors import ConfigError
from mathrl.trainers.flops import Pass, decoding_pass, padded_pass, shared_pass
from mathrl.trainers.logprobs import CHUNK_ELEMENTS
from mathrl.trainers.model_shape import ModelShape
from mathrl.trainers.recipe import Recipe

GIB = 2**30
FLOAT32 = 4
SAMPLED_ROWS = 256
"""Completions that the local engine decodes side by side."""
CHUNK_COPIES = 4
"""A chunk of logits in float32 at its backward pass: log-probs, their gradient, that of the scaled
logits, that of the logits."""
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
    "optimizer state",
    "gradients",
    "sampler",
    "activations",
    "logits",
    "working space",
    "CUDA context",
    "fragmentation",
)
OVERHEADS = frozenset(("CUDA context", "fragmentation"))
PERSISTENT = frozenset(("weights", "reference", "optimizer state"))
"""Items that are there from the start and leave no holes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingShape:
    """All that decides what a step costs."""

    model: ModelShape
    num_problems: int
    group_size: int
    prompt_tokens: int
    completion_tokens: float
    """Expected mean."""
    max_new_tokens: int
    micro_batch_tokens: int
    num_gpus: int = 1
    updates_per_rollout: int = 1
    num_scoring_passes: int = 0
    """Passes over all rows without a gradient: the reference's, the old policy's."""
    has_reference: bool = False
    """Another copy of the weights is held."""
    has_sampling: bool = True
    is_sharded: bool = False
    is_checkpointing: bool = False
    """Only the layers' inputs are kept; prompts go with every completion."""
    is_offloaded: bool = False
    """The optimizer's state is on the CPU while completions are sampled."""
    weight_bytes: int = FLOAT32
    """Of a weight in the passes; below 4, the optimizer has float32 weights of its own."""
    moment_bytes: int = FLOAT32
    """Of each of Adam's two moments."""
    trainable_parameters: int | None = None
    """None: all."""
    has_own_sampler: bool = False
    """Another engine on the same GPU holds weights and a cache."""
    sampler_bytes: float = 0.0
    """What that engine takes while it samples."""

    @property
    def trainable(self) -> int:
        """Parameters with a gradient."""
        if self.trainable_parameters is None:
            return self.model.parameters
        return self.trainable_parameters

    @property
    def num_shards(self) -> int:
        """Ranks that a tensor of weights is spread over."""
        return self.num_gpus if self.is_sharded else 1

    @property
    def is_shared(self) -> bool:
        """Prompts are forwarded once a group."""
        has_groups = self.group_size > 1 or self.is_sharded
        return self.model.is_shareable and has_groups and not self.is_checkpointing

    @property
    def prompts_here(self) -> int:
        """Problems on the GPU with the most of them."""
        return -(-self.num_problems // self.num_gpus)

    @property
    def rows_here(self) -> int:
        """Completions on it."""
        return self.prompts_here * self.group_size


def training_shape(
    recipe: Recipe,
    model: ModelShape,
    *,
    prompt_tokens: int,
    completion_tokens: float | None = None,
    num_gpus: int = 1,
) -> TrainingShape:
    """Read off a recipe what a step costs.

    Args:
        recipe: What will run.
        model: Sizes of the model that will be trained.
        prompt_tokens: Tokens of a prompt.
        completion_tokens: Expected mean; by default half of what the recipe allows.
        num_gpus: Ranks of ``torchrun``.

    Raises:
        ConfigError: The numbers do not go together.
    """
    rollout, loss, optimizer = recipe.rollout, recipe.loss, recipe.optimizer
    if completion_tokens is None:
        completion_tokens = max(1.0, rollout.max_new_tokens / 2)
    is_sharded = optimizer.sharding == "sharded" and num_gpus > 1
    _check_lengths(model, rollout.max_new_tokens, prompt_tokens, completion_tokens)
    _check_gpus(model, num_gpus, is_sharded=is_sharded)
    is_grpo = recipe.method == "grpo"
    has_reference = is_grpo and loss.beta > 0
    has_old_pass = has_reference and loss.kl_in == "reward"
    return TrainingShape(
        model=model,
        num_problems=rollout.num_problems,
        group_size=rollout.group_size if is_grpo else 1,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        max_new_tokens=rollout.max_new_tokens,
        micro_batch_tokens=optimizer.micro_batch_tokens,
        num_gpus=num_gpus,
        updates_per_rollout=loss.updates_per_rollout,
        num_scoring_passes=has_reference + has_old_pass,
        has_reference=has_reference,
        has_sampling=is_grpo,
        is_sharded=is_sharded,
    )


def _check_gpus(model: ModelShape, num_gpus: int, *, is_sharded: bool) -> None:
    if num_gpus < 1:
        raise ConfigError(f"--num-gpus must be at least 1, got {num_gpus}")
    if is_sharded and model.is_tied:
        raise ConfigError(
            f"{model.name} ties its output head to its embeddings, which cannot be sharded apart: "
            "set optimizer.sharding to replicated"
        )


def _check_lengths(model: ModelShape, longest: int, prompt: int, mean: float) -> None:
    for name, value in (("prompt-tokens", prompt), ("completion-tokens", mean)):
        if not value >= 1:  # nan is not
            raise ConfigError(f"--{name} must be at least 1, got {value:g}")
    if mean > longest:
        raise ConfigError(
            f"--completion-tokens {mean:g} is more than rollout.max_new_tokens ({longest}) allows"
        )
    if model.max_positions is not None and prompt + longest > model.max_positions:
        raise ConfigError(
            f"{prompt} prompt tokens and rollout.max_new_tokens={longest} do not fit the "
            f"{model.max_positions} positions of {model.name}"
        )


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
    weights = shape.model.parameters * shape.weight_bytes
    masters = FLOAT32 if shape.weight_bytes < FLOAT32 else 0
    state = shape.trainable * (2 * shape.moment_bytes + masters)
    held = {"weights": weights / shape.num_shards, "optimizer state": state / shape.num_shards}
    if shape.has_reference:
        held["reference"] = weights / shape.num_shards
    if shape.is_sharded and shape.has_sampling and not shape.has_own_sampler:
        held["sampler"] = weights  # the local engine samples from a whole copy, which stays
    return held


def _sample(shape: TrainingShape) -> dict[str, float]:
    held = _held(shape)
    if shape.is_offloaded:
        del held["optimizer state"]
    if shape.has_own_sampler:
        return {**held, "sampler": shape.sampler_bytes}
    rows = min(SAMPLED_ROWS, shape.rows_here)
    capacity = shape.prompt_tokens + shape.max_new_tokens
    cache = rows * capacity * shape.model.activations.kv_elements * shape.weight_bytes
    prompts = min(rows, shape.prompts_here) * shape.prompt_tokens
    # as rows are dropped, a layer's cache is there three times: whole, what stays, its new place
    dropping = 2 * cache / shape.model.num_layers
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
    return {**_held(shape), "gradients": gradients, "working space": gradients}


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
        inputs = rows * width * shape.model.hidden_size * shape.weight_bytes
        layer = kept.alone.num_bytes(rows, width, width) / shape.model.num_layers
        activations = shape.model.num_layers * inputs + layer
    elif not shape.is_shared:
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


def _at_head_or_in_layers(
    shape: TrainingShape, scored: float, in_layers: float
) -> dict[str, float]:
    """The larger of what the output head and what a layer needs for the moment."""
    model = shape.model
    logits = scored * model.vocab_size
    chunk = min(CHUNK_ELEMENTS, logits)
    hidden = 3 * scored * model.hidden_size * shape.weight_bytes  # joined, selected, its gradient
    # the head's gradient is added up over the chunks before it reaches the weight's
    waiting = model.sizes.head_parameters * shape.weight_bytes if logits > CHUNK_ELEMENTS else 0.0
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
