"""Files of any size as a stream of rows: each the bytes of one JSON object, not parsed yet.

Reading takes one process and little of it; parsing (``tables.parse_row``) can be done elsewhere,
by many. Memory does not grow with the file: JSONL and CSV are read line by line, Parquet by
batches of a few rows and only the columns that are asked for.
"""

import codecs
import gzip
import importlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO, Any

from mathrl.errors import DataError
from mathrl.tables import csv_rows, decode_line, import_extra, parse_row

STDIN = Path("-")

PARQUET_ROWS = 256
"""Rows decoded at a time: 25 MB where a row has a hundred kilobytes of completions."""

PARQUET_BUFFER = 1 << 20
"""Bytes of a column read at a time, however large its row group is."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row, not parsed yet."""

    place: str
    """``file.jsonl line 3``"""
    line: bytes
    """One JSON object."""
    position: int
    """How far the source is read with this row, in the unit of ``RowStream.size``."""


@dataclass(frozen=True, slots=True)
class RowStream:
    """A file that is open for reading."""

    name: str
    place: str
    """Where its columns were found."""
    columns: tuple[str, ...]
    """The columns of the table; of JSONL, those of the first row."""
    size: int | None
    """Bytes, or rows of Parquet; None where nobody knows (stdin)."""
    rows: Callable[[Sequence[str]], Iterator[RawRow]]
    """Read, once, with at least the columns named."""


def open_rows(path: Path) -> RowStream:
    """Open a file and find its columns.

    Args:
        path: A ``.jsonl``, ``.jsonl.gz``, ``.parquet`` or ``.csv`` file, or ``STDIN`` for JSONL.

    Raises:
        DataError: No such file, another format, no rows, or a damaged first row.
        MissingExtraError: Parquet needs pyarrow.
    """
    if path == STDIN:
        return _open_jsonl(path)
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if not path.exists():
        raise DataError(f"no such file: {path}")
    if suffix not in STREAMS or not path.is_file():
        raise DataError(f"{path} is not a file ending in {', '.join(STREAMS)}")
    return STREAMS[suffix](path)


def _open_jsonl(path: Path) -> RowStream:
    rows = _jsonl_rows(path)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{_name(path)} is empty")
    return RowStream(
        name=_name(path),
        place=first.place,
        columns=tuple(parse_row(first.place, first.line)),
        size=None if path == STDIN else path.stat().st_size,
        rows=lambda _: chain([first], rows),
    )


def _jsonl_rows(path: Path) -> Iterator[RawRow]:
    name = _name(path)
    for number, (line, position) in enumerate(_lines(path), start=1):
        if line.strip():
            yield RawRow(f"{name} line {number}", line, position)


def _open_csv(path: Path) -> RowStream:
    position = 0

    def texts() -> Iterator[str]:
        nonlocal position
        for number, (line, end) in enumerate(_lines(path), start=1):
            position = end
            yield decode_line(f"{path} line {number}", line)

    parsed = csv_rows(path, texts())
    first = next(parsed, None)
    if first is None:
        raise DataError(f"{path} is empty")

    def rows(columns: Sequence[str]) -> Iterator[RawRow]:
        for place, row in chain([first], parsed):
            yield RawRow(place, _as_json(place, row, columns), position)

    return RowStream(str(path), first[0], tuple(first[1]), path.stat().st_size, rows)


def _open_parquet(path: Path) -> RowStream:
    arrow = import_extra("pyarrow", f"reading {path}")
    parquet = importlib.import_module("pyarrow.parquet")

    def rows(columns: Sequence[str]) -> Iterator[RawRow]:
        wanted = [name for name in file.schema_arrow.names if name in columns]
        number = 0
        try:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    place = f"{path} row {number}"
                    number += 1
                    yield RawRow(place, _as_json(place, row, columns), number)
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(path, "Parquet", error) from error
        finally:
            file.close()

    try:
        # Without pre_buffer=False a row group is read whole before its first row comes.
        file = parquet.ParquetFile(path, pre_buffer=False, buffer_size=PARQUET_BUFFER)
    except (arrow.ArrowException, OSError) as error:
        raise _damaged(path, "Parquet", error) from error
    if not file.metadata.num_rows:
        raise DataError(f"{path} is empty")
    names = tuple(file.schema_arrow.names)
    return RowStream(str(path), str(path), names, file.metadata.num_rows, rows)


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield each line, without a byte order mark, and how many bytes of the file are read."""
    with ExitStack() as stack:
        raw: IO[bytes] = sys.stdin.buffer if path == STDIN else stack.enter_context(path.open("rb"))
        if path.suffix == ".gz":
            yield from _unpacked(path, raw, stack.enter_context(gzip.GzipFile(fileobj=raw)))
            return
        position = 0
        for line in raw:
            bare = line if position else line.removeprefix(codecs.BOM_UTF8)
            position += len(line)
            yield bare, position


def _unpacked(path: Path, raw: IO[bytes], file: gzip.GzipFile) -> Iterator[tuple[bytes, int]]:
    try:
        for number, line in enumerate(file):
            yield line if number else line.removeprefix(codecs.BOM_UTF8), raw.tell()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, "gzip", error) from error


def _as_json(place: str, row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    def as_text(value: object) -> str:
        if isinstance(value, bytes):  # Parquet columns written without saying that they are text
            return decode_line(place, value)
        if isinstance(value, Decimal | date | time):
            return str(value)
        raise DataError(f"{place}: cannot read a value of type {type(value).__name__}")

    chosen = {name: value for name, value in row.items() if name in columns}
    return json.dumps(chosen, default=as_text).encode()


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(f"{path} is not a whole {kind} file: {str(error).partition(chr(10))[0]}")


def _name(path: Path) -> str:
    return "stdin" if path == STDIN else str(path)


STREAMS: Mapping[str, Callable[[Path], RowStream]] = {
    ".jsonl": _open_jsonl,
    ".jsonl.gz": _open_jsonl,
    ".parquet": _open_parquet,
    ".csv": _open_csv,
}
