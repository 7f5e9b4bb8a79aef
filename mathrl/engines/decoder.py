"""The layers of the Llama family as plain functions over a list of tokens: what a token costs.

The modules of transformers spend a third of a small model's time on their own bookkeeping and on
padding. Here a token is a row, whoever it belongs to, and only the attention knows who may see
whom: the sampler decodes one token of each completion, the trainer reads whole completions.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

# N tokens, D hidden size, H heads, K key-value heads, E head size

FAMILY = frozenset(("LlamaForCausalLM", "Qwen2ForCausalLM"))
ROTATIONS = frozenset(("default", "linear", "llama3", "yarn"))
"""Those that depend on a token's position alone, and not on the longest one seen."""
MAX_PARAMETERS = 50_000_000
"""A larger model goes through transformers: there the products take the time, and the weights of
queries, keys and values are not to be copied into one."""
TOLERANCE = 1e-4
"""Between our hidden states and the model's, which compute norms in float32 whatever its type."""

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, queries [N, H, E], keys [N, K, E], values [N, K, E]) -> what they saw, [N, H * E]"""


def is_plain(model: PreTrainedModel) -> bool:
    """Tell whether ``Decoder`` computes what this model does: by its parts, then by its numbers."""
    if not _is_known(model):
        return False
    if model not in _AGREES:
        _AGREES[model] = _agrees(model)
        if not _AGREES[model]:
            logger.warning("%s is not computed as its class says", type(model).__name__)
    return _AGREES[model]


class _Layer(NamedTuple):
    """The weights of one layer; those of queries, keys and values in one."""

    norm_1: Tensor
    norm_2: Tensor
    qkv: Tensor
    bias: Tensor | None
    out: Tensor
    gate: Tensor
    up: Tensor
    down: Tensor


class Decoder:
    """A model's layers for the pass at hand; gradients reach the model's weights."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Take the weights of a model of which ``is_plain`` holds."""
        decoder: Any = model.get_decoder()
        self.embed = decoder.embed_tokens
        self.rotary = decoder.rotary_emb
        self.layers = [_fused(layer) for layer in decoder.layers]
        self.norm = decoder.norm.weight
        self.eps = model.config.rms_norm_eps
        self.num_heads = model.config.num_attention_heads
        self.num_kv_heads = model.config.num_key_value_heads

    def rotations(self, positions_N: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines for tokens at these positions, [N, E] each."""
        cos_1NE, sin_1NE = self.rotary(self.embed.weight, positions_N[None])
        return cos_1NE[0], sin_1NE[0]

    def hidden(self, ids_N: Tensor, cos_NE: Tensor, sin_NE: Tensor, attend: Attend) -> Tensor:
        """Take tokens through all layers: what the output head reads, [N, D].

        Args:
            ids_N: The tokens.
            cos_NE: Their positions' cosines.
            sin_NE: Their positions' sines.
            attend: Lets each token see those before it.
        """
        hidden_ND: Tensor = self.embed(ids_N)
        cos_N1E, sin_N1E = cos_NE[:, None], sin_NE[:, None]
        turning = self.num_heads + self.num_kv_heads
        for index, layer in enumerate(self.layers):
            qkv = functional.linear(self._norm(hidden_ND, layer.norm_1), layer.qkv, layer.bias)
            heads = qkv.view(len(ids_N), turning + self.num_kv_heads, -1)
            turned, values = heads.split([turning, self.num_kv_heads], dim=1)
            turned = turned * cos_N1E + _half_turned(turned) * sin_N1E
            queries, keys = turned.split([self.num_heads, self.num_kv_heads], dim=1)
            seen = attend(index, queries, keys, values)
            hidden_ND = hidden_ND + functional.linear(seen, layer.out)
            normed_ND = self._norm(hidden_ND, layer.norm_2)
            gate = functional.silu(functional.linear(normed_ND, layer.gate))
            up = functional.linear(normed_ND, layer.up)
            hidden_ND = hidden_ND + functional.linear(gate * up, layer.down)
        return self._norm(hidden_ND, self.norm)

    def _norm(self, hidden_ND: Tensor, weight_D: Tensor) -> Tensor:
        return functional.rms_norm(hidden_ND, weight_D.shape, weight_D, self.eps)


_AGREES: WeakKeyDictionary[PreTrainedModel, bool] = WeakKeyDictionary()
"""Each model is compared once: training changes its weights, and not what is done with them."""


def _is_known(model: PreTrainedModel) -> bool:
    config, parameters = model.config, list(model.parameters())
    if type(model).__name__ not in FAMILY or model.training:  # training may drop or recompute
        return False
    layers: Any = model.get_decoder().layers
    return (
        config.hidden_act == "silu"
        and config.rope_parameters["rope_type"] in ROTATIONS
        and set(getattr(config, "layer_types", None) or ()) <= {"full_attention"}
        and all(_is_plain_layer(layer) for layer in layers)
        and {parameter.dtype for parameter in parameters} in ({torch.float32}, {torch.float64})
        and all(type(parameter) is torch.nn.Parameter for parameter in parameters)
        and sum(parameter.numel() for parameter in parameters) <= MAX_PARAMETERS
    )


def _is_plain_layer(layer: Any) -> bool:
    """Every product is that of a matrix alone (no adapter), and only q, k and v have biases.

    A layer that was given another way to run, such as recomputing, is to run in that way.
    """
    if "forward" in vars(layer):
        return False
    attention, mlp = layer.self_attn, layer.mlp
    with_bias = [attention.q_proj, attention.k_proj, attention.v_proj]
    without = [attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]
    return all(type(linear) is torch.nn.Linear for linear in with_bias + without) and not any(
        linear.bias is not None for linear in without
    )


@torch.no_grad()
def _agrees(model: PreTrainedModel) -> bool:
    """Compare the hidden states of a few tokens with the model's own."""

    def attend(index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries, keys, values = (h.transpose(0, 1)[None] for h in (queries, keys, values))
        seen_1HNE = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=True, enable_gqa=True
        )
        return seen_1HNE[0].transpose(0, 1).flatten(1)

    ids_N = torch.arange(8, device=model.device) % model.config.vocab_size
    decoder = Decoder(model)
    ours_ND = decoder.hidden(
        ids_N, *decoder.rotations(torch.arange(8, device=ids_N.device)), attend
    )
    theirs_1ND = model.get_decoder()(input_ids=ids_N[None], use_cache=False).last_hidden_state
    return torch.allclose(ours_ND, theirs_1ND[0], rtol=TOLERANCE, atol=TOLERANCE)


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
        qkv=torch.cat([projection.weight for projection in projections]),
        bias=None if biases[0] is None else torch.cat(biases),
        out=attention.o_proj.weight,
        gate=mlp.gate_proj.weight,
        up=mlp.up_proj.weight,
        down=mlp.down_proj.weight,
    )
