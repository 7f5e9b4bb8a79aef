"""Who says whether a sample is right: the grader, or the labels that came with recorded ones.

A verifier's fingerprint keys its verdicts in the store, so those of two verifiers, or of two
versions of one, are never mixed.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Protocol

from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import DataError
from mathrl.rewards import EVAL, Policy, grade
from mathrl.schema import Completion, Problem, Score


class Verifier(Protocol):
    """Scores one sample."""

    @property
    def name(self) -> str:
        """How results name it: ``eval``, ``recorded labels``."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that its verdicts depend on beside the sample and the known answer."""

    def score(self, problem: Problem, sample_index: int, completion: Completion) -> Score:
        """The verdict, or a reward model's score, of one sample."""


class Grader:
    """The rule-based grader under one policy."""

    def __init__(self, policy: Policy = EVAL) -> None:
        """Take the policy; evals are graded under ``EVAL``."""
        self.policy = policy
        self.name = policy.name

    @property
    def fingerprint(self) -> str:
        """Hash of the grader's source."""
        return grader_fingerprint()

    def score(self, problem: Problem, sample_index: int, completion: Completion) -> Score:
        """Grade the completion against the known answer."""
        return grade(completion, problem.answer, self.policy)


class RecordedLabels:
    """The verdicts that a file of completions has itself; predictions are still extracted."""

    name = "recorded labels"

    def __init__(self, engine: RecordedEngine) -> None:
        """Read the ``label`` column.

        Raises:
            DataError: A row has no label.
        """
        self._labels = engine.column("label", bool)
        self.fingerprint = f"{engine.fingerprint}-label-{grader_fingerprint()}"

    def score(self, problem: Problem, sample_index: int, completion: Completion) -> Score:
        """The recorded label, with the prediction that the grader extracts."""
        is_correct = self._labels[problem.id][sample_index]
        found = grade(completion, problem.answer, EVAL)
        return Score(
            value=float(is_correct),
            status="correct" if is_correct else "wrong",
            prediction=found.prediction,
            reason="recorded label",
            cue=found.cue,
        )


class RecordedRewards:
    """A reward model's scores, read from a column of a file of completions."""

    def __init__(self, engine: RecordedEngine, column: str) -> None:
        """Read the column.

        Raises:
            DataError: A row has no number there.
        """
        self._rewards = engine.column(column, float)
        self.name = column
        self.fingerprint = f"{engine.fingerprint}-{column}"

    def score(self, problem: Problem, sample_index: int, completion: Completion) -> Score:
        """The recorded score."""
        reward = self._rewards[problem.id][sample_index]
        return Score(value=reward, status="correct" if reward > 0 else "wrong", reason=self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedVerifier:
    """One whose verdicts are all in the store already."""

    name: str
    fingerprint: str

    def score(self, problem: Problem, sample_index: int, completion: Completion) -> Score:
        """Refuse: a verdict that should be in the store is not.

        Raises:
            DataError: Always.
        """
        raise DataError(
            f"sample {sample_index} of problem {problem.id} has no verdict by {self.name!r} in "
            "the run's scores: `mathrl rescore` grades it again"
        )


@cache
def grader_fingerprint() -> str:
    """Hash of the grader's source: verdicts of another version are never taken for its own."""
    files = [*resources.files("mathrl.rewards").iterdir(), resources.files("mathrl") / "boxes.py"]
    digest = hashlib.blake2b(digest_size=16)
    for entry in sorted(files, key=lambda entry: entry.name):
        if entry.name.endswith(".py"):
            digest.update(entry.name.encode() + entry.read_bytes())
    return digest.hexdigest()
