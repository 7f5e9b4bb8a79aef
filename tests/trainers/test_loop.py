"""Whole runs on a tiny random policy; ``test_resume.py`` has those that are cut short."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from safetensors.torch import load_file

from mathrl import arithmetic
from mathrl.engines.local import LocalEngine
from mathrl.errors import ConfigError, GradingError
from mathrl.policy import load_policy
from mathrl.trainers import load_recipe, loop, train
from mathrl.trainers.runlog import read_records

SETTINGS = [
    "max_steps=6",
    "rollout.num_problems=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "loss.updates_per_rollout=2",
    "optimizer.lr=0.01",
    "checkpoint.every=2",
]


def even_share(completions, completion_ids, **columns):
    """A reward that a random policy can climb: the share of tokens with an even id."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def start(policy, out, *, settings=(), **kwargs):
    recipe = load_recipe("demo", [*SETTINGS, *settings])
    options = {"policy": policy, "rewards": [even_share], "out": out, **kwargs}
    return train(recipe, problems=arithmetic.generate_problems("train", count=10), **options)


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_same_weights(first, second):
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    reference = weights(first.parent / "reference")
    moved = [not torch.equal(ours[name], reference[name]) for name in ours]
    assert all(moved), "the run changed nothing, so being equal says nothing"


def read_rollouts(folder, step):
    path = folder / "rollouts" / f"step-{step:06d}.parquet"
    return parquet.read_table(path).to_pylist(maps_as_pydicts="strict")


class StopAt:
    """Presses Ctrl-C when a record of this step is logged."""

    def __init__(self, step):
        self.step = step

    def __call__(self, record):
        if record["step"] == self.step:
            raise KeyboardInterrupt


def clone(policy):
    return replace(policy, model=copy.deepcopy(policy.model))


def test_the_reward_rises(policy, tmp_path):
    settings = ["max_steps=20", "rollout.group_size=8", "loss.beta=0.0"]
    result = start(policy, tmp_path / "run", settings=settings)
    records = read_records(result.folder / "metrics.jsonl")
    rewards = [record["reward/mean"] for record in records]
    assert result.is_finished and len(records) == 20
    assert 0.4 < rewards[0] < 0.6  # half of all ids are even
    assert min(rewards[-3:]) > 0.75


def test_the_same_seed_gives_the_same_run(policy, tmp_path):
    start(clone(policy), tmp_path / "first")
    start(clone(policy), tmp_path / "second")
    assert_same_weights(tmp_path / "first" / "policy", tmp_path / "second" / "policy")
    start(clone(policy), tmp_path / "third", settings=["seed=1"])
    name = "lm_head.weight"
    assert not torch.equal(
        weights(tmp_path / "first" / "policy")[name], weights(tmp_path / "third" / "policy")[name]
    )


def test_evaluation_before_during_and_after(policy, tmp_path):
    seen = []

    def evaluate(engine):
        seen.append(engine.policy_version)
        return {"accuracy": 0.0}

    start(policy, tmp_path / "run", settings=["eval.every=2"], evaluate=evaluate)
    assert seen == [0, 2, 4, 6]
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    kinds = [(record["kind"], record["step"]) for record in records]
    assert kinds.index(("eval", 2)) == kinds.index(("train", 2)) + 1


def test_the_reference_stays_the_first_policy(policy, tmp_path):
    start(clone(policy), tmp_path / "run")
    first = weights(tmp_path / "run" / "reference")
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(first[name], tensor)
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert records[-1]["loss/kl"] > 0


def test_kl_is_exactly_zero_at_the_first_update(policy, tmp_path):
    start(policy, tmp_path / "run", settings=["loss.updates_per_rollout=1"])
    assert read_records(tmp_path / "run" / "metrics.jsonl")[0]["loss/kl"] == 0


def test_no_reference_is_kept_without_a_kl_penalty(policy, tmp_path):
    start(policy, tmp_path / "run", settings=["loss.beta=0"])
    assert not (tmp_path / "run" / "reference").exists()


def test_the_exported_policy_is_an_ordinary_folder(policy, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = start(policy, tmp_path / "run")
    folder = tmp_path / "run" / "policy"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Mia has 7 pens.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, result.policy.model(ids).logits)
    assert load_policy(folder).fingerprint() == result.policy.fingerprint()


def test_rollouts_are_kept_with_their_verdicts(policy, tmp_path):
    start(policy, tmp_path / "run")
    rows = read_rollouts(tmp_path / "run", 3)
    assert len(rows) == 12
    assert {row["group"] for row in rows} == {0, 1, 2}
    assert len({row["reward"] for row in rows}) > 1


