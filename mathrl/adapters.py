"""LoRA adapters: low-rank weights beside a model's frozen ones (Hu et al., arXiv 2106.09685).

An adapted linear layer computes ``W x + (alpha / rank) B A x``. peft's layers are put inside the
model, which stays the transformers model that it was; files are in peft's format, and everything
here leaves a model without adapters as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mathrl.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER = "default"
"""peft's name for the one adapter of a model."""


def add_adapter(
    model: "PreTrainedModel",
    *,
    rank: int,
    alpha: float,
    target: Sequence[str],
    seed: int,
    base: str,
) -> None:
    """Put an adapter that changes nothing yet into a model, and freeze all other weights.

    Args:
        model: Changed in place.
        rank: Inner size of each adapted layer.
        alpha: What the adapter adds is scaled by ``alpha / rank``.
        target: Ends of the names of the linear layers; ``all-linear``: all but the output head.
        seed: Decides the random A; B is 0.
        base: Name or folder of the model, written into the adapter's file.

    Raises:
        ConfigError: ``target`` names no layer, or one that cannot be adapted.
        MissingExtraError: peft is not installed.
    """
    import torch

    peft = _peft()
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules="all-linear" if "all-linear" in target else list(target),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
    )
    with torch.random.fork_rng(devices=[]):  # peft draws on the CPU
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(config, model, ADAPTER)
        except ValueError as error:
            raise ConfigError(f"lora.target: {str(error).splitlines()[0]}") from error
    for path, layer in _adapted_layers(model):
        if type(layer.get_base_layer()) is not torch.nn.Linear:
            raise ConfigError(f"lora.target: {path} is not a linear layer; name linear layers")
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if hasattr(head, "lora_A") and head.weight is embeddings.weight:
        raise ConfigError(
            "lora.target: the output head is tied to the embeddings, so an adapter on it could "
            "not be merged; leave it out"
        )


def has_adapter(model: "nn.Module") -> bool:
    """Tell whether a model has adapted layers."""
    return any(True for _ in _adapted_layers(model))


@contextmanager
def adapters_off(model: "nn.Module") -> Iterator[None]:
    """Let a model compute what it did before it was adapted."""
    layers = [layer for _, layer in _adapted_layers(model)]
    for layer in layers:
        layer.enable_adapters(False)
        # peft freezes them too, but FSDP settles its types by what is trained at its first pass
        for parameter in (*layer.lora_A.parameters(), *layer.lora_B.parameters()):
            parameter.requires_grad_(True)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merged_weight(layer: Any) -> "Tensor":
    """The weight of a linear layer with what its adapters add, ``W + (alpha / rank) B A``."""
    weight: Tensor = layer.weight.detach()  # of an adapted layer, peft gives the frozen one
    for name in getattr(layer, "active_adapters", ()):
        weight = weight + layer.get_delta_weight(name).detach()
    return weight


def merged_weights(model: "nn.Module") -> "Mapping[str, Tensor]":
    """All weights of a model with its adapters merged, under the names of the plain model.

    The model is not changed. Each adapted weight is computed when it is asked for, so that going
    through them holds one at a time; a model without adapters gives its ``state_dict``.
    """
    return _MergedWeights(model) if has_adapter(model) else model.state_dict()


def adapter_weights(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The adapter's own among an adapted model's tensors, under the names of peft's files."""
    return {
        f"base_model.model.{name.replace(f'.{ADAPTER}.', '.')}": tensor
        for name, tensor in tensors.items()
        if _is_adapters(name)
    }


def save_adapter(
    model: "PreTrainedModel", folder: Path, weights: "Mapping[str, Tensor] | None" = None
) -> None:
    """Write the adapter as a folder that ``peft.PeftModel.from_pretrained(base, folder)`` loads.

    Args:
        model: An adapted model.
        folder: Where to.
        weights: What to write instead of ``adapter_weights``, where the model holds only parts.
    """
    from safetensors.torch import save_file

    tensors = dict(adapter_weights(model.state_dict()) if weights is None else weights)
    folder.mkdir(parents=True, exist_ok=True)
    configs: Any = model.peft_config  # transformers knows it only from models that it adapted
    configs[ADAPTER].save_pretrained(str(folder))
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def load_adapter(model: "nn.Module", folder: Path) -> None:
    """Take the adapter's weights from a folder into a model that was adapted in the same way.

    Raises:
        ConfigError: The folder holds another adapter, or its weights cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"cannot read {folder / WEIGHTS_FILE}: {error}") from error
    own = adapter_weights(model.state_dict())
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in (found, own)]
    if shapes[0] != shapes[1]:
        raise ConfigError(f"{folder} holds an adapter of other layers or of another rank")
    for name, tensor in own.items():
        tensor.copy_(found[name])


def is_adapter_folder(folder: Path) -> bool:
    """Tell whether a folder holds an adapter in peft's format."""
    return (folder / CONFIG_FILE).is_file()


def adapter_base(folder: Path) -> str:
    """Name or folder of the model that the adapter in a folder belongs to.

    Raises:
        ConfigError: The folder does not name it.
    """
    import json

    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        base = config.get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise ConfigError(
            f"{folder / CONFIG_FILE} is not the configuration of an adapter"
        ) from error
    if not isinstance(base, str) or not base:
        raise ConfigError(f"{folder / CONFIG_FILE} does not name its base_model_name_or_path")
    return base


def merge_adapter(model: "PreTrainedModel", folder: Path) -> None:
    """Merge the adapter in a folder into its base model, in place and for good.

    Raises:
        ConfigError: It is no LoRA adapter, or does not fit the model.
        MissingExtraError: peft is not installed.
    """
    peft = _peft()
    config = peft.PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, peft.LoraConfig):
        raise ConfigError(f"{folder} holds an adapter that is not LoRA; merge it into its base")
    try:
        peft.inject_adapter_in_model(config, model, ADAPTER)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the adapter in {folder} does not fit its base: {reason}") from error
    load_adapter(model, folder)
    for path, layer in list(_adapted_layers(model)):
        layer.merge()
        model.set_submodule(path, layer.get_base_layer())
    del model.peft_config
    model.requires_grad_(True)


class _MergedWeights(Mapping[str, "Tensor"]):
    """The weights of an adapted model as those of a plain one, merged at each look-up."""

    def __init__(self, model: "nn.Module") -> None:
        self._plain = {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in model.state_dict().items()
            if not _is_adapters(name)
        }
        self._adapted = {f"{path}.weight": layer for path, layer in _adapted_layers(model)}

    def __getitem__(self, name: str) -> "Tensor":
        layer = self._adapted.get(name)
        return self._plain[name] if layer is None else merged_weight(layer)

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


def _adapted_layers(model: "nn.Module") -> Iterator[tuple[str, Any]]:
    """Paths and layers of peft, told by what they have: no plain model needs peft installed."""
    return ((path, layer) for path, layer in model.named_modules() if hasattr(layer, "lora_A"))


def _is_adapters(name: str) -> bool:
    return ".lora_" in name


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("LoRA needs peft: pip install 'mathrl[lora]'") from error
    return peft
