"""Verify a run: derive every reported number again, and say what does not come out the same.

    mathrl verify RUN

The problems, the samples and the verdicts must be those that the manifest's hashes seal, every
verdict must be what the grader gives, and every number of ``results.json`` what they make.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mathrl.errors import DataError
from mathrl.evals.folder import (
    CONFIG_FILE,
    entry_hash,
    figures_of,
    load_spec,
    missing_samples,
    read_entries,
    samples_hash,
    summary_of,
    verdicts_hash,
    verification_of,
)
from mathrl.evals.results import RESULTS_FILE, EvalResult, load_entries
from mathrl.evals.runner import run
from mathrl.evals.spec import EvalSpec
from mathrl.evals.store import SampleStore
from mathrl.evals.verifiers import Grader
from mathrl.rewards import grade_many
from mathrl.schema import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    task: str
    name: str
    fault: str = ""
    """What is wrong; empty where nothing is."""
    note: str = ""
    """What was looked at, or why it could not be."""


def verify_run(folder: str | Path) -> list[Check]:
    """Check everything in a run folder against everything else.

    Raises:
        DataError: It is no run folder, or one of another format.
    """
    path = Path(folder)
    entries = read_entries(path)
    if not entries:
        raise DataError(f"{path}: its manifest names no task")
    checks = [check for task in entries for check in _verify_task(path, task, entries[task])]
    return [*checks, *_strangers(path, entries)]


def _strangers(folder: Path, entries: Mapping[str, Any]) -> Iterator[Check]:
    """Figures of tasks that the run never asked, and options that it did not have."""
    if (folder / RESULTS_FILE).exists():
        try:
            strangers = load_entries(folder).keys() - entries.keys()
        except DataError:  # each task's own check of its figures says so
            strangers = set()
        for task in sorted(strangers):
            yield Check(task=task, name="figures", fault="results.json: no such task was evaluated")
    options = {task: facts["options"] for task, facts in entries.items() if "options" in facts}
    if options:
        is_right = _config(folder) in options.values()
        fault = "" if is_right else f"{CONFIG_FILE}: not the options of the run"
        yield Check(task=", ".join(options), name="options", fault=fault, note=CONFIG_FILE)


def _config(folder: Path) -> dict[str, Any] | None:
    """The options that people read; None where the file is gone or damaged."""
    try:
        return tomllib.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _verify_task(folder: Path, task: str, facts: Mapping[str, Any]) -> Iterator[Check]:
    try:
        yield from _checks(folder, task, facts)
    except (DataError, KeyError, TypeError, ValueError) as error:
        yield Check(task=task, name="readable", fault=f"the rest cannot be checked: {error}")


def _checks(folder: Path, task: str, facts: Mapping[str, Any]) -> Iterator[Check]:
    spec = load_spec(folder, task)
    yield _same(task, "problems and prompts", facts, summary_of(spec))
    if "seal" not in facts:
        raise DataError("the evaluation is not finished; the same `mathrl eval` goes on with it")
    sealed = facts["seal"]["entry"] == entry_hash(facts)
    fault = "" if sealed else "changed after the run"
    yield Check(task=task, name="manifest", fault=fault, note="versions, machine, options")
    with SampleStore(folder) as store:
        if missing := missing_samples(spec, store):
            fault = f"{missing} of {spec.num_samples} are not in the store"
            yield Check(task=task, name="samples", fault=fault)
            return
        seal, found = facts["seal"]["samples"], samples_hash(spec, store)
        fault = "" if seal == found else "not those that the figures were made of"
        yield Check(task=task, name="samples", fault=fault, note=f"{spec.num_samples} samples")
        verification = verification_of(facts)
        result = run(spec, None, verification, store=store, ks=facts["verified"]["ks"])
    sealed = facts["seal"]["verdicts"] == verdicts_hash(result)
    yield Check(
        task=task,
        name="verdict log",
        fault="" if sealed else "not what the figures were made of",
        note=f"{verification.verifier.name}, {verification.verifier.fingerprint}",
    )
    yield _graded_again(spec, result, facts)
    yield _figures(folder, result.task, figures_of(spec, result, facts))


def _same(task: str, name: str, facts: Mapping[str, Any], found: Mapping[str, Any]) -> Check:
    changed = [field for field, value in found.items() if facts.get(field) != value]
    fault = f"{', '.join(changed)} of the manifest: not what the files give" if changed else ""
    return Check(task=task, name=name, fault=fault, note=f"{facts.get('n_problems')} problems")


def _graded_again(spec: EvalSpec, result: EvalResult, facts: Mapping[str, Any]) -> Check:
    """Let the grader decide again, where the verdicts are its own."""
    verifier, grader = facts["verified"]["verifier"], Grader()
    if verifier["name"] != grader.name:
        note = f"by {verifier['name']}: nothing to grade again"
        return Check(task=spec.task, name="verdicts", note=note)
    if verifier["fingerprint"] != grader.fingerprint:
        note = "by another version of the grader: see `mathrl rescore`"
        return Check(task=spec.task, name="verdicts", note=note)
    answers = {asked.problem.id: asked.problem.answer for asked in spec.asked}
    samples = [(p.problem_id, sample) for p in result.problems for sample in p.samples]
    again = grade_many(
        [sample.completion for _, sample in samples], [answers[name] for name, _ in samples]
    )
    wrong = [
        f"{name} sample {sample.sample_index}"
        for (name, sample), score in zip(samples, again, strict=True)
        if (score.status, score.prediction) != (sample.score.status, sample.score.prediction)
        and "timeout" not in (score.status, sample.score.status)  # which a busy machine decides
    ]
    fault = f"the grader decides {len(wrong)} otherwise, first {wrong[0]}" if wrong else ""
    return Check(task=spec.task, name="verdicts", fault=fault, note=f"{len(samples)} graded again")


def _figures(folder: Path, task: str, derived: Mapping[str, Any]) -> Check:
    reported = load_entries(folder).get(task)
    name = "figures"
    if reported is None:
        return Check(task=task, name=name, fault="results.json has no entry of the task")
    wrong = [
        key for key in derived.keys() | reported.keys() if derived.get(key) != reported.get(key)
    ]
    fault = f"results.json: {', '.join(sorted(wrong))} not what the samples give" if wrong else ""
    return Check(task=task, name=name, fault=fault, note=f"{len(derived)} derived again")


def verify_policy(folder: str | Path, fingerprint: str) -> list[Check]:
    """Check that the samples are of a policy.

    Args:
        folder: The run folder.
        fingerprint: The policy's, as the engine that loads it gives it.
    """
    return [
        Check(
            task=task,
            name="policy",
            fault="" if facts["policy_fingerprint"] == fingerprint else "not that of the samples",
            note=fingerprint,
        )
        for task, facts in read_entries(Path(folder)).items()
    ]


def verify_data(folder: str | Path, task: str, problems: Sequence[Problem]) -> Check:
    """Check that a run asked the problems of a data set, and graded by its answers.

    Args:
        folder: The run folder.
        task: The task.
        problems: The whole data set.
    """
    known = {problem.id: (problem.prompt, problem.answer) for problem in problems}
    asked = [asked.problem for asked in load_spec(Path(folder), task).asked]
    other = [p.id for p in asked if known.get(p.id) != (p.prompt, p.answer)]
    fault = f"{len(other)} problems are not those of the data, first {other[0]}" if other else ""
    return Check(task=task, name="data", fault=fault, note=f"{len(asked)} of {len(problems)} asked")
