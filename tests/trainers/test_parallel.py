"""Two gloo processes against one: the same gradients, the same run, errors told to all."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mathrl.errors import StorageError
from mathrl.trainers import load_recipe
from mathrl.trainers.checkpoint import checkpoints
from mathrl.trainers.optimizer import prepare
from mathrl.trainers.optimizer_state import load_optimizer
from mathrl.trainers.parallel import ALONE, Ranks, by_weight, owners_of_groups
from mathrl.trainers.runlog import read_records
from mathrl.trainers.tiny import untrained_policy
from tests.trainers.ranks_worker import CASES, LORA, bfloat16_step, one_step, run

WORKER = Path(__file__).with_name("ranks_worker.py")
LIMIT_S = 240
TOLERANCE = 1e-10


def torchrun(job, out):
    """Run the worker on two ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*command, str(WORKER), job, str(out)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """What two ranks leave behind."""
    out = tmp_path_factory.mktemp("two-ranks")
    done = torchrun("work", out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def pairs(work):
    """What each rank has after each case, replicated and sharded, and what one rank alone has."""
    alone = [one_step(*case) for case in CASES]
    found = {}
    for sharding in ("replicated", "sharded"):
        ranks = [torch.load(work / f"{sharding}-{rank}.pt") for rank in range(2)]
        found[sharding] = list(zip(alone, *ranks, strict=True))
    return found


def weights_in(folder):
    return load_file(folder / "model.safetensors")


def weights(run_folder):
    return weights_in(run_folder / "policy")


def distance(ours, theirs):
    """Of all weights, relative to their length."""
    assert ours.keys() == theirs.keys()
    gap, length = (
        torch.cat([tensor.double().flatten() for tensor in tensors]).norm()
        for tensors in ([ours[name] - theirs[name] for name in theirs], theirs.values())
    )
    return float(gap / length)


@pytest.mark.slow
@pytest.mark.parametrize("case", range(3), ids=["demo", "a rank without spread", "rloo"])
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_two_ranks_take_the_step_of_one(pairs, case, sharding):
    alone, first, second = pairs[sharding][case]
    start = pairs[sharding][3][0]["weights"]  # where nothing moved
    for rank in (first, second):
        gap, moved = rank["weights"] - alone["weights"], alone["weights"] - start
        assert gap.abs().max() <= TOLERANCE * moved.abs().max()
        assert rank["stats"] == pytest.approx(alone["stats"], rel=TOLERANCE)
    assert first["num_rows"] + second["num_rows"] == alone["num_rows"]
    assert first["num_rows"] != second["num_rows"]
    assert (0 in (first["num_rows"], second["num_rows"])) == (case == 1)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_what_is_not_finite_on_one_rank_is_skipped_on_all(pairs, sharding):
    alone, first, second = pairs[sharding][3]
    assert alone["is_skipped"] and first["is_skipped"] and second["is_skipped"]
    assert torch.equal(first["weights"], alone["weights"])
    assert torch.equal(second["weights"], alone["weights"])


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_two_ranks_train_the_adapters_of_one(pairs, sharding):
    alone, first, second = pairs[sharding][4]
    assert (
        alone["stats"][1] > 0 and alone["stats"][3] > 0
    )  # a distance to the reference, a gradient
    for rank in (first, second):
        gap = (rank["weights"] - alone["weights"]).abs().max()
        assert gap <= TOLERANCE * alone["stats"][3]  # plain SGD: a step is as long as the gradient
        assert rank["stats"] == pytest.approx(alone["stats"], rel=TOLERANCE)


@pytest.mark.slow
def test_adapters_trained_on_two_ranks_and_their_resume_on_one(work, tmp_path):
    run(tmp_path / "alone", settings=LORA)
    finished = [work / "lora-sharded"]
    for half, sharding in (("lora-half", "replicated"), ("lora-half-sharded", "sharded")):
        folder = tmp_path / half
        shutil.copytree(work / half, folder)
        run(folder, resume=True, sharding=sharding, settings=LORA)
        finished.append(folder)
    alone = load_file(tmp_path / "alone" / "adapter" / "adapter_model.safetensors")
    merged = weights(tmp_path / "alone")
    for folder in finished:
        for name, tensor in load_file(folder / "adapter" / "adapter_model.safetensors").items():
            assert (tensor - alone[name]).norm() <= 1e-5 * alone[name].norm()
        for name, tensor in weights(folder).items():
            torch.testing.assert_close(tensor, merged[name], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_a_run_on_two_ranks_and_its_resume_on_one(work, tmp_path):
    run(tmp_path / "alone")
    finished = [work / "whole", work / "whole-sharded"]
    for half, sharding in (("half", "replicated"), ("half-sharded", "sharded")):
        folder = tmp_path / half
        shutil.copytree(work / half, folder)
        assert not (folder / "policy").exists()
        run(folder, resume=True, sharding=sharding)
        finished.append(folder)
    alone, start = weights(tmp_path / "alone"), weights_in(tmp_path / "alone" / "reference")
    assert distance(start, alone) > 1e-3  # or being close would say nothing
    for folder in finished:
        for other in (alone, weights(work / "whole"), weights(work / "whole-sharded")):
            assert distance(weights(folder), other) <= 1e-7  # float32, eight steps of Adam
    kinds = ("alone", "whole")
    records = [
        read_records(folder / each / "metrics.jsonl")
        for folder, each in zip((tmp_path, work), kinds, strict=True)
    ]
    rewards = [[record["reward/mean"] for record in each] for each in records]
    assert rewards[0] == pytest.approx(rewards[1]) and len(rewards[1]) == 4  # one rank writes
    assert all(record["loss/sampler_gap_max"] < 1e-4 for each in records for record in each)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_two_ranks_add_up_bfloat16_gradients_in_float32(work, sharding):
    alone = bfloat16_step()
    for rank in range(2):
        found = torch.load(work / f"bfloat16-{sharding}-{rank}.pt")
        assert found["gradient"].dtype == found["weights"].dtype == torch.float32
        # each rank's passes round to 8 bits
        gap = (found["gradient"] - alone["gradient"]).norm()
        assert gap <= 2**-7 * alone["gradient"].norm()
        assert not torch.equal(found["weights"].bfloat16().float(), found["weights"])
        # moments and masters, or the moments of half of the weights (and of padding)
        size = alone["num_state_bytes"] / (3 if sharding == "sharded" else 1)
        assert found["num_state_bytes"] == pytest.approx(size, rel=1e-3)
        assert found["num_bytes_left"] == 0 and found["is_state_back"]


@pytest.mark.slow
def test_bfloat16_shards_are_resumed_to_the_last_bit(work):
    for part in ("policy", "checkpoints/step-000004"):
        whole, resumed = (
            load_file(work / run / part / "model.safetensors") for run in ("memory", "half-memory")
        )
        dtype = torch.bfloat16 if part == "policy" else torch.float32
        for name, tensor in whole.items():
            assert tensor.dtype == dtype and torch.equal(tensor, resumed[name])


@pytest.mark.slow
def test_shards_of_two_ranks_are_read_by_one_to_the_last_bit(work):
    model = untrained_policy(hidden_size=64, num_layers=2).model
    optimizer = prepare(model, load_recipe("demo").optimizer)
    load_optimizer(optimizer, work, ALONE)
    found, expected = optimizer.state_dict()["state"], torch.load(work / "together.pt")
    assert found.keys() == expected.keys() and len(found) == len(list(model.parameters()))
    for index, each in expected.items():
        assert each["exp_avg"].abs().sum() > 0
        for key, value in each.items():
            assert torch.equal(found[index][key], value), (index, key)


@pytest.mark.slow
def test_a_shard_that_is_missing_is_told(work, tmp_path):
    shutil.copytree(work / "optimizer", tmp_path / "optimizer")
    next((tmp_path / "optimizer").glob("*.distcp")).unlink()
    model = untrained_policy(hidden_size=64, num_layers=2).model
    optimizer = prepare(model, load_recipe("demo").optimizer)
    with pytest.raises(StorageError, match=r"cannot read .*optimizer"):
        load_optimizer(optimizer, tmp_path, ALONE)


@pytest.mark.slow
def test_an_error_on_one_rank_ends_all_with_that_error(tmp_path):
    done = torchrun("error", tmp_path)
    assert done.returncode != 0
    assert "GradingError: the reward server is gone" in done.stderr
    assert "RankError: rank 1 failed: GradingError: the reward server is gone" in done.stderr


@pytest.mark.slow
def test_a_full_disk_on_the_first_rank_is_told_to_all(tmp_path):
    done = torchrun("full-disk", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"told-{rank}.pt") for rank in "01")
    assert len(first) == len(second) == 6
    for sharding in ("replicated", "sharded"):
        error, saved = first[sharding, "save"]
        assert error.startswith("StorageError: could not write")
        assert "No space left on device" in error and saved == ["step-000000"]
        # the step before the evaluation that failed is saved, and no half of a step
        error, saved = first[sharding, "evaluation"]
        assert error == "StorageError: no space for an evaluation"
        assert saved == ["step-000000", "step-000001"]
        assert first[sharding, "log"] == ("StorageError: no space for rollouts", ["step-000000"])
    for error, _ in second.values():
        assert error.startswith("RankError: rank 0 failed: ") and "no space" in error.lower()


@pytest.mark.slow
def test_ctrl_c_on_one_rank_stops_all_after_the_step_saved(tmp_path):
    done = torchrun("ctrl-c", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for sharding in ("replicated", "sharded"):
        assert (tmp_path / sharding / "checkpoints" / "step-000002").is_dir()


@pytest.mark.slow
def test_a_rank_that_gets_stuck_ends_all_with_a_clear_line(tmp_path):
    done = torchrun("stuck", tmp_path)
    assert done.returncode != 0
    assert "LostRankError: another rank is gone or stuck" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_a_rank_that_is_killed_ends_the_other_and_the_run_goes_on(work, tmp_path, sharding):
    with socket.create_server(("127.0.0.1", 0)) as free:
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    # started as torchrun does, but nobody ends the one because the other is dead
    ranks = [
        subprocess.Popen(
            [sys.executable, str(WORKER), sharding, str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **meeting, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "RANK": rank},
        )
        for rank in "01"
    ]
    told, _ = (rank.communicate(timeout=LIMIT_S)[1] for rank in ranks)
    assert [rank.returncode for rank in ranks] == [1, -signal.SIGKILL]
    assert "LostRankError: another rank is gone or stuck" in told
    assert "go on from the newest checkpoint with --resume" in told
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")][-1] == "step-000002"
    run(tmp_path, resume=True, sharding=sharding)
    assert distance(weights(tmp_path), weights(work / "whole")) <= 1e-7


def test_alone_everything_is_ones_own():
    ranks = Ranks()
    assert ranks.is_first
    assert ranks.exchange(3) == [3]
    assert ranks.share_out([1, 2, 3], [0, 0, 0], lambda items: [2 * each for each in items]) == [
        2,
        4,
        6,
    ]
    tensor = torch.ones(2)
    assert torch.equal(ranks.add_up(tensor), tensor)


def test_loads_are_even_and_the_same_on_every_rank():
    # 9 to rank 0, 8 to rank 1, 3 to rank 1 (8 < 9), 2 to rank 0 (9 < 11)
    assert by_weight([2, 9, 3, 8], 2) == [0, 0, 1, 1]
    assert by_weight([], 2) == []
    assert by_weight([1.0], 3) == [0]


def test_groups_stay_together():
    assert owners_of_groups(["a", "a", "b", "c", "b"], 2) == [0, 0, 1, 0, 1]
