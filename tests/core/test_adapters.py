"""Adapters against peft's own loading and merging, and against the model they were put into."""

import copy
import json
import sys

import pytest
import torch
from peft import IA3Config, PeftModel
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from mathrl.adapters import (
    WEIGHTS_FILE,
    adapters_off,
    add_adapter,
    has_adapter,
    load_adapter,
    merged_weights,
    save_adapter,
)
from mathrl.errors import ConfigError, MissingExtraError
from mathrl.policy import Policy, load_policy, save_policy

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
}
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


def plain_model(*, is_tied=False):
    torch.manual_seed(0)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=is_tied)).eval()


def adapt(model, *, target=("all-linear",), seed=0, rank=4, base="./base"):
    add_adapter(model, rank=rank, alpha=8, target=target, seed=seed, base=base)
    return model


def trained(model, *, target=("all-linear",)):
    """Adapted, with a B that changes what the model computes."""
    adapt(model, target=target)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.2)
    return model


@torch.no_grad()
def logits(model):
    return model(input_ids=IDS).logits


def test_a_new_adapter_changes_nothing_and_freezes_the_rest():
    model = plain_model()
    before = logits(model)
    adapt(model)
    assert torch.equal(logits(model), before)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    # seven linear layers in each of two layers, two factors each
    assert len(trainable) == 28 and all(".lora_" in name for name in trainable)
    assert isinstance(model, Qwen2ForCausalLM)


def test_the_seed_decides_the_adapter_and_nothing_else():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = (adapt(plain_model_keeping_the_seed(), seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    name = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    weights = [model.state_dict()[name] for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def plain_model_keeping_the_seed():
    with torch.random.fork_rng():
        return plain_model()


@pytest.mark.parametrize("target", [("all-linear",), ("q_proj", "lm_head"), ("down_proj",)])
@pytest.mark.filterwarnings("ignore::FutureWarning:transformers.*")  # of what peft asks for
def test_merged_weights_are_those_that_peft_merges(tmp_path, target):
    base, model = plain_model(), trained(plain_model(), target=target)
    save_adapter(model, tmp_path)
    theirs = PeftModel.from_pretrained(base, tmp_path).merge_and_unload().state_dict()
    ours = merged_weights(model)
    assert list(ours) == list(theirs) and len(ours) == len(theirs)
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name
    assert has_adapter(model), "merging must not change the model"


def test_merged_weights_compute_what_the_adapted_model_does():
    model = trained(plain_model())
    plain = plain_model()
    assert (logits(plain) - logits(model)).abs().max() > 0.1
    plain.load_state_dict(merged_weights(model))
    torch.testing.assert_close(logits(plain), logits(model), rtol=0, atol=1e-5)


def test_a_plain_model_is_left_as_it_is():
    model = plain_model()
    before = logits(model)
    assert merged_weights(model).keys() == model.state_dict().keys()
    with adapters_off(model):
        assert torch.equal(logits(model), before)


def test_with_adapters_off_it_is_the_base_to_the_last_bit():
    model = trained(plain_model())
    adapted = logits(model)
    with pytest.raises(KeyError), adapters_off(model):
        assert torch.equal(logits(model), logits(plain_model()))
        assert trains_its_adapters_alone(model)
        raise KeyError
    assert torch.equal(logits(model), adapted)
    assert trains_its_adapters_alone(model)


def trains_its_adapters_alone(model):
    return all(p.requires_grad == (".lora_" in name) for name, p in model.named_parameters())


def test_what_was_saved_is_loaded(tmp_path):
    model = trained(plain_model())
    save_adapter(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", WEIGHTS_FILE]
    fresh = adapt(plain_model(), seed=7)
    load_adapter(fresh, tmp_path)
    assert torch.equal(logits(fresh), logits(model))
    with pytest.raises(ConfigError, match="of other layers or of another rank"):
        load_adapter(adapt(plain_model(), rank=3), tmp_path)


@pytest.mark.parametrize(
    "target, message",
    [
        (("no_such_layer",), "lora.target: .*no_such_layer"),
        (("embed_tokens",), "lora.target: model.embed_tokens is not a linear layer"),
        (("norm",), "lora.target: .*not supported"),
        (("lm_head",), "tied to the embeddings"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:peft.*")
def test_a_target_that_cannot_be_adapted_is_told_in_one_line(target, message):
    with pytest.raises(ConfigError, match=message) as caught:
        adapt(plain_model(is_tied=True), target=target)
    assert "\n" not in str(caught.value)


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[lora\]'"):
        adapt(plain_model())


@pytest.fixture(scope="module")
def adapted_embedded():
    policy = load_policy()
    trained(policy.model, target=("q_proj", "v_proj"))
    policy.model.peft_config["default"].base_model_name_or_path = "embedded"
    return policy


def test_an_adapted_policy_is_saved_merged(adapted_embedded, tmp_path):
    save_policy(adapted_embedded, tmp_path)
    loaded = load_policy(tmp_path)
    assert not has_adapter(loaded.model)
    assert loaded.fingerprint() == adapted_embedded.fingerprint() != load_policy().fingerprint()


def test_an_adapters_folder_is_loaded_merged(adapted_embedded, tmp_path):
    save_adapter(adapted_embedded.model, tmp_path)
    loaded = load_policy(tmp_path)
    assert isinstance(loaded, Policy) and not has_adapter(loaded.model)
    assert loaded.fingerprint() == adapted_embedded.fingerprint()
    assert loaded.name == str(tmp_path) and loaded.tokenizer("1+1")["input_ids"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"base_model_name_or_path": "./gone"}, r"adapter of \./gone, its base.*no such model"),
        ({"base_model_name_or_path": None}, "does not name its base_model_name_or_path"),
        ({"r": 7}, "other layers or of another rank"),
        ({"target_modules": ["k_proj"]}, "other layers or of another rank"),
        ({"target_modules": ["no_such_layer"]}, "does not fit its base: .*no_such_layer"),
    ],
)
def test_a_folder_that_cannot_be_merged_is_told_in_one_line(
    adapted_embedded, tmp_path, change, message
):
    save_adapter(adapted_embedded.model, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError, match=message) as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_kind_is_refused(tmp_path):
    IA3Config(base_model_name_or_path="embedded").save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="an adapter that is not LoRA"):
        load_policy(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_configuration_is_told_in_one_line(tmp_path, text):
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(ConfigError, match="is not the configuration of an adapter"):
        load_policy(tmp_path)


def test_weights_that_are_missing_are_told(adapted_embedded, tmp_path):
    save_adapter(adapted_embedded.model, tmp_path)
    kept = dict(list(load_file(tmp_path / WEIGHTS_FILE).items())[1:])
    save_file(kept, tmp_path / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="other layers or of another rank"):
        load_policy(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        load_policy(tmp_path)


def test_a_copy_is_adapted_too():
    model = trained(plain_model())
    assert torch.equal(logits(copy.deepcopy(model)), logits(model))
