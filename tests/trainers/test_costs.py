"""Seconds by phase on a clock of our own, and the peak memory in its unit."""

import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mathrl.trainers import costs
from mathrl.trainers.costs import Stopwatch, TimedReward, cost_metrics, peak_memory_gib


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    hands = SimpleNamespace(now=100.0)
    monkeypatch.setattr(costs.time, "perf_counter", lambda: hands.now)
    return hands


def test_phases_add_up_and_an_inner_phase_is_taken_off_the_outer_one(clock):
    watch = Stopwatch()
    clock.now += 7  # belongs to no phase
    with watch.phase("sample"):
        clock.now += 2
        with watch.phase("reward"):
            clock.now += 1
        clock.now += 4
    with watch.phase("update"):
        clock.now += 8
    with watch.phase("update"):
        clock.now += 16
    assert watch.lap() == {"sample": 6, "reward": 1, "update": 24}
    assert watch.lap() == {}


def test_a_phase_that_fails_ends(clock):
    watch = Stopwatch()
    with pytest.raises(ValueError), watch.phase("sample"), watch.phase("reward"):
        clock.now += 3
        raise ValueError
    clock.now += 5
    with watch.phase("update"):
        clock.now += 1
    assert watch.lap() == {"sample": 0, "reward": 3, "update": 1}


def test_scoring_is_a_phase_inside_sampling(clock):
    class Reward:
        def scores(self, completions, **columns):
            clock.now += 5
            return [len(columns["answer"])]

    watch = Stopwatch()
    with watch.phase("sample"):
        clock.now += 1
        assert TimedReward(Reward(), watch).scores(["x"], answer=["a", "b"]) == [2]
    assert watch.lap() == {"sample": 1, "reward": 5}


def test_rates_by_hand(monkeypatch):
    monkeypatch.setattr(costs, "peak_memory_gib", lambda: 1.5)
    seconds = {"sample": 2.0, "reward": 0.0, "update": 5.0, "sync": 1.0}
    assert cost_metrics(seconds, 40) == {
        "time/sample_s": 2.0,
        "time/reward_s": 0.0,
        "time/update_s": 5.0,
        "time/sync_s": 1.0,
        "time/step_s": 8.0,
        "tokens_per_s/sample": 20.0,
        "tokens_per_s/update": 8.0,
        "tokens_per_s/step": 5.0,
        "memory/peak_gib": 1.5,
    }


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel's own figure")
def test_the_peak_is_that_of_the_kernel(monkeypatch):
    monkeypatch.setattr(costs.torch.cuda, "is_available", lambda: False)
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    kib = int(line.split()[1])
    assert peak_memory_gib() == pytest.approx(kib / 2**20, rel=0.02)


def test_the_units_of_each_system(monkeypatch):
    monkeypatch.setattr(costs.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=3 * 2**20))
    monkeypatch.setattr(sys, "platform", "linux")  # KiB
    assert peak_memory_gib() == 3.0
    monkeypatch.setattr(sys, "platform", "darwin")  # bytes
    assert peak_memory_gib() == 3 / 1024


def test_on_a_gpu_it_is_what_torch_allocated(monkeypatch):
    monkeypatch.setattr(costs.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(costs.torch.cuda, "max_memory_allocated", lambda: 5 * 2**30)
    assert peak_memory_gib() == 5.0
