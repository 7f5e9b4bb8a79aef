"""The run folder of evaluations: what was asked, every sample, every verdict, the figures.

    RUN/manifest.json          what each task's evaluation depended on, and the seal of its figures
    RUN/problems/TASK.jsonl    the problems as they were put to the engine
    RUN/samples/  RUN/scores/  the store
    RUN/results.json           the figures

From the first three the fourth is derived again at any time, without the model or the data set.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mathrl.engines import Engine, SamplingParams
from mathrl.errors import ConfigError, DataError
from mathrl.evals.results import EvalResult, drop_result, save_result
from mathrl.evals.runner import OnSample, Verification, run
from mathrl.evals.spec import AskedProblem, EvalSpec
from mathrl.evals.store import SampleStore
from mathrl.evals.verifiers import LoggedVerifier, Verifier
from mathrl.files import only_process_in, write_whole
from mathrl.manifest import (
    MANIFEST_FILE,
    installed_versions,
    machine_summary,
    problems_hash,
    read_manifest,
)
from mathrl.schema import Problem

FORMAT = 2
"""Of the run folder; 1 had no problems in it."""


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
                finish_run(folder, spec, result, verification, store=store, ks=ks)
                return result
        with SampleStore(folder) as store:  # again: with what the others have done meanwhile
            if missing_samples(spec, store):
                return result
            result = run(spec, None, verification, store=store, ks=ks)
            finish_run(folder, spec, result, verification, store=store, ks=ks)
            return result


def begin_run(folder: Path, spec: EvalSpec, facts: Mapping[str, Any]) -> None:
    """Keep what an evaluation depends on, before its first sample.

    Figures of the task that an earlier evaluation left in the folder are taken away, unless they
    are of the same spec; samples always stay.

    Args:
        folder: The run folder.
        spec: What is asked.
        facts: What else the manifest is to tell of this evaluation; JSON types.

    Raises:
        DataError: The folder is one of another format.
        StorageError: The disk refused.
    """
    entries = _entries(folder) if (folder / MANIFEST_FILE).exists() else {}
    machine = {"versions": installed_versions(), "machine": machine_summary()}
    entry = {**_summary(spec), **facts, **machine}
    known = entries.get(spec.task, {})
    if {name: known.get(name) for name in _summary(spec)} == _summary(spec):
        entry |= {name: known[name] for name in ("verified", "seal") if name in known}
    else:
        drop_result(folder, spec.task)
    write_whole(problems_file(folder, spec.task), _problem_lines(spec))
    _write_entries(folder, {**entries, spec.task: entry})


def finish_run(
    folder: Path,
    spec: EvalSpec,
    result: EvalResult,
    verification: Verification,
    *,
    store: SampleStore,
    ks: Sequence[int] | None = None,
) -> None:
    """Write the figures, and into the manifest who gave the verdicts and a hash of the samples.

    Raises:
        StorageError: The disk refused.
    """
    save_result(folder, result)
    entries = _entries(folder)
    entries[spec.task] |= {
        "verified": {
            "verifier": _identity(verification.verifier),
            "reward": verification.reward and _identity(verification.reward),
            "ks": ks and list(ks),
        },
        "seal": samples_hash(spec, store),
    }
    _write_entries(folder, entries)


def load_run(folder: str | Path) -> dict[str, TaskRun]:
    """Read the finished evaluations of a run folder by task.

    Raises:
        DataError: It is no run folder, of another format, or an evaluation is not finished.
    """
    path = Path(folder)
    with SampleStore(path) as store:
        return {task: _load_task(path, task, store) for task in _entries(path)}


def load_spec(folder: Path, task: str) -> EvalSpec:
    """Read what was asked.

    Raises:
        DataError: The folder has no such task, or its files are damaged.
    """
    entry = _entries(folder).get(task)
    if entry is None:
        raise DataError(f"{folder}: no evaluation of task {task}")
    path = problems_file(folder, task)
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        params = SamplingParams(**entry["params"] | {"stop": tuple(entry["params"]["stop"])})
        return EvalSpec(
            task=task,
            fingerprint=entry["policy_fingerprint"],
            params=params,
            seed=entry["seed"],
            asked=tuple(_asked(row) for row in rows),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the problems of a run ({error!r})") from error


def samples_hash(spec: EvalSpec, store: SampleStore) -> str:
    """Hash of every sample of a spec, in its order: key, text, ids, how it ended."""
    digest = hashlib.blake2b(digest_size=16)
    for _, key in spec.samples():
        completion = store.get(key)
        assert completion is not None, "a finished run has all its samples"
        fields = [completion.text, completion.token_ids, completion.finish_reason]
        digest.update(f"{key.digest()}{json.dumps(fields)}".encode())
    return digest.hexdigest()


def problems_file(folder: Path, task: str) -> Path:
    """Where a run keeps the problems of a task, whose name may hold any character."""
    return folder / "problems" / f"{quote(task, safe=' ')}.jsonl"


def missing_samples(spec: EvalSpec, store: SampleStore) -> int:
    """How many samples of a spec the store lacks."""
    return sum(key not in store for _, key in spec.samples())


def _load_task(folder: Path, task: str, store: SampleStore) -> TaskRun:
    spec = load_spec(folder, task)
    facts = _entries(folder)[task]
    missing = missing_samples(spec, store)
    if missing or "verified" not in facts:
        raise DataError(
            f"{folder}: the evaluation of {task} is not finished ({missing} of "
            f"{spec.num_samples} samples are missing); the same `mathrl eval` goes on with it"
        )
    verified = facts["verified"]
    reward = verified["reward"]
    verification = Verification(
        verifier=LoggedVerifier(**verified["verifier"]),
        reward=reward and LoggedVerifier(**reward),
    )
    return TaskRun(
        spec=spec,
        problems={asked.problem.id: asked.problem for asked in spec.asked},
        result=run(spec, None, verification, store=store, ks=verified["ks"]),
        facts=facts,
    )


def _summary(spec: EvalSpec) -> dict[str, Any]:
    prompts = hashlib.blake2b(digest_size=16)
    for asked in spec.asked:
        prompts.update(f"{asked.prompt_hash} {asked.num_samples} ".encode())
    return {
        "policy_fingerprint": spec.fingerprint,
        "params": {**asdict(spec.params), "stop": list(spec.params.stop)},
        "seed": spec.seed,
        "n_problems": len(spec.asked),
        "n_samples": spec.num_samples,
        "data_hash": problems_hash([asked.problem for asked in spec.asked]),
        "prompt_hash": prompts.hexdigest(),
    }


def _entries(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST_FILE).exists():
        raise DataError(f"{folder}: no run folder of `mathrl eval` (no {MANIFEST_FILE} in it)")
    try:
        manifest = read_manifest(folder)
    except ValueError as error:
        raise DataError(f"{folder / MANIFEST_FILE}: not JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format", 1) if isinstance(manifest, dict) else "none"
        raise DataError(
            f"{folder}: a run folder of format {found}, this mathrl reads format {FORMAT}: "
            "evaluate into a new --out"
        )
    tasks: dict[str, Any] = manifest["tasks"]
    return tasks


def _write_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    manifest = {"format": FORMAT, "tasks": entries}
    write_whole(folder / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")


def _identity(verifier: Verifier) -> dict[str, str]:
    return {"name": verifier.name, "fingerprint": verifier.fingerprint}


def _problem_lines(spec: EvalSpec) -> str:
    return "".join(f"{json.dumps(_row(asked), default=str)}\n" for asked in spec.asked)


def _row(asked: AskedProblem) -> dict[str, Any]:
    return {
        "id": asked.problem.id,
        "problem": asked.problem.prompt,
        "answer": asked.problem.answer,
        "prompt": asked.prompt,
        "prompt_hash": asked.prompt_hash,
        "num_samples": asked.num_samples,
        "metadata": dict(asked.problem.metadata),
    }


def _asked(row: Mapping[str, Any]) -> AskedProblem:
    return AskedProblem(
        problem=Problem(
            id=row["id"], prompt=row["problem"], answer=row["answer"], metadata=row["metadata"]
        ),
        prompt=row["prompt"],
        prompt_ids=None,
        prompt_hash=row["prompt_hash"],
        num_samples=row["num_samples"],
    )
