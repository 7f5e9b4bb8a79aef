"""``benchmarks/coverage.py``: intervals hold what they say, plans show what they promise.

The bounds are those of 1000 pairs, 0.95 ± 0.02 and 0.80 ± 0.04: three errors each.
"""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("coverage")


def test_the_truth_is_that_of_many_problems(coverage: ModuleType) -> None:
    population = coverage.Population(accuracy=0.3, shift=0.5)
    gain, gain_variance, sample_variance = population.moments()
    rng, center = np.random.default_rng(1), population.center()
    logits = center + population.spread * rng.standard_normal(400_000)
    moved = logits + population.shift + population.noise * rng.standard_normal(400_000)
    before, after = (1 / (1 + np.exp(-x)) for x in (logits, moved))
    assert before.mean() == pytest.approx(0.3, abs=0.002)
    assert (after - before).mean() == pytest.approx(gain, abs=0.0005)
    assert (after - before).var() == pytest.approx(gain_variance, rel=0.02)
    both = np.concatenate([before, after])
    assert (both * (1 - both)).mean() == pytest.approx(sample_variance, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "num_samples", "accuracy", "shift"),
    [
        (30, 1, 0.5, 0.0),
        (30, 16, 0.5, 0.5),
        (500, 1, 0.05, 0.5),
        (500, 4, 0.95, 0.5),
        (1319, 1, 0.05, 0.0),
        (1319, 1, 0.5, 0.5),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    coverage: ModuleType, size: int, num_samples: int, accuracy: float, shift: float
) -> None:
    population = coverage.Population(accuracy=accuracy, shift=shift)
    assert 0.93 <= coverage.coverage(population, size, num_samples) <= 0.97


@pytest.mark.slow
def test_with_few_problems_at_the_edge_intervals_hold_it_more_or_less_often(
    coverage: ModuleType,
) -> None:
    """What docs/compare.md says of 30 problems near 5 %."""
    population = coverage.Population(accuracy=0.05, shift=0.5)
    assert coverage.coverage(population, 30, 1) >= 0.96
    assert 0.88 <= coverage.coverage(population, 30, 64) <= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("size", "num_samples"), [(30, 4), (100, 1)])
def test_so_do_bootstrap_intervals(coverage: ModuleType, size: int, num_samples: int) -> None:
    population = coverage.Population(accuracy=0.5, shift=0.5)
    held, by_t, count = coverage.bootstrap_coverage(
        population, size, num_samples, num_pairs=400, resamples=400
    )
    assert count >= 390
    assert 0.917 <= held <= 0.983  # three errors of 400 pairs
    assert held == pytest.approx(by_t, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accuracy", "shift", "num_samples"),
    [(0.3, 0.4, 4), (0.8, 0.4, 16), (0.8, 0.4, 1)],
)
def test_plans_show_what_they_promise(
    coverage: ModuleType, accuracy: float, shift: float, num_samples: int
) -> None:
    population = coverage.Population(accuracy=accuracy, shift=shift)
    _, power = coverage.planned_power(population, num_samples)
    assert 0.76 <= power <= 0.84


@pytest.mark.slow
def test_the_parts_of_a_difference_have_intervals_that_hold_them(coverage: ModuleType) -> None:
    held = coverage.attribution_coverage(
        coverage.Population(accuracy=0.3, shift=0.5), 100, readable=(0.7, 0.9), num_pairs=80
    )
    assert all(0.877 <= share <= 1.0 for share in held)  # three errors of 80 pairs
