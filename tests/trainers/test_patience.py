"""When to stop: by hand, and in whole runs that are cut and resumed."""

import copy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from mathrl import arithmetic
from mathrl.errors import ConfigError
from mathrl.trainers import load_recipe, train
from mathrl.trainers.patience import best_step, is_out_of_patience
from mathrl.trainers.runlog import read_records

SETTINGS = [
    "max_steps=12",
    "rollout.num_problems=2",
    "rollout.group_size=2",
    "rollout.max_new_tokens=4",
    "optimizer.lr=0.01",
    "optimizer.schedule=constant",
    "optimizer.warmup_steps=0",
    "loss.beta=0",
    "checkpoint.every=3",
    "eval.every=2",
    "eval.patience=2",
]
ACCURACIES = {0: 0.25, 2: 0.5, 4: 0.75, 6: 0.5, 8: 0.75, 10: 1.0, 12: 1.0}
"""The best at step 4 is met again at 8, which is no new best: two evaluations in vain."""


def evaluations(*accuracies):
    return {10 * i: {"kind": "eval", "accuracy": a} for i, a in enumerate(accuracies)}


def test_the_best_is_the_first_of_equals():
    assert best_step({}) is None
    assert best_step(evaluations(0.5, 0.75, 0.25, 0.75)) == 10


def test_patience_by_hand():
    risen_last = evaluations(0.5, 0.25, 0.75)
    assert not is_out_of_patience(risen_last, 1)
    one_in_vain = evaluations(0.5, 0.75, 0.75)
    assert is_out_of_patience(one_in_vain, 1) and not is_out_of_patience(one_in_vain, 2)
    assert not is_out_of_patience({}, 1)
    assert not is_out_of_patience(evaluations(0.5, 0.25, 0.25, 0.25), 0)  # no limit


def test_an_evaluation_without_accuracy_is_refused():
    with pytest.raises(ConfigError, match="must return 'accuracy'"):
        is_out_of_patience({0: {"kind": "eval", "reward": 1.0}}, 1)
    assert not is_out_of_patience({0: {"kind": "eval", "reward": 1.0}}, 0)


def test_patience_without_evaluations_is_refused():
    with pytest.raises(ConfigError, match=r"set eval\.every"):
        load_recipe("demo", ["eval.patience=2", "eval.every=0"])
    with pytest.raises(ConfigError, match=r"eval\.patience must be 0 or more"):
        load_recipe("demo", ["eval.patience=-1"])


def even_share(completions, completion_ids, **columns):
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def start(policy, out, *, stop_at=None, settings=(), **kwargs):
    def stop(record):
        if (record["kind"], record["step"]) == stop_at:
            raise KeyboardInterrupt

    return train(
        load_recipe("demo", [*SETTINGS, *settings]),
        policy=policy,
        problems=arithmetic.generate_problems("train", count=5),
        rewards=[even_share],
        out=out,
        evaluate=lambda engine: {"accuracy": ACCURACIES[engine.policy_version]},
        on_record=stop,
        **kwargs,
    )


def weights(folder):
    return load_file(folder / "model.safetensors")["lm_head.weight"]


def test_a_run_stops_when_its_patience_is_used_up(policy, tmp_path):
    result = start(policy, tmp_path / "run")
    assert (result.is_finished, result.step, result.best_step) == (True, 8, 4)
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "eval"] == [0, 2, 4, 6, 8]
    assert [r["step"] for r in records if r["kind"] == "train"] == list(range(1, 9))
    last = policy.model.lm_head.weight  # trained in place
    assert torch.equal(weights(tmp_path / "run" / "policy"), last)


def test_the_best_policy_is_that_of_its_step(policy, shared_policy, tmp_path):
    other = replace(shared_policy, model=copy.deepcopy(shared_policy.model))
    start(policy, tmp_path / "run")
    start(other, tmp_path / "short", settings=["max_steps=4"])
    best, last = weights(tmp_path / "run" / "best"), weights(tmp_path / "run" / "policy")
    assert torch.equal(best, weights(tmp_path / "short" / "policy"))
    assert not torch.equal(best, last)


@pytest.mark.parametrize("stop_at", [("eval", 4), ("train", 4), ("train", 7), ("eval", 8)])
def test_a_resumed_run_stops_where_the_whole_one_does(policy, shared_policy, tmp_path, stop_at):
    other = replace(shared_policy, model=copy.deepcopy(shared_policy.model))
    start(policy, tmp_path / "whole")
    assert not start(other, tmp_path / "cut", stop_at=stop_at).is_finished
    result = start(None, tmp_path / "cut", resume=True)
    assert (result.is_finished, result.step, result.best_step) == (True, 8, 4)
    for name in ("policy", "best"):
        whole, cut = (weights(tmp_path / run / name) for run in ("whole", "cut"))
        assert torch.equal(whole, cut)


def test_without_patience_no_best_is_kept(policy, tmp_path):
    result = start(policy, tmp_path / "run", settings=["eval.patience=0"])
    assert (result.step, result.best_step) == (12, None)
    assert not (tmp_path / "run" / "best").exists()
