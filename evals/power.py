"""How many samples a problem an evaluation needs to see a gain.

    mathrl plan eval --gain 2

With P problems and K samples of each by both policies, the difference of the two accuracies has
the variance ``(ω² + 2 s² / K) / P``. Within problems, ``s²`` is the mean of ``θ (1 - θ)`` over the
problems' chances ``θ`` of a correct sample; more samples lower its share. Between problems, ``ω²``
is the variance of the gain from one problem to the next; only more problems lower its share. A
two-sided test at 5 % shows a gain ``δ`` with the asked power where ``δ`` is ``z`` standard errors,
``z = 2.80`` for 80 %.

Source: arXiv 2411.00640 (Miller), section 5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import fmean

from mathrl.errors import DataError
from mathrl.evals.compare import paired_outcomes
from mathrl.evals.results import EvalResult, ProblemOutcome
from mathrl.evals.stats import POWER, clustered_stderr, detectable_stderrs

BENCHMARKS = {"gsm8k": 1319, "math500": 500, "math": 5000, "aime24": 30}
"""Problems of the test sets that gains are shown on."""
ASSUMED_GAIN_VARIANCES = (0.005, 0.01, 0.02, 0.03)
"""Without a pilot: a gain that differs by 7 to 17 points (one standard deviation) by problem."""
ASSUMED_SHARE = 0.4
"""Without a pilot, ``s² = 0.4 p (1 - p)``. At most it is ``p (1 - p)``, where every problem is as
hard as any other; on recorded samples the share was 0.3 (MATH, p = 0.91) to 0.6 (GSM8K, 0.3)."""
DISCORDANCES = (0.05, 0.10, 0.15, 0.25)
"""Shares of problems whose one verdict changes; 0.07 to 0.25 on recorded pairs of GSM8K."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pilot:
    """What runs that are there tell of the variances; fractions squared."""

    accuracy: float
    num_problems: int
    sample_variance: float | None
    """Within problems, ``s²``; None where no problem has two samples."""
    gain_variance: float | None
    """Between problems, ``ω²``, without bias, so it may be below 0; None for a single run."""
    gain_variance_stderr: float | None
    discordance: float | None
    """Share of problems whose verdict changes, of two runs with one sample a problem."""

    def gain_variances(self) -> tuple[float, ...]:
        """The estimate between the ends of its 95 % interval, none below 0; empty if unknown."""
        if self.gain_variance is None or self.gain_variance_stderr is None:
            return ()
        spread = 2 * self.gain_variance_stderr
        ends = (self.gain_variance - spread, self.gain_variance, self.gain_variance + spread)
        return tuple(sorted({max(0.0, end) for end in ends}))


def samples_needed(
    gain: float,
    *,
    num_problems: int,
    sample_variance: float,
    gain_variance: float,
    power: float = POWER,
) -> int | None:
    """Samples of each problem, by both policies, that show a gain.

    Args:
        gain: The true difference in accuracy, a fraction.
        num_problems: How many there are.
        sample_variance: Within problems, ``s²``.
        gain_variance: Between problems, ``ω²``.
        power: Chance of showing it.

    Returns:
        ``K = 2 s² / (P δ² / z² - ω²)`` rounded up; None where no number is enough, because the
        problems alone differ too much.
    """
    room = num_problems * (gain / detectable_stderrs(power)) ** 2 - gain_variance
    return max(1, ceil(2 * sample_variance / room)) if room > 0 else None


def detectable_gain(num_problems: int, *, variance_of_one: float, power: float = POWER) -> float:
    """The smallest gain that so many problems show.

    Args:
        num_problems: How many there are.
        variance_of_one: Of one problem's difference: ``ω² + 2 s² / K``, or with one sample the
            share of problems whose verdict changes.
        power: Chance of showing it.
    """
    return detectable_stderrs(power) * sqrt(variance_of_one / num_problems)


def problems_needed(gain: float, *, variance_of_one: float, power: float = POWER) -> int:
    """Problems that show a gain; the arguments are those of ``detectable_gain``."""
    return ceil((detectable_stderrs(power) / gain) ** 2 * variance_of_one)


def measure_pilot(before: EvalResult, after: EvalResult | None = None) -> Pilot:
    """Estimate the variances from one run, or from a pair.

    Args:
        before: Of the policy as it is.
        after: Of another policy on the same problems; without one the gain has no variance.

    Raises:
        DataError: The runs share fewer than two problems.
    """
    if after is None:
        outcomes = [outcome for outcome in before.problems if outcome.n]
        return Pilot(
            accuracy=fmean(outcome.mean for outcome in outcomes),
            num_problems=len(outcomes),
            sample_variance=_sample_variance(outcomes),
            gain_variance=None,
            gain_variance_stderr=None,
            discordance=None,
        )
    pairs = paired_outcomes(before, after)
    if len(pairs) < 2:
        raise DataError(f"the pilot runs share {len(pairs)} problems; their spread needs two")
    is_single = all(a.n == b.n == 1 for a, b in pairs)
    repeated = [(a, b) for a, b in pairs if a.n > 1 and b.n > 1]
    terms = _gain_variance_terms(repeated) if len(repeated) > 1 else []
    return Pilot(
        accuracy=fmean(a.mean for a, _ in pairs),
        num_problems=len(pairs),
        sample_variance=_sample_variance([side for pair in pairs for side in pair]),
        gain_variance=fmean(terms) if terms else None,
        gain_variance_stderr=clustered_stderr(terms) if terms else None,
        discordance=fmean(a.c != b.c for a, b in pairs) if is_single else None,
    )


def _sample_variance(outcomes: Sequence[ProblemOutcome]) -> float | None:
    repeated = [outcome for outcome in outcomes if outcome.n > 1]
    return fmean(_within(outcome) for outcome in repeated) if repeated else None


def _within(outcome: ProblemOutcome) -> float:
    """``theta (1 - theta)`` without bias: Bessel's correction."""
    return outcome.mean * (1 - outcome.mean) * outcome.n / (outcome.n - 1)


def _gain_variance_terms(pairs: Sequence[tuple[ProblemOutcome, ProblemOutcome]]) -> list[float]:
    """Per problem: the square of its difference's deviation, less what its few samples explain."""
    differences = [b.mean - a.mean for a, b in pairs]
    center, bessel = fmean(differences), len(pairs) / (len(pairs) - 1)
    return [
        bessel * (difference - center) ** 2 - _within(a) / a.n - _within(b) / b.n
        for difference, (a, b) in zip(differences, pairs, strict=True)
    ]
