"""Grade a run's samples again, without sampling: under the installed version of the grader."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mathrl.evals.folder import (
    finish_run,
    load_spec,
    read_entries,
    require_samples,
    verification_of,
)
from mathrl.evals.results import EvalResult
from mathrl.evals.runner import Verification, run
from mathrl.evals.spec import EvalSpec
from mathrl.evals.store import SampleStore, ScoreKey
from mathrl.evals.verifiers import Grader
from mathrl.files import only_process_in
from mathrl.rewards import grade_many


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescored:
    """The figures of a task before and after."""

    before: EvalResult
    after: EvalResult
    now_correct: tuple[str, ...]
    """Samples that were not correct and are now, as ``problem id sample index``."""
    no_longer_correct: tuple[str, ...]


def rescore(folder: str | Path) -> Mapping[str, Rescored]:
    """Grade every sample of a run again and write its figures anew.

    Raises:
        ConfigError: Another process is at work in the folder.
        DataError: It is no run folder, or an evaluation in it is not finished.
        StorageError: The disk refused.
    """
    path = Path(folder)
    entries = read_entries(path)
    with only_process_in(path), SampleStore(path) as store:
        return {task: _rescore(path, load_spec(path, task), store) for task in entries}


def _rescore(folder: Path, spec: EvalSpec, store: SampleStore) -> Rescored:
    require_samples(folder, spec, store)
    facts = read_entries(folder)[spec.task]
    logged, ks = verification_of(facts), facts["verified"]["ks"]
    before = run(spec, None, logged, store=store, ks=ks)
    grade_missing(spec, store)
    verification = Verification(verifier=Grader(), reward=logged.reward)
    after = run(spec, None, verification, store=store, ks=ks)
    finish_run(folder, spec, after, verification, store=store, ks=ks)
    was, now = _correct(before), _correct(after)
    return Rescored(
        before=before,
        after=after,
        now_correct=tuple(sorted(now - was)),
        no_longer_correct=tuple(sorted(was - now)),
    )


def grade_missing(spec: EvalSpec, store: SampleStore) -> None:
    """Grade, on every core, the samples that the installed grader has given no verdict."""
    grader = Grader()
    keys, completions, answers = [], [], []
    for asked, key in spec.samples():
        score_key = ScoreKey(
            sample=key.digest(),
            answer=asked.problem.answer,
            verifier=grader.fingerprint,
            name=grader.name,
        )
        completion = store.get(key)
        if store.get_score(score_key) is None and completion is not None:
            keys.append(score_key)
            completions.append(completion)
            answers.append(asked.problem.answer)
    for score_key, score in zip(keys, grade_many(completions, answers), strict=True):
        store.put_score(score_key, score)


def _correct(result: EvalResult) -> set[str]:
    return {
        f"{problem.problem_id} {sample.sample_index}"
        for problem in result.problems
        for sample in problem.samples
        if sample.score.status == "correct"
    }
