"""Each coefficient is the derivative of its objective, token by token, in float64."""

import pytest
import torch

from mathrl.trainers.coefficients import (
    TokenBatch,
    cispo,
    cispo_objective,
    clipped_ratio,
    clipped_ratio_objective,
    grpo,
    grpo_objective,
    gspo,
    gspo_objective,
    importance_weights,
    is_clipped,
    sequence_ratio,
    sft,
    sft_objective,
)
from mathrl.trainers.divergences import DIVERGENCES, MAX_LOG_RATIO
from mathrl.trainers.norms import constant_norm, sequence_norm, token_norm

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
        mask_BT=mask,
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
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
    )
    assert grpo(-3.0 + ratio.log(), batch, **CLIP, beta=0.0).item() == pytest.approx(expected)


def test_zero_advantage_and_no_kl_is_exactly_zero():
    logprobs, batch, _ = random_case(1, has_reference=False)
    still = TokenBatch(
        advantages_BT=torch.zeros_like(logprobs),
        old_logprobs_BT=batch.old_logprobs_BT,
        mask_BT=batch.mask_BT,
    )
    assert grpo(logprobs, still, **CLIP, beta=0.0).abs().max() == 0


def test_k3_is_schulmans_estimator():
    logprobs, batch, _ = random_case(2)
    ratio = torch.exp(batch.ref_logprobs_BT - logprobs)
    expected = ratio - ratio.log() - 1
    torch.testing.assert_close(DIVERGENCES["k3"].value(logprobs, batch.ref_logprobs_BT), expected)
    assert DIVERGENCES["k3"].value(logprobs, logprobs).abs().max() == 0


def expected_gradient(name, *, is_ratio_weighted=False):
    """E over the policy of an estimator's gradient, on policy, by enumeration of three symbols."""
    logits = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    logprobs = torch.log_softmax(logits, 0)
    here = logprobs.detach()
    batch = TokenBatch(
        advantages_BT=torch.zeros(3),
        old_logprobs_BT=here,
        mask_BT=torch.ones(3, dtype=torch.bool),
        ref_logprobs_BT=REFERENCE,
    )
    slope = -grpo(
        here,
        batch,
        **CLIP,
        beta=1.0,
        divergence=DIVERGENCES[name],
        is_ratio_weighted=is_ratio_weighted,
    )
    (here.exp() * slope * logprobs).sum().backward()
    return logits.grad


REFERENCE = torch.log_softmax(torch.tensor([1.0, 0.5, -0.5], dtype=torch.float64), 0)


def divergence_gradient(divergence):
    """The gradient of a divergence itself, at the same logits."""
    logits = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64, requires_grad=True)
    divergence(torch.log_softmax(logits, 0)).backward()
    return logits.grad


def reverse(logprobs):
    """KL(pi || pi_ref)"""
    return (logprobs.exp() * (logprobs - REFERENCE)).sum()


def forward(logprobs):
    """KL(pi_ref || pi)"""
    return (REFERENCE.exp() * (REFERENCE - logprobs)).sum()


def test_what_each_estimators_gradient_is():
    zero = torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(expected_gradient("k1"), zero)
    torch.testing.assert_close(expected_gradient("k2"), divergence_gradient(reverse))
    torch.testing.assert_close(expected_gradient("k3"), divergence_gradient(forward))
    for name in ("k1", "k3"):
        weighted = expected_gradient(name, is_ratio_weighted=True)
        torch.testing.assert_close(weighted, divergence_gradient(reverse))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["k1", "k2", "k3"])
@pytest.mark.parametrize("is_ratio_weighted", [False, True])
def test_a_penalty_is_the_gradient_of_its_objective(seed, name, is_ratio_weighted):
    logprobs, batch, _ = random_case(seed)
    logprobs.requires_grad_()
    options = {
        **CLIP,
        "beta": 0.7,
        "divergence": DIVERGENCES[name],
        "is_ratio_weighted": is_ratio_weighted,
    }
    grpo_objective(logprobs, batch, **options).sum().backward()
    ours = grpo(logprobs.detach(), batch, **options)
    assert (logprobs.grad - ours).abs().max() <= 1e-12


SURROGATES = [
    (clipped_ratio, clipped_ratio_objective),
    (gspo, gspo_objective),
    (cispo, cispo_objective),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("coefficient", "objective"), SURROGATES)
def test_a_surrogate_is_the_gradient_of_its_objective(seed, coefficient, objective):
    logprobs, batch, mask = random_case(seed)
    logprobs.requires_grad_()
    norm = sequence_norm(mask)
    narrow = {"clip_low": 0.05, "clip_high": 0.1}  # a mean of ratios stays nearer to 1
    (norm * objective(logprobs, batch, **narrow)).sum().backward()
    ours = norm * coefficient(logprobs.detach(), batch, **narrow)
    assert (logprobs.grad - ours).abs().max() <= 1e-12
    assert ours[mask].abs().max() > 0


def test_sequence_ratio_by_hand():
    batch = TokenBatch(
        advantages_BT=torch.ones(2, 2),
        old_logprobs_BT=torch.zeros(2, 2, dtype=torch.float64),
        mask_BT=torch.tensor([[True, True], [True, False]]),
    )
    ratios = torch.tensor([[2.0, 8.0], [3.0, 100.0]], dtype=torch.float64)
    # the geometric mean of 2 and 8 is 4; what stands behind an end does not count
    ours = sequence_ratio(ratios.log(), batch)
    torch.testing.assert_close(ours, torch.tensor([[4.0], [3.0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("advantage", "ratio", "expected"), [(2.0, 1.1, 2.2), (2.0, 1.5, 2.56), (-2.0, 0.5, -1.6)]
)
def test_cispo_by_hand(advantage, ratio, expected):
    batch = TokenBatch(
        advantages_BT=torch.full((1, 1), advantage, dtype=torch.float64),
        old_logprobs_BT=torch.zeros(1, 1, dtype=torch.float64),
        mask_BT=torch.ones(1, 1, dtype=torch.bool),
    )
    ours = cispo(torch.tensor([[ratio]], dtype=torch.float64).log(), batch, **CLIP)
    assert ours.item() == pytest.approx(expected)


def test_with_an_advantage_of_one_and_no_penalty_grpo_is_sft():
    logprobs, batch, _ = random_case(0, shift=0.0, has_reference=False)
    ones = TokenBatch(
        advantages_BT=torch.ones_like(logprobs),
        old_logprobs_BT=batch.old_logprobs_BT,
        mask_BT=batch.mask_BT,
    )
    assert torch.equal(grpo(logprobs, ones, **CLIP, beta=0.0), sft(logprobs, ones))


def test_importance_weights_by_hand():
    # exp(-1 - -1.5) = 1.65; exp(-1 - -3) = 7.4, cut at 2
    ours = importance_weights(torch.tensor([-1.0, -1.0]), torch.tensor([-1.5, -3.0]), 2.0)
    assert ours.tolist() == pytest.approx([1.6487, 2.0], abs=1e-4)


def test_a_huge_gap_to_the_reference_stays_finite_and_consistent():
    logprobs = torch.tensor([[-500.0, -25.0]], dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    batch = TokenBatch(
        advantages_BT=zeros,
        old_logprobs_BT=logprobs.detach(),
        mask_BT=torch.ones(1, 2, dtype=torch.bool),
        ref_logprobs_BT=zeros,
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
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert token_norm(nothing).sum() == 0


def test_constant_norm_by_hand():
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    # 2 completions, 10 tokens at most: 1/20 a token, however long its completion is
    torch.testing.assert_close(constant_norm(mask, length=10), mask.double() / 20)
