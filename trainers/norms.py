"""What a token weighs in the loss; the weights of a whole batch are fixed before its first part.

The denominators are those of all completions of the step, on every rank, so that neither the
micro-batch nor the number of ranks changes a gradient: ranks add up, they never average.

Axes: B completions, T tokens.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What the whole step holds, over all ranks."""

    num_completions: int
    num_tokens: int


def sequence_norm(mask_BT: Tensor, totals: Totals) -> Tensor:
    """The paper's norm, float64: 1 / (completions * tokens of this one); no tokens, no weight."""
    lengths_B1 = mask_BT.sum(dim=1, keepdim=True).clamp(min=1)
    return mask_BT.double() / (max(1, totals.num_completions) * lengths_B1)


def token_norm(mask_BT: Tensor, totals: Totals) -> Tensor:
    """Every token of the step weighs the same, float64: 1 / all tokens (DAPO, Eq. 8)."""
    return mask_BT.double() / max(1, totals.num_tokens)


def constant_norm(mask_BT: Tensor, totals: Totals, *, length: int) -> Tensor:
    """No length in the weight, float64: 1 / (completions * a constant length) (Dr. GRPO).

    Args:
        mask_BT: True where a completion has a token.
        totals: The step's.
        length: The longest completion allowed, in tokens.
    """
    return mask_BT.double() / (max(1, totals.num_completions) * length)
