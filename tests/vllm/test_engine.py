"""vLLM in this process, against the policy whose weights it was given."""

import pytest
import torch

from mathrl.adapters import add_adapter
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.choice import EngineConfig
from mathrl.engines.probe import probe_gap
from mathrl.engines.vllm import VLLMEngine
from mathrl.errors import DataError, EngineError
from mathrl.policy import load_policy
from mathrl.trainers.logprobs import completion_logprobs
from mathrl.trainers.precision import to_bfloat16

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm makes its environment")

TEXTS = ["Tom has 3 shells and finds 4 more.", "What is 12 + 7?"]


@pytest.fixture(scope="module")
def engine():
    policy = load_policy(device="cpu")
    engine = VLLMEngine(policy, EngineConfig(kind="vllm", max_positions=256))
    yield engine
    engine.close()


@pytest.fixture
def policy(engine):
    """The embedded policy anew, and the engine with its weights."""
    policy = load_policy(device="cpu")
    engine.sync(policy, 0)
    return policy


def requests(policy, samples=3):
    return [
        SampleRequest(
            problem_id=str(u),
            sample_index=i,
            prompt=text,
            prompt_ids=tuple(policy.tokenizer(text)["input_ids"]),
            seed=100 * u + i,
        )
        for u, text in enumerate(TEXTS)
        for i in range(samples)
    ]


def sample(engine, asked, **params):
    found = dict(engine.sample(asked, SamplingParams(**params)))
    return [found[index] for index in range(len(asked))]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_the_trainers(engine, policy, temperature):
    asked = requests(policy)
    found = sample(engine, asked, temperature=temperature, max_new_tokens=24)
    rows = [(r.prompt_ids, c.token_ids) for r, c in zip(asked, found, strict=True)]
    with torch.no_grad():
        scored = completion_logprobs(policy.model, rows, temperature=temperature)
    for b, completion in enumerate(found):
        expected = scored[b, : len(completion.token_ids)]
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, rtol=0, atol=5e-5)


def test_a_seed_decides_a_sample(engine, policy):
    asked = requests(policy)
    once, again = (sample(engine, asked, max_new_tokens=24) for _ in range(2))
    assert once == again
    assert len({completion.token_ids for completion in once}) > len(TEXTS)


def test_greedy_samples_are_the_local_engines(engine, policy):
    from mathrl.engines.local import LocalEngine

    asked = requests(policy, samples=1)
    params = {"temperature": 0.0, "max_new_tokens": 24}
    assert sample(engine, asked, **params) == sample(LocalEngine(policy), asked, **params)


def test_a_stop_string_is_cut_and_the_end_is_no_text(engine, policy):
    asked = requests(policy)
    for completion in sample(engine, asked, max_new_tokens=40, stop=("####",)):
        assert "####" not in completion.text
    ended = [c for c in sample(engine, asked, max_new_tokens=60) if c.finish_reason == "stop"]
    assert ended
    for completion in ended:
        assert completion.token_ids[-1] in policy.stop_ids
        assert completion.text == policy.tokenizer.decode(completion.token_ids[:-1])


def test_a_push_changes_what_is_sampled(engine, policy):
    with torch.no_grad():
        for weight in policy.model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    assert probe_gap(engine.sample, policy) > 0.01
    engine.sync(policy, 1)
    assert engine.policy_version == 1
    assert probe_gap(engine.sample, policy) < 1e-4


def push_without(engine, policy, monkeypatch, name):
    weights = policy.model.state_dict()
    del weights[name]
    monkeypatch.setattr(policy.model, "state_dict", lambda: weights)
    engine.sync(policy, 1)


def test_a_tensor_that_no_push_brings_stops_the_run(engine, policy, monkeypatch):
    """Even one that has not changed: it is set to zero before the push."""
    with pytest.raises(EngineError, match="does not sample from the policy's weights"):
        push_without(engine, policy, monkeypatch, "model.layers.1.input_layernorm.weight")


def test_a_stale_tensor_stops_the_run(engine, policy, monkeypatch):
    with torch.no_grad():
        policy.model.model.layers[1].mlp.down_proj.weight.mul_(1.5)
    with pytest.raises(EngineError, match="does not sample from the policy's weights"):
        push_without(engine, policy, monkeypatch, "model.layers.1.mlp.down_proj.weight")


def test_an_adapter_is_pushed_merged(engine, policy):
    add_adapter(policy.model, rank=2, alpha=4, target=["all-linear"], seed=0, base="")
    for name, parameter in policy.model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.3)
    assert probe_gap(engine.sample, policy) > 0.01
    engine.sync(policy, 1)
    assert probe_gap(engine.sample, policy) < 1e-4


def test_an_abandoned_call_leaves_nothing_behind(engine, policy):
    running = engine.sample(requests(policy), SamplingParams(max_new_tokens=60))
    next(running)
    running.close()
    assert not engine._llm.has_unfinished_requests()
    assert len(sample(engine, requests(policy), max_new_tokens=8)) == 2 * 3


def test_a_prompt_that_does_not_fit_is_named(engine, policy):
    with pytest.raises(DataError, match=r"problem 0: .* do not fit the model's 256 positions"):
        sample(engine, requests(policy), max_new_tokens=250)


# what follows opens engines of its own, and closing one ends vLLM's groups for the others


def test_tied_embeddings_are_followed():
    """A head that shares the embedding's weights is one of the places where a push gets lost."""
    from mathrl.trainers.tiny import untrained_policy

    policy = untrained_policy(hidden_size=64, num_layers=2)
    policy.model.config.tie_word_embeddings = True
    policy.model.tie_weights()
    other = VLLMEngine(policy, EngineConfig(kind="vllm", max_positions=64))
    try:
        other.sync(policy, 0)
        with torch.no_grad():
            for weight in policy.model.parameters():
                weight.mul_(1.5)
        other.sync(policy, 1)
        assert probe_gap(other.sample, policy) < 1e-4
    finally:
        other.close()


def test_a_policy_in_bfloat16_is_followed():
    policy = load_policy(device="cpu")
    to_bfloat16(policy.model)
    other = VLLMEngine(policy, EngineConfig(kind="vllm", max_positions=128))
    try:
        other.sync(policy, 0)
        assert probe_gap(other.sample, policy) < 0.03
    finally:
        other.close()
