"""The optimizer's state on the CPU while an engine samples.

What moves are moments and masters, which sampling does not read. Their storage on the device is
emptied and filled again in place, as FSDP does with its weights, so that no tensor changes its
identity: shards and quantised moments move as plain tensors do.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import PreTrainedModel

from mathrl.trainers.optimizer import stepped


@contextmanager
def offloaded(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Keep the optimizer's state on the CPU within the block; its bits come back as they were."""
    away = [(bytes_, _emptied(bytes_)) for bytes_ in state_bytes(model, optimizer)]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # or the allocator would keep it from other processes
    try:
        yield
    finally:
        for bytes_, copy in away:
            bytes_.untyped_storage().resize_(copy.numel())
            bytes_.copy_(copy)


def state_bytes(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Every storage of an optimizer as bytes; the model's own tensors and counters are left out."""
    own = set(model.parameters())
    masters = [tensor for tensor in stepped(optimizer) if tensor not in own]
    states = [value for state in optimizer.state.values() for value in state.values()]
    tensors = [each for each in [*masters, *states] if torch.is_tensor(each) and each.dim()]
    storages = {
        inner.untyped_storage().data_ptr(): inner.untyped_storage()
        for tensor in tensors
        for inner in _plain(tensor)
    }
    return [
        torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        for storage in storages.values()
    ]


def _plain(tensor: Tensor) -> Iterator[Tensor]:
    """The tensors inside a shard (DTensor) or a quantised one; a plain tensor itself."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    names, _ = tensor.__tensor_flatten__()
    for part in (getattr(tensor, str(name)) for name in names):
        if torch.is_tensor(part):  # a shard names its mesh too
            yield from _plain(part)


def _emptied(bytes_: Tensor) -> Tensor:
    """Copy a storage to the CPU and free it."""
    copy = torch.empty_like(bytes_, device="cpu", pin_memory=bytes_.is_cuda)
    copy.copy_(bytes_)
    bytes_.untyped_storage().resize_(0)
    return copy
