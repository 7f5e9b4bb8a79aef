"""Our decoding step against the transformers model itself, token by token."""

import pytest
import torch
from transformers import (
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from mathrl.engines.cache import preallocated_cache
from mathrl.engines.step import Stepper, can_step

SIZES = {
    "vocab_size": 97,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
}
CAPACITY = 24


def models():
    """The family: with and without biases, tied and untied, another base of the rotations."""
    torch.manual_seed(0)
    scaled = {
        "rope_type": "llama3",
        "rope_theta": 5e4,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    return {
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)),
        "llama": LlamaForCausalLM(LlamaConfig(**SIZES)),
        "llama with scaled rotations": LlamaForCausalLM(
            LlamaConfig(**SIZES, rope_parameters=scaled)
        ),
    }


@torch.inference_mode()
@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("is_padded", [False, True])
def test_a_step_is_the_models(name, is_padded):
    model = models()[name].eval().double()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms that are not all 0 and 1
            parameter.add_(0.05 * torch.randn_like(parameter))
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 97, (3, 12), generator=generator)
    starts = torch.tensor([0, 3, 1]) if is_padded else torch.zeros(3, dtype=torch.long)
    mask = (torch.arange(CAPACITY)[None, :] >= starts[:, None]).long()
    positions = (torch.arange(12)[None, :] - starts[:, None]).clamp(min=0)
    cache = preallocated_cache(model.config, CAPACITY)
    assert can_step(model, cache)
    model(
        input_ids=ids[:, :8],
        attention_mask=mask[:, :8] if is_padded else None,
        position_ids=positions[:, :8],
        past_key_values=cache,
        use_cache=True,
    )
    stepper = Stepper(model, cache, CAPACITY)
    for place in range(8, 12):
        seen = mask[:, : place + 1]
        ours = stepper.logits(
            ids[:, place], positions[:, place], seen.bool() if is_padded else None
        )
        whole = model(
            input_ids=ids[:, : place + 1],
            attention_mask=seen if is_padded else None,
            position_ids=positions[:, : place + 1],
        ).logits[:, -1]
        torch.testing.assert_close(ours, whole, rtol=1e-6, atol=1e-6)  # norms differ in float32


def test_another_kind_of_cache_takes_the_models_own_steps():
    windows = Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=0)
    sliding = Qwen2ForCausalLM(windows)
    assert not can_step(sliding, preallocated_cache(sliding.config, CAPACITY))
    whole = Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()
    assert can_step(whole, preallocated_cache(whole.config, CAPACITY))
    assert not can_step(whole, DynamicCache(config=whole.config))
