"""mathrl eval --as NAME, with the embedded policy under a published prompt."""

import json
from pathlib import Path

import pytest

import mathrl
from mathrl.cli import main
from mathrl.evals.presets import PRESETS

MODEL = str(Path(mathrl.__file__).parent / "embedded_policy")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"id": "p0", "problem": "What is 2 + 3?", "answer": "5"}
    Path("problems.jsonl").write_text(json.dumps(row) + "\n")


def evaluate(words: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "--data", "problems.jsonl", "--out", "run", *words.split()])
    return int(stopped.value.code or 0)


def test_a_preset_sets_prompt_stops_limit_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(f"--task gsm8k --model {MODEL} --as deepseek") == 0
    assert "under deepseek: " in capsys.readouterr().out
    preset = PRESETS["deepseek", "gsm8k"]
    facts = json.loads(Path("run/manifest.json").read_text())["tasks"]["gsm8k"]
    assert facts["preset"] == {
        "name": "deepseek",
        "sha256": preset.sha256(),
        "rules": ["deepseek"],
    }
    assert facts["params"]["max_new_tokens"] == 1024
    asked = json.loads(Path("run/problems/gsm8k.jsonl").read_text())
    # the embedded policy has a chat template or not: the preset writes the roles itself
    assert asked["prompt"] == preset.template.replace("{prompt}", "What is 2 + 3?")
    entry = json.loads(Path("run/results.json").read_text())["gsm8k"]
    assert set(entry["rules"]) == {"deepseek"}
    assert entry["rules"]["deepseek"]["n_samples"] == 1
    assert "accuracy" in entry
    with pytest.raises(SystemExit) as verified:
        main(["verify", "run"])
    assert not verified.value.code
    entry["rules"]["deepseek"]["accuracy"] = 0.75
    Path("run/results.json").write_text(json.dumps({"gsm8k": entry}))
    with pytest.raises(SystemExit) as tampered:
        main(["verify", "run"])
    assert tampered.value.code
    assert "results.json: rules not what the samples give" in capsys.readouterr().out


def test_stop_words_reach_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(f"--task gsm8k --model {MODEL} --as qwen") == 0
    capsys.readouterr()
    facts = json.loads(Path("run/manifest.json").read_text())["tasks"]["gsm8k"]
    assert facts["params"]["stop"] == ["</s>", "<|im_end|>", "<|endoftext|>"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--task gsm8k --model m --as qwenn", "did you mean qwen"),
        ("--task aime24 --model m --as qwen", "not for aime24"),
        ("--task gsm8k --model m --as qwen --template {prompt}", "sets what --template sets"),
        ("--task gsm8k --model m --as qwen --max-new-tokens 9", "sets what --max-new-tokens sets"),
        ("--task gsm8k --completions problems.jsonl --as qwen", "recorded completions had their"),
    ],
)
def test_bad_input_is_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
