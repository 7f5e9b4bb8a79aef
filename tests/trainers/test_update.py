"""One optimizer step against the plain objective on a whole padded batch, in float64."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from mathrl.errors import ConfigError
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers.batch import assemble
from mathrl.trainers.logprobs import completion_logprobs
from mathrl.trainers.methods import build_method
from mathrl.trainers.recipe import LossConfig, OptimizerConfig, Recipe
from mathrl.trainers.update import learning_rate, update

PROMPTS = [(5, 6, 7), (8, 9)]
COMPLETIONS = [
    ((10, 11, 1), 1.0),
    ((12,), 0.0),
    ((10, 13, 14, 15, 1), 0.0),
    ((), 0.0),  # an empty completion
    ((20, 1), 0.5),
    ((21, 22, 23), 0.25),
    ((24, 1), None),  # no verdict
]


def rollouts():
    return [
        Rollout(
            problem=Problem(id=str(i // 4), prompt="", answer=""),
            prompt_ids=PROMPTS[i // 4],
            completion=Completion(text="", token_ids=ids),
            group=i // 4,
            policy_version=0,
            score=Score(value=reward, status="correct"),
        )
        for i, (ids, reward) in enumerate(COMPLETIONS)
    ]


def recipe(*, beta=0.04, micro_batch_tokens=10**6, updates=1, temperature=1.0, group=4):
    base = Recipe(
        method="grpo",
        loss=LossConfig(beta=beta, updates_per_rollout=updates),
        optimizer=OptimizerConfig(
            lr=1e-2, max_grad_norm=1e9, micro_batch_tokens=micro_batch_tokens
        ),
    )
    return replace(base, rollout=replace(base.rollout, temperature=temperature, group_size=group))


class KeepGradients(torch.optim.SGD):
    """Remembers the gradients of every step."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, lr=lr)
        self.seen = []

    def step(self, closure=None):
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.seen.append([p.grad.clone() for p in parameters])
        return super().step(closure)


def run_updates(policy, config, *, reference=None):
    model = policy.model.double()
    optimizer = KeepGradients(model.parameters(), lr=1.0)
    method = build_method(config)
    batch = assemble(rollouts(), method, config, reference, model)
    stats = [
        update(model, optimizer, batch, method, config, lr=0.5)
        for _ in range(config.loss.updates_per_rollout)
    ]
    return optimizer.seen, stats, batch


def reference_of(shared_policy):
    """Another policy with the same shapes."""
    model = copy.deepcopy(shared_policy.model).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.02 * noise)
    return model


def token_logprobs(model, temperature):
    """Log-probs of every completion that has a verdict, straight from the model's logits."""
    scored = [r for r in rollouts() if r.score.value is not None]
    found = []
    for rollout in scored:
        prompt, ids = rollout.prompt_ids, rollout.completion.token_ids
        logits = model(input_ids=torch.tensor([prompt + ids])).logits[0] / temperature
        logits = logits[len(prompt) - 1 : len(prompt) - 1 + len(ids)]
        found.append(torch.log_softmax(logits, -1)[range(len(ids)), list(ids)])
    return found


# Group 0 has rewards 1 0 0 0, so the mean 1/4 and the std (ddof 1) 1/2;
# group 1 has rewards 1/2 and 1/4, so the mean 3/8 and the std sqrt(1/32).
ADVANTAGES = [1.5, -0.5, -0.5, -0.5, 0.5**0.5, -(0.5**0.5)]


