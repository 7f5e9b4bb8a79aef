"""Intervals and tests against scipy, against hand arithmetic, and against recorded models."""

from itertools import combinations
from math import isnan, nan, sqrt
from random import Random
from statistics import fmean

import pytest
from scipy import stats as scipy_stats

from mathrl.evals.stats import (
    clustered_stderr,
    detectable_stderrs,
    holm,
    mcnemar_exact,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    student_t_quantile,
    student_t_sf,
    wilson_interval,
)


@pytest.mark.parametrize(("correct", "size"), [(0, 30), (1, 30), (286, 1319), (30, 30), (15, 40)])
def test_single_samples_give_exactly_wilson(correct: int, size: int) -> None:
    means = [1.0] * correct + [0.0] * (size - correct)
    ours = mean_interval(means, size)
    wilson = scipy_stats.binomtest(correct, size).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_single_samples_are_worth_their_number_to_the_last_bit() -> None:
    for size in range(2, 60):
        for correct in range(1, size):
            means = [1.0] * correct + [0.0] * (size - correct)
            assert mean_interval(means, size) == wilson_interval(correct / size, size)


def test_no_interval_is_empty() -> None:
    for means in ([1.0] * 40, [0.0] * 40, [0.5] * 40, [1.0], [0.5]):
        ours = mean_interval(means, 4 * len(means))
        assert ours.low < ours.high
        assert ours.low <= fmean(means) <= ours.high


def test_more_samples_a_problem_narrow_the_interval_down_to_the_spread_of_problems() -> None:
    # Means 0.25 and 0.75: variance of the mean (1/16)/P, so p(1-p)/v = 0.25 * 16 * P = 4 P draws.
    ours = mean_interval([0.25, 0.75] * 20, 40 * 16)
    wilson = scipy_stats.binomtest(80, 160).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_wilson_covers_what_it_says_with_clusters() -> None:
    # 60 problems of difficulty uniform in [0, 1], 4 samples each: true accuracy 0.5.
    rng = Random(0)
    covered = 0
    for _ in range(400):
        rates = [rng.random() for _ in range(60)]
        means = [fmean(rng.random() < rate for _ in range(4)) for rate in rates]
        ours = mean_interval(means, 240)
        covered += ours.low <= 0.5 <= ours.high
    # 0.95 with a standard error of 0.011; intervals that ignore clusters cover 0.83.
    assert 0.92 <= covered / 400 <= 0.98


def test_clustered_stderr_by_hand() -> None:
    # Means 0, 1/2, 1: variance 1/4 with Bessel, so sqrt(1/4 / 3).
    assert clustered_stderr([0.0, 0.5, 1.0]) == pytest.approx(sqrt(1 / 12), abs=1e-15)
    assert isnan(clustered_stderr([0.5]))


@pytest.mark.parametrize("freedom", [1, 2, 5, 29, 99, 1318, 100_000])
def test_student_t_against_scipy(freedom: int) -> None:
    for t in (0.0, 0.01, 0.5, 1.0, 1.96, 5.0, 14.8, 30.0):
        expected = scipy_stats.t.sf(t, freedom)
        assert student_t_sf(t, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    quantile = scipy_stats.t.ppf(0.975, freedom)
    assert student_t_quantile(0.025, freedom) == pytest.approx(quantile, rel=1e-10)


@pytest.mark.parametrize(
    ("fixed", "broken"), [(132, 191), (52, 45), (4, 1), (106, 24), (7, 0), (0, 1), (5, 5), (0, 0)]
)
def test_mcnemar_is_the_two_sided_binomial_test(fixed: int, broken: int) -> None:
    expected = 1.0
    if fixed + broken:
        expected = scipy_stats.binomtest(fixed, fixed + broken, 0.5).pvalue
    assert mcnemar_exact(fixed, broken) == pytest.approx(expected, rel=1e-12)
    assert mcnemar_exact(broken, fixed) == mcnemar_exact(fixed, broken)


@pytest.mark.parametrize(
    ("discordance", "size", "points"),
    [(0.0735, 1319, 2.1), (0.0735, 500, 3.4), (0.15, 1319, 3.0), (0.245, 1319, 3.8)],
)
def test_minimum_detectable_effect_of_the_reference(
    discordance: float, size: int, points: float
) -> None:
    # reference/evals.md: one sample a problem, no true difference, 80 % power.
    effect = minimum_detectable_effect(sqrt(discordance / size))
    assert round(100 * effect, 1) == points


def test_paired_t_against_scipy() -> None:
    rng = Random(1)
    before = [rng.randrange(5) / 4 for _ in range(30)]
    after = [min(1.0, value + rng.randrange(3) / 4) for value in before]
    ours = paired_difference(before, after, single_samples=False)
    theirs = scipy_stats.ttest_rel(after, before)
    bounds = theirs.confidence_interval(0.95)
    assert ours.test == "paired t by problem"
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours.ci95.low, ours.ci95.high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)


