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
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from mathrl.engines import SamplingParams
from mathrl.errors import DataError
from mathrl.evals.matrix import completions_of, grader_matrix
from mathrl.evals.results import EvalResult, drop_result, save_entry
from mathrl.evals.rules import get_rule
from mathrl.evals.runner import Verification
from mathrl.evals.spec import AskedProblem, EvalSpec
from mathrl.evals.store import SampleStore
from mathrl.evals.verifiers import LoggedVerifier, Verifier
from mathrl.files import turn_in, write_whole
from mathrl.manifest import (
    MANIFEST_FILE,
    installed_versions,
    machine_summary,
    problems_hash,
    read_manifest,
)
from mathrl.schema import Problem

CONFIG_FILE = "config.toml"
"""The options of the last command, for people; the manifest has those of each task."""
FORMAT = 2
"""Of the run folder; 1 had no problems in it."""


def begin_run(folder: Path, spec: EvalSpec, facts: Mapping[str, Any]) -> None:
    """Keep what an evaluation depends on, before its first sample.

    Figures of the task that an earlier evaluation left in the folder are taken away; those of the
    same spec stay until there are new ones, and samples always do.

    Args:
        folder: The run folder.
        spec: What is asked.
        facts: What else the manifest is to tell of this evaluation; JSON types.

    Raises:
        DataError: The folder is one of another format.
        StorageError: The disk refused.
    """
    summary = summary_of(spec)
    machine = {"versions": installed_versions(), "machine": machine_summary()}
    with turn_in(folder):
        entries = read_entries(folder) if (folder / MANIFEST_FILE).exists() else {}
        known = entries.get(spec.task, {})
        if {name: known.get(name) for name in summary} == summary and "seal" in known:
            return
        drop_result(folder, spec.task)
        write_whole(problems_file(folder, spec.task), _problem_lines(spec))
        _write_entries(folder, {**entries, spec.task: {**summary, **facts, **machine}})


def finish_run(
    folder: Path,
    spec: EvalSpec,
    result: EvalResult,
    verification: Verification,
    *,
    store: SampleStore,
    ks: Sequence[int] | None = None,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the figures, and into the manifest who gave the verdicts and the seal of it all.

    Args:
        folder: The run folder.
        spec: What was asked.
        result: The figures, with their samples.
        verification: Who gave the verdicts.
        store: With every sample.
        ks: As ``run`` took them.
        facts: What the manifest is to tell; what it tells already stays.

    Raises:
        StorageError: The disk refused.
    """
    verified = {
        "verifier": _identity(verification.verifier),
        "reward": verification.reward and _identity(verification.reward),
        "ks": ks and list(ks),
    }
    hashes = {"samples": samples_hash(spec, store), "verdicts": verdicts_hash(result)}
    with turn_in(folder):
        entries = read_entries(folder)
        entry = {**entries[spec.task], **facts, "verified": verified}
        save_entry(folder, spec.task, figures_of(spec, result, entry))
        seal = {**hashes, "entry": entry_hash(entry)}
        _write_entries(folder, {**entries, spec.task: {**entry, "seal": seal}})


def figures_of(spec: EvalSpec, result: EvalResult, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of ``results.json``: the figures, and under ``rules`` those of a preset's rules.

    Args:
        spec: What was asked.
        result: With its samples.
        facts: The task's entry of the manifest.
    """
    names = facts.get("preset", {}).get("rules", ())
    if not names:
        return result.to_json()
    problems = {asked.problem.id: asked.problem for asked in spec.asked}
    matrix = grader_matrix(problems, completions_of(result), map(get_rule, names))
    return result.to_json() | {"rules": {row.rule.name: row.to_json() for row in matrix.rows}}


def read_entries(folder: Path) -> dict[str, Any]:
    """The manifest's entry of each task.

    Raises:
        DataError: It is no run folder, or one of another format.
    """
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


def load_spec(folder: Path, task: str) -> EvalSpec:
    """Read what was asked.

    Raises:
        DataError: The folder has no such task, or its files are damaged.
    """
    entry = read_entries(folder).get(task)
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


def require_samples(folder: Path, spec: EvalSpec, store: SampleStore) -> None:
    """Refuse an evaluation that is not finished.

    Raises:
        DataError: It has no figures yet.
    """
    missing = missing_samples(spec, store)
    if missing or "verified" not in read_entries(folder)[spec.task]:
        raise DataError(
            f"{folder}: the evaluation of {spec.task} is not finished ({missing} of "
            f"{spec.num_samples} samples are missing); the same `mathrl eval` goes on with it"
        )


def missing_samples(spec: EvalSpec, store: SampleStore) -> int:
    """How many samples of a spec the store lacks."""
    return sum(key not in store for _, key in spec.samples())


def verification_of(facts: Mapping[str, Any]) -> Verification:
    """Who verified a finished run, as verifiers whose verdicts are all in the store."""
    reward = facts["verified"]["reward"]
    return Verification(
        verifier=LoggedVerifier(**facts["verified"]["verifier"]),
        reward=reward and LoggedVerifier(**reward),
    )


def summary_of(spec: EvalSpec) -> dict[str, Any]:
    """What the manifest tells of a spec; its hashes cover every problem and prompt."""
    prompts = hashlib.blake2b(digest_size=16)
    for asked in spec.asked:
        prompts.update(
            f"{asked.prompt_hash} {asked.num_samples} {json.dumps(asked.prompt)}".encode()
        )
    return {
        "policy_fingerprint": spec.fingerprint,
        "params": {**asdict(spec.params), "stop": list(spec.params.stop)},
        "seed": spec.seed,
        "n_problems": len(spec.asked),
        "n_samples": spec.num_samples,
        "data_hash": problems_hash([asked.problem for asked in spec.asked]),
        "prompt_hash": prompts.hexdigest(),
        "problems_hash": _hash(_problem_lines(spec)),
    }


def entry_hash(entry: Mapping[str, Any]) -> str:
    """Hash of a task's entry of the manifest, its seal left out."""
    rest = {name: value for name, value in entry.items() if name != "seal"}
    return _hash(json.dumps(rest, sort_keys=True))


def samples_hash(spec: EvalSpec, store: SampleStore) -> str:
    """Hash of every sample's record, in the order of the spec."""
    digest = hashlib.blake2b(digest_size=16)
    for _, key in spec.samples():
        record = store.record(key)
        assert record is not None, "a finished run has all its samples"
        digest.update(record)
    return digest.hexdigest()


def verdicts_hash(result: EvalResult) -> str:
    """Hash of every verdict and reward of a result that has its samples."""
    digest = hashlib.blake2b(digest_size=16)
    for problem in result.problems:
        for sample in problem.samples:
            fields = [asdict(sample.score), sample.reward]
            digest.update(f"{problem.problem_id}{json.dumps(fields)}".encode())
    return digest.hexdigest()


def problems_file(folder: Path, task: str) -> Path:
    """Where a run keeps the problems of a task, whose name may hold any character."""
    return folder / "problems" / f"{quote(task, safe=' ')}.jsonl"


def _write_entries(folder: Path, entries: Mapping[str, Any]) -> None:
    manifest = {"format": FORMAT, "tasks": entries}
    write_whole(folder / MANIFEST_FILE, json.dumps(manifest, indent=1) + "\n")


def _identity(verifier: Verifier) -> dict[str, str]:
    return {"name": verifier.name, "fingerprint": verifier.fingerprint}


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


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
        messages=None,
        prompt_hash=row["prompt_hash"],
        num_samples=row["num_samples"],
    )
