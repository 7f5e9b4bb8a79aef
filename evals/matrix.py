"""The grader matrix: one run, or two, under every grading rule that is in use.

    mathrl matrix RUN
    mathrl matrix RUN_BEFORE RUN_AFTER

A gain that only one rule shows is a change of form and not of skill: a policy that stops writing
boxes loses under a rule that reads boxes and may gain under one that reads numbers. So two runs
are compared under each rule, and a gain whose sign depends on the rule is said to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean
from typing import Any, Literal

from mathrl.errors import DataError
from mathrl.evals.compare import p_text
from mathrl.evals.results import EvalResult
from mathrl.evals.rules import RULES, Rule
from mathrl.evals.stats import CONFIDENCE, PairedResult, clustered_stderr, paired_difference
from mathrl.schema import Problem

Completions = Mapping[str, Sequence[str]]
"""Problem id -> the texts of its samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleRow:
    """One run under one rule."""

    rule: Rule
    accuracy: float
    """Mean over problems of the share of correct samples; nan where no sample has a verdict."""
    stderr: float
    """Clustered by problem."""
    found: float
    """Share of the judged samples in which the rule found an answer."""
    n_problems: int
    n_samples: int
    """Samples with a verdict: those whose known answer the rule can read."""
    means: Mapping[str, float]
    """Share of correct samples by problem id."""

    def to_json(self) -> dict[str, Any]:
        """The figures, JSON types only, nan as null."""
        return {
            "accuracy": _finite(self.accuracy),
            "stderr": _finite(self.stderr),
            "found": _finite(self.found),
            "n_problems": self.n_problems,
            "n_samples": self.n_samples,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """One run under several rules."""

    rows: tuple[RuleRow, ...]
    is_single: bool
    """Every problem has one sample."""

    @property
    def spread(self) -> float:
        """The highest accuracy less the lowest: what the choice of the rule is worth."""
        rates = [row.accuracy for row in self.rows if not isnan(row.accuracy)]
        return max(rates) - min(rates) if rates else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleDifference:
    """The difference ``after - before`` under one rule, on the problems of both runs."""

    rule: Rule
    before: float
    after: float
    paired: PairedResult

    @property
    def is_significant(self) -> bool:
        """The paired test rejects "no change" at 5 %."""
        return self.paired.p_value < 1 - CONFIDENCE

    def to_json(self) -> dict[str, Any]:
        """The figures, JSON types only, nan as null."""
        return {
            "rule": self.rule.name,
            "before": self.before,
            "after": self.after,
            "difference": self.paired.difference,
            "stderr": _finite(self.paired.stderr),
            "ci95": [self.paired.ci95.low, self.paired.ci95.high],
            "p_value": _finite(self.paired.p_value),
            "test": self.paired.test,
            "fixed": self.paired.fixed,
            "broken": self.paired.broken,
            "is_significant": self.is_significant,
        }


Dependence = Literal["none", "weak", "one-sided", "strong"]
"""How the sign of a gain depends on the rule. ``none``: no two rules have differences of opposite
signs. Otherwise by how many directions at least one rule finds significant: ``weak`` neither,
``one-sided`` one, ``strong`` both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixComparison:
    """Two runs under the rules that both were graded by."""

    rows: tuple[RuleDifference, ...]

    @property
    def rising(self) -> tuple[RuleDifference, ...]:
        """The rules under which the run got better, the largest gain first."""
        rose = [row for row in self.rows if row.paired.difference > 0]
        return tuple(sorted(rose, key=lambda row: -row.paired.difference))

    @property
    def falling(self) -> tuple[RuleDifference, ...]:
        """The rules under which it got worse, the largest loss first."""
        fell = [row for row in self.rows if row.paired.difference < 0]
        return tuple(sorted(fell, key=lambda row: row.paired.difference))

    @property
    def dependence(self) -> Dependence:
        """How the sign of the gain depends on the rule."""
        if not (self.rising and self.falling):
            return "none"
        directions = sum(
            any(row.is_significant for row in side) for side in (self.rising, self.falling)
        )
        kinds: tuple[Dependence, ...] = ("weak", "one-sided", "strong")
        return kinds[directions]

    def warning(self) -> str | None:
        """What to say of a gain whose sign depends on the rule; None where it does not."""
        if self.dependence == "none":
            return None
        up, down = _strongest(self.rising), _strongest(self.falling)
        meaning = {
            "weak": "neither is significant, so this run shows no change either way",
            "one-sided": "only one of them is significant: say by which rule a gain was measured",
            "strong": "both are significant: the runs write their answers in different forms, so "
            "no one of these numbers tells which is better",
        }[self.dependence]
        return f"the sign of the change depends on the rule: {up}, {down}; {meaning}"


def grader_matrix(
    problems: Mapping[str, Problem],
    completions: Completions,
    rules: Iterable[Rule] = tuple(RULES.values()),
) -> Matrix:
    """Grade the completions of one run under several rules.

    Args:
        problems: By id, with their answers.
        completions: The texts of each problem's samples; problems without any are left out.
        rules: Under which rules, in the order of the rows.

    Raises:
        DataError: A completion belongs to no problem, or there is none.
    """
    asked = {problem_id: texts for problem_id, texts in completions.items() if texts}
    strangers = [problem_id for problem_id in asked if problem_id not in problems]
    if strangers:
        raise DataError(f"completions of {strangers[0]}, which is none of the problems")
    if not asked:
        raise DataError("no completion to grade")
    return Matrix(
        rows=tuple(rule_row(rule, problems, asked) for rule in rules),
        is_single=all(len(texts) == 1 for texts in asked.values()),
    )


def completions_of(result: EvalResult) -> Completions:
    """The texts that an evaluation is of.

    Args:
        result: With its samples, so not one that was read from ``results.json``.
    """
    return {
        outcome.problem_id: [sample.completion.text for sample in outcome.samples]
        for outcome in result.problems
    }


def rule_row(rule: Rule, problems: Mapping[str, Problem], completions: Completions) -> RuleRow:
    """Grade the completions of one run under one rule; the arguments are ``grader_matrix``'s."""
    means: dict[str, float] = {}
    num_found = num_judged = 0
    for problem_id, texts in completions.items():
        verdicts = [rule.apply(text, problems[problem_id]) for text in texts]
        judged = [one for one in verdicts if one.is_correct is not None]
        if judged:
            means[problem_id] = sum(bool(one.is_correct) for one in judged) / len(judged)
        num_judged += len(judged)
        num_found += sum(one.prediction is not None for one in judged)
    return RuleRow(
        rule=rule,
        accuracy=fmean(means.values()) if means else float("nan"),
        stderr=clustered_stderr(list(means.values())),
        found=num_found / num_judged if num_judged else float("nan"),
        n_problems=len(means),
        n_samples=num_judged,
        means=means,
    )


def compare_matrices(before: Matrix, after: Matrix) -> MatrixComparison:
    """Pair two runs problem by problem under each rule that both have.

    Raises:
        DataError: The runs share no problem.
    """
    old = {row.rule.name: row for row in before.rows}
    is_single = before.is_single and after.is_single
    pairs = [(old[row.rule.name], row) for row in after.rows if row.rule.name in old]
    return MatrixComparison(rows=tuple(_difference(*pair, is_single=is_single) for pair in pairs))


def _difference(before: RuleRow, after: RuleRow, *, is_single: bool) -> RuleDifference:
    common = [problem_id for problem_id in before.means if problem_id in after.means]
    if not common:
        raise DataError(f"the two runs share no problem that rule {before.rule.name} can grade")
    old = [before.means[problem_id] for problem_id in common]
    new = [after.means[problem_id] for problem_id in common]
    paired = paired_difference(old, new, single_samples=is_single)
    return RuleDifference(rule=after.rule, before=fmean(old), after=fmean(new), paired=paired)


def _strongest(side: Sequence[RuleDifference]) -> str:
    """Name the most certain of the rules that agree on a direction."""
    known = [row for row in side if not isnan(row.paired.p_value)] or side
    row = min(known, key=lambda row: row.paired.p_value)
    return (
        f"{100 * row.paired.difference:+.2f} under {row.rule.name} ({p_text(row.paired.p_value)})"
    )


def _finite(value: float) -> float | None:
    return None if isnan(value) else value
