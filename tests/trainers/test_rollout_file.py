"""Rollouts come back from Parquet as they were; files of different steps concatenate."""

from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from mathrl import files
from mathrl.errors import StorageError
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers.rollout_file import SCHEMA, write_rollouts

FULL = Rollout(
    problem=Problem(id="p7", prompt="½ + ½ = ?\n", answer="1"),
    prompt_ids=(5, 6),
    completion=Completion(
        text="so 1 😀", token_ids=(9, 8, 1), logprobs=(-0.5, -0.25, -2.0), finish_reason="stop"
    ),
    group=3,
    policy_version=11,
    score=Score(
        value=1.1, status="correct", prediction="1", parts={"accuracy": 1.0, "a.b:length": 0.1}
    ),
)
BARE = Rollout(
    problem=Problem(id="p8", prompt="?", answer=None),
    prompt_ids=(),
    completion=Completion(text=""),
    group=4,
    policy_version=11,
    score=Score(value=None, status="gold_unparseable", parts={"accuracy": None}),
)


def read(path):
    return parquet.read_table(path).to_pylist(maps_as_pydicts="strict")


def test_every_column_comes_back(tmp_path):
    write_rollouts(tmp_path / "a.parquet", 12, [FULL], [BARE])
    full, bare = read(tmp_path / "a.parquet")
    assert full == {
        "step": 12,
        "group": 3,
        "policy_version": 11,
        "id": "p7",
        "prompt": "½ + ½ = ?\n",
        "answer": "1",
        "completion": "so 1 😀",
        "finish_reason": "stop",
        "reward": 1.1,
        "status": "correct",
        "prediction": "1",
        "parts": {"accuracy": 1.0, "a.b:length": 0.1},
        "is_discarded": False,
        "prompt_ids": [5, 6],
        "token_ids": [9, 8, 1],
        "logprobs": [-0.5, -0.25, -2.0],
    }
    assert (bare["reward"], bare["answer"], bare["logprobs"]) == (None, None, None)
    assert bare["is_discarded"] and bare["parts"] == {"accuracy": None}


def test_files_of_different_steps_have_one_schema(tmp_path):
    unscored = replace(FULL, score=None)
    for step, rollouts in enumerate([[FULL], [BARE], [unscored], []], start=1):
        write_rollouts(tmp_path / f"step-{step}.parquet", step, rollouts)
        assert parquet.read_schema(tmp_path / f"step-{step}.parquet").equals(SCHEMA)
    tables = [parquet.read_table(path) for path in sorted(tmp_path.iterdir())]
    assert pa.concat_tables(tables)["step"].to_pylist() == [1, 2, 3]
    assert sorted(parquet.read_table(tmp_path)["step"].to_pylist()) == [1, 2, 3]  # the folder


def test_the_same_rollouts_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_rollouts(tmp_path / name, 1, [FULL, BARE])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_rollouts(tmp_path / "b", 1, [BARE, FULL])
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    write_rollouts(path, 1, [FULL])

    def disk_is_full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", disk_is_full)
    with pytest.raises(StorageError, match="No space left"):
        write_rollouts(path, 1, [FULL, BARE])
    assert len(read(path)) == 1
    assert list(tmp_path.iterdir()) == [path]