def test_single_samples_take_mcnemar() -> None:
    # 6 fixed, 1 broken, 13 unchanged: difference 5/20; p = 2 (1 + 7) / 2^7 = 0.125.
    before = [0.0] * 6 + [1.0] * 14
    after = [1.0] * 6 + [0.0] + [1.0] * 13
    ours = paired_difference(before, after, single_samples=True)
    assert (ours.difference, ours.fixed, ours.broken) == (0.25, 6, 1)
    assert (ours.test, ours.p_value) == ("exact McNemar", 0.125)


def test_runs_without_any_change_still_have_an_interval() -> None:
    ours = paired_difference([1.0, 0.0] * 50, [1.0, 0.0] * 50, single_samples=True)
    bound = scipy_stats.binomtest(0, 100).proportion_ci(method="exact").high
    assert (ours.ci95.low, ours.ci95.high) == pytest.approx((-bound, bound), rel=1e-12)
    assert (ours.difference, ours.p_value) == (0.0, 1.0)
    assert isnan(ours.mde)  # without any spread nothing says what could have been shown


def test_a_constant_difference_is_not_called_certain() -> None:
    ours = paired_difference([0.0] * 5, [0.5] * 5, single_samples=False)
    assert isnan(ours.p_value)
    assert ours.ci95.low < 0.5 < ours.ci95.high


def test_swapping_the_runs_turns_the_sign_and_nothing_else() -> None:
    rng = Random(2)
    before, after = ([float(rng.random() < rate) for _ in range(50)] for rate in (0.4, 0.6))
    there = paired_difference(before, after, single_samples=True)
    back = paired_difference(after, before, single_samples=True)
    assert back.difference == -there.difference
    assert (back.stderr, back.p_value) == (there.stderr, there.p_value)
    assert (back.ci95.low, back.ci95.high) == pytest.approx((-there.ci95.high, -there.ci95.low))


def test_unpaired_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0], [1.0, 0.0], single_samples=True)


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    # A find stands if every set of tests that holds it is refused by Bonferroni: brute force.
    rng = Random(3)
    for _ in range(20):
        p_values = [rng.random() ** 3 for _ in range(5)]
        adjusted = [
            max(
                min(1.0, size * min(p_values[i] for i in members))
                for size in range(1, 6)
                for members in combinations(range(5), size)
                if place in members
            )
            for place in range(5)
        ]
        assert holm(p_values) == pytest.approx(adjusted, rel=1e-15)


def test_holm_by_hand_and_without_an_answer() -> None:
    # 3 * 0.01; 2 * 0.03; then 0.04, but not below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06], rel=1e-15)
    first, second = holm([nan, 0.02])
    assert isnan(first) and second == 0.02  # a test without an answer is none of the family
    assert holm([]) == []


def test_standard_errors_that_a_gain_needs() -> None:
    for power in (0.5, 0.8, 0.95):
        expected = scipy_stats.norm.ppf(0.975) + scipy_stats.norm.ppf(power)
        assert detectable_stderrs(power) == pytest.approx(expected, rel=1e-12)
