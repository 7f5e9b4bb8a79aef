"""A key-value cache that is allocated once and filled in place.

transformers' dynamic cache concatenates at every token, which copies all that was written
before; its static cache attends to the whole allocation. This one writes into a buffer and hands
out a view of the part in use. Layers of another kind (sliding windows, linear attention) keep
the class that the model asks for.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

# B rows, H key-value heads, S tokens, D head size


class PreallocatedLayer(DynamicLayer):
    """One attention layer: ``keys`` and ``values`` view the filled part of two buffers."""

    keys: Tensor
    values: Tensor

    def __init__(self, capacity: int) -> None:
        """Make room for ``capacity`` tokens a row, once the shape of the states is known."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate for the batch of the first states."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._allocate(len(key_states), key_states, value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write behind what is there; returns all keys and values so far, [B, H, S, D]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        self.key_buffer[:, :, start:end] = key_states
        self.value_buffer[:, :, start:end] = value_states
        self.keys, self.values = self.key_buffer[:, :, :end], self.value_buffer[:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep (or repeat) these rows, with room for the tokens to come."""
        keys, values = self.keys, self.values
        self._allocate(len(indices), keys, values)
        length = keys.shape[2]
        self.keys, self.values = self.key_buffer[:, :, :length], self.value_buffer[:, :, :length]
        torch.index_select(keys, 0, indices, out=self.keys)  # straight into place
        torch.index_select(values, 0, indices, out=self.values)

    def _allocate(self, batch: int, keys: Tensor, values: Tensor) -> None:
        def buffer(states: Tensor) -> Tensor:
            _, heads, _, head_size = states.shape
            return states.new_empty(batch, heads, self.capacity, head_size)

        self.key_buffer, self.value_buffer = buffer(keys), buffer(values)
        self.keys, self.values = self.key_buffer[:, :, :0], self.value_buffer[:, :, :0]


def preallocated_cache(config: PretrainedConfig, capacity: int) -> DynamicCache:
    """A cache for this model with room for ``capacity`` tokens a row."""
    cache = DynamicCache(config=config)
    cache.layers = [
        PreallocatedLayer(capacity) if type(layer) is DynamicLayer else layer
        for layer in cache.layers
    ]
    return cache
