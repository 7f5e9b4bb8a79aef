"""Evaluations in a run folder: carried out, by one process or several, and read back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mathrl.engines import Engine
from mathrl.errors import ConfigError
from mathrl.evals.folder import (
    begin_run,
    finish_run,
    load_spec,
    missing_samples,
    read_entries,
    require_samples,
    verification_of,
)
from mathrl.evals.results import EvalResult
from mathrl.evals.runner import OnSample, Verification, run
from mathrl.evals.spec import EvalSpec
from mathrl.evals.store import SampleStore
from mathrl.files import only_process_in
from mathrl.schema import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRun:
    """A finished evaluation of one task, read back from its run folder."""

    spec: EvalSpec
    problems: Mapping[str, Problem]
    """By id, as they were evaluated."""
    result: EvalResult
    """Derived from the store, so its problems have their samples."""
    facts: Mapping[str, Any]
    """The task's entry of the manifest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One of several equal parts of the problems, for one of several processes."""

    index: int
    count: int

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.index < self.count:
            raise ConfigError(f"a shard of {self.count} is 1 to {self.count}, got {self.index + 1}")

    def of(self, spec: EvalSpec) -> EvalSpec:
        """The part of a spec: every ``count``-th problem, from the one at ``index`` on."""
        return replace(spec, asked=spec.asked[self.index :: self.count])


def evaluate_into(
    folder: Path,
    spec: EvalSpec,
    engine: Engine,
    verification: Verification,
    *,
    facts: Mapping[str, Any],
    ks: Sequence[int] | None = None,
    shard: Shard | None = None,
    on_sample: OnSample | None = None,
) -> EvalResult:
    """Carry out a spec in a run folder; what is there already is not asked again.

    Args:
        folder: The run folder.
        spec: What to ask, of all shards.
        engine: Who samples.
        verification: Who looks at the samples.
        facts: What else the manifest is to tell; JSON types.
        ks: Numbers of samples for pass@k and the like; powers of two by default.
        shard: The part to do; figures are written by the shard that finishes last.
        on_sample: Called with each verified sample.

    Returns:
        The figures: the shard's own while others are at work.

    Raises:
        ConfigError: Another process is at work on the same part.
        DataError: The folder is one of another format, or no sample has a verdict.
        StorageError: The disk refused.
    """
    share = None if shard is None else f"{shard.index + 1}-of-{shard.count}"
    part = spec if shard is None else shard.of(spec)
    if not part.asked:
        raise ConfigError(f"shard {share} is empty: there are {len(spec.asked)} problems")
    with only_process_in(folder, share=share):
        begin_run(folder, spec, facts)
        with SampleStore(folder) as store:
            result = run(part, engine, verification, store=store, ks=ks, on_sample=on_sample)
            if shard is None:
                finish_run(folder, spec, result, verification, store=store, ks=ks, facts=facts)
                return result
        with SampleStore(folder) as store:  # again: with what the others have done meanwhile
            if missing_samples(spec, store):
                return result
            result = run(spec, None, verification, store=store, ks=ks)
            finish_run(folder, spec, result, verification, store=store, ks=ks, facts=facts)
            return result


def load_run(folder: str | Path) -> dict[str, TaskRun]:
    """Read the finished evaluations of a run folder by task.

    Raises:
        DataError: It is no run folder, of another format, or an evaluation is not finished.
    """
    path = Path(folder)
    with SampleStore(path) as store:
        return {task: _load_task(path, task, store) for task in read_entries(path)}


def _load_task(folder: Path, task: str, store: SampleStore) -> TaskRun:
    spec = load_spec(folder, task)
    facts = read_entries(folder)[task]
    require_samples(folder, spec, store)
    return TaskRun(
        spec=spec,
        problems={asked.problem.id: asked.problem for asked in spec.asked},
        result=run(spec, None, verification_of(facts), store=store, ks=facts["verified"]["ks"]),
        facts=facts,
    )
