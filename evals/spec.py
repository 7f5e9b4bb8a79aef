"""What an evaluation depends on: the policy, the parameters, and each problem as it is asked.

A spec names every sample that belongs to the evaluation. It is built once from a task, problems
and an engine, kept in the run folder, and enough to find the same samples in the store again.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mathrl.engines import Engine, SampleRequest, SamplingParams, sample_seed
from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import ConfigError, DataError
from mathrl.evals.store import SampleKey
from mathrl.prompts import PromptBuilder
from mathrl.schema import Message, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedProblem:
    """One problem as the engine reads it."""

    problem: Problem
    prompt: str
    """The rendered prompt."""
    prompt_ids: tuple[int, ...] | None
    """Its token ids; None for engines that read text, and in a spec that was read from a file."""
    messages: tuple[Message, ...] | None
    """What an API with a chat template of its own reads instead of the prompt."""
    prompt_hash: str
    num_samples: int
    """0 where a file of completions has none for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalSpec:
    """One evaluation of one task."""

    task: str
    fingerprint: str
    """Of what samples."""
    params: SamplingParams
    seed: int
    """Each sample's own seed follows from it, the problem's id and the sample's index."""
    asked: tuple[AskedProblem, ...]

    @property
    def num_samples(self) -> int:
        """Samples over all problems."""
        return sum(asked.num_samples for asked in self.asked)

    def samples(self) -> Iterator[tuple[AskedProblem, SampleKey]]:
        """Every sample's key, problem by problem."""
        for asked in self.asked:
            for index in range(asked.num_samples):
                yield asked, self.key(asked, index)

    def key(self, asked: AskedProblem, index: int) -> SampleKey:
        """The key of one sample."""
        return SampleKey(
            fingerprint=self.fingerprint,
            task=self.task,
            problem_id=asked.problem.id,
            prompt_hash=asked.prompt_hash,
            params=self.params,
            seed=sample_seed(self.seed, 0, asked.problem.id, index),
            sample_index=index,
        )


def specify(
    task: str,
    problems: Sequence[Problem],
    engine: Engine,
    prompts: PromptBuilder,
    params: SamplingParams,
    *,
    num_samples: int | None = 1,
    seed: int = 0,
) -> EvalSpec:
    """Put problems to an engine.

    Args:
        task: Names the samples in the store.
        problems: What to ask; ids must be unique.
        engine: Who samples; a recorded engine is asked only for what it holds.
        prompts: From a problem to what the engine reads.
        params: How to sample.
        num_samples: Samples a problem; None takes all that a recorded engine holds.
        seed: Of the evaluation.

    Raises:
        ConfigError: ``num_samples`` is below 1, or None for an engine that records nothing.
        DataError: Two problems share an id.
    """
    if num_samples is None and not isinstance(engine, RecordedEngine):
        raise ConfigError("num_samples is needed: only recorded completions can be counted")
    if num_samples is not None and num_samples < 1:
        raise ConfigError(f"num_samples must be at least 1, got {num_samples}")
    seen: set[str] = set()
    asked = []
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"two problems have the id {problem.id!r}; ids must be unique")
        seen.add(problem.id)
        asked.append(_ask(problem, engine, prompts, num_samples))
    return EvalSpec(
        task=task, fingerprint=engine.fingerprint, params=params, seed=seed, asked=tuple(asked)
    )


def request_of(asked: AskedProblem, key: SampleKey) -> SampleRequest:
    """What the engine is asked for one sample."""
    return SampleRequest(
        problem_id=key.problem_id,
        sample_index=key.sample_index,
        prompt=asked.prompt,
        prompt_ids=asked.prompt_ids,
        messages=asked.messages,
        seed=key.seed,
    )


def _ask(
    problem: Problem, engine: Engine, prompts: PromptBuilder, num_samples: int | None
) -> AskedProblem:
    text = prompts.text(problem)
    ids = prompts.ids(text) if engine.capabilities.token_ids else None
    messages = prompts.messages(problem) if engine.capabilities.messages else None
    sent = f"{text}\0{ids}"
    if messages is not None:
        sent = json.dumps([[message.role, message.content] for message in messages])
    count = num_samples
    if isinstance(engine, RecordedEngine):
        recorded = engine.num_samples(problem.id)
        count = recorded if num_samples is None else min(recorded, num_samples)
    assert count is not None, "specify refuses None for an engine that samples"
    return AskedProblem(
        problem=problem,
        prompt=text,
        prompt_ids=ids,
        messages=messages,
        prompt_hash=hashlib.blake2b(
            sent.encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest(),
        num_samples=count,
    )
