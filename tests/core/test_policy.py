"""Loading, saving and telling policies apart."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from mathrl.errors import ConfigError
from mathrl.policy import EMBEDDED_POLICY, load_policy, save_policy
from mathrl.trainers.tiny import build_tokenizer


@pytest.fixture(scope="module")
def embedded():
    return load_policy()


def test_the_embedded_policy_is_small_and_like_its_recipe(embedded):
    config = embedded.model.config
    assert sum(p.numel() for p in embedded.model.parameters()) < 1_000_000
    assert sum(file.stat().st_size for file in EMBEDDED_POLICY.iterdir()) < 2_000_000
    assert config.hidden_size // config.num_attention_heads >= 32
    assert not config.tie_word_embeddings
    assert embedded.tokenizer.get_vocab() == build_tokenizer().get_vocab()


def test_weights_are_float32_whatever_the_file_holds(embedded):
    stored = load_file(EMBEDDED_POLICY / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in embedded.model.parameters()} == {torch.float32}
    assert not embedded.model.training  # dropout is off


@pytest.mark.parametrize("text", ["7+15=22\n#### 22", "Café für 5 €, naïve 日本語 \t x_1^2"])
def test_the_tokenizer_encodes_any_text(embedded, text):
    ids = embedded.tokenizer(text)["input_ids"]
    assert embedded.tokenizer.decode(ids) == text


def test_saving_and_loading_keeps_everything(embedded, tmp_path):
    save_policy(embedded, tmp_path)
    again = load_policy(tmp_path)
    assert again.fingerprint() == embedded.fingerprint()
    assert again.tokenizer.get_vocab() == embedded.tokenizer.get_vocab()
    assert again.stop_ids == embedded.stop_ids == {embedded.tokenizer.eos_token_id}


def test_one_changed_weight_changes_the_fingerprint(embedded, tmp_path):
    save_policy(embedded, tmp_path)
    other = load_policy(tmp_path)
    with torch.no_grad():
        other.model.get_output_embeddings().weight[0, 0] += 1e-3
    assert other.fingerprint() != embedded.fingerprint()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda told: told["rope_parameters"].update(rope_theta=77.0)),
        ("config.json", lambda told: told.update(rms_norm_eps=0.5)),
        ("generation_config.json", lambda told: told.update(eos_token_id=[1, 7])),
        ("tokenizer.json", lambda told: told["model"]["merges"].pop()),
    ],
)
def test_the_same_weights_in_another_model_are_another_policy(embedded, tmp_path, file, change):
    save_policy(embedded, tmp_path)
    told = json.loads((tmp_path / file).read_text())
    change(told)
    (tmp_path / file).write_text(json.dumps(told))
    assert load_policy(tmp_path).fingerprint() != embedded.fingerprint()


def test_padding_a_batch_leaves_the_fingerprint(tmp_path, embedded):
    save_policy(embedded, tmp_path)
    used = load_policy(tmp_path)
    used.tokenizer(["a", "a b c"], padding=True, truncation=True, max_length=2)
    assert used.fingerprint() == embedded.fingerprint()


def test_a_folder_without_some_weights_is_refused(embedded, tmp_path):
    save_policy(embedded, tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["lm_head.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lacks weights .*lm_head.weight"):
        load_policy(tmp_path)


def test_weights_of_another_shape_are_told_in_one_line(embedded, tmp_path, capfd):
    save_policy(embedded, tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"hidden_size": 128', '"hidden_size": 64'))
    with pytest.raises(ConfigError, match=r"its weights do not fit its config.json"):
        load_policy(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_folder_without_a_tokenizer_is_refused(embedded, tmp_path):
    embedded.model.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"tokenizer|cannot load"):
        load_policy(tmp_path)


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_folder_is_told_in_one_line(embedded, tmp_path, broken):
    save_policy(embedded, tmp_path)
    (tmp_path / broken).write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot load a policy") as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)
