"""Problems come from files as they are, or not at all with a line that says why."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mathrl.data import load_problems
from mathrl.errors import DataError, MissingExtraError


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.jsonl"


def test_a_row_becomes_a_problem(file: Path) -> None:
    write(
        file,
        {"id": 7, "problem": "1+1?", "answer": "2", "level": 1},
        {"problem": "2+2?", "answer": None},
    )
    first, second = load_problems(file)
    assert (first.id, first.prompt, first.answer, first.metadata) == (
        "7",
        "1+1?",
        "2",
        {"level": 1},
    )
    assert (second.id, second.answer, second.metadata) == ("mine/1", None, {})


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (5, "5"),
        (5.0, "5.0"),
        ("5.0", "5.0"),
        ("6*3=18\n#### 18", "18"),
        ("#### 1 #### 1,080 ", "1,080"),
    ],
)
def test_the_answer_is_text(file: Path, answer: object, text: str) -> None:
    write(file, {"question": "?", "gold": answer})
    assert load_problems(file)[0].answer == text


def test_columns_can_be_named(file: Path) -> None:
    write(file, {"problem": "a", "answer": "1", "text": "b", "result": "2"})
    (problem,) = load_problems(file, question_column="text", answer_column="result")
    assert (problem.prompt, problem.answer) == ("b", "2")
    assert problem.metadata == {"problem": "a", "answer": "1"}


def test_the_limit_stops_reading_early(file: Path) -> None:
    write(file, {"problem": "a", "answer": "1"})
    file.write_text(file.read_text() + "this line is never read", encoding="utf-8")
    assert len(load_problems(file, limit=1)) == 1
    with pytest.raises(DataError, match="limit must be at least 1"):
        load_problems(file, limit=0)


def test_byte_order_marks_and_windows_lines_do_not_matter(tmp_path: Path) -> None:
    jsonl, table = tmp_path / "w.jsonl", tmp_path / "w.csv"
    jsonl.write_bytes(b'\xef\xbb\xbf{"problem": "a", "answer": "1"}\r\n\r\n')
    table.write_bytes(b'\xef\xbb\xbfproblem,answer\r\n"a, b\r\nc",1\r\n')
    assert [problem.prompt for problem in load_problems(jsonl)] == ["a"]
    assert [problem.prompt for problem in load_problems(table)] == ["a, b\r\nc"]


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    arrow, parquet_files = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"problem": f"{n}+1?", "answer": str(n + 1), "subject": "sums"} for n in range(3)]
    table, parquet = tmp_path / "data.csv", tmp_path / "data.parquet"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    parquet_files.write_table(arrow.Table.from_pylist(rows), parquet)
    assert load_problems(table) == load_problems(parquet)
    assert load_problems(parquet, limit=2)[1].answer == "2"


GOOD = b'{"problem": "a", "answer": "1"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "mine.jsonl is empty"),
        (b"\n\n", "holds no problems"),
        (GOOD + b'{"problem": "b", "ans', r"line 2: not one whole JSON object, it ends in .*\"ans"),
        (GOOD + b"[1, 2]\n", r"line 2: a row must be a JSON object, not '\[1, 2\]'"),
        (GOOD + b"[" * 100_000, "line 2: not one whole JSON object"),
        (GOOD + b'{"problem": "\xff"}\n', "line 2: byte 0xff is not UTF-8"),
        (
            b'{"task": "a", "answer": "1"}\n',
            "line 1: no question column; it has task, answer, expected one of problem, question,"
            ".*name it with --question-column",
        ),
        (GOOD + b'{"problem": "a"}\n', "line 2: no answer column; it has problem, expected one of"),
        (b'{"problem": 5, "answer": "1"}\n', "line 1: 'problem' must be text, not 5"),
        (b'{"problem": " ", "answer": "1"}\n', "line 1: 'problem' must be text"),
        (b'{"problem": "a\\ud800", "answer": "1"}\n', "'problem' has half a character, '.ud800'"),
        (b'{"problem": "a", "answer": "\\udc001"}\n', "'answer' has half a character, '.udc00'"),
        (
            b'{"problem": "a", "answer": [1]}\n',
            r"line 1: 'answer' must be text or a number, not \[",
        ),
        (
            b'{"id": 1, "problem": "a", "answer": "1"}\n{"id": "1", "problem": "b", "answer": "1"}',
            "line 2: the id '1' is taken by .*line 1",
        ),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_problems(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_named_column_that_is_not_there_is_named(file: Path) -> None:
    write(file, {"problem": "a", "answer": "1"})
    with pytest.raises(
        DataError, match="no answer column; it has problem, answer, expected 'gold'"
    ):
        load_problems(file, answer_column="gold")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("problem,answer\na,1,2\n", "line 2: the row does not have the 2 fields"),
        ("problem,answer\na,1\nb\n", "line 3: the row does not have the 2 fields"),
        ('problem,answer\na,"1\n', "unexpected end of data"),
        ("problem,answer\n", "holds no problems"),
    ],
)
def test_a_wrong_csv_is_one_line_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_problems(path)


def test_a_cut_parquet_file_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"mine\.parquet is not a whole Parquet file"):
        load_problems(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsm8", "no data set or file 'gsm8'; did you mean gsm8k?"),
        ("zzz", r"known names are arithmetic, gsm8k, .*, aime24, aime25, mgsm\. A local file"),
        ("nowhere/mine.jsonl", "no such file: nowhere/mine.jsonl"),
        (".", "is not a file ending in .jsonl, .parquet, .csv"),
    ],
)
def test_unknown_names_are_answered_with_a_suggestion(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_problems(name)


def test_arithmetic_is_built_in() -> None:
    problems = load_problems("arithmetic", limit=3)
    assert len(problems) == 3
    assert all(problem.answer for problem in problems)


class FakeHub:
    """Stands for the package datasets where the hub cannot be reached."""

    exceptions = SimpleNamespace(DatasetsError=LookupError)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_dataset(self, hub_id: str, config: str | None, *, split: str) -> Iterator[Any]:
        raise self.error


def test_a_hub_that_is_out_of_reach_suggests_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(ConnectionError("Couldn't reach it\nmore"))
    monkeypatch.setitem(sys.modules, "datasets", hub)
    with pytest.raises(DataError, match=r"Couldn't reach it\); without .* --data") as caught:
        load_problems("gsm8k")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="math500 has the split test, not 'train'"):
        load_problems("math500", split="train")


def test_a_data_set_that_is_a_script_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # what datasets 4 and later raise for it
    error = RuntimeError("Dataset scripts are no longer supported, but found old.py")
    monkeypatch.setitem(sys.modules, "datasets", FakeHub(error))
    with pytest.raises(DataError, match=r"no longer supported, but found old\.py\); without"):
        load_problems("org/old")


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mathrl\[eval\]"'):
        load_problems("gsm8k")


def test_a_worked_solution_in_the_answer_column_is_kept_for_few_shot(tmp_path):
    path = tmp_path / "raw.jsonl"
    path.write_text(json.dumps({"question": "1+1?", "answer": "It is two.\n#### 2"}) + "\n")
    (problem,) = load_problems(path)
    assert problem.answer == "2"
    assert problem.metadata["solution"] == "It is two.\n#### 2"


@pytest.mark.parametrize(
    ("row", "subject", "level"),
    [
        ({"subject": "Algebra", "level": 3}, "Algebra", 3),
        ({"type": "Geometry", "level": "Level 5"}, "Geometry", 5),  # MATH on the hub
        ({"type": "Geometry", "level": "Level ?"}, "Geometry", None),
        ({"subject": "Math", "subfield": "Combinatorics"}, "Combinatorics", None),  # OlympiadBench
        ({"Type": "Subtraction"}, "Subtraction", None),  # SVAMP
        ({"solution_type": "Ratio", "level": "4"}, "Ratio", 4),  # ASDiv; a CSV file has texts
        ({"subject": None, "level": "hard"}, None, "hard"),
    ],
)
def test_subject_and_level_have_these_names(
    file: Path, row: dict[str, Any], subject: str | None, level: object
) -> None:
    write(file, {"problem": "?", "answer": "1", **row})
    (problem,) = load_problems(file)
    assert problem.metadata.get("subject") == subject
    assert problem.metadata.get("level") == level


def test_a_file_with_solutions_alone_has_their_answers(file: Path) -> None:
    row = {"problem": "Halve 1.", "solution": r"It is $\boxed{\frac{1}{2}}$.", "level": "Level 1"}
    write(file, row)
    (problem,) = load_problems(file)
    assert problem.answer == r"\frac{1}{2}"
    assert problem.metadata == {"solution": row["solution"], "level": 1}


def test_several_answers_are_one_text(file: Path) -> None:
    write(
        file,
        {"problem": "x^2=1?", "final_answer": ["$1$", "$-1$"]},
        {"problem": "?", "final_answer": ["$2$"]},
        {"problem": "Write it as an equation.", "final_answer": "-"},
    )
    assert [problem.answer for problem in load_problems(file)] == ["$1$, $-1$", "$2$", None]
