"""A step's rollouts as the tensors that its updates read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mathrl.errors import ConfigError
from mathrl.schema import Rollout
from mathrl.trainers.coefficients import TokenBatch, importance_weights
from mathrl.trainers.credit import AddUp, Scored
from mathrl.trainers.logprobs import Row, Scoring, completion_mask, score_completions
from mathrl.trainers.methods import Method
from mathrl.trainers.norms import Totals
from mathrl.trainers.recipe import Recipe


@dataclass(slots=True)
class RolloutBatch:
    """The rollouts with a verdict; B completions, T tokens of the longest."""

    rows: list[Row]
    mask_BT: Tensor
    norm_BT: Tensor
    """Each token's weight in the whole step, so that no micro-batch size changes it."""
    advantages_BT: Tensor
    ref_logprobs_BT: Tensor | None
    sampler_logprobs_BT: Tensor | None
    """As the engine reported them; None where they are not corrected for."""
    totals: Totals
    old_logprobs_BT: Tensor | None = None
    """By the first update, whose log-probs these are, or by a pass of its own before credit."""

    def tokens(self, indices: Sequence[int], logprobs_BT: Tensor, cap: float) -> TokenBatch:
        """What the coefficients of these rows read, as wide as ``logprobs_BT``."""
        width = logprobs_BT.shape[1]
        device = logprobs_BT.device

        def rows(tensor_BT: Tensor) -> Tensor:
            return tensor_BT[list(indices), :width].to(device, logprobs_BT.dtype)

        old_BT = logprobs_BT if self.old_logprobs_BT is None else rows(self.old_logprobs_BT)
        advantages_BT = rows(self.advantages_BT)
        if self.sampler_logprobs_BT is not None:
            advantages_BT *= importance_weights(old_BT, rows(self.sampler_logprobs_BT), cap)
        return TokenBatch(
            advantages_BT=advantages_BT,
            old_logprobs_BT=old_BT,
            mask_BT=self.mask_BT[list(indices), :width].to(device),
            ref_logprobs_BT=None if self.ref_logprobs_BT is None else rows(self.ref_logprobs_BT),
        )


def assemble(
    rollouts: Sequence[Rollout],
    method: Method,
    recipe: Recipe,
    reference: PreTrainedModel | None,
    policy: PreTrainedModel,
    *,
    add_up: AddUp = lambda tensor: tensor,
) -> RolloutBatch:
    """Credit the rollouts that have a verdict and score them under the reference.

    Args:
        rollouts: Of this rank.
        method: Credit and norm.
        recipe: The run's.
        reference: For the KL penalty; None where there is none.
        policy: Scored before credit only where the reward holds the penalty.
        add_up: Adds a tensor up over all ranks.

    Raises:
        ConfigError: A completion has no token ids, or no log-probs where they are needed.
    """
    scored = [r for r in rollouts if r.score is not None and r.score.value is not None]
    rows = [(r.prompt_ids, _token_ids(r)) for r in scored]
    mask_BT = completion_mask([len(completion) for _, completion in rows])
    kept_BT = mask_BT & ~_left_out(scored, recipe)[:, None]
    counts = add_up(torch.tensor([len(rows), int(kept_BT.sum())], dtype=torch.float64))
    totals = Totals(num_completions=int(counts[0]), num_tokens=int(counts[1]))
    ref_BT = None if reference is None else all_logprobs(reference, rows, recipe)
    old_BT, penalties_BT = None, None
    if method.reward_penalty is not None and ref_BT is not None:
        old_BT = all_logprobs(policy, rows, recipe)
        penalties_BT = method.reward_penalty(old_BT, ref_BT)
    in_loss = method.reward_penalty is None
    batch = RolloutBatch(
        rows=rows,
        mask_BT=mask_BT,
        norm_BT=method.norm(mask_BT, totals) * kept_BT,
        advantages_BT=method.credit(
            Scored(
                rewards_B=torch.tensor([_value(r) for r in scored], dtype=torch.float64),
                groups_B=torch.tensor([r.group for r in scored], dtype=torch.long),
                mask_BT=mask_BT,
                penalties_BT=penalties_BT,
            )
        ),
        ref_logprobs_BT=ref_BT if in_loss else None,
        sampler_logprobs_BT=_sampler_logprobs(scored, mask_BT)
        if recipe.loss.importance_cap
        else None,
        totals=totals,
        old_logprobs_BT=old_BT,
    )
    return batch if batch.ref_logprobs_BT is not None or recipe.loss.entropy else _active(batch)


