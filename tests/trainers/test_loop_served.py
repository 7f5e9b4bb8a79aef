"""Runs whose samples come from servers that can be lost."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from mathrl import arithmetic
from mathrl.engines import server
from mathrl.errors import ConfigError, EngineError
from mathrl.trainers import load_recipe, train
from mathrl.trainers.checkpoint import latest_checkpoint
from mathrl.trainers.runlog import read_records
from tests.engines.fake_server import FakeServer
from tests.trainers.test_loop import SETTINGS, clone, even_share


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(server, "WAITS_S", ())


@pytest.fixture
def servers(policy):
    running = [FakeServer(clone(policy)) for _ in range(2)]
    yield running
    for each in running:
        each.stop()


def start(policy, out, *servers, **options):
    recipe = load_recipe("demo", [*SETTINGS, "max_steps=4", "checkpoint.every=10"])
    if servers:
        urls = tuple(each.url for each in servers)
        recipe = replace(recipe, engine=replace(recipe.engine, kind="vllm", urls=urls))
    problems = arithmetic.generate_problems("train", count=10)
    return train(recipe, policy=policy, problems=problems, rewards=[even_share], out=out, **options)


def break_at(step, *servers):
    def watch(record):
        if record["step"] == step:
            for each in servers:
                each.fault = "500"

    return watch


def assert_close_weights(first, second):
    ours, theirs = (
        load_file(folder / "policy" / "model.safetensors") for folder in (first, second)
    )
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-5)


@pytest.fixture
def alone(policy, tmp_path):
    """The run without servers."""
    start(clone(policy), tmp_path / "alone")
    return tmp_path / "alone"


def test_servers_train_as_the_policy_itself_does(policy, servers, alone, tmp_path):
    assert start(policy, tmp_path / "run", *servers).is_finished
    assert all(len(each.asked) > 3 * 4 for each in servers)
    assert_close_weights(tmp_path / "run", alone)


def test_a_lost_server_costs_nothing(policy, servers, alone, tmp_path):
    watch = break_at(2, servers[0])
    assert start(policy, tmp_path / "run", *servers, on_record=watch).is_finished
    assert_close_weights(tmp_path / "run", alone)


def test_where_all_are_lost_the_run_is_saved_and_goes_on(policy, servers, alone, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(EngineError, match="no vLLM server is left"):
        start(policy, out, *servers, on_record=break_at(2, *servers))
    assert latest_checkpoint(out / "checkpoints").name == "step-000002"
    other = FakeServer(clone(policy))
    assert start(None, out, other, resume=True).is_finished
    other.stop()
    assert other.url in (out / "config.toml").read_text()  # where the next resume finds it
    assert_close_weights(out, alone)
    steps = [record["step"] for record in read_records(out / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4]


def test_servers_that_are_lost_at_a_push_do_not_cost_the_step(
    policy, servers, tmp_path, monkeypatch
):
    """The push after step 2 fails: the step is in the log and in the checkpoint."""
    real = server.Server.push

    async def push(self, client, folder, version):
        if version.endswith("@2"):
            raise server.ServerLost("gone")
        await real(self, client, folder, version)

    monkeypatch.setattr(server.Server, "push", push)
    with pytest.raises(EngineError, match="gone"):
        start(policy, tmp_path / "run", *servers)
    assert latest_checkpoint(tmp_path / "run" / "checkpoints").name == "step-000002"
    records = read_records(tmp_path / "run" / "metrics.jsonl")
    assert [record["step"] for record in records] == [1, 2]


def test_sampling_from_a_part_of_the_distribution_is_refused():
    with pytest.raises(ConfigError, match=r"rollout\.top_p: training samples from the whole"):
        load_recipe("demo", ["rollout.top_p=0.9"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("engine.urls=['http://a']", "set kind=vllm"),
        ("engine={kind='vllm', urls=['a:80']}", "must start with http://"),
        ("engine.memory_fraction=1.5", "between 0 and 1"),
        ("engine.sleep_level=3", "0 to 2"),
        ("engine.kind='vlm'", "must be one of 'local', 'vllm'"),
    ],
)
def test_wrong_engine_settings_are_named(setting, told):
    with pytest.raises(ConfigError, match=f"engine.*{told}"):
        load_recipe("demo", [setting])
