"""Several servers as one engine: what each failure costs."""

from dataclasses import replace

import pytest
import torch

from mathrl.engines import SampleRequest, SamplingParams, sample_seed, server
from mathrl.engines.choice import EngineConfig
from mathrl.engines.local import LocalEngine
from mathrl.engines.served import ServedEngine
from mathrl.errors import DataError, EngineError
from mathrl.trainers.tiny import untrained_policy
from tests.engines.fake_server import FakeServer

PARAMS = SamplingParams(temperature=0.8, max_new_tokens=6)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(server, "WAITS_S", (0.0, 0.0))


@pytest.fixture(scope="module")
def policy():
    policy = untrained_policy(hidden_size=64, num_layers=2)
    with torch.no_grad():
        policy.model.get_output_embeddings().weight.mul_(20)
    return policy


@pytest.fixture
def servers(policy):
    running = [FakeServer(policy) for _ in range(2)]
    yield running
    for each in running:
        each.stop()


@pytest.fixture
def engine(policy, servers, tmp_path):
    engine = ServedEngine(policy, config(*servers), tmp_path / "engine")
    engine.sync(policy, 3)
    for each in servers:
        each.asked.clear()
    return engine


def config(*servers, **settings):
    return EngineConfig(kind="vllm", urls=tuple(each.url for each in servers), **settings)


def requests(groups=4, samples=3):
    return [
        SampleRequest(
            problem_id=str(u),
            sample_index=i,
            prompt="",
            prompt_ids=(5 + u, 6, 7),
            seed=sample_seed(0, 1, str(u), i),
        )
        for u in range(groups)
        for i in range(samples)
    ]


def sample(engine, asked):
    found = dict(engine.sample(asked, PARAMS))
    return [found[index] for index in range(len(asked))]


def assert_same(found, expected):
    """Same tokens; log-probs up to the rounding of another batch."""
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
        assert (ours.text, ours.finish_reason) == (theirs.text, theirs.finish_reason)


def test_servers_share_the_work_and_groups_stay_together(engine, servers, policy):
    assert_same(sample(engine, requests()), sample(LocalEngine(policy), requests()))
    prompts = [{tuple(body["prompt"]) for body in each.asked} for each in servers]
    assert [len(each) for each in prompts] == [2, 2]
    assert not prompts[0] & prompts[1]


def test_a_request_names_every_setting_that_a_model_folder_could_change(engine, servers):
    sample(engine, requests(groups=1, samples=1))
    [body] = servers[0].asked
    assert body["temperature"] == 0.8
    assert (body["top_p"], body["top_k"], body["min_p"]) == (1.0, 0, 0.0)
    assert (body["repetition_penalty"], body["presence_penalty"]) == (1.0, 0.0)


@pytest.mark.parametrize("fault", ["500", "503", "drop"])
def test_what_a_lost_server_was_asked_goes_to_another(engine, servers, policy, fault):
    servers[0].fault = fault
    assert_same(sample(engine, requests()), sample(LocalEngine(policy), requests()))
    servers[0].asked.clear()
    sample(engine, requests())
    assert not servers[0].asked  # left out from then on


def test_a_broken_connection_is_tried_again(engine, servers):
    servers[0].fault, servers[0].faults_left = "drop", 2
    sample(engine, requests(groups=1, samples=1))
    assert len(servers[0].asked) == 3
    assert not servers[1].asked


def test_a_slow_server_is_left_out(policy, servers, tmp_path):
    engine = ServedEngine(policy, config(*servers, timeout_s=0.5), tmp_path / "engine")
    engine.sync(policy, 0)
    servers[1].fault = "hang"
    assert_same(sample(engine, requests()), sample(LocalEngine(policy), requests()))
    assert "Timeout" in engine.servers[1].fault


def test_a_push_takes_a_lost_server_back(engine, servers, policy):
    servers[0].fault = "500"
    sample(engine, requests())
    servers[0].fault = ""
    servers[0].asked.clear()
    engine.sync(policy, 4)
    sample(engine, requests())
    assert servers[0].asked
    assert servers[0].version == servers[1].version == f"{engine.folder}@4"


