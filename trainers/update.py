"""One optimizer step: micro-batches of weighted log-probs, then AdamW."""

import math
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from mathrl.trainers.batch import RolloutBatch, scoring
from mathrl.trainers.coefficients import TokenBatch, clipped_sides, sequence_ratio
from mathrl.trainers.divergences import k3
from mathrl.trainers.logprobs import Scores, score_completions
from mathrl.trainers.methods import Method
from mathrl.trainers.optimizer import set_learning_rate, stepped
from mathrl.trainers.parallel import ALONE, Ranks
from mathrl.trainers.recipe import OptimizerConfig, Recipe
from mathrl.trainers.sharding import whole


@dataclass(slots=True)
class UpdateStats:
    """What one update did; means are over tokens."""

    logprob: float = 0.0
    """Of a token, before this update; minus the loss, for SFT."""
    kl: float = 0.0
    """Mean k3 to the reference; 0 without one."""
    entropy: float = 0.0
    """Of the distributions that the tokens were drawn from, in nats."""
    clip_frac_low: float = 0.0
    """Share of tokens whose gradient the clip stopped below its range."""
    clip_frac_high: float = 0.0
    """The same above it."""
    grad_norm: float = 0.0
    """Before clipping."""
    lr: float = 0.0
    is_skipped: bool = False
    """The gradient was not finite; the weights are as before."""

    def average(self, num_tokens: int, ranks: Ranks) -> None:
        """Turn the sums over this rank's tokens into means over all ranks' tokens."""
        names = ("logprob", "kl", "entropy", "clip_frac_low", "clip_frac_high")
        sums = [*(getattr(self, name) for name in names), num_tokens]
        *totals, count = ranks.add_up(torch.tensor(sums, dtype=torch.float64)).tolist()
        for name, total in zip(names, totals, strict=True):
            setattr(self, name, total / max(1.0, count))


def update(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: RolloutBatch,
    method: Method,
    recipe: Recipe,
    *,
    lr: float,
    ranks: Ranks = ALONE,
) -> UpdateStats:
    """Take one optimizer step on ``-sum(norm * (coefficient * logprob + entropy bonus))``."""
    stats = UpdateStats(lr=lr)
    seen_BT = torch.zeros(batch.mask_BT.shape, dtype=torch.float64)  # exact for any model
    for indices, scores in score_completions(model, batch.rows, scoring(recipe, ranks)):
        logprobs_BT = scores.logprobs_BT
        detached_BT = logprobs_BT.detach()
        tokens = batch.tokens(indices, detached_BT, recipe.loss.importance_cap)
        coefficient_BT = method.coefficient(detached_BT, tokens)
        width = logprobs_BT.shape[1]
        norm_BT = batch.norm_BT[indices, :width].to(logprobs_BT.device, logprobs_BT.dtype)
        loss = -(norm_BT * coefficient_BT * logprobs_BT).sum()
        if recipe.loss.entropy:
            loss = loss - recipe.loss.entropy * (norm_BT * scores.entropies_BT).sum()
        loss.backward()
        seen_BT[indices, :width] = detached_BT.double().cpu()
        _observe(stats, scores, tokens, recipe)
    if batch.old_logprobs_BT is None:
        batch.old_logprobs_BT = seen_BT
    stats.average(int(batch.mask_BT.sum()), ranks)
    _step(optimizer, stats, recipe.optimizer.max_grad_norm, ranks)
    return stats


def learning_rate(config: OptimizerConfig, update_index: int, total: int) -> float:
    """Learning rate of an optimizer step.

    Args:
        config: Peak, schedule and warm-up.
        update_index: Which step, from 0.
        total: Steps in the whole run.

    Returns:
        Rises evenly over the warm-up to the peak, then follows the schedule towards 0, which it
        would reach one step after the last.
    """
    if update_index < config.warmup_steps:
        return config.lr * (update_index + 1) / config.warmup_steps
    progress = (update_index - config.warmup_steps) / max(1, total - config.warmup_steps)
    if config.schedule == "linear":
        return config.lr * (1 - progress)
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * progress))
    return config.lr


def _step(
    optimizer: torch.optim.Optimizer, stats: UpdateStats, max_grad_norm: float, ranks: Ranks
) -> None:
    parameters = stepped(optimizer)
    for parameter in parameters:  # a step without a gradient still moves by momentum
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    ranks.add_up_gradients(parameters)
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    stats.grad_norm = float(whole(norm))
    stats.is_skipped = not math.isfinite(stats.grad_norm)
    if not stats.is_skipped:
        set_learning_rate(optimizer, stats.lr)
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _observe(stats: UpdateStats, scores: Scores, tokens: TokenBatch, recipe: Recipe) -> None:
    """Add a micro-batch to the sums that become means over tokens."""
    logprobs_BT, mask_BT = scores.logprobs_BT.detach(), tokens.mask_BT
    if tokens.ref_logprobs_BT is not None:
        stats.kl += float(k3(logprobs_BT, tokens.ref_logprobs_BT)[mask_BT].sum())
    stats.logprob += float(logprobs_BT[mask_BT].sum())
    stats.entropy += float(scores.entropies_BT.detach()[mask_BT].sum())
    if recipe.loss.surrogate == "gspo":
        ratio_BT = sequence_ratio(logprobs_BT, tokens).expand_as(logprobs_BT)
    else:
        ratio_BT = torch.exp(logprobs_BT - tokens.old_logprobs_BT)
    low_BT, high_BT = clipped_sides(ratio_BT, tokens, recipe.loss.clip_low, recipe.loss.clip_high)
    stats.clip_frac_low += int(low_BT[mask_BT].sum())
    stats.clip_frac_high += int(high_BT[mask_BT].sum())
