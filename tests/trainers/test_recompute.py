"""Layers that run again in the backward pass: the same gradients, in less memory."""

import copy

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import GPT2Config, GPT2LMHeadModel

from mathrl.errors import ConfigError
from mathrl.trainers import logprobs as module
from mathrl.trainers.logprobs import Scoring, score_completions
from mathrl.trainers.recompute import recompute_layers
from mathrl.trainers.tiny import untrained_policy
from tests.trainers.test_logprobs import groups_of_rows, scored_with_gradients

pytestmark = pytest.mark.usefixtures("through_transformers")


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of every storage made inside that is still alive, whoever holds it."""

    def __init__(self, model):
        super().__init__()
        self.weights = {p.untyped_storage()._cdata for p in model.parameters()}
        self.made = {}
        self.peak = 0
        self.num_calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if torch.is_tensor(tensor) and tensor.untyped_storage()._cdata not in self.weights:
                storage = tensor.untyped_storage()
                self.made[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.num_calls += 1
        if self.num_calls % 5 == 0:  # a look at each would take most of the test's time
            self.peak = max(self.peak, self.now())
        return out

    def now(self):
        self.made = {key: each for key, each in self.made.items() if not each[0].expired()}
        return sum(size for _, size in self.made.values())


@pytest.mark.parametrize("max_tokens", [1, 60, 10**6])
@pytest.mark.parametrize("is_shared", [True, False])
def test_values_and_gradients_are_the_plain_ones(policy, monkeypatch, max_tokens, is_shared):
    monkeypatch.setattr(module, "can_share_prompts", lambda model: is_shared)
    plain, rows = policy.model.double(), groups_of_rows()
    ours = copy.deepcopy(plain)
    recompute_layers(ours)
    scoring = Scoring(temperature=0.8, max_tokens=max_tokens, has_entropy_gradient=True)
    found, expected = (
        scored_with_gradients(model, rows, score_completions(model, rows, scoring))
        for model in (ours, plain)
    )
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("is_shared", [True, False])
def test_activations_take_less_than_half(monkeypatch, is_shared):
    monkeypatch.setattr(module, "can_share_prompts", lambda model: is_shared)
    generator = torch.Generator().manual_seed(0)
    prompt, *completions = (
        tuple(torch.randint(2, 300, (24,), generator=generator).tolist()) for _ in range(5)
    )
    rows = [(prompt, completion) for completion in completions]
    kept, peak = [], []
    for is_checkpointing in (False, True):
        model = untrained_policy(hidden_size=64, num_layers=6).model
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)  # theirs are not what is counted
        if is_checkpointing:
            recompute_layers(model)
        with LiveBytes(model) as live:
            for _, scores in score_completions(model, rows, Scoring()):
                kept.append(live.now())
                scores.logprobs_BT.sum().backward()
        peak.append(live.peak)
    assert kept[1] < 0.25 * kept[0]
    assert peak[1] < 0.6 * peak[0]  # the layer that runs again, and its logits, are there at once


def test_a_copy_runs_its_own_layers(policy):
    recompute_layers(policy.model)
    copied = copy.deepcopy(policy.model)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.zero_()
    ids = torch.tensor([[5, 6, 7]])
    assert copied(input_ids=ids).logits.abs().max() > 0
    copied(input_ids=ids).logits.sum().backward()
    assert copied.model.layers[0].mlp.up_proj.weight.grad.abs().max() > 0


def test_a_model_without_a_list_of_layers_is_refused():
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64))
    with pytest.raises(ConfigError, match=r"set optimizer.is_checkpointing to false"):
        recompute_layers(model)
