"""Paired differences of every figure, against scipy and against ``compare``."""

import pytest
from scipy import stats as scipy_stats

from mathrl.errors import DataError
from mathrl.evals.compare import compare
from mathrl.evals.paired import paired_differences, problem_rates
from mathrl.evals.results import ProblemOutcome, SampleOutcome
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Score


def outcome(problem_id, predictions):
    """The samples of a problem whose answer is 1."""
    samples = [
        SampleOutcome(
            sample_index=i,
            completion=Completion(text="", finish_reason="stop"),
            score=Score(
                value=float(p == "1"), status="correct" if p == "1" else "wrong", prediction=p
            ),
        )
        for i, p in enumerate(predictions)
    ]
    return ProblemOutcome.from_samples(problem_id, samples)


def result(*problems):
    return summarise("t", [outcome(f"p{i}", each) for i, each in enumerate(problems)])


BEFORE = result("1222", "2222", "1112", "3334", "1111")
AFTER = result("2211", "1222", "1111", "1134", "1112")


def test_rates_by_hand():
    rates = problem_rates(BEFORE)
    assert set(rates) == {"accuracy", "pass_at_2", "maj_at_2", "pass_at_4", "maj_at_4"}
    assert rates["accuracy"]["p2"] == 3 / 4
    # of the 6 pairs of 1222 3 have the 1; in each of these it ties with a 2 that comes later
    assert rates["pass_at_2"]["p0"] == 3 / 6
    assert rates["maj_at_2"]["p0"] == 3 / 6
    assert [rates["maj_at_4"][f"p{i}"] for i in range(5)] == [0, 0, 1, 0, 1]


@pytest.mark.parametrize("figure", ["accuracy", "pass_at_2", "maj_at_4"])
def test_intervals_and_p_values_are_those_of_a_paired_t_test(figure):
    before, after = problem_rates(BEFORE)[figure], problem_rates(AFTER)[figure]
    ours = paired_differences(BEFORE, AFTER)
    ids = list(before)
    theirs = scipy_stats.ttest_rel([after[i] for i in ids], [before[i] for i in ids])
    low, high = theirs.confidence_interval(0.95)
    assert ours[figure].p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (ours[figure].ci95.low, ours[figure].ci95.high) == pytest.approx((low, high))


def test_the_accuracy_is_compared_as_by_compare():
    single_before, single_after = result(*"12211221"), result(*"11211122")
    for old, new in ((BEFORE, AFTER), (single_before, single_after)):
        ours = paired_differences(old, new)
        theirs = compare(old, new)
        for name in ("difference", "ci95", "p_value", "test", "fixed", "broken"):
            assert getattr(ours["accuracy"], name) == getattr(theirs, name)
    assert set(ours) == {"accuracy"}  # of one sample pass@1 and maj@1 are no other figures


def test_evaluations_of_other_problems_are_refused():
    other = summarise("t", [outcome("q", "11")])
    with pytest.raises(DataError, match="share no problem"):
        paired_differences(BEFORE, other)
