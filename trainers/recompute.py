"""Activation checkpointing: a layer's activations are made again in the backward pass.

transformers' own switch works in training mode alone, where dropout is on, and drops the cache of
keys and values, which shared prompts are read from. Here a layer is a function of its hidden states
and of the cache before it, so that it can run again and append to the same keys and values.

Source: arXiv 1604.06174.
"""

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, PreTrainedModel

from mathrl.errors import ConfigError


def recompute_layers(model: PreTrainedModel) -> None:
    """Keep only the input of each layer for the backward pass, in place; gradients stay equal.

    Raises:
        ConfigError: The layers cannot be found.
    """
    layers = getattr(model.get_decoder(), "layers", None)
    if layers is None:
        raise ConfigError(
            f"{type(model).__name__} has no list of layers to recompute: set "
            "optimizer.is_checkpointing to false"
        )
    for index, layer in enumerate(layers):
        layer.forward = partial(_forward, layer, index)  # unlike a closure, copied with its layer


def _forward(
    layer: torch.nn.Module,
    index: int,
    hidden: Tensor,
    *args: Any,
    past_key_values: DynamicCache | None = None,
    **kwargs: Any,
) -> Any:
    """The layer's own forward pass, without its activations wherever there are gradients."""
    forward = partial(type(layer).forward, layer)
    if not torch.is_grad_enabled():
        return forward(hidden, *args, past_key_values=past_key_values, **kwargs)
    # taken now: by the time the layer runs again, the cache holds what it wrote the first time
    before = _own_layer(past_key_values, index)

    def run(hidden: Tensor) -> tuple[Any, DynamicCache | None]:
        cache = _own_layer(before, index)
        return forward(hidden, *args, past_key_values=cache, **kwargs), cache

    # nothing in it is random: dropout is off
    out, after = checkpoint(run, hidden, use_reentrant=False, preserve_rng_state=False)
    if past_key_values is not None:
        past_key_values.layers[index] = after.layers[index]
    return out


def _own_layer(cache: DynamicCache | None, index: int) -> DynamicCache | None:
    """The same cache with this layer alone, and its own: appending gives that one new tensors."""
    if cache is None:
        return None
    own = copy.copy(cache)
    # of the others, what earlier layers have appended would be kept until the backward pass
    layers: list[Any] = [None] * len(cache.layers)
    layers[index] = copy.copy(cache.layers[index])
    own.layers = layers
    return own
