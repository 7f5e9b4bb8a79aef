"""Training on what vLLM samples: in this process, in every rank's process, and behind servers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mathrl.errors import EngineError
from mathrl.trainers.checkpoint import latest_checkpoint
from mathrl.trainers.runlog import read_records
from tests.vllm.conftest import RunningServer
from tests.vllm.ranks_worker import run

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm makes its environment")

WORKER = Path(__file__).with_name("ranks_worker.py")
LIMIT_S = 300


def weights(out):
    return load_file(out / "policy" / "model.safetensors")


def assert_close_weights(ours, theirs):
    """Adam divides by small gradients' own size, so that rounding shows: a weight moves by 0.03."""
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process with vLLM in it trains."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert run(out).is_finished
    return out


def test_the_policy_moves_and_vllm_follows(alone):
    """Every push is probed, so a run that ends has followed; and its weights are not the first."""
    records = read_records(alone / "metrics.jsonl")
    assert [record["step"] for record in records] == [1, 2, 3]
    before = load_file(alone / "reference" / "model.safetensors")
    after = weights(alone)
    assert all(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_two_ranks_train_as_one(alone, tmp_path, sharding):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *(str(WORKER), str(tmp_path / "run"), sharding),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert_close_weights(weights(tmp_path / "run"), weights(alone))


def test_servers_are_lost_one_by_one(alone, servers, tmp_path):
    """One is killed after step 1: the run goes on. The other after step 2: it stops, saved."""
    out = tmp_path / "run"

    def watch(record):
        if record["step"] in (1, 2):
            servers[record["step"] - 1].kill()

    urls = [server.url for server in servers]
    with pytest.raises(EngineError, match="no vLLM server is left") as caught:
        run(out, [f"engine.urls={urls}"], on_record=watch)
    assert all(url in str(caught.value) for url in urls)
    assert latest_checkpoint(out / "checkpoints").name == "step-000002"
    other = RunningServer("--logprobs-mode", "processed_logprobs").wait()
    try:
        result = run(out, [f"engine.urls={[other.url]}"], policy=None, resume=True)
    finally:
        other.kill()
    assert result.is_finished
    assert_close_weights(weights(out), weights(alone))


def test_a_server_with_raw_logprobs_is_refused(tmp_path):
    server = RunningServer().wait()
    try:
        with pytest.raises(EngineError, match="--logprobs-mode processed_logprobs"):
            run(tmp_path / "run", [f"engine.urls={[server.url]}"])
    finally:
        server.kill()