def papers_loss(logprobs, old, ref):
    """Minus Eq. 3 of the paper, completion by completion, with none of our machinery."""
    loss = torch.zeros((), dtype=torch.float64)
    for advantage, new_T, old_T, ref_T in zip(ADVANTAGES, logprobs, old, ref, strict=True):
        if len(new_T) == 0:
            continue
        ratio_T = (new_T - old_T).exp()
        clipped_T = ratio_T.clamp(0.8, 1.2)
        surrogate_T = torch.minimum(ratio_T * advantage, clipped_T * advantage)
        kl_T = (ref_T - new_T).exp() - (ref_T - new_T) - 1
        loss = loss - (surrogate_T - 0.04 * kl_T).mean() / len(ADVANTAGES)
    return loss


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_gradients_of_several_updates_are_those_of_the_papers_objective(
    policy, shared_policy, exact_norms, temperature
):
    """Parameter gradients of three updates in a row, plain SGD between them."""
    reference = reference_of(shared_policy)
    model = copy.deepcopy(policy.model).double()
    with torch.no_grad():
        old, ref = token_logprobs(model, temperature), token_logprobs(reference, temperature)
    config = recipe(temperature=temperature, updates=3)
    ours, stats, _ = run_updates(policy, config, reference=reference)
    for step, gradients in enumerate(ours):
        model.zero_grad()
        papers_loss(token_logprobs(model, temperature), old, ref).backward()
        for mine, parameter in zip(gradients, model.parameters(), strict=True):
            torch.testing.assert_close(mine, parameter.grad, rtol=0, atol=1e-12)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.5 * parameter.grad)
        clipped = stats[step].clip_frac_low + stats[step].clip_frac_high
        assert (clipped > 0) == (step > 0)  # later updates meet the clip


@pytest.mark.parametrize("micro_batch_tokens", [1, 9, 20])
def test_micro_batch_size_changes_nothing(shared_policy, policy, exact_norms, micro_batch_tokens):
    reference = reference_of(shared_policy)
    other = replace(policy, model=copy.deepcopy(policy.model))
    whole, whole_stats, _ = run_updates(policy, recipe(updates=3), reference=reference)
    config = recipe(updates=3, micro_batch_tokens=micro_batch_tokens)
    cut, cut_stats, _ = run_updates(other, config, reference=reference)
    for mine, theirs in zip(whole, cut, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(whole_stats, cut_stats, strict=True):
        ours, theirs = ((each.kl, each.clip_frac_low, each.clip_frac_high) for each in (a, b))
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_later_updates_are_measured_from_the_sampling_policy(policy, shared_policy, exact_norms):
    _, stats, batch = run_updates(policy, recipe(updates=3), reference=reference_of(shared_policy))
    assert stats[0].clip_frac_low == stats[0].clip_frac_high == 0  # on policy the ratio is 1
    assert stats[-1].clip_frac_low + stats[-1].clip_frac_high > 0  # lr 0.5 moves far
    rows = batch.rows
    with torch.no_grad():
        before = completion_logprobs(shared_policy.model.double(), rows)
    shared_policy.model.float()
    torch.testing.assert_close(batch.old_logprobs_BT, before, rtol=0, atol=1e-12)


def test_groups_without_spread_move_nothing(policy):
    config = recipe(beta=0.0)
    model = policy.model
    before = [p.detach().clone() for p in model.parameters()]
    method = build_method(config)
    same = [replace(r, score=Score(value=1.0, status="correct")) for r in rollouts()]
    batch = assemble(same, method, config, None, model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.0)
    stats = update(model, optimizer, batch, method, config, lr=1.0)
    assert stats.grad_norm == 0
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, new)


def test_only_groups_with_spread_are_forwarded_where_nothing_else_moves_a_weight(policy):
    same = [
        replace(r, score=Score(value=1.0, status="correct")) if r.group == 0 else r
        for r in rollouts()
    ]
    for loss, num_rows in ({"beta": 0.0}, 2), ({"beta": 0.04}, 6), ({"beta": 0, "entropy": 0.1}, 6):
        config = replace(recipe(), loss=LossConfig(**loss))
        reference = policy.model if config.loss.beta else None
        batch = assemble(same, build_method(config), config, reference, policy.model)
        assert len(batch.rows) == num_rows
        assert batch.num_completions == 6
        # 6 completions count, so a token of the last, of 3 tokens, weighs 1/18
        assert batch.norm_BT[-1, :3].tolist() == pytest.approx([1 / 18] * 3)


def test_truncated_completions_are_left_out_of_the_loss_and_of_its_denominator(policy):
    config = replace(recipe(), loss=LossConfig(beta=0.0, norm="token", skips_truncated=True))
    cut = [
        replace(r, completion=replace(r.completion, finish_reason="length")) if i == 2 else r
        for i, r in enumerate(rollouts())
    ]
    batch = assemble(cut, build_method(config), config, None, policy.model)
    # 14 tokens have a verdict, 5 of them were cut
    kept = batch.norm_BT[batch.norm_BT > 0]
    assert kept.tolist() == pytest.approx([1 / 9] * 9)
    assert sorted(len(completion) for _, completion in batch.rows) == [1, 2, 3, 3]
    # its reward still counts in its group: mean 1/4 and std 1/2
    assert batch.advantages_BT[0, 0].item() == pytest.approx(1.5)


