"""Files as streams of raw rows: what `read_rows` reads, in memory that does not grow."""

import gzip
import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from mathrl.errors import DataError
from mathrl.streams import STDIN, open_rows
from mathrl.tables import parse_row

ROWS = [{"id": n, "completion": f"é {n}", "answer": str(n)} for n in range(5)]
LINES = [json.dumps(row, ensure_ascii=False).encode() for row in ROWS]


def read(path: Path, *columns: str) -> list[dict[str, object]]:
    return [parse_row(row.place, row.line) for row in open_rows(path).rows(columns)]


@pytest.mark.parametrize(
    "content",
    [
        b"\n".join(LINES),  # no final line end
        b"\r\n".join(LINES) + b"\r\n",
        b"\xef\xbb\xbf" + b"\n".join(LINES) + b"\n",
        b"\n\n" + b"\n  \n".join(LINES) + b"\n\n",
    ],
    ids=["no final newline", "windows", "byte order mark", "blank lines"],
)
def test_jsonl_in_every_dress_is_the_same(tmp_path: Path, content: bytes) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert read(plain) == read(packed) == ROWS
    stream = open_rows(plain)
    assert stream.columns == ("id", "completion", "answer")
    *_, last = stream.rows(())
    assert (last.position <= stream.size, last.place.split()[0]) == (True, str(plain))


def test_stdin_is_jsonl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\n".join(LINES))))
    stream = open_rows(STDIN)
    assert (stream.name, stream.size, stream.place) == ("stdin", None, "stdin line 1")
    assert [json.loads(row.line) for row in stream.rows(())] == ROWS


def test_csv_gives_the_columns_that_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    long = "7" * 200_000  # the csv module's own limit is 131,072
    path.write_text(f'id,completion,answer\r\n1,"a\nb",2\r\n2,{long},3\r\n', newline="")
    assert read(path, "completion", "id") == [
        {"id": "1", "completion": "a\nb"},
        {"id": "2", "completion": long},
    ]
    stream = open_rows(path)
    rows = list(stream.rows(("id",)))
    assert [row.place for row in rows] == [f"{path} line 3", f"{path} line 4"]
    assert rows[-1].position == stream.size == path.stat().st_size


def test_parquet_gives_the_columns_that_are_asked(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"c": [f"{n}"], "a": Decimal(n) / 2, "b": b"x", "other": n} for n in range(600)]
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.Table.from_pylist(rows), path, row_group_size=250)
    got = read(path, "a", "b", "c")
    assert got[599] == {"c": ["599"], "a": "299.5", "b": "x"}
    assert (len(got), open_rows(path).size) == (600, 600)
    first, second, *_ = open_rows(path).rows(("a",))
    assert (first.place, second.position) == (f"{path} row 0", 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "a.jsonl is empty"),
        ("a.jsonl", b"\n \n", "a.jsonl is empty"),
        ("a.csv", b"a,b\n", "a.csv is empty"),
        ("a.jsonl.gz", gzip.compress(LINES[0] + b"\n", mtime=0)[:-9], "is not a whole gzip file"),
        ("a.jsonl.gz", LINES[0], "is not a whole gzip file"),
        ("a.parquet", b"PAR1", "is not a whole Parquet file"),
        ("a.txt", b"x", r"is not a file ending in .jsonl, .jsonl.gz, .parquet, .csv"),
        ("a.jsonl", b"[1]\n", "line 1: a row must be a JSON object"),
        ("a.csv", b"a,b\n1,\xff\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(open_rows(path).rows(("a",)))
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_rows(tmp_path / "a.jsonl")


def test_reading_goes_no_further_than_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES[0] + b"\n\xff\n")
    rows = open_rows(path).rows(())
    assert next(rows).line.strip() == LINES[0]
    assert next(rows).line == b"\xff\n"  # raw: whoever parses it finds the fault
