"""Recorded completions: which row is whose, and one clear line for every file that is not right."""

import json
from pathlib import Path
from typing import Any

import pytest

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.recorded import RecordedEngine
from mathrl.errors import ConfigError, DataError
from mathrl.schema import Completion, Problem


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "completions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def replay(engine: RecordedEngine, problem_id: str, sample_index: int) -> Completion:
    request = SampleRequest(
        problem_id=problem_id, sample_index=sample_index, prompt="?", prompt_ids=None, seed=0
    )
    [(index, completion)] = engine.sample([request], SamplingParams())
    assert index == 0
    return completion


def test_rows_are_matched_by_id_then_by_the_exact_question(
    tmp_path: Path, problems: list[Problem]
) -> None:
    path = write(
        tmp_path,
        {"id": "p3", "completion": "by id"},
        {"id": "of another file", "question": "What is 4?", "completion": "by question"},
        {"prompt": "What is 5?", "completion": "by prompt"},
        {"id": "nobody's", "problem": "What is 6 ?", "completion": "left out"},
    )
    engine = RecordedEngine(path, problems)
    assert engine.problem_ids == ("p3", "p4", "p5")
    assert [replay(engine, f"p{i}", 0).text for i in (3, 4, 5)] == [
        "by id",
        "by question",
        "by prompt",
    ]
    assert engine.num_samples("p6") == 0


def test_several_rows_are_samples_in_the_order_of_the_file(
    tmp_path: Path, problems: list[Problem]
) -> None:
    path = write(tmp_path, *({"id": "p1", "completion": text} for text in "abc"))
    engine = RecordedEngine(path, problems)
    assert [replay(engine, "p1", i).text for i in range(engine.num_samples("p1"))] == [
        "a",
        "b",
        "c",
    ]


def test_a_sample_column_orders_the_samples(tmp_path: Path, problems: list[Problem]) -> None:
    rows = ({"id": "p1", "sample": index, "completion": str(index)} for index in (4, 0, 2))
    engine = RecordedEngine(write(tmp_path, *rows), problems)
    assert [replay(engine, "p1", i).text for i in range(3)] == ["0", "2", "4"]


def test_text_alone_with_its_finish_reason(tmp_path: Path, problems: list[Problem]) -> None:
    path = write(
        tmp_path,
        {"id": "p0", "completion": "a", "finish_reason": "length"},
        {"id": "p1", "completion": "b", "finish_reason": "content_filter"},
    )
    engine = RecordedEngine(path, problems)
    assert replay(engine, "p0", 0) == Completion(text="a", finish_reason="length")
    assert replay(engine, "p1", 0) == Completion(text="b")
    assert not engine.capabilities.token_ids


def test_completion_column_is_found_or_named(tmp_path: Path, problems: list[Problem]) -> None:
    path = write(tmp_path, {"id": "p0", "response": "found", "mine": "named"})
    assert replay(RecordedEngine(path, problems), "p0", 0).text == "found"
    named = RecordedEngine(path, problems, completion_column="mine")
    assert replay(named, "p0", 0).text == "named"
    # Two columns are two policies: the store must not take one for the other.
    assert named.fingerprint != RecordedEngine(path, problems).fingerprint


def test_fingerprint_follows_the_bytes(tmp_path: Path, problems: list[Problem]) -> None:
    path = write(tmp_path, {"id": "p0", "completion": "a"})
    first = RecordedEngine(path, problems).fingerprint
    assert RecordedEngine(path, problems).fingerprint == first
    write(tmp_path, {"id": "p0", "completion": "b"})
    assert RecordedEngine(path, problems).fingerprint != first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ('{"id": "p0", "completion": "a"}\n{"id": "p1", "compl', "line 2: not one whole JSON"),
        ("[1]\n", "line 1: a row must be a JSON object"),
        (
            '{"id": "p0", "text": "a"}\n',
            "line 1: no completion column; it has id, text, expected one of completion, response",
        ),
        (
            '{"id": "x", "completion": "a"}\n',
            "none of its 1 rows belongs to any of the 10 problems",
        ),
        (
            '{"id": "p0", "problem": "What is 1?", "completion": "a"}\n',
            "line 1: the id is that of p0, the question that of p1",
        ),
        ('{"id": "p0", "completion": null}\n', "line 1: 'completion' must be text, got None"),
        ('{"id": "p0", "completion": "a", "sample": "x"}\n', "line 1: sample 'x' of problem p0"),
        (
            '{"id": "p0", "completion": "a", "sample": 1}\n' * 2,
            "line 2: sample 1 of problem p0: expected a whole number that no other row",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, problems: list[Problem], content: str, message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as raised:
        RecordedEngine(path, problems)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_prompt_in_chat_form_is_not_a_question(tmp_path: Path, problems: list[Problem]) -> None:
    row = {"id": "p1", "prompt": [{"role": "user", "content": "?"}], "completion": "a"}
    assert replay(RecordedEngine(write(tmp_path, row), problems), "p1", 0).text == "a"


def test_csv_and_parquet_are_read_like_jsonl(tmp_path: Path, problems: list[Problem]) -> None:
    from pyarrow import Table, parquet

    rows = [
        {"id": "p1", "completion": "b", "sample": 1},
        {"id": "p1", "completion": "a", "sample": 0},
    ]
    (tmp_path / "x.csv").write_text("id,completion,sample\np1,b,1\np1,a,0\n")
    parquet.write_table(Table.from_pylist(rows), tmp_path / "x.parquet")
    for path in (write(tmp_path, *rows), tmp_path / "x.csv", tmp_path / "x.parquet"):
        engine = RecordedEngine(path, problems)
        assert [replay(engine, "p1", i).text for i in (0, 1)] == ["a", "b"], path


def test_a_missing_file_or_column_is_named(tmp_path: Path, problems: list[Problem]) -> None:
    with pytest.raises(DataError, match=r"no such file: .*nowhere\.jsonl"):
        RecordedEngine(tmp_path / "nowhere.jsonl", problems)
    path = write(tmp_path, {"id": "p0", "completion": "a"})
    with pytest.raises(DataError, match="it has id, completion, expected 'mine'"):
        RecordedEngine(path, problems, completion_column="mine")


def test_a_sample_that_was_not_recorded_is_refused(tmp_path: Path, problems: list[Problem]) -> None:
    engine = RecordedEngine(write(tmp_path, {"id": "p0", "completion": "a"}), problems)
    with pytest.raises(DataError, match="sample 1 of problem p0 was asked, but 1 are recorded"):
        replay(engine, "p0", 1)


def test_it_cannot_follow_a_policy(tmp_path: Path, problems: list[Problem]) -> None:
    engine = RecordedEngine(write(tmp_path, {"id": "p0", "completion": "a"}), problems)
    with pytest.raises(ConfigError, match="cannot follow a policy"):
        engine.sync(None, 1)  # type: ignore[arg-type]
