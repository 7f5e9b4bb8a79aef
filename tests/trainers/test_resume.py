"""Runs that are cut short, by Ctrl-C, kill -9 or the clock, and resumed to the last bit."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mathrl import arithmetic
from mathrl.errors import ConfigError
from mathrl.trainers import load_recipe, loop, run, train
from mathrl.trainers.runlog import read_records
from tests.trainers.test_loop import (
    SETTINGS,
    StopAt,
    assert_same_weights,
    clone,
    even_share,
    read_rollouts,
    start,
)


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_resume_after_ctrl_c_is_exact(policy, tmp_path, stop_at):
    start(clone(policy), tmp_path / "whole")
    halted = start(clone(policy), tmp_path / "halted", on_record=StopAt(stop_at))
    assert not halted.is_finished
    resumed = start(None, tmp_path / "halted", resume=True)
    assert resumed.is_finished
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "halted" / "policy")
    steps = [record["step"] for record in read_records(tmp_path / "halted" / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4, 5, 6]  # none lost, none twice


def test_resume_does_not_lose_an_evaluation(policy, tmp_path):
    options = {"settings": ["eval.every=2"], "evaluate": lambda engine: {"accuracy": 0.5}}
    start(clone(policy), tmp_path / "run", on_record=StopAt(4), **options)
    start(None, tmp_path / "run", resume=True, **options)
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "eval"] == [0, 2, 4, 6]


def test_rollouts_tell_the_policy_that_wrote_them_also_after_a_resume(policy, tmp_path):
    start(policy, tmp_path / "run", on_record=StopAt(4))
    start(None, tmp_path / "run", resume=True)
    for step in range(1, 7):
        rows = read_rollouts(tmp_path / "run", step)
        assert {row["policy_version"] for row in rows} == {step - 1}


def press_ctrl_c_in(monkeypatch, name, at_call, module=loop):
    """Send a real SIGINT at the start of the n-th call of a function that a module calls."""
    calls = []
    real = getattr(module, name)

    def pressed(*args, **kwargs):
        calls.append(1)
        if len(calls) == at_call:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, pressed)


def test_ctrl_c_between_two_updates_waits_for_the_second(policy, tmp_path, monkeypatch):
    start(clone(policy), tmp_path / "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c_in(patch, "update", at_call=6)  # the second update of step 3
        halted = start(clone(policy), tmp_path / "run")
    assert (halted.is_finished, halted.step) == (False, 3)
    assert start(None, tmp_path / "run", resume=True).is_finished
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "run" / "policy")


def test_a_second_ctrl_c_in_an_update_saves_no_half_step(policy, tmp_path, monkeypatch):
    real, calls = loop.update, []

    def pressed_twice(*args, **kwargs):
        stats = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 7:  # the first of two updates of step 4
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return stats

    start(clone(policy), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "update", pressed_twice)
        assert not start(clone(policy), tmp_path / "run").is_finished
    assert not (tmp_path / "run" / "checkpoints" / "step-000003").exists()
    start(None, tmp_path / "run", resume=True)
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "run" / "policy")


def test_resume_takes_the_checkpoint_whatever_policy_is_given(policy, tmp_path):
    start(clone(policy), tmp_path / "whole")
    start(clone(policy), tmp_path / "run", on_record=StopAt(3))
    start(clone(policy), tmp_path / "run", resume=True)  # the same call as the first
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "run" / "policy")


def test_resume_refuses_other_problems_or_rewards(policy, tmp_path):
    start(clone(policy), tmp_path / "run", on_record=StopAt(3))
    with pytest.raises(ConfigError, match="other rewards"):
        start(None, tmp_path / "run", resume=True, rewards=["accuracy"])
    recipe = load_recipe("demo", SETTINGS)
    others = arithmetic.generate_problems("train", count=11)
    with pytest.raises(ConfigError, match="other problems"):
        train(recipe, problems=others, rewards=[even_share], out=tmp_path / "run", resume=True)


def test_a_second_ctrl_c_while_saving_waits_for_the_checkpoint(policy, tmp_path, monkeypatch):
    press_ctrl_c_in(monkeypatch, "save_checkpoint", 3, run)  # after steps 0 and 2: Ctrl-C's
    with pytest.raises(KeyboardInterrupt):
        start(policy, tmp_path / "run", on_record=StopAt(3))
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()


def test_nothing_to_resume(policy, tmp_path):
    with pytest.raises(ConfigError, match=r"it has no config.toml"):
        start(None, tmp_path / "nothing", resume=True)
    start(policy, tmp_path / "run")
    with pytest.raises(ConfigError, match="has another recipe"):
        start(None, tmp_path / "run", resume=True, settings=["seed=1"])


KILLED_RUN = """
import sys
sys.path.insert(0, {tests!r})
from test_loop import start
from mathrl.policy import load_policy
start(load_policy({model!r}), {out!r})
"""


@pytest.mark.slow
def test_resume_after_kill_9_is_exact(policy, tmp_path):
    from mathrl.policy import save_policy

    save_policy(policy, tmp_path / "model")
    start(clone(policy), tmp_path / "whole")
    out = tmp_path / "killed"
    script = KILLED_RUN.format(
        tests=str(Path(__file__).parent), model=str(tmp_path / "model"), out=str(out)
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and not (out / "rollouts" / "step-000003.parquet").exists():
        time.sleep(0.005)
    child.kill()
    child.wait()
    assert not (out / "policy").exists(), "the run ended before it was killed"
    start(None, out, resume=True)
    assert_same_weights(tmp_path / "whole" / "policy", out / "policy")


def test_a_run_that_is_out_of_time_is_saved_and_goes_on(policy, tmp_path, monkeypatch):
    whole = start(clone(policy), tmp_path / "whole", settings=["max_hours=2.5"])
    hours = itertools.count()
    monkeypatch.setattr(loop.time, "monotonic", lambda: 3600.0 * next(hours))
    cut = start(policy, tmp_path / "cut", settings=["max_hours=2.5"])
    steps = [cut.step]
    while not cut.is_finished:  # an hour passes between two looks at the clock
        cut = start(None, tmp_path / "cut", settings=["max_hours=2.5"], resume=True)
        steps.append(cut.step)
    assert whole.is_finished and steps == [2, 4, 6]
    assert_same_weights(tmp_path / "whole" / "policy", tmp_path / "cut" / "policy")
