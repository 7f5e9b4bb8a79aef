"""An optimizer's state away and back: on a CPU, too, its storage is freed and filled."""

import copy

import pytest
import torch

from mathrl.trainers.offload import offloaded, state_bytes
from mathrl.trainers.optimizer import prepare, stepped
from mathrl.trainers.recipe import OptimizerConfig
from tests.trainers.test_optimizer import give_gradients, gradients_of


def take_steps(model, *, dtype, is_offloaded):
    """Three steps, with the state away between them."""
    optimizer = prepare(model, OptimizerConfig(lr=1e-2, dtype=dtype))
    for seed in range(3):
        give_gradients(model, gradients_of(model, seed))
        optimizer.step()
        optimizer.zero_grad()
        if is_offloaded:
            with offloaded(model, optimizer):
                pass
    return optimizer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_steps_are_the_same_to_the_last_bit(policy, dtype):
    ours, plain = policy.model, copy.deepcopy(policy.model)
    kept = take_steps(plain, dtype=dtype, is_offloaded=False)
    moved = take_steps(ours, dtype=dtype, is_offloaded=True)
    for mine, theirs in zip(stepped(moved), stepped(kept), strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(("dtype", "num_bytes"), [("float32", 8), ("bfloat16", 12)])
def test_moments_and_masters_leave_and_the_weights_stay(policy, dtype, num_bytes):
    model = policy.model
    optimizer = take_steps(model, dtype=dtype, is_offloaded=False)
    storages = [each.untyped_storage() for each in state_bytes(model, optimizer)]
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    count = sum(weight.numel() for weight in weights)
    assert sum(storage.nbytes() for storage in storages) == num_bytes * count
    with offloaded(model, optimizer):
        assert sum(storage.nbytes() for storage in storages) == 0
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            assert torch.equal(parameter, weight)
    assert sum(storage.nbytes() for storage in storages) == num_bytes * count


def test_what_fails_in_sampling_finds_the_state_back(policy):
    optimizer = take_steps(policy.model, dtype="bfloat16", is_offloaded=False)
    before = [each.clone() for each in state_bytes(policy.model, optimizer)]
    with pytest.raises(ZeroDivisionError), offloaded(policy.model, optimizer):
        raise ZeroDivisionError
    after = state_bytes(policy.model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_8_bit_moments_leave_too(policy):
    pytest.importorskip("torchao.optim", reason="needs mathrl[lowbit]")
    optimizer = prepare(policy.model, OptimizerConfig(state="8bit"))
    give_gradients(policy.model, gradients_of(policy.model, 0))
    optimizer.step()
    before = [each.clone() for each in state_bytes(policy.model, optimizer)]
    weight = policy.model.model.layers[0].mlp.up_proj.weight
    codes = optimizer.state[weight]["exp_avg"].codes
    with offloaded(policy.model, optimizer):
        assert codes.untyped_storage().nbytes() == 0
    after = state_bytes(policy.model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
