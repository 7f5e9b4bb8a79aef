"""lm-eval's tasks under ours: their prompts and figures are lm-eval's own, to the last digit."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.errors import ConfigError, DataError, MissingExtraError
from mathrl.evals import load_results, load_run
from mathrl.evals.harness.theirs import HarnessTask
from mathrl.policy import EMBEDDED_POLICY, load_tokenizer

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{train: {folder}/train.jsonl, test: {folder}/test.jsonl}}}}
training_split: train
test_split: test
fewshot_split: train
output_type: generate_until
description: "Add the numbers.\\n\\n"
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{worked}}}}"
num_fewshot: 2
generation_kwargs: {{until: ["Question:", ""], do_sample: false}}
filter_list:
- name: strict
  filter: [{{function: regex, regex_pattern: "#### (-?[0-9]+)"}}, {{function: take_first}}]
- name: flexible
  filter:
  - {{function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}}
  - {{function: take_first}}
metric_list:
- metric: exact_match
  aggregation: mean
  higher_is_better: true
  regexes_to_ignore: ["(?s).*#### "]
metadata: {{version: 3}}
"""
VOTED = """
include: sums.yaml
task: voted_sums
repeats: 4
generation_kwargs: {until: ["Question:"], do_sample: true, temperature: 0.5, max_gen_toks: 64}
filter_list:
- name: majority
  filter:
  - {function: regex, regex_pattern: "#### (-?[0-9]+)"}
  - {function: majority_vote}
  - {function: take_first}
"""
CHOICE = """
include: sums.yaml
task: choice
output_type: multiple_choice
doc_to_choice: ["1", "2"]
generation_kwargs: null
filter_list: null
metric_list: [{metric: acc}]
"""


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tasks over local data: twelve sums, and five to learn from."""
    pytest.importorskip("lm_eval", reason="needs mathrl[lm-eval]: make test-lm-eval")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for name, count in (("train", 5), ("test", 12)):
        rows = [
            {"question": f"{i} + {i}?", "worked": f"{i} and {i}\n#### {2 * i}", "level": i % 3}
            for i in range(count)
        ]
        Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "sums.yaml").write_text(TASK.format(folder=tmp_path))
    (folder / "voted.yaml").write_text(VOTED)
    (folder / "choice.yaml").write_text(CHOICE)
    (folder / "group.yaml").write_text("group: all_sums\ntask: [sums, voted_sums]\n")
    return folder


def completion(place: int, index: int) -> str:
    """Right now and then, in one of three ways of saying so."""
    number = 2 * place if (place + index) % 3 else 77
    return [f"#### {number}", f"so {number}", f"#### {number}\nor 5"][(place + 2 * index) % 3]


def theirs(
    folder: Path, name: str, **options: Any
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, Any]]:
    """What lm-eval itself asks, and what it finds."""
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    asked: list[tuple[str, dict[str, Any]]] = []

    class Scripted(LM):  # type: ignore[misc, unused-ignore]
        tokenizer_name = "toy"

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            asked.extend(request.args for request in requests)
            counts: dict[int, int] = {}
            texts = []
            for request in requests:
                index = counts[request.doc_id] = counts.get(request.doc_id, -1) + 1
                texts.append(completion(request.doc_id, index))
            return texts

        loglikelihood = loglikelihood_rolling = generate_until

        def apply_chat_template(self, messages: Any, add_generation_prompt: bool = True) -> str:
            return chat_tokenizer().apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt
            )

        def chat_template(self, chat_template: Any = False) -> str:
            return "toy"

    manager = TaskManager(include_path=folder, include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=Scripted(), tasks=[name], task_manager=manager, bootstrap_iters=1, **options
    )
    return asked, found["results"][name]


def chat_tokenizer() -> Any:
    tokenizer = load_tokenizer(EMBEDDED_POLICY)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    return tokenizer


def mathrl(line: str) -> Result:
    return CliRunner().invoke(group, line.split(), catch_exceptions=True)


def record(name: str, num_samples: int) -> None:
    rows = [
        {"id": f"{name}/{place}", "sample": index, "completion": completion(place, index)}
        for place in range(12)
        for index in range(num_samples)
    ]
    Path("completions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.mark.parametrize(("name", "num_samples"), [("sums", 1), ("voted_sums", 4)])
def test_prompts_and_own_figures_are_lm_evals(harness: Path, name: str, num_samples: int) -> None:
    asked, found = theirs(harness, name)
    record(name, num_samples)
    line = f"eval --engine lm-eval --task {name} --include-path {harness} --out run"
    done = mathrl(f"{line} --completions completions.jsonl")
    assert done.exit_code == 0, done.exception
    spec = load_run("run")[name].spec
    assert [p.prompt for p in spec.asked] == [prompt for prompt, _ in asked[::num_samples]]
    own = {m["name"]: m for m in json.loads(Path("run/lm_eval.json").read_text())[name]}
    assert own.keys() == {key for key in found if "," in key and "_stderr" not in key}
    for key, metric in own.items():
        assert metric["value"] == pytest.approx(found[key], abs=1e-12)
        stderr = found[key.replace(",", "_stderr,")]
        assert metric["stderr"] == pytest.approx(stderr, abs=1e-12)
        assert f"{100 * metric['value']:.2f}" in done.output
    facts = json.loads(Path("run/manifest.json").read_text())["tasks"][name]["lm_eval"]
    assert (facts["task_version"], facts["num_few_shot"]) == (3, 2)


def test_our_figures_are_our_graders(harness: Path) -> None:
    record("sums", 1)
    line = f"eval --task lm-eval:sums --include-path {harness} --out run"
    assert mathrl(f"{line} --completions completions.jsonl").exit_code == 0
    # 8 of 12 are right; every way of saying it is read, the number in "or 5" is not.
    assert load_results("run")["sums"].accuracy == pytest.approx(8 / 12)


def test_more_samples_than_lm_eval_scores_are_averaged(harness: Path) -> None:
    record("sums", 3)
    line = f"eval --task lm-eval:sums --include-path {harness} --out run"
    assert mathrl(f"{line} --completions completions.jsonl").exit_code == 0
    own = {m["name"]: m for m in json.loads(Path("run/lm_eval.json").read_text())["sums"]}
    # Each of 12 problems is right in 2 of 3 samples: no spread between problems.
    texts = [[completion(place, index) for index in range(3)] for place in range(12)]
    strict = [
        sum(t.partition("\n")[0] == f"#### {2 * i}" for t in row) for i, row in enumerate(texts)
    ]
    assert own["exact_match,strict"]["value"] == pytest.approx(sum(strict) / 36)


@pytest.mark.parametrize("num_few_shot", [None, 0, 3])
def test_worked_examples_are_the_tasks_or_as_many_as_asked(
    harness: Path, num_few_shot: int | None
) -> None:
    task = HarnessTask("sums", include_path=str(harness), num_few_shot=num_few_shot)
    asked, _ = theirs(harness, "sums", num_fewshot=num_few_shot)
    prompts = task.prompts()
    assert [prompts.text(p) for p in task.problems] == [prompt for prompt, _ in asked]
    assert asked[0][0].count("Answer:") == (2 if num_few_shot is None else num_few_shot) + 1


def test_the_chat_template_is_applied_as_lm_eval_applies_it(harness: Path) -> None:
    task = HarnessTask("sums", include_path=str(harness))
    options = {"apply_chat_template": True, "system_instruction": "Be brief."}
    asked, _ = theirs(harness, "sums", fewshot_as_multiturn=False, **options)
    prompts = task.prompts(chat_tokenizer(), system="Be brief.", is_chat=True)
    assert [prompts.text(p) for p in task.problems] == [prompt for prompt, _ in asked]
    assert prompts.text(task.problems[0]).endswith("[assistant]")
    with pytest.raises(ConfigError, match="no chat template"):
        task.prompts(load_tokenizer(EMBEDDED_POLICY), is_chat=True)


def test_what_the_task_says_of_sampling_is_kept_and_256_is_not_made_up(harness: Path) -> None:
    plain = HarnessTask("sums", include_path=str(harness), limit=3)
    assert (plain.task.stop, plain.temperature, plain.repeats) == (("Question:",), 0.0, 1)
    assert plain.task.max_new_tokens == 2048
    assert [p.answer for p in plain.problems] == ["0", "2", "4"]
    assert plain.problems[2].prompt == "Question: 2 + 2?\nAnswer:"
    assert plain.problems[2].metadata["level"] == 2
    voted = HarnessTask("voted_sums", include_path=str(harness))
    assert (voted.temperature, voted.repeats, voted.task.max_new_tokens) == (0.5, 4, 64)


def test_our_engine_samples_and_goes_on_where_it_stopped(harness: Path) -> None:
    line = f"eval --task lm-eval:voted_sums --include-path {harness} --model {EMBEDDED_POLICY}"
    line += " --limit 3 --num-few-shot 0 --out run"
    first = mathrl(line)
    assert first.exit_code == 0, first.exception
    run = load_run("run")["voted_sums"]
    assert (run.spec.num_samples, run.spec.params.temperature) == (12, 0.5)
    assert run.spec.params.stop == ("Question:",)
    assert "12 samples were in the run folder already" in mathrl(line).output


def test_a_path_of_a_yaml_is_a_task(harness: Path) -> None:
    assert HarnessTask(str(harness / "voted.yaml")).task.name == "voted_sums"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--task lm-eval:all_sums", "is a group"),
        ("--task lm-eval:choice", "multiple_choice task: only text is generated"),
        ("--task lm-eval:sums --data x.jsonl", "leave --data out"),
        ("--task lm-eval:sums --template {prompt}", "leave --template out"),
        ("--task lm-eval:voted_sums -n 6", "-n must be a multiple of it, got 6"),
        ("--task lm-eval:sums --chat on", "no chat template"),
        ("--task lm-eval:sums --as qwen", "leave --as out"),
        ("--task lm-eval:sums --include-path nowhere", "no such folder"),
    ],
)
def test_mistakes_are_named(harness: Path, options: str, message: str) -> None:
    given = "" if "nowhere" in options else f" --include-path {harness}"
    failed = mathrl(f"eval {options}{given} --model {EMBEDDED_POLICY}")
    assert isinstance(failed.exception, ConfigError), failed.exception
    assert message in str(failed.exception)


@pytest.mark.slow
def test_an_unknown_name_is_named(harness: Path) -> None:
    with pytest.raises(ConfigError, match="no task 'summs'"):
        HarnessTask("summs", include_path=str(harness))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("test.jsonl", "gone.jsonl"), "cannot load sums"),
        (lambda text: text.replace('"{{worked}}"', "['1', '2']"), "one answer a problem"),
    ],
)
def test_bad_data_is_named(harness: Path, change: Callable[[str], str], message: str) -> None:
    path = harness / "sums.yaml"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=message):
        HarnessTask("sums", include_path=str(harness))


def test_without_lm_eval_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"mathrl\[lm-eval\]\""):
        HarnessTask("gsm8k")
