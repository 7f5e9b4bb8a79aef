"""What `mathrl score` does with rows: find the completions and the answer, grade, write lines.

``RowGrader`` runs in worker processes, so it parses the rows too: the process that reads the file
only cuts it into lines.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from mathrl.data import WORKED_COLUMN
from mathrl.errors import DataError, GradingError
from mathrl.known_answers import typed_answer
from mathrl.rewards import Policy, grade
from mathrl.rewards.accuracy import completion_text
from mathrl.schema import Score
from mathrl.tables import parse_row

COMPLETION_COLUMNS = (
    "completion",
    "response",
    "output",
    "generation",
    "prediction",
    "completions",
    "responses",
    "outputs",
    "generations",
    "predictions",
    "samples",
)


@dataclass(slots=True)
class Tally:
    """Counts of verdicts; those without a value (an unreadable gold) are not ``graded``.

    The three sums over rows, of graded and of correct samples, give the spread between rows.
    """

    rows: int = 0
    checks: int = 0
    graded: int = 0
    correct: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    tiers: Counter[int | None] = field(default_factory=Counter)
    correct_squared: int = 0
    correct_times_graded: int = 0
    graded_squared: int = 0

    def add_row(self, scores: Sequence[Score]) -> None:
        """Count the samples of one row."""
        graded = [score for score in scores if score.value is not None]
        correct = sum(score.status == "correct" for score in graded)
        self.rows += 1
        self.checks += len(scores)
        self.graded += len(graded)
        self.correct += correct
        self.statuses.update(score.status for score in scores)
        self.tiers.update(score.tier for score in graded)
        self.correct_squared += correct**2
        self.correct_times_graded += correct * len(graded)
        self.graded_squared += len(graded) ** 2

    def add(self, other: "Tally") -> None:
        """Count what another one has counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def effective_size(self) -> float:
        """Independent 0/1 draws that the accuracy is worth.

        Samples of one row are not independent: the variance of ``correct / graded`` is that of a
        ratio over rows. With one sample a row it is ``graded`` exactly.
        """
        rate = self.correct / self.graded
        if not 0 < rate < 1:
            return float(min(self.rows, self.graded))
        spread = (
            self.correct_squared
            - 2 * rate * self.correct_times_graded
            + rate**2 * self.graded_squared
        )
        worth = rate * (1 - rate) * self.graded**2 / spread if spread > 0 else float(self.graded)
        return min(max(worth, float(min(self.rows, self.graded))), float(self.graded))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows to grade, and the state of reading once they are."""

    first_row: int
    rows: list[tuple[str, bytes]]
    """The place and the JSON object of each."""
    position: int
    digest: str
    """Of all rows of the file up to the last one here."""


@dataclass(frozen=True, slots=True)
class GradedChunk:
    """The lines of a chunk's rows up to the first bad one, which ``error`` is about."""

    chunk: Chunk
    lines: bytes
    tally: Tally
    grading_s: float
    """Processor time."""
    error: str | None


@dataclass(frozen=True, slots=True)
class RowGrader:
    """Grades the rows of a chunk under one policy."""

    completion_column: str
    answer_column: str
    policy: Policy

    def __call__(self, chunk: Chunk) -> GradedChunk:
        """Grade rows.

        Args:
            chunk: Rows as they stand in the file.
        """
        started_s = time.thread_time()
        lines: list[bytes] = []
        tally = Tally()
        error = None
        for number, (place, line) in enumerate(chunk.rows, start=chunk.first_row):
            try:
                row = parse_row(place, line)
                completions = self._completions(place, row)
                answer = self._answer(place, row)
            except DataError as bad_row:
                error = str(bad_row)
                break
            scores = [grade(text, answer, self.policy) for text in completions]
            is_list = _is_samples(row[self.completion_column])
            lines.extend(_lines(number, row, scores, is_list=is_list))
            tally.add_row(scores)
        done = Chunk(chunk.first_row, [], chunk.position, chunk.digest)
        return GradedChunk(done, b"".join(lines), tally, time.thread_time() - started_s, error)

    def _completions(self, place: str, row: dict[str, Any]) -> list[str]:
        value = self._value(place, row, self.completion_column, "completion")
        samples: list[Any] = value if _is_samples(value) else [value]
        try:
            return [completion_text(sample) for sample in samples]
        except GradingError as error:
            raise DataError(
                f"{place}: {self.completion_column!r} must be text, a list of messages or a list"
                f" of samples, not {value!r:.60}; mend or drop the row, or name another column"
                " with --completion-column"
            ) from error

    def _answer(self, place: str, row: dict[str, Any]) -> str | None:
        value = self._value(place, row, self.answer_column, "answer")
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # OlympiadBench writes its answers so
        if value is None:
            return None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return typed_answer(str(value), is_solution=self.answer_column == WORKED_COLUMN)
        raise DataError(
            f"{place}: {self.answer_column!r} must be text or a number, not {value!r:.60};"
            " mend or drop the row, or name another column with --answer-column"
        )

    def _value(self, place: str, row: dict[str, Any], column: str, kind: str) -> object:
        if column not in row:
            raise DataError(
                f"{place}: no column {column!r}, which the first row has; it has"
                f" {', '.join(row) or 'no columns'}; mend or drop the row, or name another"
                f" column with --{kind}-column"
            )
        return row[column]


def _is_samples(value: object) -> TypeGuard[list[Any]]:
    """A list is one conversation if its first item is a message, else a list of samples."""
    return isinstance(value, list) and bool(value) and not isinstance(value[0], dict)


def _lines(number: int, row: dict[str, Any], scores: list[Score], *, is_list: bool) -> list[bytes]:
    lines = []
    for index, score in enumerate(scores):
        record: dict[str, Any] = {"row": number}
        if "id" in row:
            record["id"] = row["id"]
        if is_list:
            record |= {"sample": index, "num_samples": len(scores)}
        record |= {
            "value": score.value,
            "status": score.status,
            "prediction": score.prediction,
            "tier": score.tier,
            "reason": score.reason,
        }
        lines.append(json.dumps(record).encode() + b"\n")
    return lines
