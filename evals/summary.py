"""From graded samples to the figures of an evaluation."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean
from types import MappingProxyType

from mathrl.errors import ConfigError, DataError
from mathrl.evals.metrics import usual_ks
from mathrl.evals.results import SLICES, EvalResult, ProblemOutcome, SampleOutcome, Slice
from mathrl.evals.selection import has_few_subsets, vote_weights
from mathrl.evals.stats import clustered_stderr, mean_interval
from mathrl.schema import Problem, Usage

Rates = dict[int, list[float]]
"""By k, one number a problem."""


def summarise(
    task: str,
    outcomes: Sequence[ProblemOutcome],
    *,
    problems: Mapping[str, Problem] = MappingProxyType({}),
    verifier: str = "eval",
    n_uncovered: int = 0,
    ks: Sequence[int] | None = None,
) -> EvalResult:
    """Aggregate the graded samples of a task.

    Args:
        task: The task's name.
        outcomes: The problems that have samples.
        problems: By id; their metadata says what is grouped, and nothing is without them.
        verifier: Who gave the verdicts.
        n_uncovered: Problems that were given and have no sample.
        ks: Numbers of samples for pass@k and the like; powers of two by default.

    Raises:
        DataError: No sample has a verdict.
        ConfigError: A ``k`` is more than the samples that every problem has.
    """
    judged = [outcome for outcome in outcomes if outcome.n]
    if not judged:
        raise DataError(
            f"task {task}: no sample has a verdict ({len(outcomes)} problems had samples); "
            "are the known answers bare, in $...$ or in one box?"
        )
    samples = [sample for outcome in outcomes for sample in outcome.samples]
    n_samples = sum(outcome.n for outcome in judged)
    means = [outcome.mean for outcome in judged]
    curves = _curves(judged, _checked_ks(ks, min(outcome.n for outcome in judged)))
    tokens = _tokens(samples)
    characters = fmean(len(sample.completion.text) for sample in samples)
    return EvalResult(
        task=task,
        verifier=verifier,
        accuracy=fmean(means),
        stderr=clustered_stderr(means),
        ci95=mean_interval(means, n_samples),
        n_problems=len(judged),
        n_samples=n_samples,
        n_uncovered=n_uncovered,
        n_no_verdict=len(samples) - n_samples,
        curves={name: {k: fmean(r) for k, r in by_k.items()} for name, by_k in curves.items()},
        curves_ci95={
            name: {k: mean_interval(rates, n_samples) for k, rates in by_k.items()}
            for name, by_k in curves.items()
        },
        slices={name: parts for name in SLICES if (parts := _slices(judged, problems, name))},
        status=_shares(sample.score.status for sample in samples),
        cues=_shares(sample.score.cue or "none" for sample in samples),
        truncated=_truncated(samples),
        mean_length=characters if tokens is None else tokens / len(samples),
        length_unit="characters" if tokens is None else "tokens",
        completion_tokens=tokens,
        usage=_usage(samples),
        problems=tuple(outcomes),
    )


def _checked_ks(ks: Sequence[int] | None, n: int) -> list[int]:
    if ks is None:
        return usual_ks(n)
    for k in ks:
        if not 1 <= k <= n:
            raise ConfigError(
                f"pass@{k} needs at least {k} samples of every problem, but one has {n}: "
                f"take -n {k}, or leave {k} out of -k"
            )
    return sorted({1, *ks})


def _curves(judged: Sequence[ProblemOutcome], ks: Sequence[int]) -> dict[str, Rates]:
    """Each figure, one number a problem, for every k."""

    def rates(figure: Callable[[ProblemOutcome, int], float]) -> Rates:
        return {k: [figure(outcome, k) for outcome in judged] for k in ks}

    curves = {
        "pass_at_k": rates(ProblemOutcome.pass_at),
        "maj_at_k": _majorities(judged, ks),
    }
    if all(len(outcome.rewards()) == outcome.n for outcome in judged):
        curves["best_of_k"] = rates(ProblemOutcome.best_of)
        curves["weighted_vote_at_k"] = _weighted_votes(judged, ks)
    return curves


def _majorities(judged: Sequence[ProblemOutcome], ks: Sequence[int]) -> Rates:
    by_problem = [outcome.majorities(ks) for outcome in judged]
    return {k: [majorities[k] for majorities in by_problem] for k in ks}


def _weighted_votes(judged: Sequence[ProblemOutcome], ks: Sequence[int]) -> Rates:
    weights = iter(vote_weights(list(chain.from_iterable(o.rewards() for o in judged))))
    weights_of = [[next(weights) for _ in range(outcome.n)] for outcome in judged]
    few = [k for k in ks if all(has_few_subsets(outcome.n, k) for outcome in judged)]
    return {
        k: [o.weighted_vote(k, own) for o, own in zip(judged, weights_of, strict=True)] for k in few
    }


def _slices(
    judged: Sequence[ProblemOutcome], problems: Mapping[str, Problem], field: str
) -> dict[str, Slice]:
    """The accuracy by subject or by level, in the order of their names."""
    members: defaultdict[str, list[ProblemOutcome]] = defaultdict(list)
    for outcome in judged:
        problem = problems.get(outcome.problem_id)
        label = problem and problem.metadata.get(field)
        if label is not None:
            members[str(label)].append(outcome)
    return {label: _slice(members[label]) for label in sorted(members)}


def _slice(outcomes: Sequence[ProblemOutcome]) -> Slice:
    means = [outcome.mean for outcome in outcomes]
    return Slice(
        accuracy=fmean(means),
        stderr=clustered_stderr(means),
        ci95=mean_interval(means, sum(outcome.n for outcome in outcomes)),
        n_problems=len(outcomes),
    )


def _shares(labels: Iterable[str]) -> dict[str, float]:
    counts = Counter(labels)
    return {label: count / counts.total() for label, count in counts.most_common()}


def _truncated(samples: Sequence[SampleOutcome]) -> float | None:
    reasons = [s.completion.finish_reason for s in samples if s.completion.finish_reason]
    return fmean(reason == "length" for reason in reasons) if reasons else None


def _tokens(samples: Sequence[SampleOutcome]) -> int | None:
    counts = [sample.num_tokens for sample in samples if sample.num_tokens is not None]
    return sum(counts) if len(counts) == len(samples) else None


def _usage(samples: Sequence[SampleOutcome]) -> Usage | None:
    counts = [s.completion.usage for s in samples if s.completion.usage is not None]
    return sum(counts, start=Usage()) if counts else None
