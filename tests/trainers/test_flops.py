"""The formulas against torch's own counter, which sees every product that is made.

It does not count the CPU's fused attention, so the models attend with plain products; what fused
kernels do in the backward pass is compared with the counter's formula for those of CUDA.
"""

from functools import cache

import pytest
import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from mathrl.engines import SampleRequest, SamplingParams, local
from mathrl.engines.local import LocalEngine
from mathrl.policy import Policy
from mathrl.trainers import flops, logprobs
from mathrl.trainers.flops import (
    ATTENTION_BACKWARD_FACTOR,
    MatrixSizes,
    Pass,
    decoding_pass,
    forward_flops,
    padded_pass,
    shared_pass,
    update_flops,
)
from mathrl.trainers.logprobs import Scoring, score_completions
from mathrl.trainers.model_shape import shape_of

pytestmark = pytest.mark.usefixtures("through_transformers")

SMALL = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
CONFIGS = {
    "qwen2": Qwen2Config(**SMALL, num_key_value_heads=2, intermediate_size=80),
    "llama": LlamaConfig(**SMALL, num_key_value_heads=4, intermediate_size=80, head_dim=16),
    "gpt2": GPT2Config(
        vocab_size=64, n_embd=32, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=1
    ),
}
PROMPT, COMPLETION, GROUP = 7, 9, 3
ROWS = [
    (tuple(range(10 + u, 10 + u + PROMPT)), tuple(range(20 + g, 20 + g + COMPLETION)))
    for u in range(2)
    for g in range(GROUP)
]


@cache
def sizes_of(name):
    return shape_of(CONFIGS[name], name=name).sizes


@pytest.fixture(params=CONFIGS)
def name(request):
    return request.param


def built(name):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation="eager").eval()


def test_by_hand():
    sizes = MatrixSizes(linear_parameters=10, head_parameters=3, attention_elements=4)
    done = Pass(tokens=5, scored=2, pairs=7)
    # 2 * 10 * 5 + 2 * 4 * 7 + 2 * 3 * 2
    assert forward_flops(sizes, done) == 100 + 56 + 12
    # three times the layers, three and a half times the attention, four times the head
    assert update_flops(sizes, done) == 300 + 196 + 48
    assert update_flops(sizes, done, is_head_twice=False) == 300 + 196 + 36
    assert update_flops(sizes, done, is_checkpointing=True) == 400 + 252 + 48


def test_a_padded_pass_is_what_torch_counts(name):
    model = built(name)
    ids = torch.ones(4, PROMPT + COMPLETION, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, use_cache=False)
    done = padded_pass(num_rows=4, prompt=PROMPT, completion=COMPLETION)
    everywhere = Pass(tokens=done.tokens, scored=done.tokens, pairs=done.pairs)
    sizes = sizes_of(name)
    assert forward_flops(sizes, everywhere) == counter.get_total_flops()


@pytest.mark.parametrize("num_chunks", [1, 3])
def test_an_update_is_what_torch_counts(name, num_chunks, monkeypatch):
    tokens = len(ROWS) * COMPLETION
    monkeypatch.setattr(logprobs, "CHUNK_ELEMENTS", 64 * tokens // num_chunks)
    monkeypatch.setattr(flops, "ATTENTION_BACKWARD_FACTOR", 2.0)  # nothing is made again
    model = built(name)
    with FlopCounterMode(display=False) as counter:
        for _, scores in score_completions(model, ROWS, Scoring()):
            scores.logprobs_BT.sum().backward()
    done = shared_pass(num_prompts=2, num_rows=len(ROWS), prompt=PROMPT, completion=COMPLETION)
    sizes = sizes_of(name)
    ours = update_flops(sizes, done, is_head_twice=num_chunks > 1)
    assert ours == counter.get_total_flops()


def test_fused_attention_goes_back_as_torch_counts_it():
    shape = (2, 4, 16, 8)  # rows, heads, tokens, head size
    forward = sdpa_flop_count(shape, shape, shape)
    backward = sdpa_backward_flop_count(shape, shape, shape, shape)
    assert backward / forward == ATTENTION_BACKWARD_FACTOR


def test_sampling_is_what_torch_counts(name, policy, monkeypatch):
    model = built(name)
    model.generation_config.eos_token_id = None
    tokenizer: PreTrainedTokenizerFast = policy.tokenizer
    monkeypatch.setattr(local, "can_step", lambda model, cache: False)  # its attention is fused
    monkeypatch.setattr(Policy, "stop_ids", frozenset())  # every row to its limit
    requests = [
        SampleRequest(problem_id=str(b // GROUP), sample_index=b, prompt="", prompt_ids=p, seed=b)
        for b, (p, _) in enumerate(ROWS)
    ]
    engine = LocalEngine(Policy(model=model, tokenizer=tokenizer, name="test"))
    with FlopCounterMode(display=False) as counter:
        list(engine.sample(requests, SamplingParams(max_new_tokens=COMPLETION)))
    done = decoding_pass(num_prompts=2, num_rows=len(ROWS), prompt=PROMPT, completion=COMPLETION)
    sizes = sizes_of(name)
    assert forward_flops(sizes, done) == counter.get_total_flops()
