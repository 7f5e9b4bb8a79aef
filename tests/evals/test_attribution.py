"""Attribution: exact sums, hand-computed parts, and what must be 0 is 0."""

from fractions import Fraction
from random import Random

import pytest

from mathrl.evals import EvalResult, ProblemOutcome, compare
from mathrl.evals.attribution import Failures, attribute, share_out
from mathrl.evals.results import SampleOutcome
from mathrl.evals.stats import difference_interval
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, FinishReason, Score, Status

# One letter a sample: correct, wrong, unreadable, truncated; C was cut and is correct all the same.
LETTERS: dict[str, tuple[Status, FinishReason]] = {
    "c": ("correct", "stop"),
    "w": ("wrong", "stop"),
    "u": ("no_answer", "stop"),
    "t": ("wrong", "length"),
    "C": ("correct", "length"),
}


def sample(index: int, letter: str, *, is_end_known: bool = True) -> SampleOutcome:
    status, reason = LETTERS[letter]
    return SampleOutcome(
        sample_index=index,
        completion=Completion(text="", finish_reason=reason if is_end_known else None),
        score=Score(
            value=float(status == "correct"),
            status=status,
            prediction=None if status == "no_answer" else "1",
        ),
    )


def result(*problems: str, is_end_known: bool = True) -> EvalResult:
    outcomes = [
        ProblemOutcome.from_samples(
            str(place), [sample(i, x, is_end_known=is_end_known) for i, x in enumerate(letters)]
        )
        for place, letters in enumerate(problems)
    ]
    return summarise("t", outcomes)


def parts(before: EvalResult, after: EvalResult) -> dict[str, float]:
    found = attribute(before, after)
    assert found is not None
    return {name: part.difference for name, part in found.parts.items()}


def by_moving_samples(before: Failures, after: Failures) -> list[float]:
    """Move samples from the ways of failing to correct, or back, a thousandth at a time.

    Each step takes from each way what is still to be moved there, as a share of all that is.
    """
    change = [float(new - old) for old, new in zip(before, after, strict=True)]
    rise = -sum(change)
    moved = [0.0] * 3
    for _ in range(1000):
        open_ways = [abs(c) if (c < 0) is (rise > 0) and c else 0.0 for c in change]
        for way, share in enumerate(open_ways):
            moved[way] += rise / 1000 * share / (sum(open_ways) or 1)
    return moved


def test_the_parts_sum_to_the_last_bit_and_are_those_of_small_steps() -> None:
    rng = Random(0)
    for _ in range(200):
        sides = []
        for _ in range(2):
            cuts = sorted(Fraction(rng.randrange(8), 7) for _ in range(3))
            sides.append(Failures(cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]))
        found = share_out(*sides)
        assert sum(found) == sum(sides[0]) - sum(sides[1])
        assert [float(part) for part in found] == pytest.approx(by_moving_samples(*sides))


def test_several_samples_by_hand() -> None:
    # Of 8: 4 cut, 2 unreadable, 1 wrong before; 1, 0, 3 after. Three more are correct (1 to 4):
    # of the 3 + 2 failures less, 3/5 are of truncation and 2/5 of format. Two more are wrong.
    found = parts(result("ttttuuwc", "ttttuuwc"), result("twwwcccc", "twwwcccc"))
    assert found == {"truncation": 3 / 8 * 3 / 5, "format": 3 / 8 * 2 / 5, "reasoning": 0.0}
    back = parts(result("twwwcccc", "twwwcccc"), result("ttttuuwc", "ttttuuwc"))
    assert back == {name: -part for name, part in found.items()}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("c", "w", "u", "u"), ("c", "w", "c", "w"), (0, 1 / 4, 0)),
        (("c", "w", "t", "t"), ("c", "w", "w", "c"), (1 / 4, 0, 0)),
        (("c", "w", "u", "t"), ("w", "c", "u", "t"), (0, 0, 0)),
        (("w", "w", "u", "t"), ("c", "c", "u", "t"), (0, 0, 1 / 2)),
        (("u", "u"), ("c", "w"), (0, 1 / 2, 0)),
        (("t", "t"), ("c", "w"), (1 / 2, 0, 0)),
        (("t", "t"), ("t", "t"), (0, 0, 0)),
        # Cut, and correct all the same: no loss.
        (("C", "w"), ("c", "w"), (0, 0, 0)),
        # The same samples, cut later: those that go on are wrong.
        (("ccwt", "cwtt"), ("ccww", "cwww"), (0, 0, 0)),
        # The same samples, boxed: one of three that can be read now is right.
        (("ccwu", "wuuu"), ("ccww", "wwwc"), (0, 1 / 8, 0)),
    ],
)
def test_what_did_not_change_explains_nothing(
    before: tuple[str, ...], after: tuple[str, ...], expected: tuple[float, float, float]
) -> None:
    found = parts(result(*before), result(*after))
    assert tuple(found.values()) == expected


