"""A step's rollouts as the tensors that its updates read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mathrl.errors import ConfigError
from mathrl.schema import Rollout
from mathrl.trainers.coefficients import TokenBatch
from mathrl.trainers.logprobs import Row, completion_logprobs, completion_mask, micro_batches
from mathrl.trainers.methods import Method
from mathrl.trainers.recipe import Recipe


@dataclass(slots=True)
class RolloutBatch:
    """The rollouts with a verdict; B completions, T tokens of the longest."""

    rows: list[Row]
    mask_BT: Tensor
    norm_BT: Tensor
    """Each token's weight in the whole batch, so that no micro-batch size changes it."""
    advantages_B: Tensor
    ref_logprobs_BT: Tensor | None
    old_logprobs_BT: Tensor | None = None
    """Filled in by the first update, whose log-probs these are."""

    def tokens(self, indices: Sequence[int], logprobs_BT: Tensor) -> TokenBatch:
        """What the coefficients of these rows read, as wide as ``logprobs_BT``."""
        width = logprobs_BT.shape[1]
        device = logprobs_BT.device

        def rows(tensor_BT: Tensor) -> Tensor:
            return tensor_BT[list(indices), :width].to(device, logprobs_BT.dtype)

        advantages_B1 = self.advantages_B[list(indices), None].to(device, logprobs_BT.dtype)
        return TokenBatch(
            advantages_BT=advantages_B1.expand_as(logprobs_BT),
            old_logprobs_BT=(
                logprobs_BT.detach() if self.old_logprobs_BT is None else rows(self.old_logprobs_BT)
            ),
            ref_logprobs_BT=None if self.ref_logprobs_BT is None else rows(self.ref_logprobs_BT),
        )


def assemble(
    rollouts: Sequence[Rollout],
    method: Method,
    recipe: Recipe,
    reference: PreTrainedModel | None,
) -> RolloutBatch:
    """Credit the rollouts that have a verdict and score them under the reference.

    Raises:
        ConfigError: A completion has no token ids.
    """
    scored = [r for r in rollouts if r.score is not None and r.score.value is not None]
    rows = [(r.prompt_ids, _token_ids(r)) for r in scored]
    rewards_B = torch.tensor([_value(r) for r in scored], dtype=torch.float64)
    groups_B = torch.tensor([r.group for r in scored], dtype=torch.long)
    mask_BT = completion_mask([len(completion) for _, completion in rows])
    return RolloutBatch(
        rows=rows,
        mask_BT=mask_BT,
        norm_BT=method.norm(mask_BT),
        advantages_B=method.credit(rewards_B, groups_B),
        ref_logprobs_BT=None if reference is None else all_logprobs(reference, rows, recipe),
    )


@torch.no_grad()
def all_logprobs(model: PreTrainedModel, rows: Sequence[Row], recipe: Recipe) -> Tensor:
    """Log-probs of every row without a gradient, [B, T] on the CPU, in micro-batches."""
    longest = max((len(completion) for _, completion in rows), default=0)
    logprobs_BT = torch.zeros(len(rows), longest, dtype=torch.float64)  # exact for any model
    for indices in micro_batches(rows, recipe.optimizer.micro_batch_tokens):
        part_BT = completion_logprobs(
            model, [rows[b] for b in indices], temperature=recipe.rollout.temperature
        )
        logprobs_BT[indices, : part_BT.shape[1]] = part_BT.double().cpu()
    return logprobs_BT


def _token_ids(rollout: Rollout) -> tuple[int, ...]:
    ids = rollout.completion.token_ids
    if ids is None:
        raise ConfigError(f"a completion of {rollout.problem.id} has no token ids to train on")
    return ids


def _value(rollout: Rollout) -> float:
    assert rollout.score is not None and rollout.score.value is not None
    return rollout.score.value
