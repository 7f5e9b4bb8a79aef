"""A training step in numbers; keys look like paths."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, pstdev

import torch

from mathrl.schema import Rollout
from mathrl.trainers.credit import has_spread
from mathrl.trainers.sources import Drawn
from mathrl.trainers.update import UpdateStats


def step_metrics(drawn: Drawn, stats: Sequence[UpdateStats]) -> dict[str, float]:
    """Sum up the rollouts and the updates of one step.

    ``reward/mean`` and ``reward/std`` are over all that was drawn and has a verdict;
    ``reward/zero_spread`` is the share of groups that all agree, which teach nothing;
    ``loss/...`` are those of the last update, in which the policy is furthest from the sampler.
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
    if stats:
        last = stats[-1]
        metrics |= {
            "loss/kl": last.kl,
            "loss/entropy": last.entropy,
            "loss/clip_frac": last.clip_frac,
            "loss/grad_norm": last.grad_norm,
            "loss/logprob": stats[0].logprob,
            "lr": last.lr,
        }
    return metrics


def _zero_spread_share(rollouts: Sequence[Rollout]) -> float:
    groups: dict[int, list[float]] = {}
    for rollout in rollouts:
        if rollout.score is not None and rollout.score.value is not None:
            groups.setdefault(rollout.group, []).append(rollout.score.value)
    if not groups:
        return 0.0
    rewards = [torch.tensor(values, dtype=torch.float64) for values in groups.values()]
    return fmean(not has_spread(rewards_G) for rewards_G in rewards)
