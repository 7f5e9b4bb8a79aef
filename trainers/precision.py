"""bfloat16 weights with float32 logits.

A bfloat16 number has 8 significant bits: a logit near 20 would be a multiple of 1/8, and a log-prob
off by percents whatever the softmax is computed in. So the output head of a bfloat16 model
multiplies into float32; the sampler and the trainer both go through it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mathrl.errors import ConfigError

# N positions, D hidden size, V vocabulary

SLICE_ELEMENTS = 2**25
"""Weights of the head that are made float32 at a time where no kernel does: 128 MiB."""


def to_bfloat16(model: PreTrainedModel) -> None:
    """Round a model's weights to bfloat16 in place; its logits stay float32.

    Buffers keep their type: rounded rotary frequencies would turn late positions by radians.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    give_float32_logits(model)


def give_float32_logits(model: PreTrainedModel) -> None:
    """Put ``Float32Head`` in the place of a model's output head, in place.

    Raises:
        ConfigError: The head is more than a linear layer.
    """
    head = model.get_output_embeddings()
    if hasattr(head, "lora_A"):
        raise ConfigError(
            "lora.target: an adapter on the output head would be left out by its float32 logits; "
            "set optimizer.dtype to float32, or leave the head out"
        )
    model.set_output_embeddings(Float32Head(head))


class Float32Head(torch.nn.Linear):
    """An output head that reads bfloat16 and writes float32, on the weights of another."""

    def __init__(self, head: torch.nn.Linear) -> None:
        """Take over the weights of ``head``, tied ones as they are."""
        super().__init__(head.in_features, head.out_features, bias=False, device="meta")
        self.weight, self.bias = head.weight, head.bias

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits in float32, for hidden states of any shape [..., D]."""
        if hidden.dim() > 2:
            flat_NV = self.forward(hidden.flatten(0, -2))
            return flat_NV.view(*hidden.shape[:-1], self.out_features)
        logits_NV: Tensor = _Float32Product.apply(hidden, self.weight)  # type: ignore[no-untyped-call]
        return logits_NV if self.bias is None else logits_NV + self.bias


class _Float32Product(torch.autograd.Function):
    """``hidden @ weight.T`` of bfloat16 matrices, exact products added up in float32.

    Its gradients have the type of what they are the gradients of, as autograd wants it.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor) -> Tensor:
        ctx.save_for_backward(hidden_ND, weight_VD)
        if hidden_ND.is_cuda:
            return torch.mm(hidden_ND, weight_VD.t(), out_dtype=torch.float32)
        exact_ND = hidden_ND.float()
        slices = weight_VD.split(max(1, SLICE_ELEMENTS // weight_VD.shape[1]))
        return torch.cat([exact_ND @ part_SD.float().t() for part_SD in slices], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        hidden_ND, weight_VD = ctx.saved_tensors
        gradient_NV = gradients[0].to(weight_VD.dtype)
        return gradient_NV @ weight_VD, gradient_NV.t() @ hidden_ND
