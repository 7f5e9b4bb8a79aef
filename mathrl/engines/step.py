"""One decoding step of the Llama family.

Prompts still go through the model itself; the steps read its weights and write into the same cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, PreTrainedModel

from mathrl.engines.cache import PreallocatedLayer
from mathrl.engines.decoder import Decoder, is_plain

# B rows, K key-value heads, C cached tokens, E head size, V vocabulary


def can_step(model: PreTrainedModel, cache: DynamicCache) -> bool:
    """Tell whether ``Stepper`` computes what this model does."""
    return all(isinstance(layer, PreallocatedLayer) for layer in cache.layers) and is_plain(model)


class Stepper:
    """Decodes one token a row of the batch at hand."""

    def __init__(self, model: PreTrainedModel, cache: DynamicCache, capacity: int) -> None:
        """Take the weights, and tabulate the rotations of ``capacity`` positions."""
        self.decoder = Decoder(model)
        self.stores: list[Any] = list(cache.layers)
        self.head = model.get_output_embeddings()
        positions_C = torch.arange(capacity, device=model.device)
        self.cos_CE, self.sin_CE = self.decoder.rotations(positions_C)

    def logits(self, tokens_B: Tensor, positions_B: Tensor, mask_BC: Tensor | None) -> Tensor:
        """Take one step: the logits of the next token, [B, V].

        Args:
            tokens_B: The newest tokens.
            positions_B: Their positions.
            mask_BC: True for the cached tokens that a row may see, the newest included; None where
                it may see all.
        """
        mask_B11C = None
        if mask_BC is not None:  # made additive here, or the attention of each layer would do it
            additive_BC = self.cos_CE.new_zeros(mask_BC.shape).masked_fill_(~mask_BC, -torch.inf)
            mask_B11C = additive_BC[:, None, None, :]

        def attend(index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            keys_BKCE, values_BKCE = self.stores[index].update(keys[:, :, None], values[:, :, None])
            # the heads that share keys are as many queries of one head: nothing is repeated
            shared = queries.view(len(queries), keys.shape[1], -1, keys.shape[2])
            seen = functional.scaled_dot_product_attention(
                shared, keys_BKCE, values_BKCE, attn_mask=mask_B11C
            )
            return seen.reshape(len(queries), -1)

        cos_BE, sin_BE = self.cos_CE[positions_B], self.sin_CE[positions_B]
        hidden_BD = self.decoder.hidden(tokens_B, cos_BE, sin_BE, attend)
        logits_BV: Tensor = self.head(hidden_BD)
        return logits_BV
