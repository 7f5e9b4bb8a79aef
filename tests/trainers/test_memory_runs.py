"""Whole runs with the memory options: they learn, and a resume is exact to the last bit."""

import logging

import pytest
import torch
from safetensors.torch import load_file

from mathrl.errors import ConfigError
from mathrl.policy import Policy, load_policy
from mathrl.trainers import load_recipe
from mathrl.trainers.offload import offloaded
from mathrl.trainers.run import Run
from mathrl.trainers.runlog import read_records
from tests.trainers.test_loop import StopAt, assert_same_weights, clone, start

OPTIONS = {
    "bfloat16": ["optimizer.dtype=bfloat16"],
    "all": ["optimizer.dtype=bfloat16", "optimizer.is_checkpointing=true", "optimizer.state=8bit"],
}


@pytest.fixture(params=OPTIONS)
def settings(request):
    found = OPTIONS[request.param]
    if "optimizer.state=8bit" in found:
        pytest.importorskip("torchao.optim", reason="needs mathrl[lowbit]")
    return found


def test_resume_is_exact(policy, tmp_path, settings):
    settings = [*settings, "max_steps=4"]
    start(clone(policy), tmp_path / "whole", settings=settings)
    halted = start(clone(policy), tmp_path / "halted", settings=settings, on_record=StopAt(3))
    assert not halted.is_finished
    start(None, tmp_path / "halted", settings=settings, resume=True)
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "halted" / "policy")
    last = [tmp_path / run / "checkpoints" / "step-000004" for run in ("whole", "halted")]
    masters = [load_file(folder / "model.safetensors") for folder in last]
    assert all(torch.equal(masters[0][name], masters[1][name]) for name in masters[0])


def test_checkpoints_hold_the_masters_and_the_policy_what_sampled(policy, tmp_path):
    result = start(policy, tmp_path / "run", settings=OPTIONS["bfloat16"])
    masters = load_file(tmp_path / "run" / "checkpoints" / "step-000006" / "model.safetensors")
    exported = load_file(tmp_path / "run" / "policy" / "model.safetensors")
    loaded = load_policy(tmp_path / "run" / "policy", device="cpu").model.state_dict()
    for name, tensor in result.policy.model.state_dict().items():
        assert masters[name].dtype == torch.float32 and exported[name].dtype == torch.bfloat16
        assert torch.equal(exported[name], tensor)
        assert torch.equal(masters[name].bfloat16(), tensor)
        assert torch.equal(loaded[name], tensor.float())
    assert not all(torch.equal(masters[name], exported[name].float()) for name in masters)


def test_the_reward_rises_in_bfloat16(policy, tmp_path):
    settings = ["max_steps=14", "rollout.group_size=8", "loss.beta=0", *OPTIONS["bfloat16"]]
    folder = start(policy, tmp_path / "run", settings=settings).folder
    rewards = [record["reward/mean"] for record in read_records(folder / "metrics.jsonl")]
    assert 0.4 < rewards[0] < 0.6 and min(rewards[-3:]) > 0.75


def test_kl_is_exactly_zero_at_the_first_update_in_bfloat16(policy, tmp_path):
    settings = [*OPTIONS["bfloat16"], "loss.updates_per_rollout=1"]
    start(policy, tmp_path / "run", settings=settings)
    first = read_records(tmp_path / "run" / "metrics.jsonl")[0]
    assert first["loss/kl"] == 0
    assert first["loss/clip_frac_low"] == first["loss/clip_frac_high"] == 0


@pytest.mark.usefixtures("through_transformers")
def test_checkpointing_changes_no_bit_of_a_run(policy, tmp_path):
    start(clone(policy), tmp_path / "plain")
    start(clone(policy), tmp_path / "ours", settings=["optimizer.is_checkpointing=true"])
    assert_same_weights(tmp_path / "plain" / "policy", tmp_path / "ours" / "policy")


def test_a_run_whose_state_leaves_while_it_samples_is_the_same(policy, tmp_path, monkeypatch):
    """On a CPU nothing moves; here it is made to, evaluations included."""
    options = {"evaluate": lambda engine: {"accuracy": 0.0}}
    start(clone(policy), tmp_path / "plain", settings=OPTIONS["bfloat16"], **options)
    places = []
    # reading the weights as numpy pins their storage, on a CPU
    monkeypatch.setattr(Policy, "fingerprint", lambda policy: "")

    def sampling(run):
        places.append(run.step)
        return offloaded(run.policy.model, run.optimizer)

    monkeypatch.setattr(Run, "sampling", sampling)
    start(clone(policy), tmp_path / "ours", settings=OPTIONS["bfloat16"], **options)
    assert places == [0, 0, 1, 2, 3, 4, 5, 6]  # an evaluation at each end
    assert_same_weights(tmp_path / "plain" / "policy", tmp_path / "ours" / "policy")


def test_on_a_cpu_offloading_says_that_nothing_moves(policy, tmp_path, caplog):
    settings = ["optimizer.is_offloaded=true", "max_steps=1"]
    with caplog.at_level(logging.WARNING):
        start(policy, tmp_path / "run", settings=settings)
    assert [record.message for record in caplog.records] == [
        "optimizer.is_offloaded: the weights are on the CPU, so nothing moves"
    ]


def test_8_bits_of_a_shard_are_refused():
    with pytest.raises(ConfigError, match=r"set optimizer.sharding to replicated"):
        load_recipe("demo", ["optimizer.state=8bit", "optimizer.sharding=sharded"])
