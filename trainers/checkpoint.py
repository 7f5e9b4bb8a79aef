"""Checkpoints that survive kill -9 and a full disk.

A checkpoint is written under another name, forced to disk, and renamed once it is whole; so a
folder ``step-000040`` is always complete, and it is an ordinary Hugging Face folder besides; of an
adapted policy it is an ordinary peft folder, without the frozen weights.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from mathrl.adapters import adapter_weights, has_adapter, save_adapter
from mathrl.errors import ConfigError, StorageError
from mathrl.policy import Policy, save_policy
from mathrl.trainers.optimizer import exact_weights
from mathrl.trainers.optimizer_state import save_shards, save_whole
from mathrl.trainers.parallel import ALONE, Ranks
from mathrl.trainers.sharding import whole

STEP_FILE = "trainer.json"


def save_checkpoint(
    folder: Path,
    step: int,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    *,
    keep: int,
    ranks: Ranks = ALONE,
) -> None:
    """Write the checkpoint of a finished step, then delete all but the newest ``keep``.

    Sharded weights are put together first, so that any number of ranks can go on from it, and the
    optimizer's state is written in shards: then all ranks call this together. Of weights that the
    model holds rounded, the float32 masters are written.

    Raises:
        StorageError: It could not be written; the checkpoints before it are intact.
    """
    together = ranks if ranks.is_sharded else ALONE  # otherwise the first rank is here alone
    target = folder / f"step-{step:06d}"
    if together.exchange(target.exists())[0]:  # a step is done once: what is there is the same
        return
    exact = exact_weights(policy.model, optimizer)
    kept = adapter_weights(exact) if has_adapter(policy.model) else exact
    weights = whole(kept, is_kept=ranks.is_first)
    with ExitStack() as stack:

        def begin() -> Path | None:
            return stack.enter_context(whole_folder(target)) if ranks.is_first else None

        draft = together.together(begin)[0]
        assert draft is not None, "the first rank has one"
        if ranks.is_sharded:
            save_shards(optimizer, draft, ranks)

        def finish() -> None:
            _write(draft, step, policy, weights)
            if not ranks.is_sharded:
                save_whole(optimizer, draft)
            stack.close()  # the folder gets its name, or the ranks are told why not

        together.on_first(finish)
    if not ranks.is_first:
        return
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def latest_checkpoint(folder: Path) -> Path:
    """The newest complete checkpoint.

    Raises:
        ConfigError: There is none.
    """
    found = checkpoints(folder)
    if not found:
        raise ConfigError(f"{folder.parent} has no checkpoint to resume from")
    return found[-1]


def checkpoint_step(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(json.loads((checkpoint / STEP_FILE).read_text(encoding="utf-8"))["step"])


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a draft folder to write into; it becomes ``target`` when the block ends well.

    Raises:
        StorageError: Writing failed (a full disk, no permission); ``target`` is untouched.
    """
    draft = target.with_name(f".draft-{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        yield draft
        for path in (*draft.rglob("*"), draft):
            _sync(path)
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
        _sync(target.parent)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch and safetensors report a failed write as errors of their own kind
        shutil.rmtree(draft, ignore_errors=True)
        # torch names a line of its own source where a write fails
        is_torch = type(error) is RuntimeError
        told = (str(error) or type(error).__name__).splitlines()[0]
        reason = "a write failed; is the disk full?" if is_torch else told
        raise StorageError(f"could not write {target}: {reason}") from error


def _write(draft: Path, step: int, policy: Policy, weights: Mapping[str, Tensor]) -> None:
    """Write what a checkpoint holds besides the optimizer's state."""
    if has_adapter(policy.model):
        save_adapter(policy.model, draft, weights)
        policy.tokenizer.save_pretrained(draft)
    else:
        save_policy(policy, draft, weights)
    (draft / STEP_FILE).write_text(json.dumps({"step": step}), encoding="utf-8")


def _sync(path: Path) -> None:
    """Force a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
