"""One decoding step of the Llama family as plain functions: what a token costs, and no more.

The modules of transformers spend a third of a small model's decoding on their own bookkeeping, and
make seven matrix products a layer where four do. Prompts still go through the model itself; the
steps read its weights and write into the same cache.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

from mathrl.adapters import merged_weight
from mathrl.engines.cache import PreallocatedLayer

# B rows, D hidden size, H heads, K key-value heads, E head size, C cached tokens, V vocabulary

FAMILY = frozenset(("llama", "qwen2"))
MAX_FUSED_PARAMETERS = 50_000_000
"""A larger model's weights are not copied into fused ones: there the products take the time."""


def can_step(model: PreTrainedModel, cache: DynamicCache) -> bool:
    """Tell whether ``Stepper`` computes what this model does."""
    config = model.config
    return (
        config.model_type in FAMILY
        and config.hidden_act == "silu"
        and not getattr(config, "attention_bias", False)
        and not getattr(config, "mlp_bias", False)
        and all(isinstance(layer, PreallocatedLayer) for layer in cache.layers)
        and sum(parameter.numel() for parameter in model.parameters()) <= MAX_FUSED_PARAMETERS
        and all(type(p) in (torch.nn.Parameter, Tensor) for p in model.parameters())
    )


class _Layer(NamedTuple):
    """The weights of one layer, those of products of the same input in one."""

    norm_1: Tensor
    norm_2: Tensor
    qkv: Tensor
    bias: Tensor | None
    out: Tensor
    gate_up: Tensor
    down: Tensor


class Stepper:
    """Decodes one token a row with weights fused for the batch at hand."""

    def __init__(self, model: PreTrainedModel, cache: DynamicCache, capacity: int) -> None:
        """Fuse the weights, and tabulate the rotations of ``capacity`` positions."""
        decoder: Any = model.get_decoder()
        self.config = model.config
        self.stores: list[Any] = list(cache.layers)
        self.embed = decoder.embed_tokens.weight
        self.norm = decoder.norm.weight
        self.head = model.get_output_embeddings()
        self.layers = [_fused(layer) for layer in decoder.layers]
        positions_1C = torch.arange(capacity, device=self.embed.device)[None, :]
        cos_1CE, sin_1CE = decoder.rotary_emb(self.embed, positions_1C)
        self.cos_CE, self.sin_CE = cos_1CE[0], sin_1CE[0]
        self.num_heads = self.config.num_attention_heads
        self.num_kv_heads = self.config.num_key_value_heads

    def logits(self, tokens_B: Tensor, positions_B: Tensor, mask_BC: Tensor | None) -> Tensor:
        """Take one step: the logits of the next token, [B, V].

        Args:
            tokens_B: The newest tokens.
            positions_B: Their positions.
            mask_BC: True for the cached tokens that a row may see, the newest included; None where
                it may see all.
        """
        hidden_BD = self.embed[tokens_B]
        cos_B1E, sin_B1E = self.cos_CE[positions_B][:, None], self.sin_CE[positions_B][:, None]
        mask_B11C = None if mask_BC is None else mask_BC[:, None, None, :]
        for layer, store in zip(self.layers, self.stores, strict=True):
            qkv = functional.linear(self._norm(hidden_BD, layer.norm_1), layer.qkv, layer.bias)
            heads = qkv.view(len(tokens_B), self.num_heads + 2 * self.num_kv_heads, -1)
            turned, values = heads[:, : -self.num_kv_heads], heads[:, -self.num_kv_heads :]
            turned = turned * cos_B1E + _half_turned(turned) * sin_B1E
            queries, keys = turned[:, : self.num_heads], turned[:, self.num_heads :]
            keys_BKCE, values_BKCE = store.update(keys[:, :, None], values[:, :, None])
            # the heads that share keys are as many queries of one head: nothing is repeated
            shared = queries.view(len(tokens_B), self.num_kv_heads, -1, queries.shape[-1])
            seen = functional.scaled_dot_product_attention(
                shared, keys_BKCE, values_BKCE, attn_mask=mask_B11C
            )
            hidden_BD = hidden_BD + functional.linear(seen.reshape(len(tokens_B), -1), layer.out)
            gate_up = functional.linear(self._norm(hidden_BD, layer.norm_2), layer.gate_up)
            gate, up = gate_up.chunk(2, dim=-1)
            hidden_BD = hidden_BD + functional.linear(functional.silu(gate) * up, layer.down)
        logits_BV: Tensor = self.head(self._norm(hidden_BD, self.norm))
        return logits_BV

    def _norm(self, hidden_BD: Tensor, weight_D: Tensor) -> Tensor:
        if hidden_BD.dtype == torch.bfloat16:
            # rounded where the model rounds: torch's own is 4 times as far from its log-probs
            exact_BD = functional.rms_norm(
                hidden_BD.float(), weight_D.shape, eps=self.config.rms_norm_eps
            )
            return weight_D * exact_BD.bfloat16()
        return functional.rms_norm(hidden_BD, weight_D.shape, weight_D, self.config.rms_norm_eps)


def _half_turned(heads: Tensor) -> Tensor:
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def _fused(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [projection.bias for projection in projections]
    return _Layer(
        norm_1=layer.input_layernorm.weight,
        norm_2=layer.post_attention_layernorm.weight,
        qkv=torch.cat([merged_weight(projection) for projection in projections]),
        bias=None if biases[0] is None else torch.cat(biases),
        out=merged_weight(attention.o_proj),
        gate_up=torch.cat([merged_weight(mlp.gate_proj), merged_weight(mlp.up_proj)]),
        down=merged_weight(mlp.down_proj),
    )
