"""Evaluate: build prompts, ask for the samples that are missing, grade each, aggregate.

One grader under one policy (``grade`` with ``EVAL``) serves every task. With a store, a sample is
kept the moment it exists and found again by its key; without one the same code runs in memory,
as it does inside a training loop.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mathrl.engines import Engine, SampleRequest, SamplingParams, sample_seed
from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import ConfigError, DataError
from mathrl.evals.results import EvalResult, ProblemOutcome, SampleOutcome, summarise
from mathrl.evals.store import SampleKey, SampleStore, ScoreKey
from mathrl.evals.tasks import Task
from mathrl.prompts import PromptBuilder
from mathrl.rewards import EVAL, grade
from mathrl.schema import Completion, Problem, Score

OnSample = Callable[[Problem, SampleOutcome], None]


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
    """Evaluate what an engine samples from on a task.

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
    _check(problems, engine, num_samples)
    plan = _plan(task, problems, engine, prompts, params, num_samples, seed)
    outcomes: defaultdict[str, list[SampleOutcome]] = defaultdict(list)
    # closed by name: after Ctrl-C nothing more is asked of an engine, or paid for
    with closing(_completions(plan, engine, params, store)) as completions:
        for planned, completion, is_stored in completions:
            outcome = _graded(planned, completion, store, is_stored=is_stored)
            outcomes[planned.problem.id].append(outcome)
            if on_sample is not None:
                on_sample(planned.problem, outcome)
    covered = [
        ProblemOutcome.from_samples(problem.id, outcomes[problem.id])
        for problem in problems
        if problem.id in outcomes
    ]
    return summarise(task.name, covered, n_uncovered=len(problems) - len(covered))


def samples_to_ask(engine: Engine, problem: Problem, num_samples: int | None) -> int:
    """How many samples of a problem ``evaluate`` takes: no more than a file has recorded."""
    if not isinstance(engine, RecordedEngine):
        assert num_samples is not None, "evaluate refuses None for an engine that samples"
        return num_samples
    recorded = engine.num_samples(problem.id)
    return recorded if num_samples is None else min(recorded, num_samples)


@dataclass(frozen=True, slots=True)
class _Planned:
    problem: Problem
    request: SampleRequest
    key: SampleKey


def _check(problems: Sequence[Problem], engine: Engine, num_samples: int | None) -> None:
    if num_samples is None and not isinstance(engine, RecordedEngine):
        raise ConfigError("num_samples is needed: only recorded completions can be counted")
    if num_samples is not None and num_samples < 1:
        raise ConfigError(f"num_samples must be at least 1, got {num_samples}")
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"two problems have the id {problem.id!r}; ids must be unique")
        seen.add(problem.id)


def _plan(
    task: Task,
    problems: Sequence[Problem],
    engine: Engine,
    prompts: PromptBuilder,
    params: SamplingParams,
    num_samples: int | None,
    seed: int,
) -> list[_Planned]:
    fingerprint = engine.fingerprint  # hashes the weights: once is enough
    plan = []
    for problem in problems:
        text = prompts.text(problem)
        ids = prompts.ids(text) if engine.capabilities.token_ids else None
        messages = prompts.messages(problem) if engine.capabilities.messages else None
        sent = f"{text}\0{ids}"
        if messages is not None:
            sent = json.dumps([[message.role, message.content] for message in messages])
        prompt_hash = hashlib.blake2b(
            sent.encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()
        for index in range(samples_to_ask(engine, problem, num_samples)):
            request = SampleRequest(
                problem_id=problem.id,
                sample_index=index,
                prompt=text,
                prompt_ids=ids,
                messages=messages,
                seed=sample_seed(seed, 0, problem.id, index),
            )
            key = SampleKey(
                fingerprint=fingerprint,
                task=task.name,
                problem_id=problem.id,
                prompt_hash=prompt_hash,
                params=params,
                seed=request.seed,
                sample_index=index,
            )
            plan.append(_Planned(problem, request, key))
    return plan


def _completions(
    plan: list[_Planned], engine: Engine, params: SamplingParams, store: SampleStore | None
) -> Generator[tuple[_Planned, Completion, bool], None, None]:
    """Yield ``(planned, completion, is_stored)``: the stored ones, then new ones as they finish."""
    missing = []
    for planned in plan:
        known = store.get(planned.key) if store is not None else None
        if known is None:
            missing.append(planned)
        else:
            yield planned, known, True
    if not missing:
        return
    num_new = 0
    for index, completion in engine.sample([planned.request for planned in missing], params):
        if store is not None:
            store.put(missing[index].key, completion)
        num_new += 1
        yield missing[index], completion, False
    if num_new != len(missing):
        raise RuntimeError(f"the engine gave {num_new} completions for {len(missing)} requests")


def _graded(
    planned: _Planned, completion: Completion, store: SampleStore | None, *, is_stored: bool
) -> SampleOutcome:
    return SampleOutcome(
        sample_index=planned.key.sample_index,
        completion=completion,
        score=_score(planned, completion, store),
        is_stored=is_stored,
    )


def _score(planned: _Planned, completion: Completion, store: SampleStore | None) -> Score:
    answer = planned.problem.answer
    if store is None:
        return grade(completion, answer, EVAL)
    key = ScoreKey(
        sample=planned.key.digest(),
        answer=answer,
        grader=grader_fingerprint(),
        policy=EVAL.name,
    )
    score = store.get_score(key)
    if score is None:
        score = grade(completion, answer, EVAL)
        store.put_score(key, score)
    return score


@cache
def grader_fingerprint() -> str:
    """Hash of the grader's source: verdicts of another version are never taken for its own."""
    files = [*resources.files("mathrl.rewards").iterdir(), resources.files("mathrl") / "boxes.py"]
    digest = hashlib.blake2b(digest_size=16)
    for entry in sorted(files, key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            digest.update(entry.name.encode() + entry.read_bytes())
    return digest.hexdigest()
