"""Presets and few-shot texts: byte for byte what the projects use, or refused."""

import ast
import json
from dataclasses import replace
from importlib import util
from pathlib import Path

import pytest

from mathrl.errors import ConfigError, MissingExtraError
from mathrl.evals import TASKS, fewshot, get_task
from mathrl.evals.fewshot import DEEPSEEK_GSM8K, DEEPSEEK_MATH, LM_EVAL_GSM8K, LM_EVAL_MATH
from mathrl.evals.presets import FAMILIES, MARKER, PRESETS, Preset, get_preset
from mathrl.evals.rules import RULES
from mathrl.prompts import PromptBuilder
from mathrl.schema import Problem

PROMPTS = Path(__file__).parents[3] / "shared" / "data" / "prompts" / "prompts.json"
ALL_SHOTS = (LM_EVAL_GSM8K, DEEPSEEK_GSM8K, LM_EVAL_MATH, DEEPSEEK_MATH)
has_prompts = pytest.mark.skipif(not PROMPTS.exists(), reason="needs ../shared/data/prompts")
has_lm_eval = pytest.mark.skipif(
    util.find_spec("lm_eval") is None, reason="the few-shot texts are lm-eval's"
)


def prompt_of(preset: Preset, question: str = MARKER) -> str:
    """What a model reads, through the same code as in an evaluation."""
    task = preset.apply(get_task("gsm8k"))
    problem = Problem(id="p", prompt=question, answer=None)
    return PromptBuilder(task.prompt_config()).text(problem)


def filled(raw: str) -> str:
    return raw.replace("{problem}", MARKER)


def test_every_preset_names_rules_that_exist() -> None:
    assert all(rule in RULES for preset in PRESETS.values() for rule in preset.rules)


@has_prompts
@pytest.mark.parametrize("family", ["gsm8k", "math"])
@pytest.mark.parametrize(("name", "key"), [("deepseek", "deepseek-math-cot"), ("qwen", "qwen25-math-cot")])  # fmt: skip  # noqa: E501
def test_zero_shot_prompts_are_the_published_ones(name: str, key: str, family: str) -> None:
    known = json.loads(PROMPTS.read_text("utf-8"))["zero_shot"][key]
    preset = PRESETS[name, family]  # type: ignore[index]
    assert prompt_of(preset) == filled(known["raw"])
    assert f"max_tokens {preset.max_new_tokens}" in known["decode"]


@has_prompts
@has_lm_eval
@pytest.mark.parametrize(("family", "key"), [("gsm8k", "gsm8k_cot_8shot"), ("math", "minerva_math_4shot")])  # fmt: skip  # noqa: E501
def test_few_shot_prompts_are_the_published_ones(family: str, key: str) -> None:
    known = json.loads(PROMPTS.read_text("utf-8"))["few_shot"][key]
    preset = PRESETS["deepseek-base", family]  # type: ignore[index]
    assert prompt_of(preset) == filled(known["format"].replace("{text}", known["text"]))
    assert list(preset.stop) == known["stop"]


@has_lm_eval
@pytest.mark.parametrize(
    ("shots", "size", "known"),
    [
        (DEEPSEEK_GSM8K, 2146, "ff948dd8"),
        (LM_EVAL_GSM8K, 2139, "888f04fe"),  # 7 separators, each one line break shorter
        (DEEPSEEK_MATH, 1791, "4743061e"),
        (LM_EVAL_MATH, 1791, "b8c1d14c"),
    ],
)
def test_few_shot_texts_have_the_known_hashes(
    shots: fewshot.FewShot, size: int, known: str
) -> None:
    text = shots.text()
    assert len(text) == size
    assert fewshot.sha256(text).startswith(known)


@has_lm_eval
@pytest.mark.parametrize(
    ("family", "known"),
    [
        # of the context that lm-eval 0.4.13 itself builds for the question "MARK"
        ("gsm8k", "1fc3aea14bd2381d07c3499989196fddb5b7618b6fa33925c2792cb886f81829"),
        ("math", "a46fd3592c7f8f9d63a6a1997eaf6c4437d64e203f672e9449e08b64bccc7a57"),
    ],
)
def test_lm_eval_prompts_are_those_that_lm_eval_builds(family: str, known: str) -> None:
    preset = PRESETS["lm-eval", family]  # type: ignore[index]
    assert fewshot.sha256(prompt_of(preset, "MARK")) == known