def _active(batch: RolloutBatch) -> RolloutBatch:
    """Leave out the completions that cannot move a weight: their coefficients are all zero."""
    is_active_B = (batch.advantages_BT * batch.norm_BT).abs().sum(dim=1) > 0
    if bool(is_active_B.all()):
        return batch
    places = is_active_B.nonzero()[:, 0].tolist()
    rows = [batch.rows[b] for b in places]
    width = max((len(completion) for _, completion in rows), default=0)

    def kept(tensor_BT: Tensor | None) -> Tensor | None:
        return None if tensor_BT is None else tensor_BT[places, :width]

    return RolloutBatch(
        rows=rows,
        mask_BT=batch.mask_BT[places, :width],
        norm_BT=batch.norm_BT[places, :width],
        advantages_BT=batch.advantages_BT[places, :width],
        ref_logprobs_BT=None,
        sampler_logprobs_BT=kept(batch.sampler_logprobs_BT),
        totals=batch.totals,
        old_logprobs_BT=kept(batch.old_logprobs_BT),
    )


@torch.no_grad()
def all_logprobs(model: PreTrainedModel, rows: Sequence[Row], recipe: Recipe) -> Tensor:
    """Log-probs of every row without a gradient, [B, T] on the CPU, in micro-batches."""
    longest = max((len(completion) for _, completion in rows), default=0)
    logprobs_BT = torch.zeros(len(rows), longest, dtype=torch.float64)  # exact for any model
    for indices, scores in score_completions(model, rows, scoring(recipe)):
        width = scores.logprobs_BT.shape[1]
        logprobs_BT[indices, :width] = scores.logprobs_BT.double().cpu()
    return logprobs_BT


def scoring(recipe: Recipe) -> Scoring:
    """How a run scores completions."""
    return Scoring(
        temperature=recipe.rollout.temperature,
        max_tokens=recipe.optimizer.micro_batch_tokens,
        has_entropy_gradient=recipe.loss.entropy > 0,
    )


def _left_out(scored: Sequence[Rollout], recipe: Recipe) -> Tensor:
    """True for the completions that the loss leaves out, bool [B]."""
    is_cut = [r.completion.finish_reason == "length" for r in scored]
    return torch.tensor(is_cut, dtype=torch.bool) & recipe.loss.skips_truncated


def _sampler_logprobs(scored: Sequence[Rollout], mask_BT: Tensor) -> Tensor:
    logprobs_BT = torch.zeros(mask_BT.shape, dtype=torch.float64)
    for b, rollout in enumerate(scored):
        found = rollout.completion.logprobs
        if found is None:
            raise ConfigError(
                "loss.importance_cap corrects for the sampler's log-probs, and the engine gives "
                "none: set it to 0, or use an engine that reports them"
            )
        logprobs_BT[b, : len(found)] = torch.tensor(found, dtype=torch.float64)
    return logprobs_BT


def _token_ids(rollout: Rollout) -> tuple[int, ...]:
    ids = rollout.completion.token_ids
    if ids is None:
        raise ConfigError(f"a completion of {rollout.problem.id} has no token ids to train on")
    return ids


def _value(rollout: Rollout) -> float:
    assert rollout.score is not None and rollout.score.value is not None
    return rollout.score.value
