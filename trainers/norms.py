"""What a token weighs in the loss; the weights of a whole step are fixed before its first part.

The denominators are those of all completions of the step, on every rank, so that neither the
micro-batch nor the number of ranks changes a gradient: ranks add up, they never average.

Axes: B completions of the step, T tokens.
"""

from torch import Tensor


def sequence_norm(mask_BT: Tensor) -> Tensor:
    """The paper's norm, float64: 1 / (completions * tokens of this one); no tokens, no weight."""
    lengths_B1 = mask_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return mask_BT.double() / (max(1, mask_BT.shape[0]) * lengths_B1)


def token_norm(mask_BT: Tensor) -> Tensor:
    """Every token of the step weighs the same, float64: 1 / all tokens (DAPO, Eq. 8)."""
    return mask_BT.double() / mask_BT.sum().clamp(min=1)


def constant_norm(mask_BT: Tensor, *, length: int) -> Tensor:
    """No length in the weight, float64: 1 / (completions * a constant length) (Dr. GRPO).

    Args:
        mask_BT: True where a completion has a token.
        length: The longest completion allowed, in tokens.
    """
    return mask_BT.double() / (max(1, mask_BT.shape[0]) * length)
