"""Weights & Biases: a fake that refuses what the package refuses, and the package where it is."""

import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from mathrl import arithmetic
from mathrl.errors import ConfigError, MissingExtraError
from mathrl.trainers import load_recipe, train
from mathrl.trainers.runlog import read_records

SETTINGS = [
    "max_steps=4",
    "rollout.num_problems=2",
    "rollout.group_size=2",
    "rollout.max_new_tokens=4",
    "loss.beta=0",
    "checkpoint.every=2",
    "log.wandb=algebra",
]


class FakeWandb(ModuleType):
    """Keeps what it is told, by run id."""

    class Error(Exception):
        """Like that of the package."""

    def __init__(self, *, refuses=False):
        super().__init__("wandb")
        self.refuses = refuses
        self.started = []
        self.points = {}
        self.open = None

    def Settings(self, *, console):
        return SimpleNamespace(console=console)

    def init(self, *, project, id, resume, name, dir, config, settings):
        if self.refuses:
            raise self.Error("no API key configured")
        assert self.open is None, "two runs at once"
        assert resume == "allow" and settings.console == "off" and Path(dir).is_dir()
        self.started.append({"project": project, "id": id, "name": name, "config": config})
        self.open = id
        self.points.setdefault(id, [])
        return FakeRun(self, id)


class FakeRun:
    def __init__(self, wandb, run_id):
        self.wandb, self.id, self.axes = wandb, run_id, {}

    def define_metric(self, name, *, step_metric):
        self.axes[name] = step_metric

    def log(self, values):
        assert self.axes == {"*": "step"}, "points would be placed by W&B's own counter"
        assert self.wandb.open == self.id
        self.wandb.points[self.id].append(values)

    def finish(self):
        assert self.wandb.open == self.id
        self.wandb.open = None


@pytest.fixture
def wandb(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def stop_after(step):
    def stop(record):
        if record["step"] == step:
            raise KeyboardInterrupt

    return stop


def start(policy, out, *, settings=SETTINGS, **kwargs):
    return train(
        load_recipe("demo", settings),
        policy=policy,
        problems=arithmetic.generate_problems("train", count=5),
        out=out,
        evaluate=lambda engine: {"accuracy": 0.5},
        **kwargs,
    )


def test_every_record_goes_to_one_run(policy, tmp_path, wandb):
    start(policy, tmp_path / "mine")
    (run,) = wandb.started
    assert (run["project"], run["name"]) == ("algebra", "mine")
    assert run["config"]["rollout"]["group_size"] == 2
    expected = []
    for record in read_records(tmp_path / "mine" / "metrics.jsonl"):
        kind, step = record.pop("kind"), record.pop("step")
        expected.append({"step": step, **{f"{kind}/{key}": v for key, v in record.items()}})
    assert wandb.points[run["id"]] == expected
    assert len(expected) == 6 and "train/reward/mean" in expected[1]
    assert wandb.open is None


def test_a_resumed_run_is_the_same_run_and_logs_steps_again(policy, tmp_path, wandb):
    start(policy, tmp_path / "run", on_record=stop_after(3))
    folder = tmp_path / "run" / "checkpoints" / "step-000003"
    folder.rename(tmp_path / "lost")  # as if killed: it goes on from step 2
    start(None, tmp_path / "run", resume=True)
    first, second = wandb.started
    assert first["id"] == second["id"] == (tmp_path / "run" / "wandb-id").read_text()
    trained = [p["step"] for p in wandb.points[first["id"]] if "train/tokens" in p]
    assert trained == [1, 2, 3, 3, 4]


def test_a_new_run_in_the_folder_of_one_that_got_nowhere_is_another(policy, tmp_path, wandb):
    start(policy, tmp_path / "run", on_record=stop_after(0))
    start(policy, tmp_path / "run")
    first, second = wandb.started
    assert first["id"] != second["id"]


def test_without_a_project_it_is_not_even_imported(policy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail
    assert start(policy, tmp_path / "run", settings=SETTINGS[:-1]).is_finished


@pytest.mark.parametrize("module", [None, ModuleType("wandb")], ids=["absent", "a bare folder"])
def test_where_it_is_not_installed_the_command_is_told_before_any_work(
    policy, tmp_path, monkeypatch, module
):
    monkeypatch.setitem(sys.modules, "wandb", module)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[wandb\]'"):
        start(policy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_refusal_is_one_clear_line(policy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(refuses=True))
    with pytest.raises(ConfigError, match=r"no API key configured.*WANDB_MODE=offline"):
        start(policy, tmp_path / "run")


def stored_records(path, record_type):
    """What an offline run has on disk: records of protobuf in a log of blocks of 32 KiB."""
    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 2**15 - place % 2**15
        if room < 7:  # too little for a header: the block ends in zeros
            place += room
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = record_type()
            record.ParseFromString(whole)
            whole = b""
            yield record


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the package's own
def test_the_package_itself_offline(policy, tmp_path, monkeypatch):
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_MODE", "offline")
    start(policy, tmp_path / "run", on_record=stop_after(3))
    folder = tmp_path / "run" / "checkpoints" / "step-000003"
    folder.rename(tmp_path / "lost")  # as if killed: it goes on from step 2
    start(None, tmp_path / "run", resume=True)
    run_id = (tmp_path / "run" / "wandb-id").read_text()
    steps = []
    for path in sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")):
        records = list(stored_records(path, proto.Record))
        (run,) = [r.run for r in records if r.WhichOneof("record_type") == "run"]
        assert (run.run_id, run.project) == (run_id, "algebra")
        for record in records:
            items = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
            if "train/reward/mean" in items:
                steps.append(int(items["step"]))
    assert steps == [1, 2, 3, 3, 4]
