"""What the trace counts against the tensors that a real pass keeps, and real models' parameters."""

import copy
from functools import cache

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MixtralConfig,
    Qwen2Config,
    Qwen3Config,
    T5Config,
)

from mathrl.adapters import add_adapter
from mathrl.engines.cache import preallocated_cache
from mathrl.errors import ConfigError
from mathrl.trainers.logprobs import Scoring, score_completions
from mathrl.trainers.model_shape import read_model, shape_of, shape_reader
from mathrl.trainers.recipe import LoraConfig, load_recipe

pytestmark = pytest.mark.usefixtures("through_transformers")

SMALL = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
CONFIGS = {
    "qwen2": Qwen2Config(
        **SMALL, num_key_value_heads=2, intermediate_size=176, tie_word_embeddings=True
    ),
    "llama": LlamaConfig(**SMALL, num_key_value_heads=4, intermediate_size=176),
    "qwen3": Qwen3Config(**SMALL, num_key_value_heads=2, intermediate_size=176, head_dim=32),
    "gpt2": GPT2Config(
        vocab_size=64, n_embd=64, n_layer=4, n_head=4, bos_token_id=1, eos_token_id=1
    ),
}
PROMPT, COMPLETION = 40, 33


@cache
def shape_for(name, dtype=torch.float32):
    return shape_of(CONFIGS[name], name=name, dtype=dtype)


def built(name, dtype=torch.float32):
    # a copy: transformers writes the dtype into the configuration
    config = copy.deepcopy(CONFIGS[name])
    return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


