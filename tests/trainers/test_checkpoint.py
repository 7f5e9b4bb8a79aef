"""Checkpoints are whole or absent, whatever the disk does."""

import resource
import signal

import pytest
import torch

from mathrl.errors import ConfigError, StorageError
from mathrl.trainers.checkpoint import (
    checkpoint_step,
    checkpoints,
    latest_checkpoint,
    save_checkpoint,
    whole_folder,
)
from mathrl.trainers.optimizer_state import WHOLE_FILE, load_optimizer
from mathrl.trainers.parallel import ALONE


@pytest.fixture
def optimizer(policy):
    optimizer = torch.optim.AdamW(policy.model.parameters(), lr=1e-3)
    sum(p.sum() for p in policy.model.parameters()).backward()
    optimizer.step()
    return optimizer


@pytest.fixture
def small_files():
    """No file may grow beyond 100 kB, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_what_was_saved_is_loaded(policy, optimizer, tmp_path):
    save_checkpoint(tmp_path, 7, policy, optimizer, keep=1)
    path = latest_checkpoint(tmp_path)
    assert checkpoint_step(path) == 7
    fresh = torch.optim.AdamW(policy.model.parameters(), lr=1e-3)
    load_optimizer(fresh, path, ALONE)
    first = next(iter(policy.model.parameters()))
    assert torch.equal(fresh.state[first]["exp_avg"], optimizer.state[first]["exp_avg"])


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"not a pickle"])
def test_a_state_that_cannot_be_read_is_told(policy, optimizer, tmp_path, content):
    save_checkpoint(tmp_path, 7, policy, optimizer, keep=1)
    path = latest_checkpoint(tmp_path) / WHOLE_FILE
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=r"cannot read .*optimizer\.pt"):
        load_optimizer(optimizer, path.parent, ALONE)


def test_the_newest_stay(policy, optimizer, tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, policy, optimizer, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000002", "step-000010"]
    assert latest_checkpoint(tmp_path).name == "step-000010"


def test_a_full_disk_leaves_the_last_good_checkpoint(policy, optimizer, tmp_path, request):
    save_checkpoint(tmp_path, 1, policy, optimizer, keep=1)
    good = latest_checkpoint(tmp_path)
    request.getfixturevalue("small_files")
    with pytest.raises(StorageError, match=r"could not write .*step-000002"):
        save_checkpoint(tmp_path, 2, policy, optimizer, keep=1)
    assert list(tmp_path.iterdir()) == [good]  # and no half-written rest
    assert checkpoint_step(good) == 1


def test_a_draft_is_not_a_checkpoint(tmp_path):
    (tmp_path / ".draft-step-000001").mkdir()
    with pytest.raises(ConfigError, match="no checkpoint"):
        latest_checkpoint(tmp_path)


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    with pytest.raises(KeyError), whole_folder(tmp_path / "it") as draft:
        (draft / "part").write_text("x")
        raise KeyError
    assert not (tmp_path / "it").exists()
