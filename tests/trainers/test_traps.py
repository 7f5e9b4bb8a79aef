"""Mistakes that trainers of this kind have made, each as a case by hand."""

import copy
import random
from dataclasses import replace

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import Qwen2Tokenizer

from mathrl import arithmetic
from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.errors import ConfigError
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers import load_recipe, loop, train
from mathrl.trainers.batch import assemble
from mathrl.trainers.coefficients import TokenBatch, grpo, importance_weights
from mathrl.trainers.methods import build_method
from mathrl.trainers.metrics import step_metrics
from mathrl.trainers.runlog import read_records
from mathrl.trainers.sources import Drawn
from mathrl.trainers.update import update

LOGITS = torch.tensor([0.5, 1.5, 0.0], dtype=torch.float64)  # 23 %, 63 %, 14 %
REWARDS = torch.tensor([1.0, 0.2, 0.6], dtype=torch.float64)
KEPT = torch.tensor([True, True, False])  # what top-p 0.8 keeps


def full(logits):
    return torch.log_softmax(logits, 0)


def within_top_p(logits):
    """The distribution that is sampled from with top-p: what is kept, renormalised."""
    return torch.log_softmax(torch.where(KEPT, logits, -1e4), 0)


def derivative(value):
    """Of a function of the logits, at ``LOGITS``."""
    logits = LOGITS.clone().requires_grad_()
    value(logits).backward()
    return logits.grad


def expected_step(sampled, scored, rewards=REWARDS, *, is_corrected=False):
    """What GRPO's update is in the mean over all samples, by enumeration of the three symbols.

    ``sampled`` gives the log-probs of the distribution that draws, ``scored`` those trained on.
    """

    def objective(logits):
        drawn, here = sampled(LOGITS), scored(logits)
        batch = TokenBatch(
            advantages_BT=rewards * importance_weights(scored(LOGITS), drawn, 100.0)
            if is_corrected
            else rewards,
            old_logprobs_BT=scored(LOGITS),
            mask_BT=KEPT | True,
        )
        coefficient = grpo(here.detach(), batch, clip_low=0.2, clip_high=0.2, beta=0.0)
        return (drawn.exp() * coefficient * here).sum()

    return derivative(objective)


def mean_reward(sampled):
    """The gradient that an update is to be an estimate of: that of the mean reward."""
    return derivative(lambda logits: (sampled(logits).exp() * REWARDS).sum())


def test_top_p_scored_with_the_whole_softmax_biases_the_gradient():
    assert KEPT.tolist() == [True, True, False] and LOGITS.softmax(0)[KEPT].sum() > 0.8
    torch.testing.assert_close(expected_step(full, full), mean_reward(full))
    biased = expected_step(within_top_p, full)
    for unbiased in (mean_reward(full), mean_reward(within_top_p)):
        assert (biased - unbiased).abs().max() > 0.1 * unbiased.abs().max()
    # it even moves where every reward is the same: what was kept becomes likelier
    same = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(expected_step(full, full, same), torch.zeros(3).double())
    assert expected_step(within_top_p, full, same)[2] < -0.1
    # an importance weight cannot mend it: what is never drawn has none
    weighted = expected_step(within_top_p, full, is_corrected=True)
    assert (weighted - mean_reward(full)).abs().max() > 0.1 * mean_reward(full).abs().max()


def test_top_p_scored_with_what_was_kept_has_no_bias():
    ours = expected_step(within_top_p, within_top_p)
    torch.testing.assert_close(ours, mean_reward(within_top_p))


@pytest.mark.parametrize("setting", ["top_p=0.9", "top_k=50", "min_p=0.05"])
def test_so_recipes_refuse_it_and_engines_do_not_know_it(setting):
    with pytest.raises(ConfigError, match="training samples from the whole distribution"):
        load_recipe("demo", [f"rollout.{setting}"])
    key, _, value = setting.partition("=")
    with pytest.raises(TypeError, match=key):
        SamplingParams(**{key: float(value)})


