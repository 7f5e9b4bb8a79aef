"""Log-probs against a loop that scores one token at a time."""

import copy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2ForCausalLM

from mathrl.errors import ConfigError
from mathrl.trainers import logprobs as module
from mathrl.trainers.logprobs import (
    Scoring,
    can_share_prompts,
    check_output_head,
    completion_logprobs,
    completion_mask,
    micro_batches,
    score_completions,
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
    lengths = [6, 6, 8, 0, 2]
    batches = list(micro_batches(lengths, max_tokens))
    assert sorted(index for batch in batches for index in batch) == [0, 1, 2, 3, 4]
    for batch in batches:
        width = max(lengths[b] for b in batch)
        assert len(batch) == 1 or len(batch) * width <= max_tokens


def test_a_micro_batch_that_is_large_enough_holds_rows_of_similar_length():
    lengths = [1000, 990, 100, 90, 80]
    assert list(micro_batches(lengths, 10**6)) == [[0, 1], [2, 3, 4]]
    assert list(micro_batches([100, 10], 10**6)) == [[0, 1]]  # too small to be worth a cut


def groups_of_rows(*, num_tokens=300, seed=1):
    """Groups of six completions; two prompts have the same length, two another; some are empty."""
    generator = torch.Generator().manual_seed(seed)

    def draw(length):
        return tuple(torch.randint(2, num_tokens, (length,), generator=generator).tolist())

    rows = []
    for length in (5, 17, 17, 3):
        prompt = draw(length)
        lengths = torch.randint(0, 30, (6,), generator=generator).tolist()
        rows += [(prompt, draw(each)) for each in lengths]
    order = torch.randperm(len(rows), generator=generator).tolist()
    return [rows[b] for b in order]


def scored_with_gradients(model, rows, parts):
    """Values, entropies and parameter gradients of a loss with a weight of its own a token."""
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(2, len(rows), 30, generator=generator, dtype=model.dtype)
    seen = torch.zeros_like(weights)
    model.zero_grad()
    for indices, scores in parts:
        width = scores.logprobs_BT.shape[1]
        both = torch.stack([scores.logprobs_BT, scores.entropies_BT])
        (weights[:, indices, :width] * both).sum().backward()
        seen[:, indices, :width] = both.detach()
    return [seen, *(parameter.grad.clone() for parameter in model.parameters())]


@pytest.mark.parametrize("max_tokens", [1, 60, 10**6])
@pytest.mark.parametrize("is_plain", [True, False])
def test_prompts_forwarded_once_give_the_padded_gradients(
    policy, exact_norms, monkeypatch, max_tokens, is_plain
):
    model, rows = policy.model.double(), groups_of_rows()
    assert can_share_prompts(model) and module.is_plain(model)
    monkeypatch.setattr(module, "is_plain", lambda model: is_plain)
    scoring = Scoring(temperature=0.7, max_tokens=max_tokens, has_entropy_gradient=True)
    padded = module._padded_scores(model, rows, scoring)
    plain = scored_with_gradients(model, rows, [(list(range(len(rows))), padded)])
    ours = scored_with_gradients(model, rows, score_completions(model, rows, scoring))
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("is_plain", [True, False])
def test_prompts_forwarded_once_agree_in_float32(policy, monkeypatch, is_plain):
    model, rows = policy.model, groups_of_rows()
    monkeypatch.setattr(module, "is_plain", lambda model: is_plain)
    scoring = Scoring(has_entropy_gradient=True)
    padded = module._padded_scores(model, rows, scoring)
    plain = scored_with_gradients(model, rows, [(list(range(len(rows))), padded)])
    ours = scored_with_gradients(model, rows, score_completions(model, rows, scoring))
    for mine, theirs in zip(ours, plain, strict=True):
        assert (mine - theirs).norm() <= 1e-6 * theirs.norm()


def test_a_cpu_reads_few_tokens_at_once_where_more_are_no_faster(policy, monkeypatch):
    monkeypatch.setattr(module, "CPU_TOKENS", 60)
    rows = groups_of_rows()
    with torch.no_grad():
        sizes = [
            len(indices) * scores.logprobs_BT.shape[1]
            for indices, scores in score_completions(policy.model, rows, Scoring())
        ]
    assert len(sizes) > 1 and max(sizes) <= 60


def test_learned_positions_count_from_the_prompts_end(exact_norms):
    """GPT-2 adds a vector a position: a wrong count would be off by whole nats."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64)
    model, rows = GPT2LMHeadModel(config).eval().double(), groups_of_rows(num_tokens=64)
    with torch.no_grad():
        expected = one_by_one(model, rows, 1.0)
        for indices, scores in score_completions(model, rows, Scoring()):
            width = scores.logprobs_BT.shape[1]
            wanted = expected[indices, :width]
            torch.testing.assert_close(scores.logprobs_BT, wanted, rtol=0, atol=1e-12)


def test_a_sliding_window_forwards_whole_rows(policy):
    config = copy.deepcopy(policy.model.config)
    config.use_sliding_window, config.sliding_window = True, 4
    config.layer_types = ["sliding_attention"] * config.num_hidden_layers
    torch.manual_seed(0)
    model, rows = Qwen2ForCausalLM(config).eval().double(), groups_of_rows()
    assert not can_share_prompts(model)
    with torch.no_grad():
        expected = one_by_one(model, rows, 1.0)
        for indices, scores in score_completions(model, rows, Scoring()):
            width = scores.logprobs_BT.shape[1]
            wanted = expected[indices, :width]
            torch.testing.assert_close(scores.logprobs_BT, wanted, rtol=0, atol=1e-12)


def test_entropy_by_hand(policy):
    with torch.no_grad():
        model = policy.model.double()
        scores = module._padded_scores(model, ROWS, Scoring(temperature=0.7))
        prompt, completion = ROWS[0]
        logits = model(input_ids=torch.tensor([prompt + completion])).logits[0, 2:5] / 0.7
    chances = torch.softmax(logits, -1)
    expected = -(chances * chances.log()).sum(-1)
    torch.testing.assert_close(scores.entropies_BT[0, :3], expected, rtol=0, atol=1e-12)
    assert scores.entropies_BT[0, 3:].abs().max() == 0


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
