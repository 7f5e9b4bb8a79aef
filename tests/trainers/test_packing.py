"""Rows read without padding, against the transformers model on each row alone."""

import pytest
import torch

from mathrl.trainers.logprobs import completion_mask
from mathrl.trainers.packing import Prefix, read

PROMPTS = [(5, 6, 7, 20, 21), (5,), (9, 0, 9)]
COMPLETIONS = [(8, 9), (), (0, 11, 12, 13, 14, 15), (3,)]
PROMPT_OF_ROW = [2, 0, 1, 0]


def padded(rows):
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for b, row in enumerate(rows):
        ids[b, : len(row)] = torch.tensor(row)
    return ids, completion_mask([len(row) for row in rows])


def read_behind(model):
    """Hidden states of the completions' tokens, each completion behind its prompt."""
    hidden, layers = read(model, *padded(PROMPTS))
    chosen = torch.tensor(PROMPT_OF_ROW)
    lengths = torch.tensor([len(PROMPTS[u]) for u in PROMPT_OF_ROW])
    prefix = Prefix([(keys[chosen], values[chosen]) for keys, values in layers], lengths)
    ids, mask = padded(COMPLETIONS)
    behind, _ = read(model, ids, mask, prefix)
    assert hidden.shape[:2] == (3, 5) and behind.shape[:2] == (4, 6)
    return torch.cat([hidden[padded(PROMPTS)[1]], behind[mask]])


def read_alone(model):
    def hidden(ids):
        return model.get_decoder()(input_ids=torch.tensor([ids])).last_hidden_state[0]

    prompts = [hidden(prompt) for prompt in PROMPTS]
    behind = [
        hidden(PROMPTS[u] + completion)[len(PROMPTS[u]) :]
        for u, completion in zip(PROMPT_OF_ROW, COMPLETIONS, strict=True)
    ]
    return torch.cat([*prompts, *behind])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_rows_and_their_gradients_are_those_of_each_row_alone(
    policy, exact_norms, dtype, tolerance
):
    model = policy.model.to(dtype)
    found = []
    for reader in (read_behind, read_alone):
        model.zero_grad()
        hidden = reader(model)
        generator = torch.Generator().manual_seed(2)
        weights = torch.randn(hidden.shape, generator=generator, dtype=torch.float64).to(dtype)
        (weights * hidden).sum().backward()
        inside = model.get_decoder().parameters()
        found.append([hidden.detach(), *(parameter.grad.clone() for parameter in inside)])
    for ours, alone in zip(*found, strict=True):
        assert (ours - alone).norm() <= tolerance * (1 + alone.norm())
