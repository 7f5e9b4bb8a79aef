"""``mathrl plan train``: what it prints, and how it ends."""

import json

import pytest
from rich.console import Console
from transformers import BertConfig, MixtralConfig, Qwen2Config

from mathrl.cli import main, plan_view


def run(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(("plan", "train", *words))
    printed = capsys.readouterr()
    return stopped.value.code, printed.out, printed.err


def model_folder(folder, config):
    config.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def model(tmp_path):
    config = Qwen2Config(
        vocab_size=32_000,
        hidden_size=1024,
        num_hidden_layers=8,
        num_attention_heads=16,
        num_key_value_heads=4,
        intermediate_size=4096,
        max_position_embeddings=4096,
    )
    return model_folder(tmp_path / "model", config)


def test_the_header_is_broken_between_words(capsys, monkeypatch, model):
    words = ("--model", model, "--gpu", "h200", "--set", "lora.rank=8")
    wide = run(capsys, *words)[1]
    monkeypatch.setattr(plan_view, "console", lambda: Console(width=80, highlight=False))
    narrow = run(capsys, *words)[1]
    headers = [text.split("GiB on each GPU")[0] for text in (wide, narrow)]
    assert max(map(len, headers[0].splitlines())) > 80
    lines = [line for line in headers[1].splitlines() if model not in line]
    assert max(map(len, lines)) <= 80
    assert headers[0].split() == headers[1].split()


def test_what_fits_ends_with_0_and_says_how_far(capsys, model):
    code, out, _ = run(capsys, "--model", model, "--gpu", "h200")
    assert code == 0
    assert "on 1 x H200" in out
    assert "256 tokens a prompt, 512 a completion (at most 1024)" in out
    assert "fits: " in out and "GiB free" in out
    assert "largest optimizer.micro_batch_tokens that fits: " in out


def test_what_does_not_fit_ends_with_1_and_the_changes_it_names_fit(capsys, model):
    code, out, _ = run(capsys, "--model", model, "--gpu", "T4")
    assert code == 1
    assert "does not fit: " in out
    line = next(line for line in out.splitlines() if line.startswith("fits with: "))
    changes = line.removeprefix("fits with: ").split("  (")[0].split()
    code, out, _ = run(capsys, "--model", model, "--gpu", "T4", *changes)
    assert code == 0


def test_options_of_the_recipe_are_in_the_table(capsys, model):
    settings = ["optimizer.dtype=bfloat16", "optimizer.is_checkpointing=true", "engine.kind=vllm"]
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, _ = run(capsys, "--model", model, "--gpu", "A10", *words, "--json")
    memory = json.loads(out)["memory"]
    assert code == 0
    assert memory["step"]["masters"] == 2 * memory["step"]["weights"]
    assert memory["sample"]["sampler"] == pytest.approx(0.4 * 22.5 * 2**30)
    assert "sampler" not in memory["update"]


def test_adapters_are_told(capsys):
    code, out, _ = run(capsys, "--set", "lora.rank=8")
    assert code == 0
    assert "692,608 parameters and 58,368 of adapters" in out


def test_json_holds_every_figure(capsys, model):
    code, out, _ = run(capsys, "--model", model, "--gpu", "T4", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["fits"] is False
    assert found["peak"] == pytest.approx(
        max(sum(items.values()) for items in found["memory"].values())
    )
    assert found["peak"] > found["capacity"] >= found["fitting"]["peak"]
    assert set(found["time"]) == set(found["memory"]) == {"sample", "score", "update", "step"}
    assert found["time"]["update"]["limit_s"] < found["time"]["update"]["low_s"]


def test_without_a_gpu_the_memory_is_told_alone(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    assert "embedded, 692,608 parameters" in out
    assert "PFLOP" not in out
    assert "--gpu or --gpu-memory tell whether it fits" in out


def test_the_memory_alone_is_enough_for_a_verdict(capsys):
    code, out, _ = run(capsys, "--gpu-memory", "24")
    assert code == 0
    assert "of 24.00 GiB" in out


def test_sharding_is_tried_on_several_gpus(capsys, model):
    options = ["--gpu-memory", "8", "--num-gpus", "8"]
    code, out, _ = run(capsys, "--model", model, *options)
    assert code == 1
    assert "--set optimizer.sharding=sharded" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gpu", "H999"], "unknown GPU 'H999'; known: T4"),
        (["nothing"], "no recipe 'nothing'"),
        (["--model", "./nowhere"], "no such model folder: ./nowhere"),
        (["--gpu-memory", "0"], "--gpu-memory must be above 0 GiB, got 0"),
        (["--num-gpus", "0"], "--num-gpus must be at least 1, got 0"),
        (["--prompt-tokens", "0"], "--prompt-tokens must be at least 1, got 0"),
        (["--completion-tokens", "0"], "--completion-tokens must be at least 1, got 0"),
        (["--set", 'lora.target=["no"]', "--set", "lora.rank=2"], "no is the name of no layer"),
        (["--set", 'lora.target=["q_proj", "no"]'], "no is the name of no layer"),
        (["--gpu-memory", "0.005", "--set", "engine.kind=vllm"], "engine.memory_fraction gives"),
        (["--set", "rollout.group_size=0"], "rollout.group_size must be at least 1"),
    ],
)
def test_wrong_input_is_one_line_and_2(capsys, words, says):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "says"),
    [(BertConfig(), "is an encoder"), (MixtralConfig(), "a mixture of 8 experts")],
)
def test_a_model_of_another_kind_is_one_line_and_2(capsys, tmp_path, config, says):
    code, _, err = run(capsys, "--model", model_folder(tmp_path / "model", config))
    assert code == 2
    assert says in err.splitlines()[-1]


def test_a_folder_without_a_config_is_one_line_and_2(capsys, tmp_path):
    code, _, err = run(capsys, "--model", str(tmp_path))
    assert code == 2
    assert "is not a model folder: it has no config.json" in err


def test_a_damaged_config_is_one_line_and_2(capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", ')
    code, _, err = run(capsys, "--model", str(tmp_path))
    assert code == 2
    assert err.startswith("error: cannot read the configuration of ")
    assert err.count("\n") == 1
