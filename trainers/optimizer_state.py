"""An optimizer's state on disk: one file of whole tensors, or each rank's shards of them.

Shards go through torch.distributed.checkpoint, so that no rank ever holds the whole state; either
form is read by any number of ranks, sharded or not.
"""

import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor, distribute_tensor

from mathrl.errors import StorageError
from mathrl.trainers.parallel import Ranks

WHOLE_FILE = "optimizer.pt"
SHARDS_FOLDER = "optimizer"

State = dict[int, dict[str, Any]]
"""By the place of a parameter in the optimizer, then by name (``exp_avg``, ``step`` …)."""


def save_whole(optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write the state of an optimizer that one rank holds as a whole."""
    torch.save(optimizer.state_dict()["state"], folder / WHOLE_FILE)


def save_shards(optimizer: torch.optim.Optimizer, folder: Path, ranks: Ranks) -> None:
    """Write this rank's shards of the state; all ranks call this together.

    Raises:
        StorageError: A rank could not write.
    """
    state: State = optimizer.state_dict()["state"]
    flat = {f"{index}.{key}": value for index, each in state.items() for key, value in each.items()}
    try:
        save(flat, checkpoint_id=folder / SHARDS_FOLDER, process_group=ranks.shares)
    except CheckpointException as error:
        raise StorageError(_reason(error)) from error


def load_optimizer(optimizer: torch.optim.Optimizer, folder: Path, ranks: Ranks) -> None:
    """Take the state that a checkpoint's folder holds; all ranks call this together.

    Raises:
        StorageError: It, or a shard of it, is missing or cannot be read.
    """
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    if (folder / SHARDS_FOLDER).is_dir():
        state = _read_shards(folder / SHARDS_FOLDER, parameters, ranks)
    else:
        found = _read_whole(folder / WHOLE_FILE)
        state = {
            index: {key: _as_sharded(value, parameters[index]) for key, value in each.items()}
            for index, each in found.items()
        }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _read_whole(path: Path) -> State:
    try:
        # not to the device it was saved from: that is one GPU, and every rank reads it
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise StorageError(f"cannot read {path}: {_reason(error)}") from error
    return state


def _read_shards(folder: Path, parameters: list[Tensor], ranks: Ranks) -> State:
    """Read what this rank needs, into tensors that are sharded as its parameters are."""
    try:
        kept = FileSystemReader(folder).read_metadata().state_dict_metadata
        flat: dict[str, Any] = {}
        for name, entry in kept.items():
            assert isinstance(entry, TensorStorageMetadata), "AdamW's state is all tensors"
            whole = torch.empty(entry.size, dtype=entry.properties.dtype)
            flat[name] = _as_sharded(whole, parameters[int(name.partition(".")[0])])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a rank reads alone is meant
            group = ranks.shares if ranks.is_sharded else None
            load(flat, checkpoint_id=folder, process_group=group, no_dist=not ranks.is_sharded)
    except (CheckpointException, OSError) as error:
        raise StorageError(f"cannot read {folder}: {_reason(error)}") from error
    state: State = {}
    for name, value in flat.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    return state


def _as_sharded(value: Tensor, parameter: Tensor) -> Tensor:
    """The same tensor, in shards where its parameter is; a count of steps is whole everywhere."""
    if not isinstance(parameter, DTensor) or not value.dim():
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements)


def _reason(error: BaseException) -> str:
    """The first cause in a line; torch's own text holds every rank's traceback."""
    failures = getattr(error, "failures", None)
    cause = next(iter(failures.values()))[0] if failures else error
    return str(cause).strip().partition("\n")[0] or type(cause).__name__