def test_a_penalty_in_the_reward_comes_off_before_credit(policy, shared_policy, exact_norms):
    """Against -beta * (log pi - log pi_ref), summed over each completion by hand."""
    reference = reference_of(shared_policy)
    model = policy.model.double()
    loss = LossConfig(beta=0.5, kl="k1", kl_in="reward", advantage="group_centred")
    config = replace(recipe(), loss=loss)
    batch = assemble(rollouts(), build_method(config), config, reference, model)
    with torch.no_grad():
        pairs = list(zip(token_logprobs(model, 1.0), token_logprobs(reference, 1.0), strict=True))
    rewards = [1.0, 0.0, 0.0, 0.0, 0.5, 0.25]
    returns = [
        reward - 0.5 * float((new - ref).sum())
        for reward, (new, ref) in zip(rewards, pairs, strict=True)
    ]
    first = returns[0] - sum(returns[:4]) / 4
    assert batch.ref_logprobs_BT is None  # the loss has no penalty of its own
    assert batch.advantages_BT[0, :3].tolist() == pytest.approx([first] * 3, rel=1e-9)


def test_an_entropy_bonus_is_the_gradient_of_the_entropy(policy, exact_norms):
    """A step without spread: all that is left is the bonus, by the method's norm."""
    config = replace(recipe(), loss=LossConfig(beta=0.0, entropy=0.3))
    model = policy.model.double()
    same = [replace(r, score=Score(value=1.0, status="correct")) for r in rollouts()]
    plain = copy.deepcopy(model)
    method = build_method(config)
    batch = assemble(same, method, config, None, model)
    optimizer = KeepGradients(model.parameters(), lr=1.0)
    update(model, optimizer, batch, method, config, lr=0.0)
    loss = torch.zeros((), dtype=torch.float64)
    for prompt, ids in batch.rows:
        if ids:
            logits = plain(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
            chances = torch.softmax(logits, -1)
            entropy = -(chances * chances.log()).sum(-1)
            loss = loss - 0.3 * entropy.mean() / len(batch.rows)
    loss.backward()
    for mine, parameter in zip(optimizer.seen[0], plain.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=0, atol=1e-12)


def test_importance_weights_multiply_the_advantage(policy, exact_norms):
    config = replace(recipe(), loss=LossConfig(beta=0.0, importance_cap=1.5))
    model = policy.model.double()
    with torch.no_grad():
        logprobs = {tuple(row): token_logprobs(model, 1.0)[b] for b, row in enumerate(ids_of())}
    shifted = [
        replace(
            r,
            completion=replace(
                r.completion, logprobs=tuple(shifted_by(logprobs, r.completion.token_ids))
            ),
        )
        for r in rollouts()
    ]
    method = build_method(config)
    batch = assemble(shifted, method, config, None, model)
    optimizer = KeepGradients(model.parameters(), lr=1.0)
    update(model, optimizer, batch, method, config, lr=0.0)
    # the sampler was 0.1 nats too low at first tokens and 1 nat at all others, cut at 1.5
    tokens = batch.tokens([0], batch.old_logprobs_BT[[0]], 1.5)
    weights = tokens.advantages_BT[0, :3] / batch.advantages_BT[0, :3]
    assert weights.tolist() == pytest.approx([math.exp(0.1), 1.5, 1.5], rel=1e-9)


def ids_of():
    return [ids for ids, reward in COMPLETIONS if reward is not None]


def shifted_by(logprobs, ids):
    """What a sampler of another arithmetic would have reported."""
    exact = logprobs.get(tuple(ids))
    if exact is None:  # no verdict, so it is never read
        return [0.0] * len(ids)
    return [value - (0.1 if t == 0 else 1.0) for t, value in enumerate(exact.tolist())]


def test_without_the_samplers_logprobs_there_is_nothing_to_correct(policy):
    config = replace(recipe(), loss=LossConfig(beta=0.0, importance_cap=1.5))
    with pytest.raises(ConfigError, match="importance_cap"):
        assemble(rollouts(), build_method(config), config, None, policy.model)


def test_a_gradient_that_is_not_finite_is_skipped(policy):
    config = recipe(beta=0.0)
    method = build_method(config)
    batch = assemble(rollouts(), method, config, None, policy.model)
    batch.advantages_BT[0, 0] = float("nan")
    before = [p.detach().clone() for p in policy.model.parameters()]
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1.0)
    stats = update(policy.model, optimizer, batch, method, config, lr=1.0)
    assert stats.is_skipped
    for old, new in zip(before, policy.model.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is None


def test_rollouts_without_a_verdict_are_left_out(policy):
    config = recipe(beta=0.0)
    batch = assemble(rollouts(), build_method(config), config, None, policy.model)
    assert batch.num_completions == 6
    assert len(batch.rows) == 5  # the empty one can move nothing
    # 6 completions count, so a token of the first, of 3 tokens, weighs 1/18
    assert batch.norm_BT[0].tolist() == pytest.approx([1 / 18, 1 / 18, 1 / 18, 0, 0])


def test_gradients_are_clipped_by_their_norm(policy):
    config = recipe(beta=0.0)
    config = replace(config, optimizer=replace(config.optimizer, max_grad_norm=0.01))
    (seen,), (stats,), _ = run_updates(policy, config)
    assert stats.grad_norm > 0.01  # before clipping
    norm = torch.stack([g.norm() for g in seen]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_a_step_is_the_learning_rate_times_the_gradient(policy, shared_policy):
    config = recipe(beta=0.0)
    ((first, *_),), _, _ = run_updates(policy, config)  # plain SGD at lr 0.5
    before = next(iter(shared_policy.model.double().parameters())).clone()
    shared_policy.model.float()
    after = next(iter(policy.model.parameters()))
    torch.testing.assert_close(after, before - 0.5 * first, rtol=0, atol=1e-12)


def test_kl_is_the_mean_over_tokens(policy, shared_policy):
    """Against k3 written out for the 14 tokens with a verdict, one by one."""
    reference = reference_of(shared_policy)
    config = recipe()
    _, (stats,), batch = run_updates(policy, config, reference=reference)
    gaps = (batch.ref_logprobs_BT - batch.old_logprobs_BT)[batch.mask_BT].tolist()
    assert len(gaps) == 14
    expected = sum(math.exp(gap) - gap - 1 for gap in gaps) / 14
    assert stats.kl == pytest.approx(expected, rel=1e-9)


def test_clip_fracs_are_the_shares_of_tokens_that_the_clip_stops_on_each_side(policy):
    config = recipe(beta=0.0)
    config = replace(config, loss=replace(config.loss, clip_low=0.05, clip_high=0.3))
    method = build_method(config)
    model = policy.model.double()
    batch = assemble(rollouts(), method, config, None, model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    update(model, optimizer, batch, method, config, lr=0.5)
    with torch.no_grad():
        ratio = torch.exp(completion_logprobs(model, batch.rows) - batch.old_logprobs_BT)
    is_good = batch.advantages_BT > 0
    low = int((batch.mask_BT & ~is_good & (ratio < 0.95)).sum())
    high = int((batch.mask_BT & is_good & (ratio > 1.3)).sum())
    second = update(model, optimizer, batch, method, config, lr=0.5)
    assert 0 < low != high > 0
    count = int(batch.mask_BT.sum())
    assert second.clip_frac_low == pytest.approx(low / count)
    assert second.clip_frac_high == pytest.approx(high / count)


def test_learning_rate_by_hand():
    config = OptimizerConfig(lr=1.0, warmup_steps=4, schedule="linear")
    rates = [learning_rate(config, index, 8) for index in range(8)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25])
    constant = replace(config, schedule="constant")
    assert [learning_rate(constant, index, 8) for index in (3, 7)] == [1.0, 1.0]
    cosine = replace(config, schedule="cosine", warmup_steps=0)
    assert learning_rate(cosine, 4, 8) == pytest.approx(0.5)