def kept_bytes(model, rows):
    """Bytes of the distinct storages, weights aside, that scoring these rows keeps."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        _, scores = next(score_completions(model, rows, Scoring()))
    assert scores.logprobs_BT.requires_grad
    return sum(storage.nbytes() for storage in found.values())


def rows_of(num_prompts, group_size):
    return [
        (tuple((u + p) % 64 for p in range(PROMPT)), tuple((g + t) % 64 for t in range(COMPLETION)))
        for u in range(num_prompts)
        for g in range(group_size)
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONFIGS)
def test_behind_prompts_within_three_percent_of_what_is_kept(name, dtype):
    model = built(name, dtype)
    kept = shape_for(name, dtype).activations
    ours = kept.alone.num_bytes(2, PROMPT, PROMPT)
    ours += kept.behind.num_bytes(16, COMPLETION - 1, PROMPT + COMPLETION - 1)
    # behind the decoder: each scored token's last hidden state, its log-probs over the vocabulary
    ours += 16 * COMPLETION * (64 * dtype.itemsize + 64 * 4)
    assert kept_bytes(model, rows_of(2, 8)) == pytest.approx(ours, rel=0.03)


@pytest.mark.parametrize("name", CONFIGS)
def test_whole_rows_within_seven_percent_of_what_is_kept(name):
    # traced with a cache, in which GPT-2's keys are copies; here they are views of one product
    model = built(name)
    length = PROMPT + COMPLETION
    ours = shape_for(name).activations.alone.num_bytes(4, length, length)
    ours += 4 * COMPLETION * (64 * 4 + 64 * 4)
    # no two prompts alike: they are forwarded with their completions
    assert kept_bytes(model, rows_of(4, 1)) == pytest.approx(ours, rel=0.07)


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_and_cache_are_exact(name):
    model = built(name)
    shape = shape_for(name)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    cache = preallocated_cache(model.config, capacity=12)
    with torch.no_grad():
        model(input_ids=torch.ones(3, 5, dtype=torch.long), past_key_values=cache, use_cache=True)
    buffers = [b for layer in cache.layers for b in (layer.key_buffer, layer.value_buffer)]
    held = sum(buffer.untyped_storage().nbytes() for buffer in buffers)
    assert held == 3 * 12 * shape.activations.kv_elements * 4


def test_known_sizes_by_hand():
    # 7,615,616,512 is what the model's card says
    config = Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        intermediate_size=18_944,
        tie_word_embeddings=False,
    )
    shape = shape_of(config, name="7B", dtype=torch.bfloat16)
    assert shape.parameters == 7_615_616_512
    assert shape.sizes.head_parameters == 152_064 * 3584
    # queries and outputs are square, keys and values 4 heads of 128, three maps in the MLP
    assert shape.sizes.linear_parameters == 28 * (2 * 3584**2 + 2 * 3584 * 512 + 3 * 3584 * 18_944)
    assert shape.activations.kv_elements == 28 * 2 * 4 * 128
    assert shape.sizes.attention_elements == 28 * 2 * 28 * 128
    assert not shape.is_tied


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    ("config", "says"),
    [
        (BertConfig(**SMALL), "is an encoder"),
        (T5Config(), "not a causal language model"),
        (MixtralConfig(**SMALL, num_key_value_heads=2), "a mixture of 8 experts"),
        (MambaConfig(hidden_size=32, num_hidden_layers=2), "no positive num_attention_heads"),
        (Qwen2Config(**SMALL | {"hidden_size": 0}), "no positive hidden_size"),
        (Qwen2Config(**SMALL | {"vocab_size": 0}), "no positive vocab_size"),
        (Qwen2Config(**SMALL | {"intermediate_size": 0}), "a weight without elements"),
    ],
)
def test_a_model_that_cannot_be_counted_is_refused(config, says):
    with pytest.raises(ConfigError, match=says):
        shape_of(config, name="it")


def test_a_config_alone_is_enough(tmp_path):
    CONFIGS["qwen2"].save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    read = read_model(tmp_path)
    assert read.parameters == shape_for("qwen2").parameters
    assert read.is_tied


def test_the_embedded_policy_is_the_default():
    assert read_model(None).parameters == 692_608


@pytest.mark.parametrize("name", ["qwen2", "llama"])
@pytest.mark.parametrize("target", [("all-linear",), ("q_proj", "down_proj"), ("mlp.up_proj",)])
def test_adapters_are_counted_as_they_are_put_in(name, target):
    lora = LoraConfig(rank=3, target=target)
    ours = shape_of(CONFIGS[name], name=name, lora=lora)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(CONFIGS[name])
    add_adapter(model, rank=3, alpha=1, target=target, seed=0, base=name)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    assert ours.adapter_parameters == sum(trained)
    assert ours.parameters == sum(p.numel() for p in model.parameters()) - sum(trained)


@pytest.mark.parametrize("target", [("all-linear",), ("q_proj",)])
def test_what_adapters_keep_is_within_three_percent(target):
    lora = LoraConfig(rank=4, target=target)
    kept = shape_of(CONFIGS["llama"], name="llama", lora=lora).activations
    model = built("llama")
    add_adapter(model, rank=4, alpha=1, target=target, seed=0, base="llama")
    ours = kept.alone.num_bytes(2, PROMPT, PROMPT)
    ours += kept.behind.num_bytes(16, COMPLETION - 1, PROMPT + COMPLETION - 1)
    ours += 16 * COMPLETION * (64 * 4 + 64 * 4)
    assert kept_bytes(model, rows_of(2, 8)) == pytest.approx(ours, rel=0.03)


@pytest.mark.parametrize(
    ("name", "target", "dtype", "says"),
    [
        ("llama", ("nothing",), torch.float32, "nothing is the name of no layer"),
        ("llama", ("embed_tokens",), torch.float32, "embed_tokens is not a linear layer"),
        ("gpt2", ("all-linear",), torch.float32, "c_attn is not a linear layer"),
        ("qwen2", ("lm_head",), torch.float32, "the output head is tied"),
        ("llama", ("lm_head",), torch.bfloat16, "set optimizer.dtype to float32"),
    ],
)
def test_adapters_that_do_not_go_in_are_refused(name, target, dtype, says):
    with pytest.raises(ConfigError, match=says):
        shape_of(CONFIGS[name], name=name, dtype=dtype, lora=LoraConfig(rank=2, target=target))


def test_a_model_is_read_as_the_recipe_trains_it():
    read = shape_reader(None)
    plain, adapted, rounded = (
        read(load_recipe("demo", settings))
        for settings in ([], ["lora.rank=8"], ["optimizer.dtype=bfloat16"])
    )
    assert adapted.adapter_parameters == 58_368  # docs/lora.md
    assert rounded.activations.alone.per_token < 0.6 * plain.activations.alone.per_token
    assert read(load_recipe("demo", ["max_steps=3"])) is plain
