"""Which layers of a model ``lora.target`` adapts, told on shapes alone and without peft."""

from collections.abc import Sequence

from torch.nn import Linear, Module
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from mathrl.errors import ConfigError

ALL_LINEAR = "all-linear"


def adapted_layers(model: PreTrainedModel, target: Sequence[str]) -> list[Linear]:
    """Find the linear layers that ``mathrl.adapters.add_adapter`` adapts.

    Args:
        model: On any device, ``meta`` too.
        target: Ends of the layers' names; ``all-linear``: all but the output head.

    Raises:
        ConfigError: A name is that of no layer, or of one that cannot be adapted.
    """
    head = model.get_output_embeddings()
    paths = [path for path, _ in model.named_modules()]
    for end in target:
        if end != ALL_LINEAR and not any(_ends_with(path, end) for path in paths):
            raise ConfigError(f"lora.target: {end} is the name of no layer")
    found: list[Linear] = []
    for path, module in model.named_modules():
        if not _is_named(path, module, target, head):
            continue
        if type(module) is not Linear:
            raise ConfigError(f"lora.target: {path} is not a linear layer; name linear layers")
        found.append(module)
    if head in found and head.weight is model.get_input_embeddings().weight:
        raise ConfigError(
            "lora.target: the output head is tied to the embeddings, so an adapter on it could "
            "not be merged; leave it out"
        )
    return found


def check_target(model: PreTrainedModel, target: Sequence[str]) -> None:
    """Refuse names that a model does not have, also where no adapter is trained.

    Raises:
        ConfigError: A name is that of no layer, or of one that cannot be adapted.
    """
    if ALL_LINEAR not in target:
        adapted_layers(model, target)


def _is_named(path: str, module: Module, target: Sequence[str], head: Module) -> bool:
    if ALL_LINEAR in target:
        return isinstance(module, Linear | Conv1D) and module is not head
    return any(_ends_with(path, end) for end in target)


def _ends_with(path: str, end: str) -> bool:
    return path == end or path.endswith(f".{end}")
