"""Floating-point operations of a decoder's passes: what its matrix products multiply and add.

Pure arithmetic, for ``mathrl plan`` and for the benchmarks' distance to the FLOP limit. A product
of [N, D] and [D, F] counts 2 N D F; norms, softmax and activations are left out (under 1 % of a
model with a hidden size above 1000).
"""

from dataclasses import dataclass

BACKWARD_FACTOR = 2.0
"""A product has two gradients, one for each factor."""
ATTENTION_BACKWARD_FACTOR = 2.5
"""Fused attention makes the scores again in the backward pass: five products for the two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixSizes:
    """The products of one model."""

    linear_parameters: int
    """In the linear maps of the decoder's layers; embeddings are looked up, not multiplied."""
    head_parameters: int
    """In the output head, vocabulary times hidden size, whether tied or not."""
    attention_elements: int
    """Elements of a query and a value, over all heads and layers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """How much goes through the model."""

    tokens: float
    """Through the layers."""
    scored: float
    """Through the output head."""
    pairs: float
    """Of a query and a key."""


def shared_pass(*, num_prompts: int, num_rows: int, prompt: float, completion: float) -> Pass:
    """Each prompt once, then its completions behind it, as ``logprobs.score_completions`` does.

    A completion's last token predicts nothing and is not forwarded. The mask of a completion hides
    pairs, but does not save them: kernels with a mask compute the whole rectangle.

    Args:
        num_prompts: Unique prompts.
        num_rows: Completions.
        prompt: Tokens of a prompt.
        completion: Tokens of a completion.
    """
    forwarded = max(0.0, completion - 1)
    return Pass(
        tokens=num_prompts * prompt + num_rows * forwarded,
        scored=num_rows * completion,
        pairs=num_prompts * prompt**2 + num_rows * forwarded * (prompt + forwarded),
    )


def padded_pass(*, num_rows: int, prompt: float, completion: float) -> Pass:
    """Prompt and completion together, each row with a prompt of its own.

    Args:
        num_rows: Completions.
        prompt: Tokens of a prompt.
        completion: Tokens of a completion.
    """
    length = prompt + completion
    return Pass(tokens=num_rows * length, scored=num_rows * completion, pairs=num_rows * length**2)


def decoding_pass(*, num_prompts: int, num_rows: int, prompt: float, completion: float) -> Pass:
    """Sampling: each prompt once, then token after token, each of which sees all before it.

    Args:
        num_prompts: Unique prompts.
        num_rows: Completions.
        prompt: Tokens of a prompt.
        completion: Tokens of a completion.
    """
    steps = max(0.0, completion - 1)
    return Pass(
        tokens=num_prompts * prompt + num_rows * steps,
        scored=num_prompts + num_rows * steps,
        pairs=num_prompts * prompt**2 + num_rows * steps * (prompt + (steps + 1) / 2),
    )


def forward_flops(sizes: MatrixSizes, done: Pass) -> float:
    """Operations of a forward pass."""
    return _layer_flops(sizes, done) + _attention_flops(sizes, done) + _head_flops(sizes, done)


def update_flops(
    sizes: MatrixSizes,
    done: Pass,
    *,
    is_head_twice: bool = True,
    is_checkpointing: bool = False,
    adapter_parameters: int = 0,
) -> float:
    """Operations of a forward and a backward pass.

    Args:
        sizes: The model.
        done: What goes through it.
        is_head_twice: The logits are made again in the backward pass, as they are wherever they
            come in more than one chunk.
        is_checkpointing: The layers' activations are made again too.
        adapter_parameters: Trained in the place of the weights, whose own gradients are not made.
    """
    weights = 1.0 if adapter_parameters else BACKWARD_FACTOR
    attention = 1 + ATTENTION_BACKWARD_FACTOR + is_checkpointing
    adapters = 2 * adapter_parameters * done.tokens
    return (
        (1 + weights + is_checkpointing) * _layer_flops(sizes, done)
        + attention * _attention_flops(sizes, done)
        + (1 + weights + is_head_twice) * _head_flops(sizes, done)
        + (1 + BACKWARD_FACTOR + is_checkpointing) * adapters
    )


def _layer_flops(sizes: MatrixSizes, done: Pass) -> float:
    return 2 * sizes.linear_parameters * done.tokens


def _attention_flops(sizes: MatrixSizes, done: Pass) -> float:
    return 2 * sizes.attention_elements * done.pairs


def _head_flops(sizes: MatrixSizes, done: Pass) -> float:
    return 2 * sizes.head_parameters * done.scored
