"""A step's rollouts as the tensors that its updates read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mathrl.adapters import adapters_off
from mathrl.errors import ConfigError
from mathrl.schema import Rollout
from mathrl.trainers.coefficients import TokenBatch, importance_weights
from mathrl.trainers.credit import Scored
from mathrl.trainers.logprobs import Row, Scoring, completion_mask, score_completions
from mathrl.trainers.methods import Method
from mathrl.trainers.parallel import ALONE, Ranks, by_weight
from mathrl.trainers.recipe import Recipe


@dataclass(slots=True)
class RolloutBatch:
    """What this rank trains on; B completions, T tokens of the longest."""

    rows: list[Row]
    mask_BT: Tensor
    norm_BT: Tensor
    """Each token's weight in the whole step, so that neither micro-batch nor rank changes it."""
    advantages_BT: Tensor
    ref_logprobs_BT: Tensor | None
    """Under the reference; None where the loss has no penalty."""
    sampler_logprobs_BT: Tensor | None
    """As the engine reported them; None where it reports none."""
    num_completions: int
    """Of the whole step, with a verdict."""
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
        if cap and self.sampler_logprobs_BT is not None:
            advantages_BT *= importance_weights(old_BT, rows(self.sampler_logprobs_BT), cap)
        return TokenBatch(
            advantages_BT=advantages_BT,
            old_logprobs_BT=old_BT,
            mask_BT=self.mask_BT[list(indices), :width].to(device),
            ref_logprobs_BT=None if self.ref_logprobs_BT is None else rows(self.ref_logprobs_BT),
        )

    def only(self, places: Sequence[int]) -> "RolloutBatch":
        """Keep some of the rows."""
        rows = [self.rows[b] for b in places]
        width = max((len(completion) for _, completion in rows), default=0)

        def kept(tensor_BT: Tensor) -> Tensor:
            return tensor_BT[list(places), :width]

        def if_there(tensor_BT: Tensor | None) -> Tensor | None:
            return None if tensor_BT is None else kept(tensor_BT)

        return RolloutBatch(
            rows=rows,
            mask_BT=kept(self.mask_BT),
            norm_BT=kept(self.norm_BT),
            advantages_BT=kept(self.advantages_BT),
            ref_logprobs_BT=if_there(self.ref_logprobs_BT),
            sampler_logprobs_BT=if_there(self.sampler_logprobs_BT),
            num_completions=self.num_completions,
            old_logprobs_BT=if_there(self.old_logprobs_BT),
        )


def assemble(
    rollouts: Sequence[Rollout],
    method: Method,
    recipe: Recipe,
    reference: PreTrainedModel | None,
    policy: PreTrainedModel,
    ranks: Ranks = ALONE,
) -> RolloutBatch:
    """Credit the step's rollouts that have a verdict, and take this rank's share of them.

    Args:
        rollouts: Of the whole step, the same on every rank.
        method: Credit and norm.
        recipe: The run's.
        reference: For the KL penalty; None where there is none. An adapted policy is its own
            reference, with its adapters off.
        policy: Scored before credit only where the reward holds the penalty.
        ranks: Who trains.

    Raises:
        ConfigError: A completion has no token ids, or no log-probs where they are needed.
    """
    scored = [r for r in rollouts if r.score is not None and r.score.value is not None]
    rows = [(r.prompt_ids, _token_ids(r)) for r in scored]
    mask_BT = completion_mask([len(completion) for _, completion in rows])
    ref_BT, old_BT, penalties_BT = None, None, None
    if reference is not None:
        with adapters_off(reference):
            ref_BT = all_logprobs(reference, rows, recipe, ranks)
    if method.reward_penalty is not None and ref_BT is not None:
        old_BT = all_logprobs(policy, rows, recipe, ranks)
        penalties_BT = method.reward_penalty(old_BT, ref_BT)
    batch = RolloutBatch(
        rows=rows,
        mask_BT=mask_BT,
        norm_BT=_norm(scored, mask_BT, method, recipe),
        advantages_BT=_advantages(scored, mask_BT, penalties_BT, method),
        ref_logprobs_BT=ref_BT if method.reward_penalty is None else None,
        sampler_logprobs_BT=_sampler_logprobs(scored, mask_BT, recipe),
        num_completions=len(rows),
        old_logprobs_BT=old_BT,
    )
    owners = owners_of(rows, ranks.world)
    return batch.only([b for b in _moving(batch, recipe) if owners[b] == ranks.rank])