def test_a_server_that_was_started_again_is_left_out(engine, servers):
    servers[0].restart()
    sample(engine, requests())
    assert not servers[0].asked
    assert "it has the weights 'default'" in engine.servers[0].fault


def test_where_all_are_lost_the_reasons_are_told(engine, servers):
    for each in servers:
        each.fault = "500"
    with pytest.raises(EngineError, match="no vLLM server is left") as caught:
        sample(engine, requests())
    assert all(each.url in str(caught.value) for each in servers)
    assert "told by the server" in str(caught.value)


def test_a_refused_request_is_not_asked_elsewhere(engine, servers):
    servers[0].fault = "400"
    with pytest.raises(EngineError, match=r"refuses a request: 400 .*told by the server"):
        sample(engine, requests(groups=1))
    assert not servers[1].asked


def test_new_weights_are_sampled_from(engine, policy):
    other = untrained_policy(hidden_size=64, num_layers=2, seed=5)
    engine.sync(other, 4)
    assert_same(sample(engine, requests()), sample(LocalEngine(other), requests()))


def test_stale_weights_stop_the_run(engine, servers):
    servers[1].is_deaf = True
    with pytest.raises(EngineError, match="does not sample from the policy's weights"):
        engine.sync(untrained_policy(hidden_size=64, num_layers=2, seed=5), 4)


def test_another_rank_leaves_the_push_to_the_first(engine, servers, policy):
    settings = config(*servers)
    other = ServedEngine(policy, settings, engine.folder, is_pusher=False)
    other.sync(policy, 3)
    assert not any(each.asked for each in servers)
    assert_same(sample(other, requests()), sample(LocalEngine(policy), requests()))


def test_an_address_without_a_server_is_told(policy, tmp_path):
    nobody = FakeServer(policy)
    nobody.stop()
    with pytest.raises(EngineError, match=f"no vLLM server is left .*{nobody.url}: ConnectError"):
        ServedEngine(policy, config(nobody), tmp_path)


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        (b"<html>", "/v1/models answers no JSON"),
        ({"data": []}, "no model with its max_model_len"),
        ({"data": [{"id": "model"}]}, "no model with its max_model_len"),
        ([], "no model with its max_model_len"),
    ],
)
def test_another_kind_of_server_is_told(policy, servers, tmp_path, models, reason):
    servers[0].models = models
    with pytest.raises(EngineError, match=rf"no vLLM server is left \(http://.*{reason}"):
        ServedEngine(policy, config(servers[0]), tmp_path)


def test_a_server_may_be_missing_when_the_run_begins(policy, servers, tmp_path):
    servers[1].stop()
    engine = ServedEngine(policy, config(*servers), tmp_path / "engine")
    engine.sync(policy, 0)
    assert_same(sample(engine, requests()), sample(LocalEngine(policy), requests()))


def test_the_servers_positions_are_a_limit(engine):
    assert engine.capabilities.max_positions == 128
    with pytest.raises(DataError, match="do not fit the model's 128 positions"):
        list(engine.sample(requests(), replace(PARAMS, max_new_tokens=126)))


def test_an_abandoned_call_does_not_wait_for_what_is_running(engine, servers):
    servers[1].fault = "hang"
    running = engine.sample(requests(), PARAMS)
    next(running)
    running.close()
    assert servers[1].num_hanging == 6  # closed while the server was still at all of its work


def test_an_evaluation_asks_for_no_logprobs_and_probes_nothing(policy, servers, tmp_path):
    engine = ServedEngine(policy, config(*servers), tmp_path / "engine", has_logprobs=False)
    engine.sync(policy, 0)
    assert not any(each.asked for each in servers)
    found = sample(engine, requests())
    local = sample(LocalEngine(policy), requests())
    assert [c.token_ids for c in found] == [c.token_ids for c in local]
    assert {c.logprobs for c in found} == {None}
    assert {body["logprobs"] for each in servers for body in each.asked} == {None}
    assert not engine.capabilities.logprobs
