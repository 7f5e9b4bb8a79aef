"""A tiny random policy, made once; tests that change it take a copy."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from mathrl.trainers.tiny import untrained_policy


@pytest.fixture(scope="session")
def shared_policy():
    return untrained_policy(hidden_size=64, num_layers=2)


@pytest.fixture
def policy(shared_policy):
    return replace(shared_policy, model=copy.deepcopy(shared_policy.model))


@pytest.fixture
def exact_norms(monkeypatch):
    """Let RMS norms stay in float64: transformers computes them in float32, so that two orders of
    the same sum differ by 1e-8 in their gradients, whatever the model's type."""

    def forward(self, hidden):
        scale = torch.rsqrt(hidden.square().mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * (hidden * scale)

    monkeypatch.setattr(Qwen2RMSNorm, "forward", forward)


@pytest.fixture
def through_transformers(monkeypatch):
    """Read every model through transformers, as models are that are larger than those of tests."""
    monkeypatch.setattr("mathrl.engines.decoder.MAX_PARAMETERS", 0)
