"""Log-probs of completions under a policy: each prompt once, and never a [B, T, V] tensor.

The completions of a group share their prompt. It is forwarded once, its keys and values become
leaves, and the completions read them in micro-batches of similar length; after the last of these
one backward pass takes the gradients that the leaves gathered through the prompt. So a trained
token costs what it costs, whatever the group's size, and the gradient is that of the padded batch.

Only hidden states that predict a completion token go through the output head, in chunks; the
logits of a chunk are made again in the backward pass.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from mathrl.engines.decoder import is_plain
from mathrl.errors import ConfigError
from mathrl.trainers.packing import KeysValues, Prefix, read

logger = logging.getLogger(__name__)

# B completions, U unique prompts, P prompt tokens, L prompt and completion tokens, T completion
# tokens, N scored positions, D hidden size, V vocabulary

CHUNK_ELEMENTS = 2**25
"""Logits in one chunk: 128 MiB in float32."""
MAX_PADDING = 0.3
"""A completion shorter than the longest of its micro-batch by this share begins another one."""
MIN_BUCKET_TOKENS = 1024
"""A micro-batch smaller than this is not worth being cut for its padding."""
CPU_TOKENS = 1024
"""Most tokens of a forward pass of ours on a CPU: more are not faster, and hold more memory."""

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Prompt ids and completion ids."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a policy says of some completions, float32 (float64 for a float64 model); 0 behind
    each completion's end."""

    logprobs_BT: Tensor
    """Log-prob of each token given what comes before it; has a gradient where gradients are on."""
    entropies_BT: Tensor
    """Entropy in nats of the distribution that each token was drawn from; gradient on request."""


Plan = list[list[int]]
"""Tokens to score in each micro-batch of each part; the micro-batches of a part share prompts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring:
    """How completions are scored."""

    temperature: float = 1.0
    """Divides the logits, as it did in sampling."""
    max_tokens: int = 16_384
    """Most tokens of one forward pass, padding included (or one row)."""
    has_entropy_gradient: bool = False
    """The entropies have a gradient; costs memory, so only where there is an entropy bonus."""
    align: Callable[[Plan], Plan] | None = None
    """Makes the plans of all ranks alike, where every pass through the model is one of all ranks
    together because each holds a shard of its weights; the missing passes are made with nothing."""


def score_completions(
    model: PreTrainedModel, rows: Sequence[Row], scoring: Scoring
) -> Iterator[tuple[list[int], Scores]]:
    """Score completions in micro-batches, each prompt forwarded once.

    Where gradients are on, call ``backward`` on a loss of the scores before taking the next item:
    the prompts' own backward pass comes after their last completion. So use the iterator to its
    end.

    Args:
        model: A causal language model.
        rows: Prompt and completion ids; a prompt has at least one token.
        scoring: Temperature and sizes.

    Yields:
        Indices into ``rows`` and their scores, as wide as the longest of them; every row is in
        exactly one item.
    """
    has_groups = len({prompt for prompt, _ in rows}) < len(rows)
    is_shared = can_share_prompts(model) and (has_groups or scoring.align is not None)
    if is_shared and model.device.type == "cpu" and is_plain(model):
        scoring = replace(scoring, max_tokens=min(scoring.max_tokens, CPU_TOKENS))
    parts = _parts(rows, scoring, is_shared=is_shared)
    plan = [[sum(len(rows[b][1]) for b in chosen) for chosen in part.chosen] for part in parts]
    aligned = plan if scoring.align is None else scoring.align(plan)
    idle = [_NOTHING] * (len(aligned) - len(parts))
    for part, sizes in zip([*parts, *idle], aligned, strict=True):
        shared = _SharedPrompts(model, part.prompts, scoring) if is_shared else None
        chosen_or_not = [*part.chosen, *([] for _ in range(len(sizes) - len(part.chosen)))]
        for chosen, size in zip(chosen_or_not, sizes, strict=True):
            some = [rows[b] for b in chosen] if chosen else [_NO_ROW]
            scores = (
                _padded_scores(model, some, scoring, size)
                if shared is None
                else shared.scores(some, size)
            )
            if chosen:
                yield chosen, scores
            elif torch.is_grad_enabled():
                (0 * scores.logprobs_BT.sum()).backward()
        if shared is not None:
            shared.backward()


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that are scored behind the same forward pass of their prompts."""

    prompts: list[tuple[int, ...]]
    chosen: list[list[int]]
    """The rows of each micro-batch."""


