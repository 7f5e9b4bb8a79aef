"""Where `mathrl score` keeps its verdicts: a file that is only appended to, and goes on.

    x.scores.jsonl       one line a verdict, in the order of the input
    x.scores.state.json  what they belong to: columns, policy, grader, and a digest of the rows read

A kill at any moment leaves complete lines and at most one torn one, which is cut off. The digest
covers the rows read so far and not the file, so a file that has grown, or whose bad row was
mended, goes on where it stopped; a file whose graded rows have changed is refused.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mathrl.cli.score_rows import GradedChunk, Tally
from mathrl.errors import DataError, StorageError
from mathrl.files import write_whole
from mathrl.interrupts import deferred_interrupt
from mathrl.schema import Score

CHECKPOINT_S = 2.0
"""Time between two syncs to the disk: what a power cut may cost."""

START_OVER = "pass --out FILE to write elsewhere or --force to start over"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What verdicts depend on, the rows aside."""

    completion_column: str
    answer_column: str
    policy: str
    grader: str


class ScoreLog:
    """The verdicts of one input; use it in a ``with`` block."""

    def __init__(self, path: Path, origin: Origin, *, is_forced: bool = False) -> None:
        """Open a file and read what is in it.

        Args:
            path: Where the verdicts are.
            origin: What they depend on.
            is_forced: Drop what is there.

        Raises:
            DataError: What is there depends on something else, or is damaged.
            StorageError: The disk refuses, or another process is writing there.
        """
        self.path = path
        self.tally = Tally()
        self.checked_rows, self.checked_digest = 0, ""
        self._origin = origin
        self._state_path = path.with_suffix(".state.json")
        self._file = _open_locked(path)
        try:
            self._end = 0 if is_forced else self._read()
            os.ftruncate(self._file, self._end)
            if not self._end:
                self._write_state(0, "")
        except BaseException:
            os.close(self._file)
            raise
        self._synced_s = time.monotonic()
        self._graded: tuple[int, str] | None = None

    def __enter__(self) -> "ScoreLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, StorageError):  # a full disk is full for the state too
                self._checkpoint()
        finally:
            os.close(self._file)

    @property
    def num_rows(self) -> int:
        """Rows that are graded."""
        return self.tally.rows

    def append(self, graded: GradedChunk) -> None:
        """Write the lines of the next rows; Ctrl-C waits until all are written.

        Args:
            graded: The rows that follow those here.

        Raises:
            StorageError: The disk refused.
        """
        with deferred_interrupt():
            self._write(graded.lines)
            self.tally.add(graded.tally)
            if graded.error is None:
                self._graded = (self.num_rows, graded.chunk.digest)
            if time.monotonic() - self._synced_s > CHECKPOINT_S:
                self._checkpoint()

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.pwrite(self._file, rest, self._end + len(lines) - len(rest)) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise StorageError(
                f"{self.path}: cannot write ({error.strerror}); the {self.num_rows:,} rows before"
                " are kept, the same command goes on from there"
            ) from error
        self._end += len(lines)

    def _checkpoint(self) -> None:
        """Make the lines safe from a power cut, and then say which rows they belong to."""
        self._synced_s = time.monotonic()
        if self._graded is not None:
            os.fsync(self._file)
            self._write_state(*self._graded)
            self._graded = None

    def _write_state(self, num_rows: int, digest: str) -> None:
        state = {**asdict(self._origin), "num_rows": num_rows, "digest": digest}
        write_whole(self._state_path, json.dumps(state, indent=1) + "\n")

    def _read(self) -> int:
        """Check the state, count the verdicts, return the end of the last whole row."""
        size = os.fstat(self._file).st_size
        if not size:
            return 0
        state = self._read_state()
        for name, value in asdict(self._origin).items():
            if state[name] != value:
                was, now = (state[name], value) if name != "grader" else ("another", "this one")
                label = name.replace("_", " ")
                raise DataError(
                    f"{self.path} was graded with {label} {was}, now it is {now}; {START_OVER}"
                )
        self.checked_rows, self.checked_digest = state["num_rows"], state["digest"]
        end = position = 0
        row: list[Score] = []
        with open(self._file, "rb", closefd=False) as file:
            for number, line in enumerate(file, start=1):
                position += len(line)
                read = _parse(line, row_number=self.tally.rows, sample=len(row))
                if read is None:
                    if position < size and self.tally.rows < self.checked_rows:
                        raise DataError(f"{self.path} line {number}: damaged; {START_OVER}")
                    break
                score, num_samples = read
                row.append(score)
                if len(row) == num_samples:
                    self.tally.add_row(row)
                    row, end = [], position
        return end

    def _read_state(self) -> dict[str, Any]:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(
                f"{self.path} is there, but not {self._state_path.name}, which tells what was"
                f" graded; {START_OVER}"
            ) from error
        except ValueError as error:
            raise DataError(f"{self._state_path}: damaged; {START_OVER}") from error
        known = {*asdict(self._origin), "num_rows", "digest"}
        if not isinstance(state, dict) or not known <= set(state):
            raise DataError(f"{self._state_path}: damaged; {START_OVER}")
        return state


def _open_locked(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot write ({error.strerror}); pass --out FILE to write elsewhere"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise StorageError(f"{path}: another process is writing it ({error.strerror})") from error
    return file


def _parse(line: bytes, *, row_number: int, sample: int) -> tuple[Score, int] | None:
    """Read a verdict and how many its row has; None if the line is not the one to come."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    if not isinstance(record, dict) or not {"row", "value", "status", "tier"} <= set(record):
        return None
    if (record["row"], record.get("sample", 0)) != (row_number, sample):
        return None
    score = Score(value=record["value"], status=record["status"], tier=record["tier"])
    return score, record.get("num_samples", 1)
