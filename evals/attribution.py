"""Where a difference comes from: completions cut short, answers that cannot be read, reasoning.

A sample fails in one of three ways: it is cut at the token limit, no answer can be read from it, or
the answer is wrong. Where a problem's accuracy rises, the rise is shared out among the ways of
failing that became fewer, in proportion to how much fewer; where it falls, among those that became
more. The mean over problems of the three parts sums exactly to the difference of the accuracies.

With one sample a problem this counts: a problem that was fixed for what was in its way before, one
that was broken for what is in its way now. Completions that are no longer cut, or can now be read,
and are wrong, count for nothing: neither do they help, nor is the reasoning any worse for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from mathrl.evals.bootstrap import bootstrap_interval
from mathrl.evals.compare import paired_outcomes
from mathrl.evals.results import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.stats import Interval, clustered_stderr, difference_interval


class Failures(NamedTuple):
    """Shares of a problem's samples that fail in each way; the others are correct."""

    truncated: Fraction
    unreadable: Fraction
    wrong: Fraction


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a difference, with its error bar by problem."""

    difference: float
    stderr: float
    ci95: Interval | None
    """By the paired bootstrap; by Student's t where too few problems contribute to the part. None
    where no problem does: the other intervals are of what was seen, and here nothing was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """A difference in accuracy as the sum of three parts, to 1e-15."""

    truncation: Part | None
    """None where a run does not record how its completions ended: its share is in the others."""
    format: Part
    reasoning: Part
    before: dict[str, float]
    """Share of each way of failing among the samples, mean over problems."""
    after: dict[str, float]

    @property
    def parts(self) -> dict[str, Part]:
        """By name; without the truncation where it is not known."""
        known = {} if self.truncation is None else {"truncation": self.truncation}
        return {**known, "format": self.format, "reasoning": self.reasoning}

    def to_json(self) -> dict[str, Any]:
        """JSON types only; fractions."""
        return {
            **{
                name: {
                    "difference": part.difference,
                    "stderr": part.stderr,
                    "ci95": part.ci95 and [part.ci95.low, part.ci95.high],
                }
                for name, part in self.parts.items()
            },
            "before": self.before,
            "after": self.after,
        }


def attribute(before: EvalResult, after: EvalResult) -> Attribution | None:
    """Share the difference of two results out among truncation, format and reasoning.

    Args:
        before: With its samples.
        after: With its samples; the problems that both answered count.

    Returns:
        None for fewer than two problems, or results without samples.
    """
    pairs = paired_outcomes(before, after)
    if len(pairs) < 2 or not all(a.samples and b.samples for a, b in pairs):
        return None
    is_cut_known = all(_says_how_it_ended(outcome) for pair in pairs for outcome in pair)
    was = [failures(a, is_cut_known=is_cut_known) for a, _ in pairs]
    now = [failures(b, is_cut_known=is_cut_known) for _, b in pairs]
    by_problem = [share_out(a, b) for a, b in zip(was, now, strict=True)]
    truncation, form, reasoning = (_part(column) for column in zip(*by_problem, strict=True))
    return Attribution(
        truncation=truncation if is_cut_known else None,
        format=form,
        reasoning=reasoning,
        before=_mean(was),
        after=_mean(now),
    )


def failures(outcome: ProblemOutcome, *, is_cut_known: bool) -> Failures:
    """Count the ways in which one problem's samples fail.

    Args:
        outcome: A problem with at least one verdict; samples without one are left out.
        is_cut_known: Every sample tells how it ended; otherwise none counts as cut.
    """
    failed = [
        sample
        for sample in outcome.samples
        if sample.score.value is not None and not _is_correct(sample)
    ]
    ended = [s for s in failed if not (is_cut_known and s.completion.finish_reason == "length")]
    num_wrong = sum(_is_readable(sample) for sample in ended)
    counts = len(failed) - len(ended), len(ended) - num_wrong, num_wrong
    return Failures(*(Fraction(count, outcome.n) for count in counts))


def share_out(before: Failures, after: Failures) -> tuple[Fraction, Fraction, Fraction]:
    """Share the rise of one problem's accuracy out among its ways of failing.

    Returns:
        The parts of truncation, format and reasoning; their sum is the rise, exactly.
    """
    none = Fraction(0)
    fewer = [old - new for old, new in zip(before, after, strict=True)]
    rise = sum(fewer, none)
    moved = [max(change, none) if rise > 0 else min(change, none) for change in fewer]
    total = sum(moved, none) if rise else Fraction(1)
    truncation, form, reasoning = (rise * change / total for change in moved)
    return truncation, form, reasoning


def _part(by_problem: Sequence[Fraction]) -> Part:
    values = [float(value) for value in by_problem]
    seen = bootstrap_interval(values) or difference_interval(values) if any(values) else None
    return Part(
        difference=float(sum(by_problem, Fraction(0)) / len(values)),
        stderr=clustered_stderr(values),
        ci95=seen,
    )


def _mean(shares: Sequence[Failures]) -> dict[str, float]:
    columns = zip(Failures._fields, zip(*shares, strict=True), strict=True)
    return {name: float(sum(column) / len(shares)) for name, column in columns}


def _is_correct(sample: SampleOutcome) -> bool:
    return sample.score.status == "correct"


def _is_readable(sample: SampleOutcome) -> bool:
    """An answer was read. Recorded labels say no more than wrong: the prediction tells."""
    return sample.score.status == "wrong" and sample.score.prediction is not None


def _says_how_it_ended(outcome: ProblemOutcome) -> bool:
    judged = (sample for sample in outcome.samples if sample.score.value is not None)
    return all(sample.completion.finish_reason is not None for sample in judged)
