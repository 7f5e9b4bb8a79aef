"""A training step in numbers; keys look like paths, and ``docs/watching.md`` explains each."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pstdev

import torch

from mathrl.schema import Rollout
from mathrl.trainers.batch import RolloutBatch
from mathrl.trainers.credit import has_spread
from mathrl.trainers.parallel import ALONE, Ranks
from mathrl.trainers.sources import Drawn
from mathrl.trainers.update import UpdateStats


def step_metrics(drawn: Drawn, stats: Sequence[UpdateStats]) -> dict[str, float]:
    """Sum up the rollouts and the updates of one step.

    ``reward/mean`` and ``reward/std`` are over all that was drawn and has a verdict;
    ``reward/zero_spread`` is the share of groups that all agree, which teach nothing;
    ``loss/...`` are those of the last update, in which the policy is furthest from the sampler;
    but ``loss/clip_frac_...`` are means over the step's updates, for the first of them can clip
    nothing: so they tell how much of the step's gradient was stopped.
    """
    rollouts = [*drawn.rollouts, *drawn.discarded]
    scores = [rollout.score for rollout in rollouts if rollout.score is not None]
    values = [score.value for score in scores if score.value is not None]
    lengths = [len(rollout.completion.token_ids or ()) for rollout in rollouts]
    metrics: dict[str, float] = {
        "reward/mean": fmean(values) if values else 0.0,
        "reward/std": pstdev(values) if values else 0.0,
        "reward/no_verdict": 1 - len(values) / len(rollouts),
        "reward/zero_spread": _zero_spread_share(rollouts),
        "length/mean": fmean(lengths),
        "length/max": max(lengths),
        "length/truncated": fmean(r.completion.finish_reason == "length" for r in rollouts),
        "tokens": sum(lengths),
        "rollout/discarded": len(drawn.discarded) / len(rollouts),
        "loss/skipped_updates": sum(update.is_skipped for update in stats),
    }
    for status, count in sorted(Counter(score.status for score in scores).items()):
        metrics[f"reward/status/{status}"] = count / len(rollouts)
    for name in sorted({name for score in scores for name in score.parts}):
        parts = [value for score in scores if (value := score.parts.get(name)) is not None]
        metrics[f"reward/part/{name}"] = fmean(parts) if parts else 0.0
    return metrics | _loss_metrics(stats)


def sampler_gap(batch: RolloutBatch, ranks: Ranks = ALONE) -> dict[str, float]:
    """How far the sampler's log-probs are from the trainer's, before the first update.

    Both are of the same weights, so what is above rounding means that one of them is wrong:
    another temperature, another prompt, weights that never arrived.

    Args:
        batch: This rank's share, after the first update.
        ranks: Who trains.

    Returns:
        ``loss/sampler_gap``, the mean absolute difference over tokens in nats, and its maximum;
        nothing where the engine reports no log-probs or nothing was scored.
    """
    if batch.sampler_logprobs_BT is None or batch.old_logprobs_BT is None:
        return {}
    gaps = (batch.old_logprobs_BT - batch.sampler_logprobs_BT)[batch.mask_BT].abs()
    share = (float(gaps.sum()), gaps.numel(), float(gaps.max()) if gaps.numel() else 0.0)
    totals, counts, highest = zip(*ranks.exchange(share), strict=True)
    return {
        "loss/sampler_gap": sum(totals) / max(1, sum(counts)),
        "loss/sampler_gap_max": max(highest),
    }


def _loss_metrics(stats: Sequence[UpdateStats]) -> dict[str, float]:
    if not stats:
        return {}
    last = stats[-1]
    return {
        "loss/kl": last.kl,
        "loss/entropy": last.entropy,
        "loss/clip_frac_low": fmean(update.clip_frac_low for update in stats),
        "loss/clip_frac_high": fmean(update.clip_frac_high for update in stats),
        "loss/grad_norm": last.grad_norm,
        "loss/logprob": stats[0].logprob,
        "lr": last.lr,
    }


def _zero_spread_share(rollouts: Sequence[Rollout]) -> float:
    groups: dict[int, list[float]] = {}
    for rollout in rollouts:
        if rollout.score is not None and rollout.score.value is not None:
            groups.setdefault(rollout.group, []).append(rollout.score.value)
    if not groups:
        return 0.0
    rewards = [torch.tensor(values, dtype=torch.float64) for values in groups.values()]
    return fmean(not has_spread(rewards_G) for rewards_G in rewards)