def test_a_second_run_does_not_overwrite_the_first(policy, tmp_path):
    start(clone(policy), tmp_path / "run")
    with pytest.raises(ConfigError, match="holds a run already"):
        start(policy, tmp_path / "run")


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_at_a_time_do_not_share_a_folder(policy, tmp_path, resume):
    def watch(record):
        if record["step"] == 1:  # before the first checkpoint
            with pytest.raises(ConfigError, match="another process is at work"):
                start(clone(policy), tmp_path / "run", resume=resume)

    start(clone(policy), tmp_path / "run", on_record=watch)
    start(clone(policy), tmp_path / "whole")
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "run" / "policy")


def test_a_reward_that_fails_stops_the_run_and_nothing_is_lost(policy, tmp_path):
    calls = []

    def fails_later(completions, **columns):
        calls.append(1)
        if len(calls) == 4:
            raise ZeroDivisionError
        return even_share(completions, **columns)

    fails_later.__name__ = "even_share"  # the same reward, mended before the run goes on
    with pytest.raises(GradingError, match="ZeroDivisionError"):
        start(clone(policy), tmp_path / "run", rewards=[fails_later])
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()
    start(clone(policy), tmp_path / "whole")
    start(None, tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "run" / "policy", tmp_path / "whole" / "policy")


def test_an_error_of_any_kind_costs_no_whole_step(policy, tmp_path):
    def fails(record):
        if record["step"] == 3:
            raise LookupError("of the caller's own")

    with pytest.raises(LookupError):
        start(policy, tmp_path / "run", on_record=fails)
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()


def test_steps_without_any_verdict_change_nothing(policy, tmp_path):
    before = copy.deepcopy(policy.model.state_dict())
    start(policy, tmp_path / "run", rewards=[lambda completions, **_: [None] * len(completions)])
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(before[name], tensor)
    assert read_records(tmp_path / "run" / "metrics.jsonl")[0]["reward/no_verdict"] == 1


def test_the_learning_rate_follows_the_updates(policy, tmp_path):
    settings = ["optimizer.warmup_steps=4", "optimizer.schedule=linear"]
    result = start(policy, tmp_path / "run", settings=settings)
    # 6 steps of 2 updates; a step logs its second. Warm-up: 2/4 and 4/4; then 8 updates to 0,
    # of which those logged are 1, 3, 5 and 7 on the way
    expected = [0.5, 1.0, 7 / 8, 5 / 8, 3 / 8, 1 / 8]
    rates = [record["lr"] / 0.01 for record in read_records(result.folder / "metrics.jsonl")]
    assert rates == pytest.approx(expected)


def test_weight_decay_alone_shrinks_the_weights(policy, tmp_path):
    before = policy.model.lm_head.weight.detach().clone()
    settings = ["loss.beta=0", "optimizer.weight_decay=0.5", "optimizer.schedule=constant"]
    start(
        policy,
        tmp_path / "run",
        settings=[*settings, "optimizer.warmup_steps=0"],
        rewards=[lambda completions, **_: [1.0] * len(completions)],  # no spread, no gradient
    )
    expected = before * (1 - 0.01 * 0.5) ** 12  # 12 updates at lr 0.01
    torch.testing.assert_close(policy.model.lm_head.weight, expected)


def test_few_shot_examples_are_not_trained_on(policy, tmp_path):
    result = start(policy, tmp_path / "run", settings=["prompt.num_few_shot=8"])
    shown = {problem.id for problem in arithmetic.generate_problems("train", count=8)}
    for step in range(1, 7):
        assert not shown & {row["id"] for row in read_rollouts(result.folder, step)}


def test_a_run_that_got_nowhere_is_started_again_with_its_own_policy(policy, tmp_path):
    def breaks(completions, **columns):
        raise ZeroDivisionError

    other = clone(policy)
    with torch.no_grad():
        other.model.lm_head.weight.mul_(2)
    with pytest.raises(GradingError):
        start(other, tmp_path / "run", rewards=[breaks])
    (tmp_path / "run" / "rollouts").mkdir()  # as after a kill before the first checkpoint
    (tmp_path / "run" / "rollouts" / "step-000009.parquet").touch()
    start(clone(policy), tmp_path / "run")
    start(clone(policy), tmp_path / "whole")
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "run" / "policy")
    assert len(list((tmp_path / "run" / "rollouts").iterdir())) == 6  # pandas reads them all