@has_lm_eval
@pytest.mark.parametrize("family", ["gsm8k", "math"])
def test_lm_eval_limits_are_those_of_its_files(family: str) -> None:
    import yaml

    preset = PRESETS["lm-eval", family]  # type: ignore[index]
    assert preset.shots is not None
    folder = (fewshot._lm_eval_folder() / preset.shots.file).parent
    file = {"gsm8k": "gsm8k-cot.yaml", "math": "minerva_math_algebra.yaml"}[family]
    text = (folder / file).read_text("utf-8").replace("!function", "")
    task = yaml.safe_load(text)
    assert task["generation_kwargs"]["until"] == list(preset.stop)
    assert "max_gen_toks" not in task["generation_kwargs"]
    model = ast.parse((folder.parents[1] / "models" / "huggingface.py").read_text("utf-8"))
    (limit,) = (
        node.body[-1].value.value  # type: ignore[attr-defined]
        for node in ast.walk(model)
        if isinstance(node, ast.FunctionDef) and node.name == "max_gen_toks"
    )
    assert limit == preset.max_new_tokens


@pytest.mark.parametrize(
    ("name", "family", "known"),
    [
        ("deepseek", "gsm8k", "5da80f9734db"),
        ("deepseek", "math", "5da80f9734db"),
        ("qwen", "gsm8k", "1abe96a7521f"),
        ("qwen", "math", "1abe96a7521f"),
        pytest.param("deepseek-base", "gsm8k", "f3de49781951", marks=has_lm_eval),
        pytest.param("deepseek-base", "math", "c04d0b3ea56c", marks=has_lm_eval),
        pytest.param("lm-eval", "gsm8k", "a2f2b55e61bd", marks=has_lm_eval),
        pytest.param("lm-eval", "math", "e17dd46d3aa6", marks=has_lm_eval),
    ],
)
def test_preset_hashes_are_those_in_the_docs(name: str, family: str, known: str) -> None:
    preset = PRESETS[name, family]  # type: ignore[index]
    assert preset.sha256().startswith(known)
    page = (Path(__file__).parents[2] / "docs" / "presets.md").read_text("utf-8")
    assert f"`{known}`" in page


def test_the_hash_covers_prompt_stops_limit_and_rules() -> None:
    preset = PRESETS["qwen", "math"]
    changed = [
        replace(preset, form=preset.form + " "),
        replace(preset, stop=preset.stop[1:]),
        replace(preset, max_new_tokens=2047),
        replace(preset, rules=("boxed",)),
    ]
    assert len({preset.sha256(), *(one.sha256() for one in changed)}) == 5


def test_a_preset_is_applied_to_a_task_as_a_whole() -> None:
    task = PRESETS["qwen", "gsm8k"].apply(get_task("gsm8k"))
    assert (task.chat, task.max_new_tokens) == ("off", 2048)
    assert task.stop == ("</s>", "<|im_end|>", "<|endoftext|>")


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("qwenn", "gsm8k", "did you mean qwen"),
        ("zzz", "gsm8k", "there are deepseek, deepseek-base, qwen, lm-eval"),
        ("qwen", "aime24", "not for aime24"),
    ],
)
def test_what_has_no_preset_is_refused(name: str, task: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_preset(name, task)


# an installed lm-eval that is not the known one


def install_fake(monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / "lm_eval" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(fewshot, "_lm_eval_folder", lambda: folder / "lm_eval")


def test_another_text_is_refused_with_both_hashes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = "[{'problem': 'What is 2?', 'solution': 'It is $2$.'}]"
    source = f"raise SystemExit('never run')\ndef list_fewshot_samples():\n    return {examples}\n"
    install_fake(monkeypatch, tmp_path, {"tasks/minerva_math/utils.py": source})
    found = fewshot.sha256("Problem:\nWhat is 2?\n\nSolution: It is $2$.")
    with pytest.raises(ConfigError) as refused:
        LM_EVAL_MATH.text()
    assert f"sha256 {found[:12]}, known is b8c1d14c068d" in str(refused.value)
    assert "pip install lm-eval==0.4.13" in str(refused.value)


@pytest.mark.parametrize("shots", ALL_SHOTS, ids=lambda shots: shots.name)
@pytest.mark.parametrize("text", ["", "x = (", "def list_fewshot_samples():\n    return f()\n"])
def test_files_without_the_examples_are_refused(
    shots: fewshot.FewShot, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install_fake(monkeypatch, tmp_path, {shots.file: text})
    with pytest.raises(ConfigError, match="does not hold the examples"):
        shots.text()


def test_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fake(monkeypatch, tmp_path, {})
    with pytest.raises(ConfigError, match=r"minerva_math/utils\.py .* does not hold"):
        LM_EVAL_MATH.text()


def test_without_lm_eval_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mathrl\[lm-eval\]'"):
        PRESETS["lm-eval", "math"].apply(get_task("gsm8k"))


def test_presets_are_for_tasks_that_there_are():
    assert set(FAMILIES) <= set(TASKS)
    assert get_preset("qwen", get_task("gsm8k-platinum").name).family == "gsm8k"
