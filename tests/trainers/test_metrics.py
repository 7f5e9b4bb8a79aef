"""A step's numbers by hand."""

import math
from dataclasses import replace

import pytest
import torch

from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers.batch import RolloutBatch
from mathrl.trainers.logprobs import completion_mask
from mathrl.trainers.metrics import sampler_gap, step_metrics
from mathrl.trainers.parallel import Ranks
from mathrl.trainers.sources import Drawn
from mathrl.trainers.update import UpdateStats


def rollout(group, value, status="wrong", length=2, finish="stop"):
    return Rollout(
        problem=Problem(id=str(group), prompt="", answer=""),
        prompt_ids=(1,),
        completion=Completion(text="", token_ids=(3,) * length, finish_reason=finish),
        group=group,
        policy_version=0,
        score=Score(value=value, status=status, parts={"accuracy": value}),
    )


DRAWN = Drawn(
    [
        rollout(0, 1.0, "correct", length=4),
        rollout(0, 0.0, "no_answer", length=8, finish="length"),
        rollout(1, 0.0),
        rollout(1, None, "gold_unparseable"),
    ]
)


def test_rewards_verdicts_and_lengths_by_hand():
    metrics = step_metrics(DRAWN, [])
    assert metrics["reward/mean"] == pytest.approx(1 / 3)
    assert metrics["reward/part/accuracy"] == pytest.approx(1 / 3)
    assert metrics["reward/no_verdict"] == 1 / 4
    assert metrics["reward/zero_spread"] == 1 / 2  # group 1 has one verdict left
    statuses = {k: v for k, v in metrics.items() if k.startswith("reward/status/")}
    assert set(statuses.values()) == {1 / 4} and len(statuses) == 4
    assert (metrics["length/mean"], metrics["length/max"]) == (4.0, 8)
    assert metrics["length/truncated"] == 1 / 4
    assert metrics["tokens"] == 16


def test_clip_fractions_are_means_over_the_updates_and_the_rest_is_of_the_last():
    first = UpdateStats(kl=0.0, entropy=2.0, lr=0.1)
    last = UpdateStats(kl=0.5, entropy=1.0, clip_frac_low=0.2, clip_frac_high=0.4, lr=0.2)
    metrics = step_metrics(DRAWN, [first, last])
    assert (metrics["loss/clip_frac_low"], metrics["loss/clip_frac_high"]) == (0.1, 0.2)
    assert (metrics["loss/kl"], metrics["loss/entropy"], metrics["lr"]) == (0.5, 1.0, 0.2)


def test_skipped_updates_are_counted():
    skipped = UpdateStats(grad_norm=math.nan, is_skipped=True)
    metrics = step_metrics(DRAWN, [skipped, UpdateStats(), skipped])
    assert metrics["loss/skipped_updates"] == 2
    assert step_metrics(DRAWN, [])["loss/skipped_updates"] == 0


def batch(old, sampler):
    """Two completions, of 2 tokens and of 1; what is behind the second must not count."""
    mask_BT = completion_mask([2, 1])
    return RolloutBatch(
        rows=[((1,), (2, 3)), ((1,), (4,))],
        mask_BT=mask_BT,
        norm_BT=mask_BT.double(),
        advantages_BT=mask_BT.double(),
        ref_logprobs_BT=None,
        sampler_logprobs_BT=None if sampler is None else torch.tensor(sampler),
        num_completions=2,
        old_logprobs_BT=torch.tensor(old),
    )


def test_sampler_gap_by_hand():
    # |-1 + 1.5| = 0.5, |-2 + 2| = 0, |-3 + 2| = 1: mean 0.5, max 1
    gap = sampler_gap(batch([[-1.0, -2.0], [-3.0, 9.0]], [[-1.5, -2.0], [-2.0, 0.0]]))
    assert gap == {"loss/sampler_gap": 0.5, "loss/sampler_gap_max": 1.0}


def test_no_sampler_logprobs_no_gap():
    assert sampler_gap(batch([[-1.0, -2.0], [-3.0, 0.0]], None)) == {}


def test_the_gap_is_over_the_tokens_of_all_ranks(monkeypatch):
    """Another rank with 1 token and a gap of 2: (1.5 + 2) / 4 and 2; one without tokens."""
    others = [(2.0, 1, 2.0), (0.0, 0, 0.0)]
    monkeypatch.setattr(Ranks, "exchange", lambda self, value: [value, *others])
    ours = batch([[-1.0, -2.0], [-3.0, 9.0]], [[-1.5, -2.0], [-2.0, 0.0]])
    gap = sampler_gap(ours, Ranks(0, 3))
    assert gap == {"loss/sampler_gap": 0.875, "loss/sampler_gap_max": 2.0}
    nothing = replace(ours.only([]), old_logprobs_BT=torch.zeros(0, 0))
    assert sampler_gap(nothing, Ranks(2, 3))["loss/sampler_gap_max"] == 2.0
