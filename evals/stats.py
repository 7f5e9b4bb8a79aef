"""Error bars: intervals, paired tests and power, on one number a problem.

Samples of one problem are not independent, so everything here takes problems as the unit (the
clustered analysis of arXiv 2411.00640, Miller 2024). Pure functions, standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb, exp, isnan, lgamma, log, log1p, nan, sqrt
from statistics import NormalDist, fmean
from typing import Literal

CONFIDENCE = 0.95
POWER = 0.80
_TAIL = (1 - CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(1 - _TAIL)

PairedTest = Literal["exact McNemar", "paired t by problem"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A confidence interval of 95 %."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedResult:
    """The difference ``b - a`` over the same problems.

    ``fixed`` and ``broken`` count the problems that rose and fell; ``mde`` is the smallest true
    difference that this many problems and samples show with 80 % power.
    """

    difference: float
    stderr: float
    ci95: Interval
    p_value: float
    test: PairedTest
    fixed: int
    broken: int
    mde: float


def clustered_stderr(means: Sequence[float]) -> float:
    """Standard error of the mean over problems.

    Args:
        means: One number a problem: the mean of its samples.

    Returns:
        ``sd / sqrt(P)`` with Bessel's correction; nan for a single problem, which shows no spread.
    """
    if len(means) < 2:
        return nan
    center = fmean(means)
    return sqrt(sum((m - center) ** 2 for m in means) / (len(means) - 1) / len(means))


def mean_interval(means: Sequence[float], num_samples: int) -> Interval:
    """Interval of an accuracy: Wilson's, with the sample size that the spread is worth.

    The clustered variance ``v`` of the mean ``p`` is that of ``p (1 - p) / v`` independent 0/1
    draws. One sample a problem gives exactly Wilson's interval; many samples a problem give
    something between P and ``num_samples`` draws. Without any spread at 0 or 1 it is P draws, so
    that no interval is ever empty.

    Args:
        means: The accuracy of each problem, between 0 and 1.
        num_samples: Samples over all problems.
    """
    center = fmean(means)
    variance = sum((m - center) ** 2 for m in means) / len(means) ** 2
    size = float(len(means))
    if 0 < center < 1:
        worth = center * (1 - center) / variance if variance > 0 else float(num_samples)
        # worth is never below P but by rounding, which one sample a problem is not to show
        size = min(max(worth, size), float(num_samples))
    return wilson_interval(center, size)


def wilson_interval(rate: float, size: float) -> Interval:
    """Wilson's score interval of a rate seen in ``size`` independent draws."""
    shrink = 1 + _Z**2 / size
    middle = (rate + _Z**2 / (2 * size)) / shrink
    half = _Z / shrink * sqrt(rate * (1 - rate) / size + _Z**2 / (4 * size**2))
    low = 0.0 if rate == 0 else max(0.0, middle - half)
    high = 1.0 if rate == 1 else min(1.0, middle + half)
    return Interval(low=low, high=high)


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Two-sided p-value of McNemar's test: are changed problems as likely fixed as broken?

    Args:
        fixed: Problems wrong before and correct after.
        broken: Problems correct before and wrong after.

    Returns:
        The exact binomial p-value; 1 where no problem changed.
    """
    changed = fixed + broken
    tail = sum(comb(changed, i) for i in range(min(fixed, broken) + 1))
    return min(1.0, 2 * tail / (1 << changed))


def minimum_detectable_effect(stderr: float) -> float:
    """Smallest true difference seen with 80 % power by a two-sided test at 5 %.

    Returns:
        ``(1.960 + 0.842) * stderr``, the normal approximation.
    """
    return detectable_stderrs() * stderr


def detectable_stderrs(power: float = POWER) -> float:
    """How many standard errors a true difference must have for a two-sided test at 5 %.

    Args:
        power: Chance that the test then finds it.

    Returns:
        ``1.960 + z(power)``: 2.802 for 80 %.
    """
    return _Z + NormalDist().inv_cdf(power)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests, so that any false find among them has chance 5 %.

    Args:
        p_values: One a test; nan for a test without an answer, which counts for none.

    Returns:
        The adjusted p-values in the same order: the smallest times the number of tests, the next
        times one less, and so on, none below one before it; nan stays.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if not isnan(p))
    adjusted, floor = [nan] * len(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        floor = max(floor, min(1.0, (len(order) - rank) * p))
        adjusted[place] = floor
    return adjusted


def paired_difference(
    before: Sequence[float], after: Sequence[float], *, single_samples: bool
) -> PairedResult:
    """Compare two runs problem by problem.

    Where every problem differs alike there is no spread to say what could have been shown: ``mde``
    is then nan.

    Args:
        before: The accuracy of each problem in the first run.
        after: The same problems, in the same order, in the second run.
        single_samples: Every accuracy is one 0/1 sample: the test is McNemar's. It does not apply
            to averages over several samples; those take the paired t test by problem.

    Raises:
        ValueError: The runs are empty or differ in length.
    """
    if not before or len(before) != len(after):
        raise ValueError(f"runs must be paired and not empty, got {len(before)} and {len(after)}")
    differences = [b - a for a, b in zip(before, after, strict=True)]
    center, stderr = fmean(differences), clustered_stderr(differences)
    fixed, broken = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    t_test = _t_test_p(center, stderr, len(differences) - 1)
    return PairedResult(
        difference=center,
        stderr=stderr,
        ci95=difference_interval(differences),
        p_value=mcnemar_exact(fixed, broken) if single_samples else t_test,
        test="exact McNemar" if single_samples else "paired t by problem",
        fixed=fixed,
        broken=broken,
        mde=minimum_detectable_effect(stderr) if stderr else nan,
    )


def difference_interval(differences: Sequence[float]) -> Interval:
    """The 95 % interval of a mean difference, by problem.

    It is Student's t with P - 1 degrees of freedom, which differs from the normal one where P is
    small (AIME has 30). Where every problem differs alike it would be empty; it then spans what 0
    deviations in P problems leave possible (Clopper-Pearson).

    Args:
        differences: One a problem, between -1 and 1.
    """
    center, stderr, size = fmean(differences), clustered_stderr(differences), len(differences)
    if isnan(stderr) or stderr == 0:
        unseen = 1 - _TAIL ** (1 / size)
        return Interval(low=center - unseen * (1 + center), high=center + unseen * (1 - center))
    half = student_t_quantile(_TAIL, size - 1) * stderr
    return Interval(low=max(-1.0, center - half), high=min(1.0, center + half))


def student_t_sf(t: float, freedom: int) -> float:
    """Chance that Student's t with ``freedom`` degrees of freedom exceeds ``t >= 0``."""
    square = t * t
    if t < 1:  # near 0 the other form would lose t in freedom + t * t, in the tail this one p
        return 0.5 - 0.5 * _beta_cdf(square / (freedom + square), 0.5, freedom / 2)
    return 0.5 * _beta_cdf(freedom / (freedom + square), freedom / 2, 0.5)


@cache
def student_t_quantile(tail: float, freedom: int) -> float:
    """The ``t >= 0`` that Student's t exceeds with chance ``tail`` (at most 0.5)."""
    low, high = 0.0, 1.0
    while student_t_sf(high, freedom) > tail:
        high *= 2
    for _ in range(100):  # halving: 100 steps reach the last bit of a float
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_sf(middle, freedom) > tail else (low, middle)
    return (low + high) / 2


def _t_test_p(center: float, stderr: float, freedom: int) -> float:
    if isnan(stderr):
        return nan
    if stderr == 0:
        # A constant difference has no spread to test against: only "no change" has an answer.
        return 1.0 if center == 0 else nan
    return min(1.0, 2 * student_t_sf(abs(center) / stderr, freedom))


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by its continued fraction.

    Source: DLMF 8.17.22, evaluated by the modified Lentz method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    return front / _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300  # keeps a vanishing denominator from dividing by zero
    value, c, d = 1.0, 1.0, 0.0
    for i in range(1, 10_000):
        m = i // 2
        if i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
