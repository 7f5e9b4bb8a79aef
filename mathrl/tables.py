"""Rows of local files: JSONL, Parquet and CSV, each with the place that an error names."""

import codecs
import csv
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mathrl.errors import DataError, MissingExtraError

Row = tuple[str, dict[str, Any]]
"""Where a row stands (``file.jsonl line 3``) and what it holds."""

MAX_CSV_FIELD = 1 << 24
"""Characters of one field: the module's own 131,072 is less than a long chain of thought, and
without a limit one stray quote reads the whole file into memory."""


def read_rows(path: Path) -> Iterator[Row]:
    """Read a JSONL, Parquet or CSV file row by row; JSONL and CSV no further than is asked.

    Raises:
        DataError: No such file, another format, an empty file, or a row that is not one.
        MissingExtraError: Parquet needs pyarrow.
    """
    if not path.exists():
        raise DataError(f"no such file: {path}")
    if path.suffix not in FORMATS or not path.is_file():
        raise DataError(f"{path} is not a file ending in {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    return FORMATS[path.suffix](path)


def choose_column(
    row: Mapping[str, Any], named: str | None, usual: tuple[str, ...], kind: str, place: str
) -> str:
    """Choose the column that holds what is wanted.

    Args:
        row: One row.
        named: The column that the user named.
        usual: Names to look for where the user named none, the likeliest first.
        kind: What the column holds: ``question``, ``answer`` or ``completion``.
        place: Where the row stands, for the message.

    Raises:
        DataError: There is no such column; tells those found and those expected.
    """
    wanted = (named,) if named else usual
    for name in wanted:
        if name in row:
            return name
    expected = repr(named) if named else f"one of {', '.join(usual)}"
    raise DataError(
        f"{place}: no {kind} column; it has {', '.join(row) or 'no columns'}, expected {expected};"
        f" name it with --{kind}-column"
    )


def parse_row(place: str, line: bytes | str) -> dict[str, Any]:
    """Parse one line of JSONL.

    Args:
        place: Where it stands, for the message.
        line: Without a byte order mark.

    Raises:
        DataError: It is not UTF-8, not JSON or not an object.
    """
    text = line if isinstance(line, str) else decode_line(place, line)
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text.strip()[-40:]
        raise DataError(f"{place}: not one whole JSON object, it ends in {shown!r}") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: a row must be a JSON object, not {text.strip()!r:.60}")
    return row


def decode_line(place: str, line: bytes) -> str:
    """Decode UTF-8.

    Args:
        place: Where the line stands, for the message.
        line: Without a byte order mark.

    Raises:
        DataError: A byte is not UTF-8; tells which.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise DataError(f"{place}: byte 0x{byte:02x} is not UTF-8") from error


def csv_rows(path: Path, lines: Iterable[str]) -> Iterator[Row]:
    """Parse the lines of a CSV file whose first line names the columns.

    Args:
        path: The file's name, for messages.
        lines: With their line ends: a field may hold some.

    Raises:
        DataError: A row does not have the fields that the first line names.
    """
    csv.field_size_limit(MAX_CSV_FIELD)
    reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            place = f"{path} line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(
                    f"{place}: the row does not have the {len(reader.fieldnames or ())} fields"
                    " that the first line names"
                )
            yield place, dict(row)
    except csv.Error as error:
        raise DataError(f"{path} line {reader.line_num}: {error}") from error


def import_extra(module: str, purpose: str) -> Any:  # Any: these packages carry no types
    """Import an optional package.

    Raises:
        MissingExtraError: It is not installed; the message holds the command.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{purpose} needs {module}: pip install "mathrl[eval]"') from error


def _text_lines(path: Path) -> Iterator[str]:
    """Decode a file line by line, so that a wrong byte is reported with its line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            bare = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            yield decode_line(f"{path} line {number}", bare)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text_lines(path), start=1):
        if line.strip():
            place = f"{path} line {number}"
            yield place, parse_row(place, line)


def _csv_rows(path: Path) -> Iterator[Row]:
    return csv_rows(path, _text_lines(path))


def _parquet_rows(path: Path) -> Iterator[Row]:
    arrow = import_extra("pyarrow", f"reading {path}")
    parquet = importlib.import_module("pyarrow.parquet")
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield f"{path} row {number}", row
                number += 1
    except arrow.ArrowException as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}".split("\n")[0]) from error


FORMATS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
    ".csv": _csv_rows,
}
