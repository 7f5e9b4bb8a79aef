"""Tasks are complete, found by name, and a wrong name says what to type."""

import subprocess
import sys

import pytest

from mathrl.errors import ConfigError
from mathrl.evals import TASKS, get_task


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_complete(name: str) -> None:
    task = get_task(name)
    assert task.name == name
    assert "{prompt}" in task.template
    assert task.size > 0 and task.licence and task.source
    assert task.prompt_config().template == task.template


def test_prompts_are_what_was_published() -> None:
    # data/prompts/prompts.json, zero_shot: DeepSeekMath and Qwen2.5-Math.
    assert get_task("gsm8k").template == (
        "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
    assert get_task("arithmetic").template == "{prompt}\n"


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean gsm8k"):
        get_task("gsm-8k")
    with pytest.raises(ConfigError, match="`mathrl tasks` lists all"):
        get_task("chemistry")


def test_importing_evals_loads_nothing_heavy() -> None:
    code = (
        "import sys, mathrl.evals\n"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'jinja2', 'rich', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    path = ["-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    found = subprocess.run([sys.executable, *path], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
