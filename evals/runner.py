"""Evaluate: ask for the samples that are missing, have each verified, aggregate.

One grader under one policy (``grade`` with ``EVAL``) serves every task. With a store, a sample is
kept the moment it exists and found again by its key; without one the same code runs in memory.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from mathrl.engines import Engine, SamplingParams
from mathrl.evals.results import EvalResult, ProblemOutcome, SampleOutcome
from mathrl.evals.spec import AskedProblem, EvalSpec, request_of, specify
from mathrl.evals.store import SampleKey, SampleStore, ScoreKey
from mathrl.evals.summary import summarise
from mathrl.evals.tasks import Task
from mathrl.evals.verifiers import Grader, Verifier
from mathrl.prompts import PromptBuilder
from mathrl.schema import Completion, Problem, Score

OnSample = Callable[[Problem, SampleOutcome], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Who looks at a sample."""

    verifier: Verifier
    """Says whether it is right."""
    reward: Verifier | None = None
    """A reward model, for best-of-k and weighted votes."""


def evaluate(
    task: Task,
    problems: Sequence[Problem],
    engine: Engine,
    prompts: PromptBuilder,
    params: SamplingParams,
    *,
    num_samples: int | None = 1,
    seed: int = 0,
    store: SampleStore | None = None,
    on_sample: OnSample | None = None,
) -> EvalResult:
    """Evaluate what an engine samples from on a task, graded under ``EVAL``.

    Args:
        task: Names the samples in the store.
        problems: What to ask; ids must be unique.
        engine: Who samples; a recorded engine is asked only for what it holds.
        prompts: From a problem to what the engine reads.
        params: How to sample.
        num_samples: Samples a problem; None takes all that a recorded engine holds.
        seed: Each sample's own seed follows from it, the problem's id and the sample's index.
        store: Where samples and scores are kept and looked up first; None keeps nothing.
        on_sample: Called with each graded sample as it exists, stored ones first.

    Raises:
        ConfigError: ``num_samples`` is below 1, or None for an engine that records nothing.
        DataError: Two problems share an id, or none has a sample with a verdict.
    """
    spec = specify(task.name, problems, engine, prompts, params, num_samples=num_samples, seed=seed)
    return run(spec, engine, Verification(verifier=Grader()), store=store, on_sample=on_sample)


def run(
    spec: EvalSpec,
    engine: Engine | None,
    verification: Verification,
    *,
    store: SampleStore | None = None,
    on_sample: OnSample | None = None,
    ks: Sequence[int] | None = None,
) -> EvalResult:
    """Carry out a spec.

    Args:
        spec: What to ask.
        engine: Who samples what the store lacks; None where it lacks nothing.
        verification: Who looks at the samples.
        store: Where samples and scores are kept and looked up first; None keeps nothing.
        on_sample: Called with each verified sample as it exists, stored ones first.
        ks: Numbers of samples for pass@k and the like; powers of two by default.

    Raises:
        ConfigError: A ``k`` is more than the samples that every problem has.
        DataError: No sample has a verdict.
    """
    outcomes: defaultdict[str, list[SampleOutcome]] = defaultdict(list)
    # closed by name: after Ctrl-C nothing more is asked of an engine, or paid for
    with closing(_completions(spec, engine, store)) as completions:
        for asked, key, completion, is_stored in completions:
            outcome = _outcome(verification, asked.problem, key, completion, store)
            outcome = replace(outcome, is_stored=is_stored)
            outcomes[asked.problem.id].append(outcome)
            if on_sample is not None:
                on_sample(asked.problem, outcome)
    covered = [asked.problem for asked in spec.asked if asked.num_samples]
    return summarise(
        spec.task,
        [ProblemOutcome.from_samples(problem.id, outcomes[problem.id]) for problem in covered],
        problems={problem.id: problem for problem in covered},
        verifier=verification.verifier.name,
        n_uncovered=len(spec.asked) - len(covered),
        ks=ks,
    )


def _completions(
    spec: EvalSpec, engine: Engine | None, store: SampleStore | None
) -> Generator[tuple[AskedProblem, SampleKey, Completion, bool], None, None]:
    """Yield ``(…, completion, is_stored)``: the stored ones, then new ones as they finish."""
    missing = []
    for asked, key in spec.samples():
        known = store.get(key) if store is not None else None
        if known is None:
            missing.append((asked, key))
        else:
            yield asked, key, known, True
    if not missing:
        return
    assert engine is not None, "a spec without an engine has all its samples"
    num_new = 0
    for index, completion in engine.sample([request_of(*pair) for pair in missing], spec.params):
        asked, key = missing[index]
        if store is not None:
            store.put(key, completion)
        num_new += 1
        yield asked, key, completion, False
    if num_new != len(missing):
        raise RuntimeError(f"the engine gave {num_new} completions for {len(missing)} requests")


def _outcome(
    verification: Verification,
    problem: Problem,
    key: SampleKey,
    completion: Completion,
    store: SampleStore | None,
) -> SampleOutcome:
    num_tokens = None if completion.token_ids is None else len(completion.token_ids)
    if num_tokens is None and completion.usage is not None:
        num_tokens = completion.usage.completion_tokens
    reward = None
    if verification.reward is not None:
        reward = _score(verification.reward, problem, key, completion, store).value
    return SampleOutcome(
        sample_index=key.sample_index,
        completion=replace(completion, token_ids=None, logprobs=None),
        score=_score(verification.verifier, problem, key, completion, store),
        num_tokens=num_tokens,
        reward=reward,
    )


def _score(
    verifier: Verifier,
    problem: Problem,
    key: SampleKey,
    completion: Completion,
    store: SampleStore | None,
) -> Score:
    """The stored verdict; where there is none, a new one, which is stored."""
    if store is None:
        return verifier.score(problem, key.sample_index, completion)
    score_key = ScoreKey(
        sample=key.digest(),
        answer=problem.answer,
        verifier=verifier.fingerprint,
        name=verifier.name,
    )
    score = store.get_score(score_key)
    if score is None:
        score = verifier.score(problem, key.sample_index, completion)
        store.put_score(score_key, score)
    return score
