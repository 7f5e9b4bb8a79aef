"""Weights in shards: FSDP2 over the ranks, and whole tensors where a file or an engine wants them.

The decoder's layers, the decoder and the output head are sharded one by one, and the gradients
are added up, not averaged. A whole tensor is put together by all ranks at the same time.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from mathrl.errors import ConfigError


def shard(model: PreTrainedModel, *, dtype: torch.dtype | None = None) -> None:
    """Give each rank its shard of the weights, in place.

    Args:
        model: The model.
        dtype: What the weights are rounded to for a pass; gradients are then added up in float32.
            None: passes are in the weights' own type.

    Raises:
        ConfigError: The output head is the embedding, or the layers cannot be found.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    if head.weight is model.get_input_embeddings().weight:
        raise ConfigError(
            f"{type(model).__name__} ties its output head to its embeddings, which cannot be "
            "sharded apart: set optimizer.sharding to replicated"
        )
    layers = getattr(decoder, "layers", None)
    if layers is None:
        raise ConfigError(
            f"{type(model).__name__} has no list of layers to shard: set optimizer.sharding to "
            "replicated"
        )
    precision = MixedPrecisionPolicy()
    if dtype is not None:
        precision = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    for module in (*layers, decoder, head):
        # by default a root stays whole after a pass without a gradient, such as the reference's
        fully_shard(module, reshard_after_forward=True, mp_policy=precision)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)


def is_sharded(model: torch.nn.Module) -> bool:
    """Tell whether a rank holds only a part of the weights."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole(value: Any, *, is_kept: bool = True) -> Any:
    """Put together every sharded tensor inside a value, on the CPU; all ranks call it alike.

    Args:
        value: A tensor, or dicts and lists with tensors in them.
        is_kept: Off, this rank only takes part, and has nothing in the tensor's place.
    """
    if isinstance(value, DTensor):
        tensor = value.full_tensor()
        return tensor.cpu() if is_kept else None
    if isinstance(value, Mapping):
        return {key: whole(inner, is_kept=is_kept) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(whole(inner, is_kept=is_kept) for inner in value)
    return value
