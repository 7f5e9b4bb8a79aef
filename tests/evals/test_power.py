"""Planning: the published sample sizes, and variances found again in simulated pilots."""

from random import Random
from statistics import fmean

import pytest

from mathrl.errors import DataError
from mathrl.evals import EvalResult, ProblemOutcome
from mathrl.evals.power import detectable_gain, measure_pilot, problems_needed, samples_needed
from mathrl.evals.results import SampleOutcome
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Score


@pytest.mark.parametrize(
    ("num_problems", "gain_variance", "expected"),
    [
        (1319, 0.01, [2, 3, 5]),
        (1319, 0.02, [3, 4, 6]),
        (500, 0.01, [7, 11, 16]),
        (500, 0.02, [19, 30, 44]),
        (500, 0.03, [None] * 3),
    ],
)
def test_samples_for_two_points_are_those_of_the_reference(
    num_problems: int, gain_variance: float, expected: list[int | None]
) -> None:
    # reference/evals.md, section 5: GSM8K and MATH-500 at s² = 0.05, 0.08, 0.12.
    found = [
        samples_needed(
            0.02,
            num_problems=num_problems,
            sample_variance=variance,
            gain_variance=gain_variance,
        )
        for variance in (0.05, 0.08, 0.12)
    ]
    assert found == expected


def test_that_many_samples_show_the_gain_and_one_less_does_not() -> None:
    for power in (0.5, 0.8, 0.9):
        count = samples_needed(
            0.02, num_problems=500, sample_variance=0.08, gain_variance=0.01, power=power
        )
        assert count is not None and count > 1
        shown = [
            detectable_gain(500, variance_of_one=0.01 + 2 * 0.08 / k, power=power)
            for k in (count - 1, count)
        ]
        assert shown[0] > 0.02 >= shown[1]


def test_without_any_spread_one_sample_is_enough() -> None:
    assert samples_needed(0.02, num_problems=2, sample_variance=0.0, gain_variance=0.0) == 1


@pytest.mark.parametrize(
    ("discordance", "size", "points"),
    [(0.0735, 1319, 2.1), (0.0735, 500, 3.4), (0.15, 500, 4.9), (0.245, 500, 6.2)],
)
def test_one_sample_a_problem_shows_what_the_reference_says(
    discordance: float, size: int, points: float
) -> None:
    found = detectable_gain(size, variance_of_one=discordance)
    assert round(100 * found, 1) == points
    assert problems_needed(found, variance_of_one=discordance) == pytest.approx(size, abs=1)


def simulated(rates: list[float], num_samples: int, rng: Random) -> EvalResult:
    outcomes = []
    for place, rate in enumerate(rates):
        samples = []
        for index in range(num_samples):
            is_correct = rng.random() < rate
            score = Score(value=float(is_correct), status="correct" if is_correct else "wrong")
            samples.append(
                SampleOutcome(sample_index=index, completion=Completion(text=""), score=score)
            )
        outcomes.append(ProblemOutcome.from_samples(str(place), samples))
    return summarise("t", outcomes, ks=[1])


def test_a_pilot_finds_the_variances_again() -> None:
    # θ = 0.2 or 0.6 before; gains of 0.3 and 0, whatever θ: ω² = 0.15² = 0.0225.
    rng, size = Random(0), 3000
    old = [0.2 if i % 2 else 0.6 for i in range(size)]
    new = [rate + (0.3 if i % 4 < 2 else 0.0) for i, rate in enumerate(old)]
    pilot = measure_pilot(simulated(old, 3, rng), simulated(new, 2, rng))
    within = fmean(rate * (1 - rate) for rate in (*old, *new))
    assert pilot.sample_variance == pytest.approx(within, abs=0.004)
    assert pilot.gain_variance is not None and pilot.gain_variance_stderr is not None
    assert pilot.gain_variance == pytest.approx(0.0225, abs=3 * pilot.gain_variance_stderr)
    assert pilot.gain_variance_stderr < 0.008
    low, middle, high = pilot.gain_variances()
    assert low < middle == pilot.gain_variance < high
    assert (pilot.num_problems, pilot.discordance) == (size, None)


def test_a_pilot_by_hand() -> None:
    # Two samples each: s² is 2 * 1/4 where they disagree, else 0: (1/2 + 0 + 1/2 + 0) / 4.
    pilot = measure_pilot(from_counts({"a": 1, "b": 0}), from_counts({"a": 1, "b": 2}))
    assert (pilot.accuracy, pilot.sample_variance) == (0.25, 0.25)
    # Gains 0 and 1: variance 1/2, less (1/4 + 1/4) / 2 that the samples of a explain.
    assert pilot.gain_variance == pytest.approx(1 / 2 - 1 / 4, abs=1e-15)


def test_a_single_run_and_single_samples_tell_less() -> None:
    alone = measure_pilot(from_counts({"a": 1, "b": 0}))
    assert (alone.sample_variance, alone.gain_variances()) == (0.25, ())
    single = [simulated([rate] * 4, 1, Random(0)) for rate in (1.0, 0.0)]
    pair = measure_pilot(*single)
    assert (pair.sample_variance, pair.gain_variance, pair.discordance) == (None, None, 1.0)


def test_a_pilot_of_one_common_problem_is_refused() -> None:
    with pytest.raises(DataError, match="share 1 problems"):
        measure_pilot(from_counts({"a": 1, "b": 0}), from_counts({"b": 1, "c": 0}))


def from_counts(correct: dict[str, int]) -> EvalResult:
    """Two samples a problem."""
    outcomes = [ProblemOutcome(problem_id=name, n=2, c=c) for name, c in correct.items()]
    template = simulated([0.0] * len(correct), 2, Random(0)).to_json()
    entry = {
        **template,
        "samples_of": {o.problem_id: o.n for o in outcomes},
        "correct_of": {o.problem_id: o.c for o in outcomes},
    }
    return EvalResult.from_json("t", entry)
