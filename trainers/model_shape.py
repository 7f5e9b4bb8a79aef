"""A model's sizes from its config.json: nothing is allocated and no weights are needed.

Parameters are counted on torch's meta device, exactly; what its passes keep, by ``activations``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from mathrl.engines.cache import preallocated_cache
from mathrl.engines.step import can_step
from mathrl.errors import ConfigError
from mathrl.policy import EMBEDDED_POLICY
from mathrl.trainers.activations import Activations, Kept, trace
from mathrl.trainers.flops import MatrixSizes
from mathrl.trainers.logprobs import can_share_prompts
from mathrl.trainers.lora_layers import adapted_layers, check_target
from mathrl.trainers.recipe import LoraConfig, Recipe

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
"""Names that configurations give to the number of experts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelShape:
    """What planning knows of a causal language model; sizes are in elements."""

    name: str
    parameters: int
    sizes: MatrixSizes
    embedding_parameters: int
    num_layers: int
    hidden_size: int
    vocab_size: int
    widest: int
    """Outputs of the widest linear map in a layer."""
    is_tied: bool
    """The output head is the embedding."""
    is_shareable: bool
    """Prompts are forwarded once a group."""
    is_fused: bool
    """The local engine decodes with weights of its own, copied into fewer products."""
    is_layered: bool
    """The layers are a list, which can be recomputed and sharded one by one."""
    max_positions: int | None
    """Tokens of prompt and completion together; None: no limit."""
    activations: Activations
    """In the dtype of the passes."""
    adapter_parameters: int = 0
    """Of the adapters, which are trained alone; 0: there are none, and all weights are trained."""


ReadShape = Callable[[Recipe], ModelShape]
"""The sizes of the model that a recipe trains, as the recipe trains it."""


def shape_reader(source: str | Path | None) -> ReadShape:
    """Make a function that reads a model in a recipe's dtype and with its adapters, each once.

    Args:
        source: A folder, or a hub id; the embedded policy by default.
    """

    @cache
    def read(dtype: str, lora: LoraConfig) -> ModelShape:
        return read_model(source, dtype=getattr(torch, dtype), lora=lora)

    return lambda recipe: read(recipe.optimizer.dtype, recipe.lora)


def read_model(
    source: str | Path | None,
    *,
    dtype: torch.dtype = torch.float32,
    lora: LoraConfig | None = None,
) -> ModelShape:
    """Read the sizes of a model from its config.json.

    Args:
        source: A folder, or a hub id; the embedded policy by default.
        dtype: Of the weights in the passes.
        lora: The adapters that are trained; none by default.

    Raises:
        ConfigError: There is no configuration, or it is not one of a dense causal decoder.
    """
    config = _read_config(str(source or EMBEDDED_POLICY))
    return shape_of(config, name=str(source or "embedded"), dtype=dtype, lora=lora)


def shape_of(
    config: PretrainedConfig,
    *,
    name: str,
    dtype: torch.dtype = torch.float32,
    lora: LoraConfig | None = None,
) -> ModelShape:
    """Count a model's parameters and what its passes keep.

    Args:
        config: Of the model.
        name: For messages.
        dtype: Of the weights in the passes.
        lora: The adapters that are trained; none by default.

    Raises:
        ConfigError: It is not the configuration of a dense causal decoder, or the adapters do not
            go into it.
    """
    _check_config(config, name)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ConfigError(f"{name} is not a causal language model: {reason}") from error
    _check_model(model, name)
    if lora:
        check_target(model, lora.target)
    linears = [m for m in model.get_decoder().modules() if isinstance(m, torch.nn.Linear | Conv1D)]
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    is_shareable = can_share_prompts(model)
    shape = ModelShape(
        name=name,
        parameters=sum(p.numel() for p in model.parameters()),
        sizes=MatrixSizes(
            linear_parameters=sum(m.weight.numel() for m in linears),
            head_parameters=head.numel(),
            attention_elements=2 * config.num_hidden_layers * _query_elements(config),
        ),
        embedding_parameters=embedding.numel(),
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        vocab_size=head.shape[0],
        widest=max(_num_outputs(m) for m in linears),
        is_tied=head is embedding,
        is_shareable=is_shareable,
        is_fused=can_step(model, preallocated_cache(config, capacity=1)),
        is_layered=getattr(model.get_decoder(), "layers", None) is not None,
        max_positions=getattr(config, "max_position_embeddings", None),
        activations=trace(
            config,
            dtype=dtype,
            is_shared=is_shareable,
            target=lora.target if lora and lora.rank else (),
        ),
    )
    return _adapted(shape, model, lora, dtype) if lora and lora.rank else shape