def test_a_policy_that_is_not_float32_is_refused(policy, tmp_path):
    policy.model.bfloat16()
    with pytest.raises(ConfigError, match=r"torch.bfloat16 weights"):
        start(policy, tmp_path / "run")


def test_dropout_is_off_whatever_mode_the_model_is_in(policy, tmp_path):
    policy.model.train()
    start(policy, tmp_path / "run")
    assert not policy.model.training


@pytest.mark.parametrize("temperature", [0.7, 1.3])
def test_sampler_and_trainer_agree_at_any_temperature(policy, tmp_path, monkeypatch, temperature):
    """The log-probs of the sampler are those of the first update: the ratio is 1."""
    seen = []

    def watched(rollouts, *args):
        batch = loop_assemble(rollouts, *args)
        seen.append((rollouts, batch))
        return batch

    loop_assemble = loop.assemble
    monkeypatch.setattr(loop, "assemble", watched)
    settings = [f"rollout.temperature={temperature}", "max_steps=2"]
    start(policy, tmp_path / "run", settings=settings)
    for rollouts, batch in seen:
        for row, rollout in zip(batch.old_logprobs_BT, rollouts, strict=True):
            sampler = torch.tensor(rollout.completion.logprobs, dtype=torch.float64)
            torch.testing.assert_close(row[: len(sampler)], sampler, rtol=0, atol=1e-4)


class OtherTemperature(LocalEngine):
    """Samples at another temperature than it was asked for."""

    def sample(self, requests, params):
        return super().sample(requests, replace(params, temperature=1.5 * params.temperature))


def test_a_sampler_that_is_not_the_trainers_policy_is_seen(policy, tmp_path):
    short = ["max_steps=2"]
    start(clone(policy), tmp_path / "right", settings=short)
    start(policy, tmp_path / "wrong", settings=short, engine=OtherTemperature(policy))
    right, wrong = (
        [record["loss/sampler_gap"] for record in read_records(tmp_path / run / "metrics.jsonl")]
        for run in ("right", "wrong")
    )
    assert max(right) < 1e-5 and min(wrong) > 0.01
    last = read_records(tmp_path / "wrong" / "metrics.jsonl")[-1]
    assert last["loss/sampler_gap_max"] > last["loss/sampler_gap"]


def test_a_gradient_that_is_not_finite_is_counted_and_the_run_goes_on(
    policy, tmp_path, monkeypatch
):
    def broken(rollouts, *args):
        batch = loop_assemble(rollouts, *args)
        if rollouts[0].policy_version == 1:  # step 2, in both of its updates
            batch.advantages_BT[0, 0] = float("nan")
        return batch

    loop_assemble = loop.assemble
    monkeypatch.setattr(loop, "assemble", broken)
    result = start(policy, tmp_path / "run", settings=["max_steps=3"])
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [record["loss/skipped_updates"] for record in records] == [0, 2, 0]
    assert result.is_finished
    assert all(weight.isfinite().all() for weight in policy.model.state_dict().values())


def test_a_step_says_what_it_cost(policy, tmp_path):
    start(policy, tmp_path / "run", settings=["max_steps=1"])
    (record, *_) = read_records(tmp_path / "run" / "metrics.jsonl")
    phases = ("sample", "reward", "logprobs", "update", "sync")
    seconds = [record[f"time/{phase}_s"] for phase in phases]
    assert min(seconds) > 0 and record["time/step_s"] == pytest.approx(sum(seconds))
    rate = record["tokens"] / record["time/update_s"]
    assert record["tokens_per_s/update"] == pytest.approx(rate)
    assert record["memory/peak_gib"] > 0.1


def test_the_docs_explain_every_metric_of_a_step(policy, tmp_path):
    start(policy, tmp_path / "run", settings=["max_steps=1"])
    (record,) = read_records(tmp_path / "run" / "metrics.jsonl")
    docs = (Path(__file__).parents[2] / "docs" / "watching.md").read_text(encoding="utf-8")
    for key in record.keys() - {"kind", "step"}:
        for family in ("reward/part/NAME", "reward/status/STATUS", "tokens_per_s/PHASE"):
            if key.startswith(family.rpartition("/")[0]):
                key = family
        assert f"`{key}`" in docs, key


def test_the_manifest_names_no_folder(policy, tmp_path):
    start(replace(policy, name=str(tmp_path / "models" / "mine")), tmp_path / "run")
    text = (tmp_path / "run" / "manifest.json").read_text()
    assert '"model": "mine"' in text and str(tmp_path) not in text
