"""The local engine against transformers' generate and against scoring its own completions."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mathrl.engines import SampleRequest, SamplingParams, sample_seed
from mathrl.engines.local import LocalEngine, draw_tokens
from mathrl.errors import DataError
from mathrl.trainers.logprobs import completion_logprobs
from mathrl.trainers.tiny import untrained_policy

PROMPTS = [(5, 6, 7), (40, 41), (9, 8, 7, 6, 5, 4, 3, 2), (12,)]


@pytest.fixture(scope="module")
def policy():
    """Random weights, scaled so that the policy has strong opinions."""
    policy = untrained_policy(hidden_size=64, num_layers=2)
    with torch.no_grad():
        policy.model.get_output_embeddings().weight.mul_(20)
    return policy


def requests(prompts=PROMPTS, *, samples=1, seed=0):
    return [
        SampleRequest(
            problem_id=str(u),
            sample_index=i,
            prompt="",
            prompt_ids=prompt,
            seed=sample_seed(seed, 0, str(u), i),
        )
        for u, prompt in enumerate(prompts)
        for i in range(samples)
    ]


def sample(policy, asked, *, max_rows=256, **params):
    found = dict(LocalEngine(policy, max_rows=max_rows).sample(asked, SamplingParams(**params)))
    return [found[index] for index in range(len(asked))]


def test_greedy_matches_transformers_generate(policy):
    ours = sample(policy, requests(), temperature=0.0, max_new_tokens=12)
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        theirs = policy.model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, pad_token_id=0
        )[0, len(prompt) :]
        assert completion.token_ids == tuple(theirs.tolist())


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_sampling_distribution(policy, temperature):
    asked = requests(samples=3)
    ours = sample(policy, asked, temperature=temperature, max_new_tokens=10)
    rows = [(r.prompt_ids, c.token_ids) for r, c in zip(asked, ours, strict=True)]
    with torch.no_grad():
        scored = completion_logprobs(policy.model, rows, temperature=temperature)
    for b, completion in enumerate(ours):
        expected = scored[b, : len(completion.token_ids)]
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, rtol=0, atol=1e-5)


def test_learned_positions_count_from_a_prompts_first_token(policy):
    torch.manual_seed(0)
    size = policy.model.config.vocab_size
    model = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2)).eval()
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(50)  # a place too far left would be seen
    ours = sample(replace(policy, model=model), requests(), max_new_tokens=6)
    for prompt, completion in zip(PROMPTS, ours, strict=True):
        with torch.no_grad():  # alone, so without padding
            expected = completion_logprobs(model, [(prompt, completion.token_ids)])[0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), expected, rtol=0, atol=1e-5)


def test_a_sample_depends_on_its_own_request_alone(policy):
    asked = requests(samples=4)
    together = sample(policy, asked, max_new_tokens=20)
    in_small_batches = sample(policy, asked, max_new_tokens=20, max_rows=3)
    backwards = sample(policy, asked[::-1], max_new_tokens=20)[::-1]
    alone = [sample(policy, [request], max_new_tokens=20)[0] for request in asked]
    ids = [completion.token_ids for completion in together]
    for others in (in_small_batches, backwards, alone):
        assert [completion.token_ids for completion in others] == ids
    assert len(set(ids)) > len(PROMPTS)  # the samples of a group differ


def test_finished_rows_leave_the_batch(policy, monkeypatch):
    """The rows that are forwarded shrink with the rows that are live."""
    asked = requests(samples=8)
    free = sample(policy, asked, max_new_tokens=20)
    stops = {ids[2] for ids in (completion.token_ids for completion in free)}
    model = copy.deepcopy(policy.model)
    model.generation_config.eos_token_id = sorted(stops)
    rows = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    done = sample(replace(policy, model=model), asked, max_new_tokens=20)
    live = [sum(len(c.token_ids) > t for c in done) for t in range(1, 20)]
    assert rows[0] == len(PROMPTS)  # each prompt is forwarded once, not once a sample
    for forwarded, alive in zip(rows[1:], live, strict=False):
        assert alive <= forwarded <= alive / 0.9 + 1


def test_another_seed_gives_other_samples(policy):
    first = sample(policy, requests(seed=0), max_new_tokens=20)
    second = sample(policy, requests(seed=1), max_new_tokens=20)
    assert [c.token_ids for c in first] != [c.token_ids for c in second]


def test_every_stop_id_ends_a_completion_and_stays_in_its_ids(policy):
    free = sample(policy, requests(samples=8), max_new_tokens=20)
    stop = free[0].token_ids[3]
    model = copy.deepcopy(policy.model)
    model.generation_config.eos_token_id = [policy.tokenizer.eos_token_id, stop]
    stopped = sample(replace(policy, model=model), requests(samples=8), max_new_tokens=20)
    for before, after in zip(free, stopped, strict=True):
        if stop in before.token_ids:
            assert after.token_ids == before.token_ids[: before.token_ids.index(stop) + 1]
            assert after.finish_reason == "stop"
            kept = after.token_ids[:-1]
            assert after.text == policy.tokenizer.decode(kept, skip_special_tokens=True)
        else:
            assert after.token_ids == before.token_ids


def test_length_limit_is_told(policy):
    for completion in sample(policy, requests(), max_new_tokens=5):
        is_cut = completion.token_ids[-1] != policy.tokenizer.eos_token_id
        assert completion.finish_reason == ("length" if is_cut else "stop")
        assert len(completion.token_ids) <= 5


def test_stop_strings_end_a_completion_and_are_cut(policy):
    free = sample(policy, requests(), temperature=0.0, max_new_tokens=12)
    text = policy.tokenizer.decode(free[0].token_ids[:6])
    stop = text[-3:]
    stopped = sample(policy, requests()[:1], temperature=0.0, max_new_tokens=12, stop=(stop,))[0]
    assert stopped.finish_reason == "stop"
    assert stop not in stopped.text
    assert free[0].text.startswith(stopped.text)
    assert len(stopped.token_ids) <= 6


def test_closing_the_stream_abandons_the_rest(policy):
    stream = LocalEngine(policy).sample(requests(samples=4), SamplingParams(max_new_tokens=20))
    next(stream)
    stream.close()


def test_a_prompt_that_does_not_fit_is_refused(policy):
    with pytest.raises(DataError, match=r"problem 0.*4096 positions"):
        sample(policy, requests([(5,) * 4090]), max_new_tokens=20)


def test_an_empty_prompt_is_refused(policy):
    with pytest.raises(DataError, match="problem 0: the prompt is empty"):
        sample(policy, requests([()]))


def test_the_longest_prompt_that_fits_fits(policy):
    (completion,) = sample(policy, requests([(5,) * 4090]), max_new_tokens=6)
    assert completion.token_ids


def test_a_stop_string_is_cut_where_it_first_stands(policy):
    """The token " starts" has two s in it; and of several stops the first in the text counts."""
    tokenizer = policy.tokenizer
    (starts,) = tokenizer(" starts")["input_ids"]
    model = copy.deepcopy(policy.model)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.lm_head.bias = torch.nn.Parameter(torch.zeros(len(tokenizer)))
    model.lm_head.bias.data[starts] = 100.0
    (completion,) = sample(
        replace(policy, model=model), requests()[:1], max_new_tokens=5, stop=("ts", "s")
    )
    assert (completion.text, completion.finish_reason) == (" ", "stop")


def test_text_alone_is_refused(policy):
    blind = replace(requests()[0], prompt_ids=None)
    with pytest.raises(DataError, match="no token ids"):
        sample(policy, [blind])


def test_draw_tokens_inverts_the_cumulative_distribution():
    # probabilities 0.2, 0.5, 0.3: the cumulative distribution is 0.2, 0.7, 1
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(6, 3)
    uniforms = torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 1 - 2**-53], dtype=torch.float64)
    tokens, logprobs = draw_tokens(logits, uniforms, 1.0)
    assert tokens.tolist() == [0, 0, 1, 1, 2, 2]
    torch.testing.assert_close(logprobs.exp(), torch.tensor([0.2, 0.2, 0.5, 0.5, 0.3, 0.3]))


def test_draw_tokens_never_takes_an_impossible_token():
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf")]]).expand(2, 3)
    uniforms = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert draw_tokens(logits, uniforms, 1.0)[0].tolist() == [1, 1]


def test_draw_tokens_frequencies():
    """A chi-squared test at T = 2 over 20,000 draws with a fixed seed (3 degrees of freedom)."""
    from scipy.stats import chisquare

    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    generator = torch.Generator().manual_seed(0)
    uniforms = torch.rand(20_000, generator=generator, dtype=torch.float64)
    tokens, _ = draw_tokens(logits.expand(20_000, 4), uniforms, 2.0)
    expected = 20_000 * torch.softmax(logits.double() / 2.0, 0)
    assert chisquare(torch.bincount(tokens).numpy(), expected.numpy()).pvalue > 0.01