def owners_of(rows: Sequence[Row], world: int) -> list[int]:
    """The rank that works on each row: completions of one prompt stay together, loads are even."""
    members: dict[tuple[int, ...], list[int]] = {}
    for b, (prompt, _) in enumerate(rows):
        members.setdefault(prompt, []).append(b)
    costs = [len(p) + sum(len(rows[b][1]) for b in group) for p, group in members.items()]
    owners = [0] * len(rows)
    for group, owner in zip(members.values(), by_weight(costs, world), strict=True):
        for b in group:
            owners[b] = owner
    return owners


@torch.no_grad()
def all_logprobs(
    model: PreTrainedModel, rows: Sequence[Row], recipe: Recipe, ranks: Ranks = ALONE
) -> Tensor:
    """Log-probs of every row without a gradient, [B, T] on the CPU; each rank scores its share."""
    longest = max((len(completion) for _, completion in rows), default=0)
    logprobs_BT = torch.zeros(len(rows), longest, dtype=torch.float64)  # exact for any model
    mine = [b for b, owner in enumerate(owners_of(rows, ranks.world)) if owner == ranks.rank]
    for indices, scores in score_completions(
        model, [rows[b] for b in mine], scoring(recipe, ranks)
    ):
        width = scores.logprobs_BT.shape[1]
        places = [mine[index] for index in indices]
        logprobs_BT[places, :width] = scores.logprobs_BT.double().cpu()
    return ranks.add_up(logprobs_BT)


def scoring(recipe: Recipe, ranks: Ranks) -> Scoring:
    """How a run scores completions."""
    return Scoring(
        temperature=recipe.rollout.temperature,
        max_tokens=recipe.optimizer.micro_batch_tokens,
        has_entropy_gradient=recipe.loss.entropy > 0,
        align=ranks.align if ranks.is_sharded else None,
    )


def _norm(scored: Sequence[Rollout], mask_BT: Tensor, method: Method, recipe: Recipe) -> Tensor:
    """Weights of the tokens; 0 for the completions that the loss leaves out."""
    is_cut = [r.completion.finish_reason == "length" for r in scored]
    is_kept_B = ~(torch.tensor(is_cut, dtype=torch.bool) & recipe.loss.skips_truncated)
    norm_BT = torch.zeros(mask_BT.shape, dtype=torch.float64)
    norm_BT[is_kept_B] = method.norm(mask_BT[is_kept_B])
    return norm_BT


def _advantages(
    scored: Sequence[Rollout], mask_BT: Tensor, penalties_BT: Tensor | None, method: Method
) -> Tensor:
    return method.credit(
        Scored(
            rewards_B=torch.tensor([_value(r) for r in scored], dtype=torch.float64),
            groups_B=torch.tensor([r.group for r in scored], dtype=torch.long),
            mask_BT=mask_BT,
            penalties_BT=penalties_BT,
        )
    )


def _moving(batch: RolloutBatch, recipe: Recipe) -> list[int]:
    """The rows that can move a weight; of the others all coefficients are zero."""
    if batch.ref_logprobs_BT is not None or recipe.loss.entropy:
        return list(range(len(batch.rows)))
    moves_B = (batch.advantages_BT * batch.norm_BT).abs().sum(dim=1) != 0
    moving: list[int] = moves_B.nonzero()[:, 0].tolist()
    return moving


def _sampler_logprobs(scored: Sequence[Rollout], mask_BT: Tensor, recipe: Recipe) -> Tensor | None:
    logprobs_BT = torch.zeros(mask_BT.shape, dtype=torch.float64)
    for b, rollout in enumerate(scored):
        found = rollout.completion.logprobs
        if found is None and recipe.loss.importance_cap:
            raise ConfigError(
                "loss.importance_cap corrects for the sampler's log-probs, and the engine gives "
                "none: set it to 0, or use an engine that reports them"
            )
        if found is None:
            return None
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