_NO_ROW: Row = ((0,), (0, 0))
_NOTHING = _Part([_NO_ROW[0]], [])
"""What a rank scores whose rows are done, so that it takes part in the passes of the others."""


def _parts(rows: Sequence[Row], scoring: Scoring, *, is_shared: bool) -> list[_Part]:
    """Cut rows into parts and micro-batches."""
    if not is_shared:
        lengths = [len(prompt) + len(completion) for prompt, completion in rows]
        return [_Part([], list(micro_batches(lengths, scoring.max_tokens)))] if rows else []
    groups: dict[tuple[int, ...], list[int]] = {}
    for b, (prompt, _) in enumerate(rows):
        groups.setdefault(prompt, []).append(b)
    prompts, members = list(groups), list(groups.values())
    parts = []
    for part in micro_batches([len(prompt) for prompt in prompts], scoring.max_tokens):
        inside = [b for u in part for b in members[u]]
        batches = micro_batches([len(rows[b][1]) for b in inside], scoring.max_tokens)
        chosen = [[inside[index] for index in batch] for batch in batches]
        parts.append(_Part([prompts[u] for u in part], chosen))
    return parts


def completion_logprobs(
    model: PreTrainedModel, rows: Sequence[Row], *, temperature: float = 1.0
) -> Tensor:
    """Log-prob of each completion token, [B, T], in one padded batch: the plain reference path.

    Args:
        model: A causal language model.
        rows: Prompt and completion ids; a prompt has at least one token.
        temperature: Divides the logits, as it did in sampling.
    """
    return _padded_scores(model, rows, Scoring(temperature=temperature)).logprobs_BT


def completion_mask(lengths: Sequence[int]) -> Tensor:
    """True where a completion has a token, bool [B, T]."""
    longest = max(lengths, default=0)
    return torch.arange(longest)[None, :] < torch.tensor(lengths, dtype=torch.long)[:, None]


def micro_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Cut rows into micro-batches of similar length.

    Yields:
        Indices into ``lengths``; each micro-batch has at most ``max_tokens`` tokens with its
        padding (or one row), and every row is in exactly one.
    """
    by_length = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    batch: list[int] = []
    width = 0
    for b in by_length:
        is_full = (len(batch) + 1) * width > max_tokens
        is_short = lengths[b] < (1 - MAX_PADDING) * width
        if batch and (is_full or (is_short and len(batch) * width >= MIN_BUCKET_TOKENS)):
            yield batch
            batch = []
        if not batch:
            width = lengths[b]
        batch.append(b)
    if batch:
        yield batch


def can_share_prompts(model: PreTrainedModel) -> bool:
    """Tell whether the model's keys and values can be handed on with their gradients."""
    cache = DynamicCache(config=model.config)
    is_plain = all(type(layer) is DynamicLayer for layer in cache.layers)
    if not is_plain:
        logger.info("%s: prompts are forwarded with every completion", type(model).__name__)
    return is_plain


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


