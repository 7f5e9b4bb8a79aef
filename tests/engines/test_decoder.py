"""Our layers against the transformers model itself, and the models that they refuse."""

import pytest
import torch
from torch.nn import functional
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from mathrl.adapters import add_adapter
from mathrl.engines import decoder as module
from mathrl.engines.decoder import Decoder, is_plain
from mathrl.trainers.recompute import recompute_layers

SIZES = {
    "vocab_size": 97,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
}
SCALED = {
    "rope_type": "llama3",
    "rope_theta": 5e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}


def family():
    """With and without biases, tied and untied, other rotations, a head size of its own."""
    return {
        "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=True)),
        "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
        "llama scaled": (LlamaForCausalLM, LlamaConfig(**SIZES, rope_parameters=SCALED)),
        "llama head size": (LlamaForCausalLM, LlamaConfig(**SIZES, head_dim=32)),
    }


def made(kind, config):
    """A model whose biases and norms are not all 0 and 1."""
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def causal(index, queries, keys, values):
    heads = (states.transpose(0, 1)[None] for states in (queries, keys, values))
    seen = functional.scaled_dot_product_attention(*heads, is_causal=True, enable_gqa=True)
    return seen[0].transpose(0, 1).flatten(1)


@torch.no_grad()
@pytest.mark.parametrize("name", family())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layers_are_the_models(name, dtype):
    model = made(*family()[name]).to(dtype)
    assert is_plain(model)
    ids = torch.randint(0, 97, (40,), generator=torch.Generator().manual_seed(1))
    ours = Decoder(model)
    hidden = ours.hidden(ids, *ours.rotations(torch.arange(40)), causal)
    theirs = model.get_decoder()(input_ids=ids[None]).last_hidden_state[0]
    assert hidden.dtype == dtype
    torch.testing.assert_close(hidden, theirs, rtol=1e-5, atol=1e-5)


def adapted():
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    add_adapter(model, rank=2, alpha=4, target=["down_proj"], seed=0, base="")
    return model


def recomputed():
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    recompute_layers(model)
    return model


def others():
    """What is left to transformers."""
    windows = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=0)
    gpt2 = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=64)
    return {
        "another family": lambda: made(GPT2LMHeadModel, gpt2),
        "norms of queries": lambda: made(Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=16)),
        "sliding windows": lambda: made(Qwen2ForCausalLM, windows),
        "biases elsewhere": lambda: made(
            LlamaForCausalLM, LlamaConfig(**SIZES, attention_bias=True)
        ),
        "another activation": lambda: made(
            LlamaForCausalLM, LlamaConfig(**SIZES, hidden_act="gelu")
        ),
        "rotations of the longest": lambda: made(
            LlamaForCausalLM, LlamaConfig(**SIZES, rope_parameters=DYNAMIC)
        ),
        "an adapter": adapted,
        "layers that run again": recomputed,
        "half precision": lambda: made(LlamaForCausalLM, LlamaConfig(**SIZES)).bfloat16(),
        "dropout": lambda: made(LlamaForCausalLM, LlamaConfig(**SIZES)).train(),
    }


@pytest.mark.parametrize("name", others())
def test_other_models_are_left_to_transformers(name, caplog):
    assert not is_plain(others()[name]())
    assert not caplog.text  # they are known by their parts


def test_a_large_model_is_left_to_transformers(monkeypatch):
    monkeypatch.setattr(module, "MAX_PARAMETERS", 1000)
    assert not is_plain(made(LlamaForCausalLM, LlamaConfig(**SIZES)))


def test_a_model_that_computes_something_else_is_found_out(caplog):
    model = made(LlamaForCausalLM, LlamaConfig(**SIZES))
    model.model.layers[0].mlp.register_forward_hook(lambda module, inputs, output: 1.1 * output)
    assert not is_plain(model)
    assert "not computed as its class says" in caplog.text
