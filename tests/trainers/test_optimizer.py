"""Masters and quantised moments against AdamW on float32 weights."""

import copy
import sys

import pytest
import torch

from mathrl.errors import MissingExtraError
from mathrl.trainers.batch import assemble
from mathrl.trainers.methods import build_method
from mathrl.trainers.offload import state_bytes
from mathrl.trainers.optimizer import exact_weights, prepare, set_learning_rate, stepped
from mathrl.trainers.recipe import OptimizerConfig, load_recipe
from mathrl.trainers.update import update
from tests.trainers.test_update import rollouts


def gradients_of(model, seed):
    """Random numbers that bfloat16 holds exactly, one a weight."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(p.shape, generator=generator).bfloat16() for p in model.parameters()]


def give_gradients(model, gradients):
    """Take a backward pass with these gradients."""
    pairs = zip(model.parameters(), gradients, strict=True)
    torch.autograd.backward(*zip(*((p, g.to(p.dtype)) for p, g in pairs), strict=True))


def test_steps_too_small_for_bfloat16_add_up_as_in_float32(policy):
    model, plain = policy.model, copy.deepcopy(policy.model)
    start = copy.deepcopy(policy.model).bfloat16()
    optimizer = prepare(model, OptimizerConfig(lr=1e-6, dtype="bfloat16"))
    reference = torch.optim.AdamW(plain.parameters(), lr=1e-6, weight_decay=0.0)
    pure = copy.deepcopy(start)
    lost = torch.optim.AdamW(pure.parameters(), lr=1e-6, weight_decay=0.0)
    gradients = [gradient.abs() for gradient in gradients_of(model, 0)]  # all one way
    for _ in range(50):
        for each, stepping in ((model, optimizer), (plain, reference), (pure, lost)):
            give_gradients(each, gradients)
            stepping.step()
            stepping.zero_grad()
    masters = stepped(optimizer)
    for ours, exact, rounded in zip(masters, plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, exact)
        assert torch.equal(rounded, exact.bfloat16())
    name = "model.norm.weight"  # all 1: 50 steps of 1e-6 are 5e-5, and bfloat16 knows 1 and 0.996
    assert torch.equal(pure.state_dict()[name], start.state_dict()[name])
    moved = exact_weights(model, optimizer)[name]
    torch.testing.assert_close(moved, torch.full((64,), 1 - 5e-5), rtol=0, atol=1e-6)


def test_gradients_of_micro_batches_add_up_in_float32(policy):
    model = policy.model
    optimizer = prepare(model, OptimizerConfig(dtype="bfloat16"))
    parts = [gradients_of(model, seed) for seed in range(5)]
    for part in parts:
        give_gradients(model, part)
    for place, master in enumerate(stepped(optimizer)):
        total = parts[0][place].float()
        for part in parts[1:]:
            total = total + part[place].float()
        assert torch.equal(master.grad, total)
    assert all(parameter.grad is None for parameter in model.parameters())


def step_gradients(model, micro_batch_tokens):
    """The gradients that one update hands to AdamW."""
    settings = ["optimizer.dtype=bfloat16", f"optimizer.micro_batch_tokens={micro_batch_tokens}"]
    recipe = load_recipe("demo", [*settings, "loss.beta=0", "optimizer.max_grad_norm=1e9"])
    optimizer, seen = prepare(model, recipe.optimizer), []
    optimizer.register_step_pre_hook(
        lambda *_: seen.extend(master.grad.flatten() for master in stepped(optimizer))
    )
    method = build_method(recipe)
    batch = assemble(rollouts(), method, recipe, None, model)
    update(model, optimizer, batch, method, recipe, lr=1.0)
    return torch.cat(seen)


def test_the_size_of_micro_batches_changes_a_gradient_by_rounding_alone(policy):
    whole, *cut = (step_gradients(copy.deepcopy(policy.model), size) for size in (10**6, 8, 1))
    for gradient in cut:
        assert (gradient - whole).norm() <= 2**-7 * whole.norm()


def objective(model, settings):
    """The objective's surrogate before each of 12 updates on the same rollouts."""
    recipe = load_recipe("demo", ["loss.beta=0", "rollout.group_size=4", *settings])
    optimizer, method = prepare(model, recipe.optimizer), build_method(recipe)
    seen = []
    for _ in range(12):
        batch = assemble(rollouts(), method, recipe, None, model)
        update(model, optimizer, batch, method, recipe, lr=1e-3)
        seen.append(float((batch.norm_BT * batch.advantages_BT * batch.old_logprobs_BT).sum()))
    return torch.tensor(seen)


def test_bfloat16_learns_as_float32_does(policy):
    exact = objective(copy.deepcopy(policy.model), [])
    ours = objective(policy.model, ["optimizer.dtype=bfloat16"])
    assert exact[-1] - exact[0] > 0.9  # nats
    assert (ours - exact).abs().max() <= 0.01 * (exact[-1] - exact[0])


def test_the_masters_are_what_a_checkpoint_gets(policy):
    start = {name: tensor.clone() for name, tensor in policy.model.state_dict().items()}
    optimizer = prepare(policy.model, OptimizerConfig(dtype="bfloat16"))
    kept = exact_weights(policy.model, optimizer)
    assert kept.keys() == start.keys() == policy.model.state_dict().keys()
    assert all(torch.equal(kept[name], start[name]) for name in start)


def test_float32_is_plain_adamw_on_the_weights_themselves(policy):
    optimizer = prepare(policy.model, OptimizerConfig(lr=0.1, weight_decay=0.2))
    assert type(optimizer) is torch.optim.AdamW
    assert all(a is b for a, b in zip(stepped(optimizer), policy.model.parameters(), strict=True))
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.1, 0.2)


def test_8_bits_without_torchao_name_the_extra(policy, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.optim", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[lowbit\]'"):
        prepare(policy.model, OptimizerConfig(state="8bit"))


@pytest.fixture
def torchao():
    return pytest.importorskip("torchao.optim", reason="needs mathrl[lowbit]")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_8_bit_moments_follow_adamw(policy, torchao, dtype):
    model, plain = policy.model, copy.deepcopy(policy.model)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = prepare(model, OptimizerConfig(dtype=dtype, state="8bit"))
    reference = torch.optim.AdamW(plain.parameters(), weight_decay=0.0)
    for seed in range(4):
        for each, stepping in ((model, optimizer), (plain, reference)):
            set_learning_rate(stepping, 1e-2 / (seed + 1))
            give_gradients(each, gradients_of(model, seed))
            stepping.step()
            stepping.zero_grad()
    for ours, exact, first in zip(stepped(optimizer), plain.parameters(), start, strict=True):
        # 8 bits are a few percents of a moment; the first step is exact
        assert (ours - exact).norm() <= 0.05 * (exact - first).norm()


def test_8_bit_moments_take_two_bytes_a_weight(torchao):
    model = torch.nn.Linear(1024, 1024, bias=False)
    optimizer = prepare(model, OptimizerConfig(state="8bit"))
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    num_bytes = sum(each.numel() for each in state_bytes(model, optimizer))
    # two codes of a byte, a float32 scale for each 256 of them, two tables of 256 float32
    assert num_bytes == 2 * (1024**2 + 4 * 1024**2 // 256 + 4 * 256)
