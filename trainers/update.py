"""One optimizer step: micro-batches of weighted log-probs, then AdamW."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mathrl.trainers.batch import RolloutBatch
from mathrl.trainers.coefficients import TokenBatch, is_clipped, kl_k3
from mathrl.trainers.logprobs import completion_logprobs, micro_batches
from mathrl.trainers.methods import Method
from mathrl.trainers.recipe import OptimizerConfig, Recipe


@dataclass(slots=True)
class UpdateStats:
    """What one update did; means are over tokens."""

    kl: float = 0.0
    """Mean k3 to the reference; 0 without one."""
    clip_frac: float = 0.0
    """Share of tokens whose gradient the clip stopped."""
    grad_norm: float = 0.0
    """Before clipping."""
    lr: float = 0.0
    is_skipped: bool = False
    """The gradient was not finite; the weights are as before."""


def update(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    batch: RolloutBatch,
    method: Method,
    recipe: Recipe,
    *,
    lr: float,
) -> UpdateStats:
    """Take one optimizer step on ``-sum(norm * coefficient * logprob)`` over the batch."""
    stats = UpdateStats(lr=lr)
    seen_BT = torch.zeros(batch.mask_BT.shape, dtype=torch.float64)  # exact for any model
    for indices in micro_batches(batch.rows, recipe.optimizer.micro_batch_tokens):
        logprobs_BT = completion_logprobs(
            model, [batch.rows[b] for b in indices], temperature=recipe.rollout.temperature
        )
        detached_BT = logprobs_BT.detach()
        tokens = batch.tokens(indices, detached_BT)
        coefficient_BT = method.coefficient(detached_BT, tokens)
        width = logprobs_BT.shape[1]
        norm_BT = batch.norm_BT[indices, :width].to(logprobs_BT.device, logprobs_BT.dtype)
        loss = -(norm_BT * coefficient_BT * logprobs_BT).sum()
        loss.backward()
        seen_BT[indices, :width] = detached_BT.double().cpu()
        _observe(stats, detached_BT, tokens, batch.mask_BT[indices, :width], recipe)
    if batch.old_logprobs_BT is None:
        batch.old_logprobs_BT = seen_BT
    num_tokens = max(1, int(batch.mask_BT.sum()))
    stats.kl /= num_tokens
    stats.clip_frac /= num_tokens
    _step(model, optimizer, stats, recipe.optimizer.max_grad_norm)
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
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    stats: UpdateStats,
    max_grad_norm: float,
) -> None:
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    stats.grad_norm = float(norm)
    stats.is_skipped = not math.isfinite(stats.grad_norm)
    if not stats.is_skipped:
        for group in optimizer.param_groups:
            group["lr"] = stats.lr
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _observe(
    stats: UpdateStats, logprobs_BT: Tensor, tokens: TokenBatch, mask_BT: Tensor, recipe: Recipe
) -> None:
    """Add a micro-batch to the sums that become means over tokens."""
    mask_BT = mask_BT.to(logprobs_BT.device)
    if tokens.ref_logprobs_BT is not None:
        stats.kl += float(kl_k3(logprobs_BT, tokens.ref_logprobs_BT)[mask_BT].sum())
    ratio_BT = torch.exp(logprobs_BT - tokens.old_logprobs_BT)
    clipped_BT = is_clipped(ratio_BT, tokens, recipe.loss.clip_low, recipe.loss.clip_high)
    stats.clip_frac += int(clipped_BT[mask_BT].sum())
