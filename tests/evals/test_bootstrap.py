"""The paired bootstrap against every possible resample, numpy's quantiles and scipy's bootstrap."""

from itertools import product
from statistics import fmean

import numpy as np
import pytest
from scipy import stats as scipy_stats

from mathrl.evals.bootstrap import bootstrap_interval, bootstrap_means, percentile_interval

DIFFERENCES = [1.0] * 12 + [-1.0] * 5 + [0.0] * 23


def test_resamples_are_spread_as_all_that_are_possible() -> None:
    column = [0.0, 1.0, 5.0]
    possible = [sum(drawn) for drawn in product(column, repeat=3)]
    sums = [round(3 * mean) for (mean,) in bootstrap_means([column], resamples=5000)]
    for value in set(possible):
        share = sums.count(value) / len(sums)
        assert share == pytest.approx(possible.count(value) / 27, abs=0.02)  # 3.4 errors


def test_all_columns_are_of_the_same_problems_and_the_seed_decides() -> None:
    columns = [[0.0, 1.0, 5.0, 2.0], [0.0, 2.0, 10.0, 4.0]]
    drawn = bootstrap_means(columns, resamples=50)
    assert all(second == 2 * first for first, second in drawn)
    assert drawn == bootstrap_means(columns, resamples=50)
    assert drawn != bootstrap_means(columns, resamples=50, seed=1)


@pytest.mark.parametrize("num_problems", [2, 30, 1319])
def test_the_percentiles_are_expanded_for_few_problems(num_problems: int) -> None:
    values = np.random.default_rng(0).standard_normal(999)
    t = scipy_stats.t.ppf(0.975, num_problems - 1)
    level = scipy_stats.norm.cdf(-np.sqrt(num_problems / (num_problems - 1)) * t)
    expected = np.quantile(values, [level, 1 - level])
    ours = percentile_interval(values.tolist(), num_problems)
    assert [ours.low, ours.high] == pytest.approx(expected, abs=1e-9)


def test_the_interval_is_about_that_of_scipy() -> None:
    ours = bootstrap_interval(DIFFERENCES)
    theirs = scipy_stats.bootstrap((DIFFERENCES,), np.mean, method="percentile", rng=0)
    assert ours is not None
    low, high = theirs.confidence_interval
    # Differences move by 1/40, and the expanded level of 40 problems is 2.0 %.
    assert ours.low == pytest.approx(low, abs=0.026)
    assert ours.high == pytest.approx(high, abs=0.026)
    assert ours.low < fmean(DIFFERENCES) < ours.high


def test_too_few_problems_that_differ_have_no_interval() -> None:
    assert bootstrap_interval([0.5] * 40) is None  # all alike
    assert bootstrap_interval([1.0] * 5 + [-1.0] * 4 + [0.0] * 30) is None
    assert bootstrap_interval([1.0] * 5 + [-1.0] * 5 + [0.0] * 30) is not None
