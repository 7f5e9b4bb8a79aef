"""The grader matrix, with every figure worked out by hand."""

from collections.abc import Sequence
from math import isnan, sqrt

import pytest

from mathrl.errors import DataError
from mathrl.evals.matrix import MatrixComparison, compare_matrices, grader_matrix
from mathrl.evals.rules import get_rule
from mathrl.schema import Problem

PROBLEMS = {f"p{i}": Problem(id=f"p{i}", prompt="?", answer="18") for i in range(40)}
HASHES, LAST, BOX = (get_rule(n) for n in ("lm-eval-strict", "lm-eval-flexible", "boxed"))
RULES = (HASHES, LAST)


def test_accuracy_is_a_mean_over_problems_with_a_clustered_error_bar() -> None:
    # strict: p0 1/2, p1 0/1, p2 1/1 -> mean 0.5, sd sqrt((0 + .25 + .25) / 2) = 0.5, / sqrt 3
    texts = {"p0": ["#### 18", "18"], "p1": ["18"], "p2": ["#### 18"], "p3": []}
    strict, flexible = grader_matrix(PROBLEMS, texts, RULES).rows
    assert strict.accuracy == 0.5
    assert strict.stderr == pytest.approx(0.5 / sqrt(3), rel=1e-12)
    assert strict.found == 0.5  # two of four samples have the hashes
    assert (strict.n_problems, strict.n_samples) == (3, 4)
    assert flexible.accuracy == 1.0


def test_a_problem_without_an_answer_is_left_out() -> None:
    problems = {**PROBLEMS, "open": Problem(id="open", prompt="?", answer=None)}
    row = grader_matrix(problems, {"p0": ["#### 18"], "open": ["#### 18"]}, [HASHES]).rows[0]
    assert (row.accuracy, row.n_problems, row.n_samples) == (1.0, 1, 1)
    nothing = grader_matrix(problems, {"open": ["#### 18"]}, [HASHES]).rows[0]
    assert isnan(nothing.accuracy)
    assert nothing.to_json()["accuracy"] is None


def test_completions_must_belong_to_problems() -> None:
    with pytest.raises(DataError, match="completions of p99, which is none of the problems"):
        grader_matrix(PROBLEMS, {"p99": ["18"]}, RULES)
    with pytest.raises(DataError, match="no completion"):
        grader_matrix(PROBLEMS, {"p0": []}, RULES)


def runs(before: Sequence[str], after: Sequence[str]) -> MatrixComparison:
    old, new = (
        grader_matrix(PROBLEMS, {f"p{i}": [text] for i, text in enumerate(texts)}, RULES)
        for texts in (before, after)
    )
    return compare_matrices(old, new)


def test_a_sign_that_depends_on_the_rule_with_both_directions_significant() -> None:
    # Before: 10 right with hashes, 20 wrong. After: 20 right without hashes, 10 wrong.
    comparison = runs(["#### 18"] * 10 + ["no 5"] * 20, ["no 5"] * 10 + ["it is 18"] * 20)
    strict, flexible = comparison.rows
    assert strict.paired.difference == pytest.approx(-10 / 30, rel=1e-12)
    assert flexible.paired.difference == pytest.approx(10 / 30, rel=1e-12)
    # exact McNemar: strict 0 fixed, 10 broken: 2 / 2^10; flexible 20 fixed, 10 broken: 0.099
    assert strict.paired.p_value == pytest.approx(2 / 2**10, rel=1e-12)
    assert flexible.paired.p_value == pytest.approx(0.0987, abs=1e-4)
    assert comparison.dependence == "one-sided"
    assert [row.rule.name for row in comparison.falling] == ["lm-eval-strict"]
    warning = comparison.warning()
    assert warning is not None
    assert "+33.33 under lm-eval-flexible (p = 0.099)" in warning
    assert "-33.33 under lm-eval-strict (p = 0.002)" in warning
    assert "only one of them is significant" in warning
    # With 40 problems, 30 of them fixed, the rise is significant too (p = 0.0022).
    strong = runs(["#### 18"] * 10 + ["no 5"] * 30, ["no 5"] * 10 + ["it is 18"] * 30)
    assert strong.dependence == "strong"
    assert "both are significant" in (strong.warning() or "")


def test_a_sign_that_depends_on_the_rule_without_significance() -> None:
    comparison = runs(["#### 18", "5", "5"], ["5", "18", "18"])
    assert comparison.dependence == "weak"
    assert "neither is significant" in (comparison.warning() or "")


def test_no_warning_where_no_two_signs_are_opposite() -> None:
    # strict finds nothing in either run: a difference of 0 has no sign
    comparison = runs(["5"] * 10, ["18"] * 10)
    assert [row.paired.difference for row in comparison.rows] == [0.0, 1.0]
    assert comparison.dependence == "none"
    assert comparison.warning() is None


def test_runs_are_paired_on_their_common_problems() -> None:
    old = grader_matrix(PROBLEMS, {"p0": ["18"], "p1": ["5"]}, RULES)
    new = grader_matrix(PROBLEMS, {"p1": ["18"], "p2": ["5"]}, [LAST, BOX])
    (row,) = compare_matrices(old, new).rows
    assert (row.rule.name, row.before, row.after) == ("lm-eval-flexible", 0.0, 1.0)
    with pytest.raises(DataError, match="share no problem"):
        compare_matrices(old, grader_matrix(PROBLEMS, {"p3": ["5"]}, RULES))
