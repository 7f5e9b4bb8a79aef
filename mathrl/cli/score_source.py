"""The rows that `mathrl score` still has to grade, in chunks; those graded before are checked."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mathrl.cli.score_log import START_OVER, ScoreLog
from mathrl.cli.score_rows import Chunk, RowGrader
from mathrl.errors import DataError
from mathrl.streams import RawRow, RowStream

CHUNK_ROWS = 64
"""Rows a worker takes at a time: some milliseconds of grading, against 0.15 ms for the trip."""

FIRST_CHUNK_ROWS = 4
"""The first chunks are short, so that slow rows are noticed early; each is twice the last one."""

CHUNK_BYTES = 1 << 20
"""Large rows travel in smaller chunks, which bounds the memory."""


@dataclass(slots=True)
class ChunkSource:
    """Reads a stream once."""

    stream: RowStream
    grader: RowGrader
    log: ScoreLog
    limit: int | None
    """Rows to grade at most, counted from the first one of the file."""
    error: DataError | None = None
    """Why reading ended early; to be raised once the rows before it are graded and kept."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows that follow those in the log.

        Raises:
            DataError: The rows that were graded are not those of this file.
        """
        num_kept, num_checked = self.log.num_rows, self.log.checked_rows
        num_known = max(num_kept, num_checked)
        end = None if self.limit is None else max(self.limit, num_known)
        digest = hashlib.blake2b(digest_size=16)
        rows: list[tuple[str, bytes]] = []
        num_read = num_bytes = position = 0
        max_rows = FIRST_CHUNK_ROWS
        for row in islice(self._rows(), end):
            num_read += 1
            line = row.line.strip()
            digest.update(line + b"\n")
            if num_read == num_checked and digest.hexdigest() != self.log.checked_digest:
                raise self._changed()
            if num_read <= num_kept or (self.limit is not None and num_read > self.limit):
                continue
            rows.append((row.place, line))
            num_bytes += len(line)
            position = row.position
            is_last = num_read == self.limit
            if len(rows) >= max_rows or num_bytes > CHUNK_BYTES or is_last:
                yield Chunk(num_read - len(rows), rows, position, digest.hexdigest())
                rows, num_bytes, max_rows = [], 0, min(2 * max_rows, CHUNK_ROWS)
        if num_read < num_known and self.error is None:
            raise self._changed()
        if rows:
            yield Chunk(num_read - len(rows), rows, position, digest.hexdigest())

    def _rows(self) -> Iterator[RawRow]:
        columns = (self.grader.completion_column, self.grader.answer_column, "id")
        try:
            yield from self.stream.rows(columns)
        except DataError as error:
            self.error = error

    def _changed(self) -> DataError:
        return DataError(
            f"{self.log.path} holds the scores of other rows than {self.stream.name} has now;"
            f" {START_OVER}"
        )
