"""Log-probs against a loop that scores one token at a time."""

import copy

import pytest
import torch

from mathrl.errors import ConfigError
from mathrl.trainers import logprobs as module
from mathrl.trainers.logprobs import (
    check_output_head,
    completion_logprobs,
    completion_mask,
    micro_batches,
)

ROWS = [
    ((5, 6, 7), (8, 9, 1)),
    ((5,), (10, 11, 12, 13, 14)),
    ((5, 6, 7, 20, 21, 22, 23), (0,)),  # the padding id as a real token
    ((9, 9), ()),
]


@torch.no_grad()
def one_by_one(model, rows, temperature):
    longest = max(len(completion) for _, completion in rows)
    out = torch.zeros(len(rows), longest, dtype=model.dtype)
    for b, (prompt, completion) in enumerate(rows):
        for t, token in enumerate(completion):
            prefix = torch.tensor([prompt + completion[:t]])
            logits = model(input_ids=prefix).logits[0, -1] / temperature
            out[b, t] = torch.log_softmax(logits, -1)[token]
    return out


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_matches_scoring_one_token_at_a_time(policy, temperature):
    model = policy.model.double()
    ours = completion_logprobs(model, ROWS, temperature=temperature)
    torch.testing.assert_close(ours, one_by_one(model, ROWS, temperature), rtol=0, atol=1e-12)


def test_chunks_change_neither_values_nor_gradients(policy, monkeypatch):
    model = policy.model.double()
    weights = torch.rand(4, 5, dtype=torch.float64)
    results = []
    for chunk_elements in (10**9, 3 * len(policy.tokenizer)):  # one chunk, then three tokens each
        monkeypatch.setattr(module, "CHUNK_ELEMENTS", chunk_elements)
        model.zero_grad()
        values = completion_logprobs(model, ROWS)
        (weights * values).sum().backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        results.append([values.detach(), *gradients])
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=0, atol=1e-12)


def test_float32_stays_float32(policy):
    assert completion_logprobs(policy.model, ROWS).dtype == torch.float32


def test_bfloat16_logits_go_through_a_float32_softmax(policy):
    model = policy.model.bfloat16()
    ours = completion_logprobs(model, ROWS[1:2])
    with torch.no_grad():
        ids = torch.tensor([ROWS[1][0] + ROWS[1][1]])
        logits = model(input_ids=ids).logits[0, :-1].float()  # rounded already, then exact
    expected = torch.log_softmax(logits, -1)[range(5), list(ROWS[1][1])]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], expected, rtol=0, atol=1e-6)


def test_mask_by_hand():
    expected = torch.tensor([[True, True, False], [False] * 3, [True, True, True]])
    assert torch.equal(completion_mask([2, 0, 3]), expected)


@pytest.mark.parametrize("max_tokens", [1, 7, 20, 10**6])
def test_micro_batches_cover_every_row_once_within_the_budget(max_tokens):
    batches = list(micro_batches(ROWS, max_tokens))
    assert sorted(index for batch in batches for index in batch) == [0, 1, 2, 3]
    for batch in batches:
        width = max(len(ROWS[b][0]) + len(ROWS[b][1]) for b in batch)
        assert len(batch) == 1 or len(batch) * width <= max_tokens


def test_a_model_that_scales_its_logits_is_refused(policy):
    check_output_head(policy.model)
    scaled = copy.deepcopy(policy.model)
    head = scaled.forward

    def forward(*args, **kwargs):
        output = head(*args, **kwargs)
        output.logits = output.logits * 0.5
        return output

    scaled.forward = forward
    with pytest.raises(ConfigError, match="output head"):
        check_output_head(scaled)
