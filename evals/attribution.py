r"""Where a difference comes from: completions cut short, answers that cannot be read, reasoning.

A sample is correct if it passes three stages: it is not cut at the token limit, an answer can be
read from it, and that answer is right. So, over the problems that both runs answered,

    accuracy = P(not cut) * P(readable | not cut) * P(correct | readable)

and the difference of two such products is shared out among its three factors: each gets what
changing it alone adds, averaged over the six orders in which the three can be changed (the Shapley
value), so that no order is preferred. The three parts sum exactly to the difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import stdev
from typing import Any, Generic, NamedTuple, TypeVar

from mathrl.evals.bootstrap import bootstrap_means, percentile_interval
from mathrl.evals.compare import paired_outcomes
from mathrl.evals.results import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.stats import Interval, PairedResult, paired_difference

Number = TypeVar("Number", float, Fraction)


class Stages(NamedTuple, Generic[Number]):
    """Shares of all samples that pass the first stage, the first two, all three."""

    kept: Number
    """Not cut at the token limit, or correct all the same."""
    readable: Number
    correct: Number


class Parts(NamedTuple, Generic[Number]):
    """A difference in accuracy, shared out among the stages."""

    truncation: Number
    format: Number
    reasoning: Number


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a difference, with its error bar by the paired bootstrap over problems."""

    difference: float
    stderr: float
    ci95: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """A difference in accuracy as the sum of three parts, exact to 1e-15."""

    truncation: Part | None
    """None where a run does not record how its completions ended: its share is in the others."""
    format: Part
    reasoning: Part
    before: Stages[float]
    after: Stages[float]
    both_readable: PairedResult | None
    """The difference on the problems that both runs answered readably: the same problems on both
    sides, so answers that have become readable on harder ones do not pull it down."""
    n_both_readable: int

    @property
    def parts(self) -> dict[str, Part]:
        """By name; without the truncation where it is not known."""
        known = {} if self.truncation is None else {"truncation": self.truncation}
        return {**known, "format": self.format, "reasoning": self.reasoning}

    def to_json(self) -> dict[str, Any]:
        """JSON types only; fractions."""
        same = self.both_readable
        return {
            **{
                name: {
                    "difference": part.difference,
                    "stderr": part.stderr,
                    "ci95": [part.ci95.low, part.ci95.high],
                }
                for name, part in self.parts.items()
            },
            "before": self.before._asdict(),
            "after": self.after._asdict(),
            "both_readable": same
            and {
                "difference": same.difference,
                "ci95": [same.ci95.low, same.ci95.high],
                "n_problems": self.n_both_readable,
            },
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
    was = [stages(a, is_cut_known=is_cut_known) for a, _ in pairs]
    now = [stages(b, is_cut_known=is_cut_known) for _, b in pairs]
    exact = shapley(_mean(was), _mean(now))
    columns = [
        [float(share) for share in column]
        for side in (was, now)
        for column in zip(*side, strict=True)
    ]
    drawn = [shapley(Stages(*means[:3]), Stages(*means[3:])) for means in bootstrap_means(columns)]
    truncation, form, reasoning = (
        Part(
            difference=float(part),
            stderr=stdev(values),
            ci95=percentile_interval(values, len(pairs)),
        )
        for part, values in zip(exact, zip(*drawn, strict=True), strict=True)
    )
    both = [(a, b) for a, b in zip(was, now, strict=True) if a.readable and b.readable]
    return Attribution(
        truncation=truncation if is_cut_known else None,
        format=form,
        reasoning=reasoning,
        before=Stages(*map(float, _mean(was))),
        after=Stages(*map(float, _mean(now))),
        both_readable=_difference_of_the_readable(both),
        n_both_readable=len(both),
    )


def stages(outcome: ProblemOutcome, *, is_cut_known: bool) -> Stages[Fraction]:
    """Shares of one problem's samples with a verdict that pass each stage.

    Args:
        outcome: A problem with at least one verdict.
        is_cut_known: Every sample tells how it ended; otherwise none counts as cut.
    """
    judged = [sample for sample in outcome.samples if sample.score.value is not None]
    correct = [sample.score.status == "correct" for sample in judged]
    kept = [
        right or not (is_cut_known and sample.completion.finish_reason == "length")
        for sample, right in zip(judged, correct, strict=True)
    ]
    readable = [is_kept and _is_readable(s) for s, is_kept in zip(judged, kept, strict=True)]
    return Stages(*(Fraction(sum(passed), len(judged)) for passed in (kept, readable, correct)))


def shapley(before: Stages[Number], after: Stages[Number]) -> Parts[Number]:
    """Share a difference out among the three factors of each accuracy.

    A factor that a run does not show (no sample gets as far as its stage) is taken from the other
    run: what was not seen to change is not made to explain anything.

    Returns:
        Three parts that sum to ``after.correct - before.correct``, exactly for fractions.

    Source: Shapley, "A value for n-person games" (1953), for three players.
    """
    (a0, b0, c0), (a1, b1, c1) = _factors(before, after), _factors(after, before)
    return Parts(
        (a1 - a0) * _average(b0, b1, c0, c1),
        (b1 - b0) * _average(a0, a1, c0, c1),
        (c1 - c0) * _average(a0, a1, b0, b1),
    )


def _factors(own: Stages[Number], other: Stages[Number]) -> tuple[Number, Number, Number]:
    """Chance of passing each stage for a sample that passed those before it."""
    return own.kept, _chance(own, other, 1), _chance(own, other, 2)


def _chance(own: Stages[Number], other: Stages[Number], stage: int) -> Number:
    """Of one stage: the run's own, or the other's where none of its samples gets there."""
    shown = own if own[stage - 1] else other
    return shown[stage] / shown[stage - 1] if shown[stage - 1] else shown[stage]


def _average(x0: Number, x1: Number, y0: Number, y1: Number) -> Number:
    """What the other two factors make of a change, over the orders in which they change."""
    return (2 * (x0 * y0 + x1 * y1) + x0 * y1 + x1 * y0) / 6


def _mean(shares: Sequence[Stages[Fraction]]) -> Stages[Fraction]:
    kept, readable, correct = (sum(column, Fraction(0)) for column in zip(*shares, strict=True))
    return Stages(kept / len(shares), readable / len(shares), correct / len(shares))


def _is_readable(sample: SampleOutcome) -> bool:
    """An answer was read. Recorded labels say no more than wrong: the prediction tells."""
    status = sample.score.status
    return status == "correct" or (status == "wrong" and sample.score.prediction is not None)


def _says_how_it_ended(outcome: ProblemOutcome) -> bool:
    judged = (sample for sample in outcome.samples if sample.score.value is not None)
    return all(sample.completion.finish_reason is not None for sample in judged)


def _difference_of_the_readable(
    pairs: Sequence[tuple[Stages[Fraction], Stages[Fraction]]],
) -> PairedResult | None:
    if not pairs:
        return None
    rates = [[float(side.correct / side.readable) for side in pair] for pair in pairs]
    return paired_difference(*zip(*rates, strict=True), single_samples=False)
