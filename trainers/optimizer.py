"""AdamW in float32 on whatever a model holds: float32 weights, shards, or bfloat16 ones.

Of a bfloat16 model the optimizer steps float32 masters. Each backward pass adds its gradients to
those of the masters, in float32, and after a step the masters are rounded into the model; a step of
1e-6 moves no bfloat16 weight, but a thousand of them move its master (arXiv 1710.03740). Shards
stay float32 themselves and are rounded on their way into a pass (``sharding.shard``).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from transformers import PreTrainedModel

from mathrl.errors import MissingExtraError
from mathrl.trainers.precision import give_float32_logits, to_bfloat16
from mathrl.trainers.recipe import OptimizerConfig
from mathrl.trainers.recompute import recompute_layers
from mathrl.trainers.sharding import shard

logger = logging.getLogger(__name__)


def prepare(
    model: PreTrainedModel, config: OptimizerConfig, *, is_sharded: bool = False
) -> torch.optim.Optimizer:
    """Make a float32 model what is trained, in place, and AdamW for it.

    Args:
        model: Checkpointed, sharded and rounded as the config says.
        config: The recipe's.
        is_sharded: Each rank is to hold a part of the weights.

    Raises:
        ConfigError: The model's layers cannot be found, or cannot be sharded.
        MissingExtraError: State in 8 bits needs torchao.
    """
    if config.is_offloaded and model.device.type == "cpu":
        logger.warning("optimizer.is_offloaded: the weights are on the CPU, so nothing moves")
    if config.is_checkpointing:
        recompute_layers(model)
    if is_sharded and config.dtype == "bfloat16":
        give_float32_logits(model)
        shard(model, dtype=torch.bfloat16)
    elif is_sharded:
        shard(model)
    elif config.dtype == "bfloat16":
        return _on_masters(model, config)
    return _adamw(_trained(model), config)


def _on_masters(model: PreTrainedModel, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Round the model to bfloat16, and step the float32 weights that it had."""
    weights = _trained(model)
    masters = [Parameter(weight.detach()) for weight in weights]  # keep the float32 storage
    to_bfloat16(model)
    for weight, master in zip(weights, masters, strict=True):
        _hand_on_gradients(weight, master)
    optimizer = _adamw(masters, config)

    @torch.no_grad()
    def round_into_the_model(*_: Any) -> None:
        for weight, master in zip(weights, masters, strict=True):
            weight.copy_(master)

    optimizer.register_step_post_hook(round_into_the_model)
    return optimizer


def stepped(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The tensors that the optimizer steps: weights, or their masters."""
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]


def exact_weights(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """A model's tensors by name, with the masters in the place of what they were rounded to."""
    exact = dict(zip(_trained(model), stepped(optimizer), strict=True))
    tensors: Mapping[str, Tensor] = model.state_dict(keep_vars=True)
    return {name: exact.get(tensor, tensor).detach() for name, tensor in tensors.items()}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        if torch.is_tensor(group["lr"]):  # torchao compiles its step, which reads a tensor
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def _trained(model: PreTrainedModel) -> list[Tensor]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _hand_on_gradients(weight: Tensor, master: Parameter) -> None:
    """Add every gradient of ``weight`` to that of ``master``, and free it."""

    def hand_on(_: Tensor) -> None:
        gradient = weight.grad
        assert gradient is not None  # the hook runs when there is one
        if master.grad is None:
            master.grad = gradient.to(master.dtype)
        else:
            master.grad += gradient
        weight.grad = None

    weight.register_post_accumulate_grad_hook(hand_on)


def _adamw(weights: Sequence[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer:
    if config.state == "8bit":
        return _adamw_8bit(weights, config)
    return torch.optim.AdamW(weights, lr=config.lr, weight_decay=config.weight_decay)


def _adamw_8bit(weights: Sequence[Tensor], config: OptimizerConfig) -> torch.optim.Optimizer:
    """AdamW whose moments are kept in blocks of 8-bit numbers (arXiv 2110.02861)."""
    try:
        from torchao.optim import AdamW8bit
    except ImportError as error:
        raise MissingExtraError(
            "optimizer.state = 8bit needs torchao: pip install 'mathrl[lowbit]'"
        ) from error
    optimizer: torch.optim.Optimizer = AdamW8bit(
        weights, lr=config.lr, weight_decay=config.weight_decay
    )
    if weights[0].device.type == "cpu":
        # compiling the step needs a C++ compiler and about a minute, for little on a CPU
        eager = torch.compiler.set_stance("force_eager")
        optimizer.step = eager(optimizer.step)  # type: ignore[method-assign]
    return optimizer
