"""Comparisons: paired by problem id, and the verdict says no more than the numbers do."""

import pytest

from mathrl.errors import DataError
from mathrl.evals import EvalResult, ProblemOutcome, compare
from mathrl.evals.compare import p_text
from mathrl.evals.results import SampleOutcome
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, Score


def result(verdicts: dict[str, str], task: str = "t") -> EvalResult:
    """``c`` is a correct sample, ``w`` a wrong one, ``?`` one without a verdict."""
    values = {"c": 1.0, "w": 0.0, "?": None}
    statuses = {"c": "correct", "w": "wrong", "?": "gold_unparseable"}
    outcomes = [
        ProblemOutcome.from_samples(
            problem_id,
            [
                SampleOutcome(
                    sample_index=index,
                    completion=Completion(text=""),
                    score=Score(value=values[letter], status=statuses[letter]),  # type: ignore[arg-type]
                )
                for index, letter in enumerate(letters)
            ],
        )
        for problem_id, letters in verdicts.items()
    ]
    return summarise(task, outcomes)


def test_single_samples_by_hand() -> None:
    # fixed b, c, d; broken e; p = 2 (1 + 4) / 2^4 = 0.625.
    before = result({"a": "c", "b": "w", "c": "w", "d": "w", "e": "c"})
    after = result({"a": "c", "b": "c", "c": "c", "d": "c", "e": "w"})
    found = compare(before, after)
    assert (found.fixed, found.broken, found.n_problems, found.n_left_out) == (3, 1, 5, 0)
    assert found.difference == pytest.approx(0.4, abs=1e-15)
    # Differences 0, 1, 1, 1, -1: variance (4 - 5 * 0.16) / 4 = 0.8, over 5 problems.
    assert found.stderr == pytest.approx(0.4, abs=1e-15)
    assert (found.test, found.p_value) == ("exact McNemar", 0.625)
    assert "no difference shown" in found.verdict()


def test_pairs_are_found_by_id_and_not_by_position() -> None:
    before = result({"a": "c", "b": "w", "only before": "c"})
    after = result({"only after": "w", "b": "c", "a": "c", "no gold": "?"})
    found = compare(before, after)
    assert (found.n_problems, found.n_left_out, found.fixed, found.broken) == (2, 2, 1, 0)
    assert (found.only_before, found.only_after) == (("only before",), ("only after",))


def test_the_problems_that_changed_are_named_in_the_order_of_the_first_run() -> None:
    before = result({"z": "ww", "a": "cw", "m": "cc", "b": "cw"})
    after = result({"a": "wc", "b": "ww", "m": "cw", "z": "cw"})
    found = compare(before, after)
    assert (found.fixed_ids, found.broken_ids) == (("z",), ("m", "b"))


def test_unequal_samples_a_problem_are_compared_by_their_means() -> None:
    # 2/3 - 1/2 and 1 - 1/4: mean (1/6 + 3/4) / 2 = 11/24.
    found = compare(result({"a": "cw", "b": "cwww"}), result({"a": "ccw", "b": "c"}))
    assert found.difference == pytest.approx(11 / 24, abs=1e-15)
    assert found.test == "paired t by problem"


def test_the_verdict_of_several_tests_is_the_adjusted_one() -> None:
    before = result({str(i): "w" for i in range(20)})
    after = result({str(i): "c" if i < 6 else "w" for i in range(20)})
    found = compare(before, after)  # six fixed and none broken: p = 2 / 64
    assert found.verdict().startswith("better by 30.00 points")
    assert found.verdict(p_holm=0.09).startswith(
        "no difference shown (exact McNemar, p = 0.031, p = 0.09 after Holm)"
    )


def test_several_samples_take_the_paired_test_and_say_so() -> None:
    before = result({"a": "cw", "b": "ww", "c": "ww"})
    after = result({"a": "cc", "b": "cw", "c": "ww"})
    found = compare(before, after)
    assert found.test == "paired t by problem"
    assert (found.fixed, found.broken) == (2, 0)
    # Differences 1/2, 1/2, 0: mean 1/3, stderr sqrt(1/12 / 3) = 1/6, t = 2 with 2 degrees:
    # p = 1 - 2 / sqrt(2 + 4).
    assert found.p_value == pytest.approx(1 - 2 / 6**0.5, abs=1e-12)


def test_one_run_with_several_samples_is_enough_for_the_paired_test() -> None:
    found = compare(result({"a": "c", "b": "w"}), result({"a": "cc", "b": "cw"}))
    assert found.test == "paired t by problem"


def test_a_clear_difference_is_called_by_its_name() -> None:
    before = result({str(i): "w" for i in range(20)})
    after = result({str(i): "c" if i < 10 else "w" for i in range(20)})
    # Ten fixed and none broken: p is twice 1 in 1024.
    assert compare(before, after).verdict() == "better by 50.00 points (exact McNemar, p = 0.002)"
    assert compare(after, before).verdict().startswith("worse by 50.00 points")


def test_json_has_the_fields_of_the_contract() -> None:
    entry = compare(result({"a": "c", "b": "w"}), result({"a": "c", "b": "c"})).to_json()
    contract = {"difference", "stderr", "ci95", "p_value", "fixed", "broken", "mde"}
    assert contract <= set(entry)
    single = compare(result({"a": "w"}), result({"a": "c"})).to_json()
    assert (single["stderr"], single["mde"]) == (None, None)


def test_runs_without_a_common_problem_or_task_are_refused() -> None:
    many = result({f"p{i}": "c" for i in range(5)})
    with pytest.raises(DataError, match=r"id .one has a; the other p0, p1, p2 and 2 more"):
        compare(result({"a": "c"}), many)
    with pytest.raises(DataError, match="different tasks: t and u"):
        compare(result({"a": "c"}), result({"a": "c"}, task="u"))


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.0012345, "p = 0.0012"), (1.0, "p = 1"), (0.0, "p < 1e-16"), (float("nan"), "p undecided")],
)
def test_p_values_for_people(p_value: float, text: str) -> None:
    assert p_text(p_value) == text