def random_bpe(size, seed):
    """A byte-level BPE whose merges nobody learnt: most sequences of ids are not its own."""
    generator = random.Random(seed)
    words = ["<|pad|>", "<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = []
    while len(words) < size:
        pair = tuple(generator.choices(words[2:], k=2))
        if "".join(pair) not in words:
            merges.append(pair)
            words.append("".join(pair))
    vocabulary = {word: index for index, word in enumerate(words)}
    return Qwen2Tokenizer(vocab=vocabulary, merges=merges, pad_token=words[0], eos_token=words[1])


class Recording(LocalEngine):
    """Remembers what it sampled."""

    def __init__(self, policy):
        super().__init__(policy)
        self.sampled = []

    def sample(self, requests, params):
        for index, completion in super().sample(requests, params):
            self.sampled.append((requests[index].prompt_ids, completion))
            yield index, completion


@pytest.mark.parametrize("seed", range(2))
def test_sampled_ids_are_trained_on_and_never_their_text(policy, tmp_path, monkeypatch, seed):
    tokenizer = random_bpe(policy.model.config.vocab_size, seed)
    policy = replace(policy, tokenizer=tokenizer)
    engine, trained = Recording(policy), []

    def watched(*args):
        batch = real(*args)
        trained.extend(batch.rows)
        return batch

    real = loop.assemble
    monkeypatch.setattr(loop, "assemble", watched)
    sizes = ["rollout.num_problems=2", "rollout.group_size=4", "rollout.max_new_tokens=12"]
    train(
        load_recipe("demo", ["max_steps=2", *sizes]),
        policy=policy,
        problems=arithmetic.generate_problems("train", count=4),
        rewards=[lambda completions, **_: [float(len(text)) for text in completions]],
        out=tmp_path / "run",
        engine=engine,
    )
    assert sorted(trained) == sorted((prompt, each.token_ids) for prompt, each in engine.sampled)
    read_again = [tuple(tokenizer(each.text)["input_ids"]) for _, each in engine.sampled]
    drifted = [
        ids != each.token_ids for ids, (_, each) in zip(read_again, engine.sampled, strict=True)
    ]
    assert sum(drifted) > len(drifted) / 2  # or this test says nothing
    # the log-probs that are trained on are the sampler's, token by token
    for record in read_records(tmp_path / "run" / "metrics.jsonl"):
        assert record["loss/sampler_gap_max"] < 1e-4


END = 1
PROMPT = (5, 6)
COMPLETIONS = [((END,), 1.0), ((7, END), 0.0), ((8, 9, 10), 0.5)]


def rollouts():
    """One ended at once, one after a token, and one that was cut."""
    return [
        Rollout(
            problem=Problem(id="it", prompt="", answer=""),
            prompt_ids=PROMPT,
            completion=Completion(
                text="", token_ids=ids, finish_reason="stop" if ids[-1] == END else "length"
            ),
            group=0,
            policy_version=0,
            score=Score(value=reward, status="correct"),
        )
        for ids, reward in COMPLETIONS
    ]


@pytest.fixture
def padded_with_end(policy):
    """A policy whose padding is its end of sequence."""
    assert policy.tokenizer.eos_token_id == END
    other = copy.deepcopy(policy)
    other.tokenizer.pad_token = other.tokenizer.eos_token
    other.model.config.pad_token_id = other.model.generation_config.pad_token_id = END
    return other


def test_where_padding_is_the_end_the_end_is_trained_and_padding_is_not(
    padded_with_end, exact_norms
):
    model = padded_with_end.model.double()
    recipe = load_recipe("demo", ["loss.beta=0", "optimizer.max_grad_norm=1e9"])
    # rewards 1, 0, 1/2: mean 1/2, std (ddof 1) sqrt((1/4 + 1/4) / 2) = 1/2
    advantages = [1.0, -1.0, 0.0]
    expected = torch.zeros((), dtype=torch.float64)
    for (ids, _), advantage in zip(COMPLETIONS, advantages, strict=True):
        logits = model(input_ids=torch.tensor([PROMPT + ids])).logits[0, 1:-1]
        logprobs = torch.log_softmax(logits, -1)[range(len(ids)), list(ids)]
        expected = expected - advantage * logprobs.sum() / (3 * len(ids))
    gradients = torch.autograd.grad(expected, list(model.parameters()))
    before = [parameter.detach().clone() for parameter in model.parameters()]

    method = build_method(recipe)
    batch = assemble(rollouts(), method, recipe, None, model)
    assert batch.mask_BT.tolist() == [[True, False], [True, True]]  # the third teaches nothing
    assert batch.norm_BT.tolist() == [[1 / 3, 0], [1 / 6, 1 / 6]]
    assert batch.advantages_BT.tolist() == [[1, 0], [-1, -1]]
    stats = update(model, torch.optim.SGD(model.parameters()), batch, method, recipe, lr=1.0)
    for parameter, start, gradient in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(parameter, start - gradient, rtol=0, atol=1e-12)
    metrics = step_metrics(Drawn(rollouts()), [stats])
    assert (metrics["length/mean"], metrics["length/max"], metrics["tokens"]) == (2, 3, 6)
    assert metrics["length/truncated"] == pytest.approx(1 / 3)


def test_sampling_does_not_care_what_the_padding_is(policy, padded_with_end):
    asked = [
        SampleRequest(
            problem_id="", sample_index=i, prompt="", prompt_ids=PROMPT[: 1 + i % 2], seed=i
        )
        for i in range(32)
    ]
    found = []
    for each in (policy, padded_with_end):
        with torch.no_grad():
            each.model.lm_head.weight.mul_(20)  # so that some of them end
        completions = dict(LocalEngine(each).sample(asked, SamplingParams(max_new_tokens=64)))
        found.append([completions[i] for i in range(32)])
    assert found[0] == found[1]
    assert {each.finish_reason for each in found[0]} == {"stop", "length"}


def test_an_end_that_comes_first_is_a_completion_of_one_token(padded_with_end):
    model = padded_with_end.model
    hidden = model.model(input_ids=torch.tensor([PROMPT])).last_hidden_state[0, -1].detach()
    with torch.no_grad():
        model.lm_head.weight[END] = 100 * hidden
    request = SampleRequest(problem_id="", sample_index=0, prompt="", prompt_ids=PROMPT, seed=0)
    ((_, completion),) = LocalEngine(padded_with_end).sample([request], SamplingParams())
    assert completion.token_ids == (END,)
    assert completion.logprobs == pytest.approx((0.0,), abs=1e-6)
    assert (completion.text, completion.finish_reason) == ("", "stop")


@pytest.mark.parametrize("name", ["demo", "dapo"])
def test_where_everything_is_cut_and_left_out_nothing_moves(policy, name):
    model, before = policy.model, copy.deepcopy(policy.model.state_dict())
    recipe = load_recipe(name, ["loss.skips_truncated=true", "loss.beta=0.04"])
    cut = [
        replace(each, completion=replace(each.completion, finish_reason="length"))
        for each in rollouts()
    ]
    method = build_method(recipe)
    batch = assemble(cut, method, recipe, copy.deepcopy(model), model)
    assert batch.norm_BT.abs().max() == 0
    stats = update(model, torch.optim.SGD(model.parameters()), batch, method, recipe, lr=1.0)
    assert (stats.grad_norm, stats.is_skipped) == (0, False)
    for weight, start in zip(model.state_dict().values(), before.values(), strict=True):
        assert torch.equal(weight, start)
