"""Rows of tokens read without their padding, each behind a prefix that has been read before.

Everything but the attention sees a list of real tokens; the attention sees a padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from mathrl.engines.decoder import Decoder

# B rows, T tokens of the longest, N tokens of all rows, P prefix tokens of the longest prefix,
# H heads, K key-value heads, E head size, D hidden size

KeysValues = tuple[Tensor, Tensor]
"""Of one layer, [B, K, T, E] each."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What each row is read behind."""

    layers: Sequence[KeysValues]
    """As wide as the longest prefix, P."""
    lengths_B: Tensor


def read(
    model: PreTrainedModel, ids_BT: Tensor, mask_BT: Tensor, prefix: Prefix | None = None
) -> tuple[Tensor, list[KeysValues]]:
    """Read rows of tokens.

    Args:
        model: One of which ``is_plain`` holds.
        ids_BT: The tokens, padded on the right.
        mask_BT: True where a row has a token.
        prefix: What stands before each row; nothing by default.

    Returns:
        Hidden states for the output head, [B, T, D], and the keys and values of each layer; what
        stands behind a row's end has no meaning and no gradient.
    """
    batch, width = ids_BT.shape
    decoder, padding = Decoder(model), _Padding(mask_BT)
    queries_a_head = decoder.num_heads // decoder.num_kv_heads
    mask = _additive_mask(batch, width, prefix, decoder.norm).repeat(1, 1, queries_a_head, 1)
    layers: list[KeysValues] = []

    def attend(index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        queries, keys, values = map(padding.put_back, (queries, keys, values))
        layers.append((keys, values))
        if prefix is not None:
            keys, values = map(_joined, prefix.layers[index], (keys, values))
        # the heads that share keys are as many queries of one head: nothing is repeated
        shared = queries.reshape(batch, decoder.num_kv_heads, queries_a_head * width, -1)
        seen = functional.scaled_dot_product_attention(shared, keys, values, attn_mask=mask)
        return padding.leave_out(seen.view(queries.shape))

    starts_B1 = 0 if prefix is None else prefix.lengths_B[:, None]
    positions_BT = (starts_B1 + torch.arange(width, device=ids_BT.device)).expand(batch, width)
    cos_NE, sin_NE = decoder.rotations(positions_BT[mask_BT])
    hidden_ND = decoder.hidden(ids_BT[mask_BT], cos_NE, sin_NE, attend)
    return padding.put_back(hidden_ND[:, None])[:, 0], layers


class _Padding:
    """Between a list of tokens and a padded batch with heads."""

    def __init__(self, mask_BT: Tensor) -> None:
        self.shape = mask_BT.shape
        self.slots_N = mask_BT.flatten().nonzero()[:, 0]
        # any token may stand for the padding: nothing that is read depends on it
        self.tokens_S = (mask_BT.flatten().cumsum(0) - 1).clamp(min=0)

    def put_back(self, heads_NHE: Tensor) -> Tensor:
        """[N, H, E] -> [B, H, T, E]"""
        flat = heads_NHE.flatten(1).index_select(0, self.tokens_S)
        return flat.view(*self.shape, *heads_NHE.shape[1:]).transpose(1, 2)

    def leave_out(self, heads_BHTE: Tensor) -> Tensor:
        """[B, H, T, E] -> [N, H * E]"""
        flat = heads_BHTE.transpose(1, 2).reshape(self.shape.numel(), -1)
        return flat.index_select(0, self.slots_N)


def _joined(before_BKPE: Tensor, own_BKTE: Tensor) -> Tensor:
    return torch.cat([before_BKPE, own_BKTE], dim=2)


def _additive_mask(batch: int, width: int, prefix: Prefix | None, like: Tensor) -> Tensor:
    """What is added to the attention's scores, [B, 1, T, P + T]: -inf where it may not look."""
    own_TT = like.new_full((width, width), -torch.inf).triu(1).expand(batch, 1, width, width)
    if prefix is None:
        return own_TT
    longest = prefix.layers[0][0].shape[2]
    is_padding_BP = torch.arange(longest, device=like.device) >= prefix.lengths_B[:, None]
    before_BP = torch.where(is_padding_BP, -torch.inf, 0.0).to(like.dtype)
    before_B1TP = before_BP[:, None, None].expand(batch, 1, width, longest)
    return torch.cat([before_B1TP, own_TT], dim=-1)
