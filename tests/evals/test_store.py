"""The store keeps every whole record through a kill, and mistakes no sample for another."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mathrl.engines import SamplingParams
from mathrl.errors import DataError, StorageError
from mathrl.evals.store import SampleKey, SampleStore, ScoreKey
from mathrl.schema import Completion, Score, Usage

KEY = SampleKey(
    fingerprint="f",
    task="t",
    problem_id="p",
    prompt_hash="h",
    params=SamplingParams(temperature=1.0, max_new_tokens=8),
    seed=3,
    sample_index=0,
)
COMPLETION = Completion(text="7\u2028 ünd \ud800", token_ids=(1, 2), finish_reason="length")


def test_a_sample_comes_back_whole(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.put(KEY, COMPLETION)
    assert SampleStore(tmp_path).get(KEY) == COMPLETION


def test_what_an_api_tells_comes_back_too(tmp_path: Path) -> None:
    used = Usage(prompt_tokens=3, completion_tokens=9, reasoning_tokens=5)
    told = Completion(text="", finish_reason="content_filter", reasoning="7, no", usage=used)
    with SampleStore(tmp_path) as store:
        store.put(KEY, told)
    assert SampleStore(tmp_path).get(KEY) == told


def test_a_record_is_readable_while_its_writer_lives(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as writer:
        writer.put(KEY, COMPLETION)
        assert SampleStore(tmp_path).get(KEY) == COMPLETION


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, fingerprint="g"),
        replace(KEY, task="u"),
        replace(KEY, problem_id="q"),
        replace(KEY, prompt_hash="i"),
        replace(KEY, params=SamplingParams(temperature=0.9, max_new_tokens=8)),
        replace(KEY, params=SamplingParams(temperature=1.0, max_new_tokens=9)),
        replace(KEY, params=SamplingParams(temperature=1.0, max_new_tokens=8, stop=("Q",))),
        replace(KEY, seed=4),
        replace(KEY, sample_index=1),
    ],
)
def test_another_key_is_another_sample(tmp_path: Path, other: SampleKey) -> None:
    with SampleStore(tmp_path) as store:
        store.put(KEY, COMPLETION)
    assert SampleStore(tmp_path).get(other) is None


def test_a_torn_line_is_not_read_and_not_glued_to_the_next(tmp_path: Path) -> None:
    first = SampleStore(tmp_path)
    first.put(KEY, COMPLETION)
    first.put(replace(KEY, sample_index=1), COMPLETION)
    first.close()
    [path] = (tmp_path / "samples").iterdir()
    whole = path.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert len(SampleStore(tmp_path)) == 1
    second = SampleStore(tmp_path)
    second.put(replace(KEY, sample_index=1), Completion(text="again"))
    second.close()
    third = SampleStore(tmp_path)
    assert len(third) == 2
    assert third.get(replace(KEY, sample_index=1)) == Completion(text="again")


def test_kill_9_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from dataclasses import replace
from mathrl.evals.store import SampleStore
sys.path.insert(0, sys.argv[2])
from test_store import COMPLETION, KEY
store = SampleStore(sys.argv[1])
for index in range(100):
    store.put(replace(KEY, sample_index=index), COMPLETION)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run(command, env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(SampleStore(tmp_path)) == 100


def test_writers_merge_by_key_and_the_first_wins(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as one, SampleStore(tmp_path) as two:
        one.put(KEY, Completion(text="first"))
        two.put(KEY, Completion(text="second"))
        two.put(replace(KEY, sample_index=1), Completion(text="third"))
    assert len(list((tmp_path / "samples").iterdir())) == 2
    merged = SampleStore(tmp_path)
    assert len(merged) == 2
    assert merged.get(KEY) == Completion(text="first")


def test_folders_merge_by_copying_their_files(tmp_path: Path) -> None:
    for machine in range(2):
        with SampleStore(tmp_path / str(machine)) as store:
            store.put(replace(KEY, sample_index=machine), Completion(text=str(machine)))
    (tmp_path / "all" / "samples").mkdir(parents=True)
    for path in tmp_path.glob("?/samples/*"):
        target = tmp_path / "all" / "samples" / path.name
        assert not target.exists()
        target.write_bytes(path.read_bytes())
    merged = SampleStore(tmp_path / "all")
    found = [merged.get(replace(KEY, sample_index=i)) for i in range(2)]
    assert found == [Completion(text="0"), Completion(text="1")]


def test_a_damaged_record_is_an_error_where_it_is_asked_for(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.put(KEY, COMPLETION)
    [path] = (tmp_path / "samples").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"completion": {', b'"completion": ['))
    with pytest.raises(DataError, match="is damaged"):
        SampleStore(tmp_path).get(KEY)


def test_a_stored_sample_is_not_written_again(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.put(KEY, Completion(text="first"))
        store.put(KEY, Completion(text="second"))
    [path] = (tmp_path / "samples").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    assert store.get(KEY) == Completion(text="first")


def test_reading_alone_writes_nothing(tmp_path: Path) -> None:
    SampleStore(tmp_path / "run").close()
    assert not (tmp_path / "run").exists()


def test_a_damaged_sample_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "0000.jsonl").write_text('{"key": \n')
    with pytest.raises(DataError, match=r"0000\.jsonl, line 1"):
        SampleStore(tmp_path)


def test_scores_are_found_by_sample_answer_and_verifier(tmp_path: Path) -> None:
    key = ScoreKey(sample=KEY.digest(), answer="7", verifier="1", name="eval")
    score = Score(value=1.0, status="correct", prediction="7", parts={"a": 1.0}, steps=(0.5,))
    with SampleStore(tmp_path) as writer:
        writer.put_score(key, score)
    store = SampleStore(tmp_path)
    assert store.get_score(key) == score
    for changed in ("sample", "answer", "verifier", "name"):
        assert store.get_score(replace(key, **{changed: "x"})) is None


def test_a_torn_score_costs_only_itself(tmp_path: Path) -> None:
    keys = [ScoreKey(sample=str(i), answer="7", verifier="1", name="eval") for i in range(3)]
    score = Score(value=0.0, status="wrong")
    first = SampleStore(tmp_path)
    first.put_score(keys[0], score)
    first.put_score(keys[1], score)
    first.close()
    [path] = (tmp_path / "scores").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    second = SampleStore(tmp_path)
    second.put_score(keys[2], score)
    second.close()
    third = SampleStore(tmp_path)
    assert [third.get_score(key) for key in keys] == [score, None, score]


@pytest.mark.parametrize("line", ["{", '{"key": 5, "score": {}}', '{"key": {}, "score": {}}', "[]"])
def test_a_damaged_score_costs_only_itself(tmp_path: Path, line: str) -> None:
    key = ScoreKey(sample="s", answer="7", verifier="1", name="eval")
    with SampleStore(tmp_path) as store:
        store.put_score(key, Score(value=0.0, status="wrong"))
    [path] = (tmp_path / "scores").iterdir()
    path.write_bytes(line.encode() + b"\n" + path.read_bytes())
    assert SampleStore(tmp_path).get_score(key) == Score(value=0.0, status="wrong")


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        SampleStore(tmp_path / "run").put(KEY, COMPLETION)


def test_records_are_plain_json_lines_that_hold_their_key(tmp_path: Path) -> None:
    with SampleStore(tmp_path) as store:
        store.put(KEY, COMPLETION)
    [path] = (tmp_path / "samples").iterdir()
    record = json.loads(path.read_text())
    assert record["key"] == KEY.digest()
    assert (record["fingerprint"], record["problem_id"], record["seed"]) == ("f", "p", 3)
    assert record["completion"] == {
        "text": COMPLETION.text,
        "token_ids": [1, 2],
        "finish_reason": "length",
    }
