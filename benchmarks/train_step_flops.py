"""The floating-point operations that a step needs, and how fast this machine makes them.

Necessary are: each distinct prompt once, each completion once behind its prompt, no padding, in
float32; forward to sample, forward (and, for the update, twice as much backward) to train. Of the
attention only the pairs that a causal mask lets through count. Softmax, norms and activations
count nothing, so no step can reach this limit.
"""

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel, Qwen2Config

SAMPLING_ROWS, TRAINING_ROWS = 64, 1024
"""Rows of a matrix product while sampling (one token a completion) and while training."""

Rollouts = list[tuple[int, int, int]]
"""(number of the prompt, its tokens, the completion's tokens)"""


@dataclass(frozen=True, slots=True)
class Rates:
    """The fastest that the model's matrix products ran here, in FLOPs a CPU second."""

    sampling: float
    training: float

    def faster(self, other: "Rates") -> "Rates":
        """The better of two measurements: what else the machine does can only slow one down."""
        return Rates(max(self.sampling, other.sampling), max(self.training, other.training))

    def limit_s(self, forward_flops: float, *, has_reference: bool) -> tuple[float, float]:
        """CPU seconds that sampling and the rest of a step take at these rates."""
        passes = 4 if has_reference else 3  # the update's forward and backward, the reference's
        return forward_flops / self.sampling, passes * forward_flops / self.training


def forward_flops(config: Qwen2Config, rollouts: Rollouts) -> int:
    """FLOPs of one forward pass over these rollouts, nothing twice.

    The last token of a completion is never read, and the head is asked for completion tokens only.
    """
    prompts = {prompt: length for prompt, length, _ in rollouts}
    read = sum(prompts.values()) + sum(max(0, length - 1) for _, _, length in rollouts)
    pairs = sum(_triangle(length) for length in prompts.values()) + sum(
        before * max(0, length - 1) + _triangle(max(0, length - 1))
        for _, before, length in rollouts
    )
    scored = sum(length for _, _, length in rollouts)
    return _flops(config, read=read, pairs=pairs, scored=scored)


def check_formula(model: PreTrainedModel) -> None:
    """Compare the formula with torch's own counter on one row, where every pair is computed.

    Args:
        model: With the eager attention, whose products the counter sees.
    """
    length = 12
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=torch.zeros(1, length, dtype=torch.long), use_cache=False).logits
        forward = counter.get_total_flops()
        logits.sum().backward()
    model.zero_grad()
    ours = _flops(model.config, read=length, pairs=length**2, scored=length)
    if (forward, counter.get_total_flops()) != (ours, 3 * ours):
        raise SystemExit(f"{ours} FLOPs by formula, {forward} counted")


def measure_rates(model: PreTrainedModel) -> Rates:
    """Run the model's own matrix products at the two shapes."""
    return Rates(_rate(model, SAMPLING_ROWS), _rate(model, TRAINING_ROWS))


def _triangle(length: int) -> int:
    return length * (length + 1) // 2


def _flops(config: Qwen2Config, *, read: int, pairs: int, scored: int) -> int:
    """2 for each weight and token; 4 for each pair, head and element of a head (q k and p v)."""
    width, head_size = config.hidden_size, config.hidden_size // config.num_attention_heads
    shared = config.num_key_value_heads * head_size
    layer = 2 * width * width + 2 * width * shared + 3 * width * config.intermediate_size
    attention = 4 * pairs * config.num_attention_heads * head_size
    return (
        config.num_hidden_layers * (2 * read * layer + attention)
        + 2 * scored * width * config.vocab_size
    )


@torch.no_grad()
def _rate(model: PreTrainedModel, rows: int, *, repeats: int = 20) -> float:
    weights = [p for p in model.parameters() if p.dim() == 2]
    inputs = {width: torch.randn(rows, width) for width in {w.shape[1] for w in weights}}
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        seconds.append(time.process_time() - start)
    return 2 * rows * sum(weight.numel() for weight in weights) / min(seconds)
