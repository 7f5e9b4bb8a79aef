"""Attribution: exact sums, hand-computed parts, and what must be 0 is 0."""

from fractions import Fraction
from itertools import permutations
from random import Random

import pytest

from mathrl.evals import EvalResult, ProblemOutcome, compare
from mathrl.evals.attribution import Stages, attribute, shapley
from mathrl.evals.results import SampleOutcome
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


def random_stages(rng: Random) -> Stages[Fraction]:
    """Often with a stage that no sample reaches."""
    counts = sorted((rng.randrange(4) for _ in range(3)), reverse=True)
    return Stages(*(Fraction(count, 3) for count in counts))


def by_orders(before: Stages[Fraction], after: Stages[Fraction]) -> list[Fraction]:
    """What each factor adds when it is changed, averaged over the six orders: brute force."""

    def factors(own: Stages[Fraction], other: Stages[Fraction]) -> list[Fraction]:
        found = [own[0]]
        for stage in (1, 2):
            shown = next((side for side in (own, other) if side[stage - 1]), None)
            found.append(shown[stage] / shown[stage - 1] if shown else Fraction(1))
        return found

    old, new = factors(before, after), factors(after, before)
    added = [Fraction(0)] * 3
    for order in permutations(range(3)):
        current = list(old)
        for factor in order:
            was = current[0] * current[1] * current[2]
            current[factor] = new[factor]
            added[factor] += current[0] * current[1] * current[2] - was
    return [part / 6 for part in added]


def test_the_parts_are_those_of_all_orders_and_sum_to_the_last_bit() -> None:
    rng = Random(0)
    for _ in range(500):
        before, after = random_stages(rng), random_stages(rng)
        found = shapley(before, after)
        assert sum(found) == after.correct - before.correct
        assert list(found) == by_orders(before, after)


def test_two_factors_by_hand() -> None:
    # Of 4: 2 readable and 1 correct before (1/2 * 1/2); 4 readable and 3 correct after (1 * 3/4).
    # Format (1 - 1/2) (1/2 + 3/4) / 2 = 5/16; reasoning (3/4 - 1/2) (1/2 + 1) / 2 = 3/16.
    found = parts(result("c", "w", "u", "u"), result("c", "c", "c", "w"))
    assert found == {"truncation": 0.0, "format": 5 / 16, "reasoning": 3 / 16}


def test_three_factors_by_hand() -> None:
    # Before 1/2 kept, of those 1/2 readable, of those 1/2 correct; after all kept, readable, right.
    # Each (1 - 1/2) [(1/4 + 1) / 3 + (1/2 + 1/2) / 6] = 7/24, three of which are 1 - 1/8.
    before = result("t", "t", "t", "t", "u", "u", "c", "w")
    found = parts(before, result(*"cccccccc"))
    assert found == pytest.approx(dict.fromkeys(found, 7 / 24), abs=1e-15)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # Of the readable, one in two is right before and after.
        (("c", "w", "u", "u"), ("c", "w", "c", "w"), (0, 1 / 4, 0)),
        (("c", "w", "t", "t"), ("c", "w", "w", "c"), (1 / 4, 0, 0)),
        (("c", "w", "u", "t"), ("w", "c", "u", "t"), (0, 0, 0)),
        (("w", "w", "u", "t"), ("c", "c", "u", "t"), (0, 0, 1 / 2)),
        # Nothing could be read before: nothing was seen of the reasoning.
        (("u", "u"), ("c", "w"), (0, 1 / 2, 0)),
        (("t", "t"), ("c", "w"), (1 / 2, 0, 0)),
        # Neither run shows more than that it is cut.
        (("t", "t"), ("t", "t"), (0, 0, 0)),
        # Cut, and correct all the same: no loss.
        (("C", "w"), ("c", "w"), (0, 0, 0)),
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


def test_harder_problems_that_become_readable_do_not_count_as_worse_reasoning() -> None:
    before = result(*"cccc", *"uuuu")
    found = attribute(before, result(*"cccc", *"wwww"))
    assert found is not None
    assert found.format.difference == -found.reasoning.difference > 0  # by shares alone
    assert found.both_readable is not None  # but on the same problems nothing changed
    assert (found.both_readable.difference, found.n_both_readable) == (0.0, 4)


def test_error_bars_are_those_of_the_difference_where_it_is_all_reasoning() -> None:
    rng = Random(2)
    sides = [result(*rng.choices("cw", k=200)) for _ in range(2)]
    found, comparison = attribute(*sides), compare(*sides)
    assert found is not None
    # Of 2000 resamples a standard deviation is known to 1.6 %.
    assert found.reasoning.stderr == pytest.approx(comparison.stderr, rel=0.05)
    assert found.reasoning.ci95.low == pytest.approx(comparison.ci95.low, abs=0.01)
    assert found.reasoning.ci95.high == pytest.approx(comparison.ci95.high, abs=0.01)
    assert found.format.stderr == 0.0


def test_results_without_samples_and_single_problems_have_none() -> None:
    counts = EvalResult.from_json("t", result("c", "w").to_json())
    assert attribute(counts, result("c", "w")) is None
    assert attribute(result("c"), result("c")) is None