class _SharedPrompts:
    """Unique prompts, forwarded once; completions read their keys and values as leaves."""

    def __init__(
        self, model: PreTrainedModel, prompts: Sequence[tuple[int, ...]], scoring: Scoring
    ) -> None:
        self.model = model
        self.scoring = scoring
        self.places = {prompt: place for place, prompt in enumerate(prompts)}
        self.lengths_U = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
        self.is_plain = is_plain(model)
        ids_UP = _padded(prompts).to(model.device)
        if self.is_plain:
            mask_UP = completion_mask([len(prompt) for prompt in prompts]).to(model.device)
            hidden_UPD, layers = read(model, ids_UP, mask_UP)
        else:
            hidden_UPD, layers = self._read_prompts(ids_UP)
        last_UD = hidden_UPD[torch.arange(len(prompts)), self.lengths_U - 1]
        self.states = [last_UD, *(states for layer in layers for states in layer)]
        self.leaves = [s.detach().requires_grad_(torch.is_grad_enabled()) for s in self.states]

    def scores(self, rows: Sequence[Row], size: int) -> Scores:
        """Score completions, each behind its prompt."""
        device = self.model.device
        # a row that stands for nothing is read behind any prompt
        places_B = torch.tensor([self.places.get(prompt, 0) for prompt, _ in rows], device=device)
        lengths_B = self.lengths_U[places_B]
        at_least = 2 if self.scoring.align else 0  # every rank has a token to decode
        targets_BT = _padded([completion for _, completion in rows], at_least).to(device)
        mask_BT = completion_mask([len(completion) for _, completion in rows]).to(device)
        hidden_BTD = self.leaves[0][places_B][:, None]  # it predicts each first token
        if targets_BT.shape[1] > 1:
            rest_BTD = self._decode(places_B, lengths_B, targets_BT[:, :-1], mask_BT[:, 1:])
            hidden_BTD = torch.cat([hidden_BTD, rest_BTD], dim=1)
        hidden_ND = hidden_BTD[:, : mask_BT.shape[1]][mask_BT]
        targets_N = targets_BT[:, : mask_BT.shape[1]][mask_BT]
        return _score(self.model, hidden_ND, targets_N, mask_BT, self.scoring, size)

    def _read_prompts(self, ids_UP: Tensor) -> tuple[Tensor, list[KeysValues]]:
        """Forward the prompts through the model itself."""
        cache = DynamicCache(config=self.model.config)
        # padded on the right: no real token sees the padding
        out = self.model.get_decoder()(input_ids=ids_UP, use_cache=True, past_key_values=cache)
        return out.last_hidden_state, [(layer.keys, layer.values) for layer in _layers(cache)]

    def _decode(
        self, places_B: Tensor, lengths_B: Tensor, ids_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        """Forward completion tokens behind their prompts: hidden states [B, T, D]."""
        longest = int(lengths_B.max())
        leaves = list(zip(self.leaves[1::2], self.leaves[2::2], strict=True))
        if self.is_plain:
            before = [(k[places_B, :, :longest], v[places_B, :, :longest]) for k, v in leaves]
            return read(self.model, ids_BT, mask_BT, Prefix(before, lengths_B))[0]
        cache = DynamicCache(config=self.model.config)
        for layer, (keys, values) in zip(_layers(cache), leaves, strict=True):
            layer.lazy_initialization(keys, values)
            # the cache alone holds the copies: it lets go of one as soon as it has grown
            layer.keys = keys[places_B, :, :longest]
            layer.values = values[places_B, :, :longest]
        steps_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        mask_BL = None
        if bool((lengths_B < longest).any()):
            prompt_BP = torch.arange(longest, device=ids_BT.device)[None, :] < lengths_B[:, None]
            mask_BL = torch.cat([prompt_BP, torch.ones_like(ids_BT, dtype=torch.bool)], dim=1)
        hidden_BTD: Tensor = self.model.get_decoder()(
            input_ids=ids_BT,
            attention_mask=None if mask_BL is None else mask_BL.long(),
            position_ids=lengths_B[:, None] + steps_T,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return hidden_BTD

    def backward(self) -> None:
        """Take what the leaves gathered through the prompts."""
        pairs = [(s, leaf.grad) for s, leaf in zip(self.states, self.leaves, strict=True)]
        # below the first adapter of a frozen model no state depends on a weight that is trained
        touched = [(s, grad) for s, grad in pairs if grad is not None and s.requires_grad]
        if touched:
            torch.autograd.backward([s for s, _ in touched], [grad for _, grad in touched])


def _padded_scores(
    model: PreTrainedModel, rows: Sequence[Row], scoring: Scoring, size: int = 0
) -> Scores:
    """Score whole rows, prompt and completion, padded on the right.

    With causal attention no real token sees the padding, so neither a mask nor position ids are
    needed.
    """
    ids_BL = _padded([prompt + completion for prompt, completion in rows])
    targets_BT = _padded([completion for _, completion in rows])
    # the token at position p is predicted by the hidden state at p - 1
    predicts_BL = torch.zeros(ids_BL.shape, dtype=torch.bool)
    for b, (prompt, completion) in enumerate(rows):
        predicts_BL[b, len(prompt) - 1 : len(prompt) - 1 + len(completion)] = True
    device = model.device
    mask_BT = completion_mask([len(completion) for _, completion in rows]).to(device)
    hidden_BLD = model.get_decoder()(input_ids=ids_BL.to(device), use_cache=False).last_hidden_state
    hidden_ND = hidden_BLD[predicts_BL.to(device)]
    targets_N = targets_BT.to(device)[mask_BT]
    return _score(model, hidden_ND, targets_N, mask_BT, scoring, size)


def _layers(cache: DynamicCache) -> list[Any]:
    """The layers of a cache of which ``can_share_prompts`` has seen that all are plain."""
    return list(cache.layers)


def _padded(rows: Sequence[tuple[int, ...]], at_least: int = 0) -> Tensor:
    width = max(at_least, *map(len, rows)) if rows else at_least
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for b, row in enumerate(rows):
        ids[b, : len(row)] = torch.tensor(row, dtype=torch.long)
    return ids


def _score(
    model: PreTrainedModel,
    hidden_ND: Tensor,
    targets_N: Tensor,
    mask_BT: Tensor,
    scoring: Scoring,
    size: int,
) -> Scores:
    head = model.get_output_embeddings()
    chunk = max(1, CHUNK_ELEMENTS // head.out_features)
    num_chunks = -(-max(size, len(targets_N)) // chunk)
    logprobs_N, entropies_N = _in_chunks(head, hidden_ND, targets_N, scoring, num_chunks)
    zeros_BT = torch.zeros(mask_BT.shape, device=mask_BT.device, dtype=logprobs_N.dtype)
    return Scores(
        zeros_BT.masked_scatter(mask_BT, logprobs_N), zeros_BT.masked_scatter(mask_BT, entropies_N)
    )


def _in_chunks(
    head: torch.nn.Linear, hidden_ND: Tensor, targets_N: Tensor, scoring: Scoring, num_chunks: int
) -> tuple[Tensor, Tensor]:
    def score(hidden_CD: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor]:
        logits_CV = head(hidden_CD)
        # a bfloat16 softmax would be off by percents
        precision = torch.promote_types(logits_CV.dtype, torch.float32)
        logprobs_CV = torch.log_softmax(logits_CV.to(precision) / scoring.temperature, dim=-1)
        seen_CV = logprobs_CV if scoring.has_entropy_gradient else logprobs_CV.detach()
        entropies_C = -(seen_CV.exp() * seen_CV).sum(dim=-1)
        return logprobs_CV.gather(1, targets_C[:, None])[:, 0], entropies_C

    if num_chunks <= 1:
        return score(hidden_ND, targets_N)
    pieces = zip(
        hidden_ND.tensor_split(num_chunks), targets_N.tensor_split(num_chunks), strict=True
    )
    scored = [checkpoint(score, h, t, use_reentrant=False) for h, t in pieces]
    return torch.cat([each[0] for each in scored]), torch.cat([each[1] for each in scored])
