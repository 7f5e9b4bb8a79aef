"""Each coefficient is the derivative of its objective, token by token, in float64."""

import pytest
import torch

from mathrl.trainers.coefficients import (
    MAX_LOG_RATIO,
    TokenBatch,
    grpo,
    grpo_objective,
    is_clipped,
    kl_k3,
    sequence_norm,
    sft,
    sft_objective,
    token_norm,
)

CLIP = {"clip_low": 0.2, "clip_high": 0.28}


def random_case(seed, *, shift=0.3, has_reference=True):
    """Log-probs near those of the sampler, so that tokens fall on both sides of both clips."""
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return torch.randn(7, 11, generator=generator, dtype=torch.float64)

    old = -normal().abs() - 0.1
    mask = torch.rand(7, 11, generator=generator) < 0.7
    batch = TokenBatch(
        advantages_BT=normal()[:, :1].expand(7, 11),
        old_logprobs_BT=old,
        ref_logprobs_BT=old + 0.5 * normal() if has_reference else None,
    )
    return old + shift * normal(), batch, mask


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("beta", [0.0, 0.04, 1.0])
def test_grpo_is_the_gradient_of_its_objective(seed, beta):
    logprobs, batch, mask = random_case(seed, has_reference=beta > 0)
    logprobs.requires_grad_()
    norm = sequence_norm(mask)
    (norm * grpo_objective(logprobs, batch, **CLIP, beta=beta)).sum().backward()
    ours = norm * grpo(logprobs.detach(), batch, **CLIP, beta=beta)
    assert (logprobs.grad - ours).abs().max() <= 1e-12
    clipped = is_clipped(torch.exp(logprobs.detach() - batch.old_logprobs_BT), batch, 0.2, 0.28)
    assert 0 < clipped[mask].sum() < mask.sum()  # both branches were taken


@pytest.mark.parametrize("seed", range(3))
def test_surrogate_gradient_of_weighted_logprobs(seed):
    """What the loop backpropagates, -sum(norm * GC.detach() * logprob), has that gradient too."""
    logprobs, batch, mask = random_case(seed)
    norm = sequence_norm(mask)
    first = logprobs.clone().requires_grad_()
    second = logprobs.clone().requires_grad_()
    (-(norm * grpo_objective(first, batch, **CLIP, beta=0.04)).sum()).backward()
    coefficient = grpo(second.detach(), batch, **CLIP, beta=0.04)
    (-(norm * coefficient * second).sum()).backward()
    assert (first.grad - second.grad).abs().max() <= 1e-12


def test_on_policy_coefficient_is_equation_21():
    logprobs, batch, _ = random_case(0, shift=0.0)
    expected = batch.advantages_BT + 0.04 * (torch.exp(batch.ref_logprobs_BT - logprobs) - 1)
    torch.testing.assert_close(grpo(logprobs, batch, **CLIP, beta=0.04), expected)


@pytest.mark.parametrize(
    ("advantage", "ratio", "expected"),
    [
        (2.0, 1.0, 2.0),  # on policy: the advantage
        (2.0, 1.1, 2.2),  # inside the clip: ratio * advantage
        (2.0, 1.5, 0.0),  # already made likelier than 1 + 0.28: no more
        (2.0, 0.5, 1.0),  # a good token that became rare is not held back
        (-2.0, 0.5, 0.0),  # already made rarer than 1 - 0.2: no more
        (-2.0, 1.5, -3.0),  # a bad token that became likely is not held back
    ],
)
def test_clip_by_hand(advantage, ratio, expected):
    ratio = torch.tensor([[ratio]], dtype=torch.float64)
    batch = TokenBatch(
        advantages_BT=torch.full((1, 1), advantage, dtype=torch.float64),
        old_logprobs_BT=torch.full((1, 1), -3.0, dtype=torch.float64),
    )
    assert grpo(-3.0 + ratio.log(), batch, **CLIP, beta=0.0).item() == pytest.approx(expected)


def test_zero_advantage_and_no_kl_is_exactly_zero():
    logprobs, batch, _ = random_case(1, has_reference=False)
    still = TokenBatch(
        advantages_BT=torch.zeros_like(logprobs), old_logprobs_BT=batch.old_logprobs_BT
    )
    assert grpo(logprobs, still, **CLIP, beta=0.0).abs().max() == 0


def test_k3_is_schulmans_estimator():
    logprobs, batch, _ = random_case(2)
    ratio = torch.exp(batch.ref_logprobs_BT - logprobs)
    expected = ratio - ratio.log() - 1
    torch.testing.assert_close(kl_k3(logprobs, batch.ref_logprobs_BT), expected)
    assert kl_k3(logprobs, logprobs).abs().max() == 0


def test_k3_gradient_is_that_of_the_forward_kl():
    """E over the policy of k3's gradient is the gradient of KL(ref || policy), by enumeration."""
    logits = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    ref = torch.log_softmax(torch.tensor([1.0, 0.5, -0.5], dtype=torch.float64), 0)
    logprobs = torch.log_softmax(logits, 0)
    coefficient = 1 - torch.exp(ref - logprobs.detach())  # of the penalty: minus GRPO's
    (logprobs.detach().exp() * coefficient * logprobs).sum().backward()
    ours = logits.grad.clone()
    logits.grad = None
    logprobs = torch.log_softmax(logits, 0)
    (ref.exp() * (ref - logprobs)).sum().backward()
    torch.testing.assert_close(ours, logits.grad)


def test_a_huge_gap_to_the_reference_stays_finite_and_consistent():
    logprobs = torch.tensor([[-500.0, -25.0]], dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    batch = TokenBatch(
        advantages_BT=zeros, old_logprobs_BT=logprobs.detach(), ref_logprobs_BT=zeros
    )
    objective = grpo_objective(logprobs, batch, **CLIP, beta=0.04)
    objective.sum().backward()
    coefficient = grpo(logprobs.detach(), batch, **CLIP, beta=0.04)
    bound = 0.04 * (torch.tensor(MAX_LOG_RATIO, dtype=torch.float64).exp() - 1)
    torch.testing.assert_close(coefficient, bound.expand(1, 2))
    torch.testing.assert_close(logprobs.grad, coefficient)
    assert objective.isfinite().all()


def test_sft_is_the_gradient_of_the_log_likelihood():
    logprobs, batch, mask = random_case(4)
    logprobs.requires_grad_()
    norm = token_norm(mask)
    (norm * sft_objective(logprobs, batch)).sum().backward()
    assert (logprobs.grad - norm * sft(logprobs.detach(), batch)).abs().max() == 0


def test_sequence_norm_by_hand():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    # 3 completions of 2, 1 and 0 tokens: 1/(3*2) each, 1/(3*1), and nothing to divide by 0
    expected = torch.tensor([[1 / 6, 1 / 6, 0], [1 / 3, 0, 0], [0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(sequence_norm(mask), expected)


def test_token_norm_by_hand():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    torch.testing.assert_close(token_norm(mask), mask.double() / 3)
    assert token_norm(torch.zeros(2, 3, dtype=torch.bool)).sum() == 0
