"""bfloat16 models with float32 logits, against float64 and against the sampler."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn import Linear
from transformers import Qwen2Config, Qwen2ForCausalLM

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines import local as engine_module
from mathrl.engines.local import LocalEngine
from mathrl.policy import load_policy
from mathrl.trainers import precision
from mathrl.trainers.logprobs import Scoring, completion_logprobs, score_completions
from mathrl.trainers.precision import Float32Head, to_bfloat16
from mathrl.trainers.tiny import untrained_policy

PROMPT, COMPLETION = (5, 6, 7), (8, 390, 9, 10)


@pytest.fixture
def opinionated():
    """Logits of 20 and more, as trained models have them."""
    model = untrained_policy(hidden_size=64, num_layers=2).model
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
    return model


@torch.no_grad()
def float64_logprobs(model, head_VD):
    hidden = model.get_decoder()(torch.tensor([PROMPT + COMPLETION]), use_cache=False)
    hidden_TD = hidden.last_hidden_state[0, len(PROMPT) - 1 : -1]
    logits_TV = hidden_TD.double() @ head_VD.double().t()
    return torch.log_softmax(logits_TV, -1)[range(len(COMPLETION)), list(COMPLETION)]


def test_logprobs_are_those_of_float64_on_the_same_hidden_states(opinionated):
    plain = copy.deepcopy(opinionated).bfloat16()
    to_bfloat16(opinionated)
    expected = float64_logprobs(opinionated, opinionated.lm_head.weight)
    ours = completion_logprobs(opinionated, [(PROMPT, COMPLETION)])[0]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=1e-5)
    rounded = completion_logprobs(plain, [(PROMPT, COMPLETION)])[0]
    assert (rounded.double() - expected).abs().max() > 1e-2  # what bfloat16 logits would give


def test_the_models_own_logits_are_float32_too(opinionated):
    to_bfloat16(opinionated)
    logits = opinionated(input_ids=torch.tensor([PROMPT])).logits
    assert logits.shape == (1, 3, opinionated.config.vocab_size) and logits.dtype == torch.float32


def test_gradients_of_the_head_are_right_to_bfloat16():
    generator = torch.Generator().manual_seed(0)
    head = Linear(32, 300).bfloat16()
    hidden = torch.randn(2, 5, 32, generator=generator).bfloat16().requires_grad_()
    weights = torch.randn(2, 5, 300, generator=generator)
    (Float32Head(head)(hidden) * weights).sum().backward()
    expected_hidden = weights.double() @ head.weight.double()
    expected_weight = weights.flatten(0, 1).double().t() @ hidden.flatten(0, 1).double()
    ours = (hidden.grad, head.weight.grad, head.bias.grad)
    for mine, exact in zip(
        ours, (expected_hidden, expected_weight, weights.sum((0, 1)).double()), strict=True
    ):
        assert mine.dtype == torch.bfloat16
        assert (mine.double() - exact).norm() <= 2**-8 * exact.norm()


def test_slices_of_the_head_change_no_logit(monkeypatch):
    head = Float32Head(Linear(32, 300, bias=False).bfloat16())
    hidden = torch.randn(4, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    whole = head(hidden)
    monkeypatch.setattr(precision, "SLICE_ELEMENTS", 32 * 7)
    torch.testing.assert_close(head(hidden), whole, rtol=0, atol=1e-6)


def test_rotary_frequencies_stay_float32(opinionated):
    before = opinionated.model.rotary_emb.inv_freq.clone()
    to_bfloat16(opinionated)
    assert torch.equal(opinionated.model.rotary_emb.inv_freq, before)
    assert {parameter.dtype for parameter in opinionated.parameters()} == {torch.bfloat16}


def test_a_tied_head_stays_tied():
    config = Qwen2Config(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=32,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    to_bfloat16(model)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def sampler_gap(policy, prompts):
    """Mean distance of the sampler's log-probs from the trainer's."""
    requests = [
        SampleRequest(problem_id=str(u), sample_index=i, prompt="", prompt_ids=ids, seed=9 * u + i)
        for u, ids in enumerate(prompts)
        for i in range(4)
    ]
    found = dict(LocalEngine(policy).sample(requests, SamplingParams(max_new_tokens=24)))
    rows = [(request.prompt_ids, found[i].token_ids) for i, request in enumerate(requests)]
    gaps = []
    with torch.no_grad():
        for indices, scores in score_completions(policy.model, rows, Scoring()):
            for ours_T, b in zip(scores.logprobs_BT, indices, strict=True):
                sampled_T = torch.tensor(found[b].logprobs)
                gaps.append((ours_T[: len(sampled_T)] - sampled_T).abs())
    return float(torch.cat(gaps).mean())


@pytest.mark.parametrize("is_stepping", [True, False])
def test_sampler_and_trainer_are_as_close_as_bfloat16_allows(monkeypatch, is_stepping):
    """Measured: 5e-7 in float32, 2e-3 in bfloat16, for both decoders of the engine."""
    if not is_stepping:
        monkeypatch.setattr(engine_module, "can_step", lambda *_: False)
    policy = load_policy(device="cpu")
    prompts = [tuple(range(first, first + 12)) for first in range(20, 36)]
    rounded = replace(policy, model=copy.deepcopy(policy.model))
    to_bfloat16(rounded.model)
    assert sampler_gap(policy, prompts) < 1e-5
    assert sampler_gap(rounded, prompts) < 4e-3
