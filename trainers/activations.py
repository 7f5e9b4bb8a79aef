"""What autograd keeps of a decoder's forward pass, counted without allocating anything.

The model's own code runs on fake tensors: shapes and dtypes go through the operators that the CPU
would choose, data does not exist. So it holds for every architecture that transformers has, and
stays true when its code changes. Two layers are run; the others keep what the second one keeps.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM, DynamicCache, PretrainedConfig

from mathrl.trainers.lora_layers import adapted_layers

TOKENS = 64
"""Of a traced pass: a multiple of what kernels align to."""


KeptBytes = Callable[[int, int], float]
"""(tokens of a prompt in the cache, new tokens behind it) -> bytes that a row keeps"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Bytes that a forward pass of the decoder keeps for its backward pass."""

    per_token: float = 0.0
    """Of each new token."""
    per_context: float = 0.0
    """Of each token that a row sees, the new ones included: keys and values."""
    per_pair: float = 0.0
    """Of each new token and token that it may see: a mask, or the attention's weights."""

    def num_bytes(self, rows: float, new: float, context: float) -> float:
        """Bytes for ``rows`` of ``new`` tokens that see ``context`` tokens, themselves included."""
        return rows * (
            self.per_token * new + self.per_context * context + self.per_pair * new * context
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Activations:
    """What the passes of a training step keep."""

    alone: Kept
    """Prompts, or whole rows: all that is seen is new."""
    behind: Kept
    """Completions behind their prompts' keys and values."""
    kv_elements: int
    """Keys and values of a token, all layers together."""


def trace(
    config: PretrainedConfig,
    *,
    dtype: torch.dtype = torch.float32,
    is_shared: bool = True,
    target: Sequence[str] = (),
) -> Activations:
    """Count what the passes of a model keep.

    Args:
        config: Of a causal language model.
        dtype: Of its weights.
        is_shared: Completions read their prompts from a cache; if not, ``behind`` is zero.
        target: The linear layers that have adapters, while all weights are frozen; what the
            adapters keep between their two products is left out. Empty: all weights are trained.
    """
    with FakeTensorMode():
        first = _Trace(config, 1, dtype, target)
        second = _Trace(config, 2, dtype, target)
        layers = int(config.num_hidden_layers)

        def kept(prompt: int, new: int) -> float:
            one = first.kept_bytes(prompt, new)
            return one + (layers - 1) * (second.kept_bytes(prompt, new) - one)

        behind = _solve_behind(kept) if is_shared else Kept()
        return Activations(
            alone=_solve_alone(kept), behind=behind, kv_elements=layers * first.kv_elements()
        )


def _solve_alone(kept: KeptBytes) -> Kept:
    """The two unknowns of a pass in which all that is seen is new."""
    short, long = kept(0, TOKENS), kept(0, 2 * TOKENS)
    per_pair = (long - 2 * short) / (2 * TOKENS**2)
    return Kept(per_token=short / TOKENS - per_pair * TOKENS, per_pair=per_pair)


def _solve_behind(kept: KeptBytes) -> Kept:
    """The three unknowns of a pass behind a cache, from three passes."""
    n = TOKENS
    base, longer_prompt, longer_row = kept(n, n), kept(2 * n, n), kept(n, 2 * n)
    # bytes = a new + c context + m new context, with context = prompt + new
    prompt_step = (longer_prompt - base) / n  # c + m n
    row_step = (longer_row - base) / n  # a + c + 4 m n
    per_token = base / n - 2 * prompt_step  # a
    per_pair = (row_step - per_token - prompt_step) / (3 * n)
    return Kept(per_token=per_token, per_context=prompt_step - per_pair * n, per_pair=per_pair)


class _Trace:
    """A model of a few layers on fake tensors."""

    def __init__(
        self,
        config: PretrainedConfig,
        num_layers: int,
        dtype: torch.dtype,
        target: Sequence[str],
    ) -> None:
        self.config = _cut(config, num_layers)
        model = AutoModelForCausalLM.from_config(self.config, dtype=dtype).eval()
        if target:
            model.requires_grad_(False)
            # an adapter reads what its layer reads, and keeps it for the same gradient
            for layer in adapted_layers(model, target):
                layer.weight.requires_grad_(True)
        self.decoder: Any = model.get_decoder()
        # of tensors that live as long as this: a freed one's place is soon another's
        own = (*self.decoder.parameters(), *self.decoder.buffers())
        self.weights = {_storage(tensor) for tensor in own}

    def kept_bytes(self, prompt: int, new: int) -> int:
        """Bytes of the distinct tensors that one row of ``new`` tokens behind a prompt keeps."""
        cache = self._filled_cache(prompt)
        found: dict[int, Tensor] = {}

        def keep(tensor: Tensor) -> Tensor:
            if not isinstance(tensor, torch.nn.Parameter) and _storage(tensor) not in self.weights:
                found[_storage(tensor)] = tensor
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            self._forward(cache, prompt, new)
        return sum(tensor.untyped_storage().nbytes() for tensor in found.values())

    def kv_elements(self) -> int:
        """Keys and values that the cache holds of one token, in one layer."""
        layer = _layers(self._filled_cache(1))[0]
        return int(layer.keys.numel() + layer.values.numel())

    def _filled_cache(self, prompt: int) -> DynamicCache:
        """The keys and values of a prompt as leaves, as training hands them on."""
        cache = DynamicCache(config=self.config)
        if prompt:
            self._forward(cache, 0, prompt)
            for layer in _layers(cache):
                # the gather that gives each row its prompt has a gradient and keeps nothing
                layer.keys = layer.keys.detach().requires_grad_().clone()
                layer.values = layer.values.detach().requires_grad_().clone()
        return cache

    def _forward(self, cache: DynamicCache, start: int, new: int) -> None:
        ids_BT = torch.zeros(1, new, dtype=torch.long)
        positions_BT = torch.arange(start, start + new)[None]
        self.decoder(
            input_ids=ids_BT, position_ids=positions_BT, past_key_values=cache, use_cache=True
        )


def _layers(cache: DynamicCache) -> list[Any]:
    """The layers of a cache, each of which holds keys and values here."""
    return list(cache.layers)


def _storage(tensor: Tensor) -> int:
    """What tells storages apart: those of fake tensors have no address."""
    return int(tensor.untyped_storage()._cdata)


def _cut(config: PretrainedConfig, num_layers: int) -> PretrainedConfig:
    """The same model with fewer layers."""
    cut = copy.deepcopy(config)
    cut.num_hidden_layers = num_layers
    if isinstance(getattr(cut, "layer_types", None), list):
        cut.layer_types = (cut.layer_types * num_layers)[:num_layers]
    return cut
