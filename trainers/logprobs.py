"""Log-probs of completions under a policy, without ever holding a [B, T, V] tensor.

The rows are prompt + completion, padded on the right: with causal attention no real token sees
the padding, so neither a mask nor position ids are needed. Only the hidden states that predict a
completion token go through the output head, in chunks; each chunk's logits are made again in the
backward pass.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from mathrl.errors import ConfigError

# B completions, L prompt and completion tokens, T completion tokens, N scored positions,
# D hidden size, V vocabulary

CHUNK_ELEMENTS = 2**25
"""Logits in one chunk: 128 MiB in float32."""

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Prompt ids and completion ids."""


def completion_logprobs(
    model: PreTrainedModel, rows: Sequence[Row], *, temperature: float = 1.0
) -> Tensor:
    """Log-prob of each completion token given what comes before it.

    Args:
        model: A causal language model.
        rows: Prompt and completion ids; a prompt has at least one token.
        temperature: Divides the logits, as it did in sampling.

    Returns:
        [B, T] with T the longest completion, float32 (float64 for a float64 model); 0 behind each
        completion's end. Carries a gradient where gradients are on.
    """
    lengths = [len(completion) for _, completion in rows]
    width = max((len(prompt) + len(completion) for prompt, completion in rows), default=0)
    ids_BL = torch.zeros(len(rows), width, dtype=torch.long)
    targets_BT = torch.zeros(len(rows), max(lengths, default=0), dtype=torch.long)
    # the token at position p is predicted by the hidden state at p - 1
    predicts_BL = torch.zeros(len(rows), width, dtype=torch.bool)
    for b, (prompt, completion) in enumerate(rows):
        ids_BL[b, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        targets_BT[b, : len(completion)] = torch.tensor(completion)
        predicts_BL[b, len(prompt) - 1 : len(prompt) - 1 + len(completion)] = True
    mask_BT = completion_mask(lengths)
    device = model.device
    hidden_BLD = model.get_decoder()(input_ids=ids_BL.to(device), use_cache=False).last_hidden_state
    logprobs_N = _chunked_logprobs(
        model.get_output_embeddings(),
        hidden_BLD[predicts_BL.to(device)],
        targets_BT[mask_BT].to(device),
        temperature,
    )
    zeros_BT = torch.zeros(mask_BT.shape, device=device, dtype=logprobs_N.dtype)
    return zeros_BT.masked_scatter(mask_BT.to(device), logprobs_N)


def completion_mask(lengths: Sequence[int]) -> Tensor:
    """True where a completion has a token, bool [B, T]."""
    longest = max(lengths, default=0)
    return torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]


def micro_batches(rows: Sequence[Row], max_tokens: int) -> Iterator[list[int]]:
    """Cut rows into micro-batches of similar length.

    Yields:
        Indices into ``rows``; each micro-batch has at most ``max_tokens`` tokens with its
        padding (or one row), and every row is in exactly one.
    """
    by_length = sorted(range(len(rows)), key=lambda b: -(len(rows[b][0]) + len(rows[b][1])))
    batch: list[int] = []
    width = 0
    for b in by_length:
        if batch and (len(batch) + 1) * width > max_tokens:
            yield batch
            batch = []
        if not batch:
            width = len(rows[b][0]) + len(rows[b][1])
        batch.append(b)
    if batch:
        yield batch


@torch.no_grad()
def check_output_head(model: PreTrainedModel) -> None:
    """Refuse a model whose logits are more than its output head applied to its hidden states.

    Raises:
        ConfigError: The model caps or scales its logits, which would be left out here.
    """
    ids = torch.tensor([[1, 2, 3]], device=model.device)
    hidden = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
    ours = model.get_output_embeddings()(hidden)
    if not torch.allclose(model(input_ids=ids, use_cache=False).logits, ours, atol=1e-4):
        raise ConfigError(
            f"{type(model).__name__} changes its logits after the output head (soft cap or "
            "scale), which training does not support"
        )


def _chunked_logprobs(
    head: torch.nn.Linear, hidden_ND: Tensor, targets_N: Tensor, temperature: float
) -> Tensor:
    def score(hidden_CD: Tensor, targets_C: Tensor) -> Tensor:
        logits_CV = head(hidden_CD)
        # a bfloat16 softmax would be off by percents
        precision = torch.promote_types(logits_CV.dtype, torch.float32)
        logits_CV = logits_CV.to(precision) / temperature
        return -torch.nn.functional.cross_entropy(logits_CV, targets_C, reduction="none")

    chunk = max(1, CHUNK_ELEMENTS // head.out_features)
    if len(targets_N) <= chunk:
        return score(hidden_ND, targets_N)
    pieces = zip(hidden_ND.split(chunk), targets_N.split(chunk), strict=True)
    return torch.cat([checkpoint(score, h, t, use_reentrant=False) for h, t in pieces])