def test_the_parts_sum_to_the_difference_of_the_comparison() -> None:
    rng = Random(1)
    for count in (1, 3, 7):
        sides = [
            result(*("".join(rng.choices("cwutC", k=count)) for _ in range(40))) for _ in range(2)
        ]
        found = parts(sides[0], sides[1])
        assert sum(found.values()) == pytest.approx(compare(*sides).difference, abs=1e-15)


def test_without_ends_of_completions_truncation_is_in_the_other_parts() -> None:
    known, unknown = result("c", "t"), result("c", "c", is_end_known=False)
    found = parts(known, unknown)
    assert found == {"format": 0.0, "reasoning": 1 / 2}


def test_recorded_labels_are_unreadable_without_a_prediction() -> None:
    silent = SampleOutcome(
        sample_index=0, completion=Completion(text=""), score=Score(value=0.0, status="wrong")
    )
    before = [ProblemOutcome.from_samples("0", [silent]), *result("w", "c").problems[1:]]
    found = parts(summarise("t", before), result("c", "c"))
    assert found == {"format": 1 / 2, "reasoning": 0.0}


def test_with_one_sample_a_problem_it_counts_what_was_in_the_way() -> None:
    # Fixed: two from wrong, one from unreadable, one from cut. Broken: one to unreadable.
    found = parts(result(*"wwutc", *"cwut"), result(*"ccccu", *"cwut"))
    assert found == {"truncation": 1 / 9, "format": 0.0, "reasoning": 2 / 9}


def test_harder_problems_that_become_readable_do_not_count_as_worse_reasoning() -> None:
    # By shares over all problems alone, 4 of 4 readable answers are right before, 4 of 8 after.
    found = parts(result(*"cccc", *"uuuu"), result(*"cccc", *"wwww"))
    assert set(found.values()) == {0.0}


def test_error_bars_are_those_of_the_difference_where_it_is_all_reasoning() -> None:
    rng = Random(2)
    sides = [result(*rng.choices("cw", k=200)) for _ in range(2)]
    found, comparison = attribute(*sides), compare(*sides)
    assert found is not None and found.reasoning.ci95 is not None
    assert found.reasoning.stderr == pytest.approx(comparison.stderr, rel=1e-12)
    assert found.reasoning.ci95.low == pytest.approx(comparison.ci95.low, abs=0.01)
    assert found.reasoning.ci95.high == pytest.approx(comparison.ci95.high, abs=0.01)


def test_a_part_that_no_problem_contributes_to_has_no_interval() -> None:
    found = attribute(result(*"wwwwcuu"), result(*"cccwwcu"))
    assert found is not None
    assert found.truncation is not None and found.truncation.ci95 is None
    assert found.to_json()["truncation"] == {"difference": 0.0, "stderr": 0.0, "ci95": None}
    # One problem in format, four in reasoning: too few for the bootstrap, so Student's t.
    assert found.format.ci95 == difference_interval([1.0] + [0.0] * 6)
    assert found.reasoning.ci95 == difference_interval([1.0] * 3 + [-1.0] + [0.0] * 3)
    # One fixed from wrong and one broken to wrong cancel, but were seen.
    none_in_all = attribute(result(*"wcww"), result(*"cwww"))
    assert none_in_all is not None and none_in_all.reasoning.difference == 0.0
    assert none_in_all.reasoning.ci95 == difference_interval([1.0, -1.0, 0.0, 0.0])


def test_results_without_samples_and_single_problems_have_none() -> None:
    counts = EvalResult.from_json("t", result("c", "w").to_json())
    assert attribute(counts, result("c", "w")) is None
    assert attribute(result("c"), result("c")) is None
