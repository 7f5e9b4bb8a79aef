"""Our tasks under lm-eval: every task has its YAML, and the figures are ours."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mathrl.engines import SamplingParams
from mathrl.errors import StorageError
from mathrl.evals import TASKS, evaluate, get_task
from mathrl.evals.harness.ours import process_results, task_yaml, write_tasks
from mathrl.prompts import PromptBuilder
from mathrl.schema import Problem
from tests.conftest import FakeEngine

yaml = pytest.importorskip("yaml", reason="PyYAML comes with transformers")


class _Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
    """Reads ``!function`` as lm-eval does where no file of that name lies beside the YAML."""


def _function(loader: Any, node: Any) -> object:
    module, _, name = loader.construct_scalar(node).rpartition(".")
    return getattr(importlib.import_module(module), name)


_Loader.add_constructor("!function", _function)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_says_what_lm_eval_would_get_wrong(name: str) -> None:
    fields = yaml.load(task_yaml(TASKS[name], 4, 0.7), _Loader)
    assert fields["task"] == f"mathrl_{name}"
    assert fields["repeats"] == fields["filter_list"][0]["filter"][0]["k"] == 4
    assert fields["generation_kwargs"] == {
        "until": list(TASKS[name].stop),
        "max_gen_toks": TASKS[name].max_new_tokens,
        "do_sample": True,
        "temperature": 0.7,
    }
    assert fields["process_results"] is process_results
    assert fields["custom_dataset"].__module__ == "mathrl.evals.harness.ours"


def test_one_file_a_task_and_another_folder_for_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = write_tasks(None)
    assert {path.stem for path in folder.iterdir()} == {f"mathrl_{name}" for name in TASKS}
    assert write_tasks(None) == folder
    assert write_tasks(None, num_samples=8, temperature=1.0) != folder
    assert write_tasks(tmp_path / "mine") == tmp_path / "mine"


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_tasks(tmp_path / "file" / "folder")


def test_one_problem_by_hand() -> None:
    doc = {"id": "p", "prompt": "?", "answer": "7"}
    texts = ["#### 7", "#### 8", "#### 8", r"\boxed{7.0}"]
    found = process_results(doc, [texts])
    # 2 of 4: pass@2 = 1 - C(2,2)/C(4,2) = 5/6; a pair votes wrong if both are 8 (1 of 6), or if its
    # first is (8, 7): 2 of 6.
    assert found == pytest.approx(
        {"pass@1": 1 / 2, "pass@2": 5 / 6, "pass@4": 1.0, "maj@2": 1 / 2, "maj@4": 1.0}
    )
    assert process_results({**doc, "answer": ""}, [texts]) == {}


def completion(problem_id: str, index: int) -> str:
    """Problem p3 has 3 of its 4 samples right, p2 2, and so on; p5 none again."""
    number = int(problem_id.removeprefix("p"))
    return f"#### {number if index < number % 5 else 99}"


@pytest.fixture
def data(tmp_path: Path, problems: Sequence[Problem]) -> Path:
    """The ten problems as a local file."""
    path = tmp_path / "problems.jsonl"
    rows = [{"id": p.id, "problem": p.prompt, "answer": p.answer} for p in problems]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_lm_eval_finds_the_figures_that_we_find(
    tmp_path: Path, data: Path, problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm_eval = pytest.importorskip("lm_eval", reason="needs mathrl[lm-eval]: make test-lm-eval")
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    asked: list[tuple[str, dict[str, Any]]] = []

    class Scripted(LM):  # type: ignore[misc, unused-ignore]
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            asked.extend(request.args for request in requests)
            return [completion(f"p{i // 4}", i % 4) for i in range(len(requests))]

        loglikelihood = loglikelihood_rolling = generate_until

    monkeypatch.setenv("MATHRL_DATA_GSM8K", str(data))
    folder = write_tasks(tmp_path / "yamls", num_samples=4, temperature=1.0)
    manager = TaskManager(include_path=folder, include_defaults=False)
    found = lm_eval.simple_evaluate(
        model=Scripted(), tasks=["mathrl_gsm8k"], task_manager=manager, bootstrap_iters=1
    )
    theirs = found["results"]["mathrl_gsm8k"]
    task = get_task("gsm8k")
    ours = evaluate(
        task,
        problems,
        FakeEngine(lambda request: completion(request.problem_id, request.sample_index)),
        PromptBuilder(task.prompt_config()),
        SamplingParams(),
        num_samples=4,
    )
    assert theirs["pass@1,all"] == pytest.approx(ours.accuracy, abs=1e-12)
    assert theirs["pass@1_stderr,all"] == pytest.approx(ours.stderr, abs=1e-12)
    for k in (2, 4):
        assert theirs[f"pass@{k},all"] == pytest.approx(ours.pass_at_k[k], abs=1e-12)
        assert theirs[f"maj@{k},all"] == pytest.approx(ours.maj_at_k[k], abs=1e-12)
    assert len(asked) == 40
    prompt, settings = asked[0]
    assert prompt == task.template.replace("{prompt}", problems[0].prompt)
    assert (settings["max_gen_toks"], settings["until"]) == (1024, [])


@pytest.mark.slow
def test_the_commands_of_the_documentation_work(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("lm_eval", reason="needs mathrl[lm-eval]: make test-lm-eval")
    words = [sys.executable, "-m", "mathrl", "lm-eval-path", "-n", "2"]
    settings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "MATHRL_DATA_GSM8K": str(data)}
    shown = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    words = [sys.executable, "-m", "lm_eval", "--include_path", shown.stdout.strip()]
    words += ["--tasks", "mathrl_gsm8k", "--model", "dummy"]
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
    assert "maj@2" in done.stdout
