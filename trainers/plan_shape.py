"""All that decides what a training step costs, read off a recipe and a model."""

from dataclasses import dataclass, replace
from typing import Literal

from mathrl.errors import ConfigError
from mathrl.trainers.model_shape import ModelShape
from mathrl.trainers.recipe import Recipe

GIB = 2**30
FLOAT32 = 4
BFLOAT16 = 2
MOMENT_8BIT = 1 + 4 / 256
"""A byte, and a float32 scale for each 256 of them."""

Sampler = Literal["local", "vllm", "servers"]
"""The policy itself, vLLM beside it on the same GPU, or vLLM somewhere else."""


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
    """Of each layer only its input is kept, and what it wrote into a cache."""
    is_offloaded: bool = False
    """Moments and masters are on the CPU while completions are sampled, but not with vLLM on the
    same GPU: it wakes up when weights are pushed, at the end of the step before."""
    weight_bytes: int = FLOAT32
    """Of a weight in the passes; below 4, the optimizer has float32 weights of its own."""
    moment_bytes: float = FLOAT32
    """Of each of Adam's two moments."""
    sampler: Sampler = "local"
    """Who samples."""
    sampler_weight_bytes: int = FLOAT32
    """Of a weight, a key or a value in there."""
    sampler_bytes: float = 0.0
    """What vLLM beside the policy takes while it samples."""
    is_sampler_kept: bool = False
    """It keeps that in all other phases too."""

    @property
    def trainable(self) -> int:
        """Parameters with a gradient."""
        return self.model.adapter_parameters or self.model.parameters

    @property
    def parameters(self) -> int:
        """All of them, those of adapters too."""
        return self.model.parameters + self.model.adapter_parameters

    @property
    def has_masters(self) -> bool:
        """The optimizer steps float32 copies of what it trains; shards are float32 themselves."""
        return self.weight_bytes < FLOAT32 and not self.is_sharded

    @property
    def num_shards(self) -> int:
        """Ranks that a tensor of weights is spread over."""
        return self.num_gpus if self.is_sharded else 1

    @property
    def is_shared(self) -> bool:
        """Prompts are forwarded once a group."""
        has_groups = self.group_size > 1 or self.is_sharded
        return self.model.is_shareable and has_groups

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
    capacity: float | None = None,
) -> TrainingShape:
    """Read off a recipe what a step costs.

    Args:
        recipe: What will run.
        model: Sizes of the model, read in the recipe's dtype and with its adapters.
        prompt_tokens: Tokens of a prompt.
        completion_tokens: Expected mean; by default half of what the recipe allows.
        num_gpus: Ranks of ``torchrun``.
        capacity: Bytes of each GPU, of which vLLM takes a share; None: it takes what it needs.

    Raises:
        ConfigError: The numbers do not go together, or the run would be refused.
    """
    rollout, loss, optimizer = recipe.rollout, recipe.loss, recipe.optimizer
    if completion_tokens is None:
        completion_tokens = max(1.0, rollout.max_new_tokens / 2)
    _check_lengths(model, rollout.max_new_tokens, prompt_tokens, completion_tokens)
    _check_model(recipe, model, num_gpus)
    is_grpo = recipe.method == "grpo"
    has_penalty = is_grpo and loss.beta > 0
    has_old_pass = has_penalty and loss.kl_in == "reward"
    shape = TrainingShape(
        model=model,
        num_problems=rollout.num_problems,
        group_size=rollout.group_size if is_grpo else 1,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        max_new_tokens=rollout.max_new_tokens,
        micro_batch_tokens=optimizer.micro_batch_tokens,
        num_gpus=num_gpus,
        updates_per_rollout=loss.updates_per_rollout,
        num_scoring_passes=has_penalty + has_old_pass,
        # an adapted policy is its own reference, with its adapters off
        has_reference=has_penalty and not model.adapter_parameters,
        has_sampling=is_grpo,
        is_sharded=_is_sharded(recipe, num_gpus),
        is_checkpointing=optimizer.is_checkpointing,
        is_offloaded=optimizer.is_offloaded,
        weight_bytes=_num_bytes(optimizer.dtype),
        moment_bytes=MOMENT_8BIT if optimizer.state == "8bit" else FLOAT32,
    )
    return _with_sampler(shape, recipe, capacity)


def _with_sampler(shape: TrainingShape, recipe: Recipe, capacity: float | None) -> TrainingShape:
    """The same step, sampled by the engine that the recipe names."""
    engine = recipe.engine
    if engine.kind == "local":
        return replace(shape, sampler_weight_bytes=shape.weight_bytes)
    if engine.urls:
        return replace(shape, sampler="servers")
    dtype = recipe.optimizer.dtype if engine.dtype == "auto" else engine.dtype
    shape = replace(shape, sampler="vllm", sampler_weight_bytes=_num_bytes(dtype))
    if capacity is None:
        taken = _vllm_bytes(shape, shape.rows_here)
    else:
        taken = engine.memory_fraction * capacity
        _check_vllm(shape, taken, capacity)
    return replace(shape, sampler_bytes=taken, is_sampler_kept=engine.sleep_level == 0)


def _vllm_bytes(shape: TrainingShape, rows: int) -> float:
    """Weights, and keys and values of some completions, which share their prompts'."""
    prompts = -(-rows // shape.group_size)
    tokens = prompts * shape.prompt_tokens + rows * shape.max_new_tokens
    elements = shape.model.parameters + tokens * shape.model.activations.kv_elements
    return elements * shape.sampler_weight_bytes


def _is_sharded(recipe: Recipe, num_gpus: int) -> bool:
    return recipe.optimizer.sharding == "sharded" and num_gpus > 1


def _num_bytes(dtype: str) -> int:
    return BFLOAT16 if dtype == "bfloat16" else FLOAT32


def _check_vllm(shape: TrainingShape, taken: float, capacity: float) -> None:
    least = _vllm_bytes(shape, 1)
    if taken < least:
        raise ConfigError(
            f"engine.memory_fraction gives vLLM {taken / GIB:.1f} GiB, but its weights and one "
            f"completion take {least / GIB:.1f} of the {capacity / GIB:.1f} GiB: raise it, or set "
            "engine.dtype to bfloat16"
        )


def _check_model(recipe: Recipe, model: ModelShape, num_gpus: int) -> None:
    """Refuse what the run itself would refuse once the model is loaded."""
    if num_gpus < 1:
        raise ConfigError(f"--num-gpus must be at least 1, got {num_gpus}")
    if recipe.optimizer.is_checkpointing and not model.is_layered:
        raise ConfigError(
            f"{model.name} has no list of layers to recompute: set optimizer.is_checkpointing to "
            "false"
        )
    if not _is_sharded(recipe, num_gpus):
        return
    if model.is_tied:
        raise ConfigError(
            f"{model.name} ties its output head to its embeddings, which cannot be sharded apart: "
            "set optimizer.sharding to replicated"
        )
    if not model.is_layered:
        raise ConfigError(
            f"{model.name} has no list of layers to shard: set optimizer.sharding to replicated"
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