def _adapted(
    shape: ModelShape, model: PreTrainedModel, lora: LoraConfig, dtype: torch.dtype
) -> ModelShape:
    """The same model with adapters: B [out, rank] and A [rank, in] beside each layer."""
    layers = adapted_layers(model, lora.target)
    if dtype == torch.bfloat16 and model.get_output_embeddings() in layers:
        raise ConfigError(
            "lora.target: an adapter on the output head would be left out by its float32 logits; "
            "set optimizer.dtype to float32, or leave the head out"
        )
    width = sum(layer.in_features + layer.out_features for layer in layers)
    between = len(layers) * lora.rank * dtype.itemsize  # A's outputs, which B's gradient needs
    found = shape.activations

    def wider(kept: Kept) -> Kept:
        return replace(kept, per_token=kept.per_token + between)

    return replace(
        shape,
        adapter_parameters=lora.rank * width,
        activations=replace(found, alone=wider(found.alone), behind=wider(found.behind)),
    )


def _read_config(source: str) -> PretrainedConfig:
    path = Path(source).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        raise ConfigError(f"{source} is not a model folder: it has no config.json")
    if path.is_file():
        raise ConfigError(f"{source} is a file; a model is a folder with config.json, or a hub id")
    if not path.exists() and (source.count("/") > 1 or source.startswith((".", "/", "~"))):
        raise ConfigError(f"no such model folder: {source}")
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            str(path) if path.exists() else source
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"cannot read the configuration of {source}; a folder with its config.json is enough: "
            f"{reason}"
        ) from error
    return config


def _check_config(config: PretrainedConfig, name: str) -> None:
    for key in EXPERTS:
        count = getattr(config, key, None)
        if isinstance(count, int) and count > 1:
            raise ConfigError(
                f"{name} is a mixture of {count} experts: plan counts dense models alone, in which "
                "every token goes through every weight"
            )
    missing = [
        key
        for key in ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
        if not isinstance(getattr(config, key, None), int) or getattr(config, key) < 1
    ]
    if missing:
        raise ConfigError(
            f"{name} ({config.model_type}) is no transformer decoder that plan can count: its "
            f"config.json has no positive {missing[0]}"
        )


def _check_model(model: Any, name: str) -> None:
    causal = {getattr(module, "is_causal", None) for module in model.modules()}
    if False in causal and True not in causal:
        raise ConfigError(
            f"{name} ({model.config.model_type}) is an encoder: it sees what comes after a token, "
            "so it cannot be trained to write"
        )
    empty = [key for key, weight in model.named_parameters() if not weight.numel()]
    if empty:
        raise ConfigError(f"{name} has a weight without elements: {empty[0]}")


def _query_elements(config: PretrainedConfig) -> int:
    """Elements of all queries of a token in one layer."""
    head_size = getattr(config, "head_dim", None)
    heads = config.num_attention_heads
    return int(heads * (head_size or config.hidden_size // heads))


def _num_outputs(linear: torch.nn.Linear | Conv1D) -> int:
    """Outputs of a linear map; GPT-2's holds its weight the other way round."""
    return int(linear.weight.shape[1 if isinstance(linear, Conv1D) else 0])
