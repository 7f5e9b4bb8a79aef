"""A tiny random policy, made once; tests that change it take a copy."""

import copy
from dataclasses import replace

import pytest

from mathrl.trainers.tiny import untrained_policy


@pytest.fixture(scope="session")
def shared_policy():
    return untrained_policy(hidden_size=64, num_layers=2)


@pytest.fixture
def policy(shared_policy):
    return replace(shared_policy, model=copy.deepcopy(shared_policy.model))
