"""The in-process engine: samples from a policy that lives in this process.

It shares the trainer's weights, so a sync copies nothing. Per batch of rows: unique prompts are
prefilled once, their keys and values are copied to each row of the group into a preallocated
cache, and finished rows leave the batch. Each row has random numbers of its own, drawn from its
request's seed before decoding starts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams, checked_prompt
from mathrl.engines.cache import preallocated_cache
from mathrl.engines.decode import decode_completion
from mathrl.engines.step import Stepper, can_step
from mathrl.policy import Policy
from mathrl.schema import Completion, FinishReason

# B rows in the batch, U unique prompts, V vocabulary, T new tokens

COMPACT_BELOW = 0.9
"""Drop finished rows once at most this share is live: copying the cache at every finish costs
more than the rows that it saves."""


class LocalEngine:
    """Samples from a policy in this process."""

    def __init__(self, policy: Policy, *, max_rows: int = 256) -> None:
        """Sample from ``policy``, at most ``max_rows`` completions side by side."""
        self.policy = policy
        self.max_rows = max_rows
        self.policy_version = 0

    @property
    def capabilities(self) -> Capabilities:
        """Everything, within the model's positions."""
        return Capabilities.for_training(
            deterministic=True, max_positions=self.policy.max_positions
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the policy's current weights."""
        return self.policy.fingerprint()

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield completions as they finish; see ``Engine.sample``.

        Raises:
            DataError: A prompt with its completion is longer than the model's positions.
        """
        groups = _group_by_prompt(requests, params, self.policy.max_positions)
        for batch in _batches(groups, self.max_rows):
            yield from _Decoder(self.policy, batch, requests, params).run()

    def sync(self, policy: Policy, version: int) -> None:
        """Follow ``policy``: the weights are shared, so only the version changes."""
        self.policy = policy
        self.policy_version = version

    def sleep(self) -> None:
        """Nothing to give back: the weights are the trainer's, a cache lives one batch long."""

    def wake(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Nothing to free."""


Group = tuple[tuple[int, ...], list[int]]
"""Prompt ids, and the indices of the requests that share them."""


def _group_by_prompt(
    requests: Sequence[SampleRequest], params: SamplingParams, max_positions: int | None
) -> list[Group]:
    """Requests with equal prompts together, longest prompts first: less padding a batch."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, request in enumerate(requests):
        prompt = checked_prompt(request, params, max_positions)
        groups.setdefault(prompt, []).append(index)
    return sorted(groups.items(), key=lambda group: -len(group[0]))


def _batches(groups: list[Group], max_rows: int) -> Iterator[list[Group]]:
    """Cut the groups into batches of at most ``max_rows`` rows; a large group is split."""
    batch: list[Group] = []
    free = max_rows
    for prompt_ids, indices in groups:
        while indices:
            taken, indices = indices[:free], indices[free:]
            batch.append((prompt_ids, taken))
            free -= len(taken)
            if free == 0:
                yield batch
                batch, free = [], max_rows
    if batch:
        yield batch


@dataclass(slots=True)
class _Row:
    """One completion being written."""

    index: int
    token_ids: list[int]
    logprobs: list[float]


class _Decoder:
    """Decodes one batch of rows to its end."""

    def __init__(
        self,
        policy: Policy,
        batch: list[Group],
        requests: Sequence[SampleRequest],
        params: SamplingParams,
    ) -> None:
        self.policy = policy
        self.params = params
        self.stop_ids = policy.stop_ids
        self.prompts = [prompt_ids for prompt_ids, _ in batch]
        self.prompt_of_row = [u for u, (_, indices) in enumerate(batch) for _ in indices]
        indices = [index for _, group in batch for index in group]
        self.rows = [_Row(index, [], []) for index in indices]
        seeds = [requests[index].seed for index in indices]
        self.uniforms_BT = _uniforms(seeds, params.max_new_tokens).to(policy.device)

    @torch.inference_mode()
    def run(self) -> Iterator[tuple[int, Completion]]:
        logits_BV = self._prefill()
        live = list(range(len(self.rows)))  # row of self.rows at each row of the batch
        finished: set[int] = set()
        for position in range(self.params.max_new_tokens):
            tokens_B, logprobs_B = draw_tokens(
                logits_BV, self.uniforms_BT[:, position], self.params.temperature
            )
            pairs = zip(tokens_B.tolist(), logprobs_B.tolist(), strict=True)
            for slot, (token, logprob) in enumerate(pairs):
                if live[slot] in finished:
                    continue
                row = self.rows[live[slot]]
                row.token_ids.append(token)
                row.logprobs.append(logprob)
                completion = self._completion_if_finished(row)
                if completion is not None:
                    finished.add(live[slot])
                    yield row.index, completion
            keep = [slot for slot, row_id in enumerate(live) if row_id not in finished]
            if not keep:
                return
            if len(keep) <= COMPACT_BELOW * len(live):
                tokens_B = self._compact(keep, tokens_B)
                live = [live[slot] for slot in keep]
            logits_BV = self._decode(tokens_B)

    def _prefill(self) -> Tensor:
        """Forward each unique prompt once (padded on the left), then give each row its copy."""
        device = self.policy.device
        width = max(map(len, self.prompts))
        capacity = width + self.params.max_new_tokens
        ids_UP = torch.zeros(len(self.prompts), width, dtype=torch.long)
        mask_UP = torch.zeros_like(ids_UP)
        for u, prompt in enumerate(self.prompts):
            ids_UP[u, width - len(prompt) :] = torch.tensor(prompt)
            mask_UP[u, width - len(prompt) :] = 1
        self.cache = preallocated_cache(self.policy.model.config, capacity)
        positions_UP = (mask_UP.cumsum(-1) - 1).clamp(min=0).to(device)
        is_padded = bool((mask_UP == 0).any())
        logits_UV: Tensor = self.policy.model(
            input_ids=ids_UP.to(device),
            attention_mask=mask_UP.to(device) if is_padded else None,
            position_ids=positions_UP,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        rows_B = torch.tensor(self.prompt_of_row, device=device)
        self.cache.batch_select_indices(rows_B)
        self.stepper = None
        if can_step(self.policy.model, self.cache):
            self.stepper = Stepper(self.policy.model, self.cache, capacity)
        self.positions_B = positions_UP[rows_B, -1]
        # without padding no mask is passed, and the attention takes its fast path
        self.mask_BC = None
        if is_padded:
            generated = torch.ones(len(self.rows), capacity - width, dtype=torch.long)
            self.mask_BC = torch.cat([mask_UP[self.prompt_of_row], generated], dim=1).to(device)
        self.length = width
        return logits_UV[rows_B]

    def _decode(self, tokens_B: Tensor) -> Tensor:
        self.length += 1
        self.positions_B = self.positions_B + 1
        mask_BC = None if self.mask_BC is None else self.mask_BC[:, : self.length]
        if self.stepper is not None:
            seen_BC = None if mask_BC is None else mask_BC.bool()
            return self.stepper.logits(tokens_B, self.positions_B, seen_BC)
        logits_BV: Tensor = self.policy.model(
            input_ids=tokens_B[:, None],
            attention_mask=mask_BC,
            position_ids=self.positions_B[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        return logits_BV

    def _compact(self, keep: list[int], tokens_B: Tensor) -> Tensor:
        """Drop all other rows from everything that has a row each."""
        keep_B = torch.tensor(keep, device=tokens_B.device)
        self.cache.batch_select_indices(keep_B)
        self.positions_B = self.positions_B[keep_B]
        self.uniforms_BT = self.uniforms_BT[keep_B]
        if self.mask_BC is not None:
            self.mask_BC = self.mask_BC[keep_B]
        return tokens_B[keep_B]

    def _completion_if_finished(self, row: _Row) -> Completion | None:
        stopped_by_id = row.token_ids[-1] in self.stop_ids
        is_stopped = not stopped_by_id and self._ends_with_stop(row)
        if not stopped_by_id and not is_stopped and len(row.token_ids) < self.params.max_new_tokens:
            return None
        reason: FinishReason = "stop" if stopped_by_id or is_stopped else "length"
        return Completion(
            text=decode_completion(self.policy, row.token_ids, self.params.stop),
            token_ids=tuple(row.token_ids),
            logprobs=tuple(row.logprobs),
            finish_reason=reason,
        )

    def _ends_with_stop(self, row: _Row) -> bool:
        """Tell whether the newest token completed a stop string; reads the last tokens only."""
        for stop in self.params.stop:
            # a token has at least one character; a few more make room for bytes of one character
            last = row.token_ids[-len(stop) - 4 :]
            if stop in str(self.policy.tokenizer.decode(last, skip_special_tokens=True)):
                return True
        return False


def draw_tokens(logits_BV: Tensor, uniforms_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw one token a row by inverting the cumulative distribution.

    Args:
        logits_BV: Next-token logits [B, V].
        uniforms_B: Random numbers in [0, 1), float64 [B]; the only source of randomness.
        temperature: Divides the logits; 0 takes the likeliest token.

    Returns:
        Tokens, int64 [B], and their log-probs under the sampling distribution, float32 [B]
        (0 where the choice is greedy: the distribution is a point).
    """
    if temperature == 0:
        tokens_B = logits_BV.argmax(dim=-1)
        return tokens_B, torch.zeros_like(tokens_B, dtype=torch.float32)
    logprobs_BV = torch.log_softmax(logits_BV.float() / temperature, dim=-1)
    # float64, or the last tokens of a large vocabulary would lose their share to rounding
    cumulative_BV = logprobs_BV.double().exp().cumsum(dim=-1)
    targets_B1 = (uniforms_B * cumulative_BV[:, -1])[:, None]
    tokens_B1 = torch.searchsorted(cumulative_BV, targets_B1, right=True)
    tokens_B1 = tokens_B1.clamp(max=logits_BV.shape[-1] - 1)
    return tokens_B1[:, 0], logprobs_BV.gather(1, tokens_B1)[:, 0]


def _uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """One row of ``count`` random numbers a seed, float64 [B, T], on the CPU for every device."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand(count, generator=generator, dtype=torch.float64))
    return torch.stack(rows)
