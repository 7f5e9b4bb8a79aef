"""Tasks are complete, found by name, and a wrong name says what to type."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from mathrl.data import load_problems
from mathrl.errors import ConfigError
from mathrl.evals import TASKS, get_task
from mathrl.evals.tasks import Published, Task
from mathrl.hub import KNOWN
from mathrl.rewards import EVAL, grade
from mathrl.rewards.answers import read_gold
from mathrl.rewards.values import Listing

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the problems in ../shared/data")
FILES = {
    "gsm8k": "gsm8k_test",
    "math": "math_test",
    **{
        name: name
        for name in (
            "math500",
            "aime24",
            "amc23",
            "minerva_math",
            "olympiadbench",
            "gsm_hard",
            "svamp",
            "asdiv",
        )
    },
}
UNREADABLE = {"olympiadbench": ["olympiadbench/1965"], "asdiv": ["asdiv/1313"]}
"""A condition in words ("where $b$ is an arbitrary integer"), and a dash."""


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_is_complete(name: str) -> None:
    task = get_task(name)
    assert task.name == name
    assert "{prompt}" in task.template
    assert task.size > 0 and task.about and task.answer and task.licence and task.source
    assert task.prompt_config().template == task.template
    assert task.data == "arithmetic" or task.split in KNOWN[task.data].splits or name == "mgsm"


def test_prompts_are_what_was_published() -> None:
    # data/prompts/prompts.json, zero_shot: DeepSeekMath and Qwen2.5-Math.
    assert get_task("gsm8k").template == (
        "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
    assert get_task("arithmetic").template == "{prompt}\n"


def test_published_figures_are_those_of_the_reference() -> None:
    # reference/evals.md, section 6: percent there, fractions here
    figures = {
        (task.name, figure.model, figure.protocol.split(",")[0]): figure.accuracy
        for task in TASKS.values()
        for figure in task.published
    }
    assert figures["gsm8k", "DeepSeekMath-7B Instruct", "this prompt"] == 0.8287
    assert figures["gsm8k", "DeepSeekMath-7B RL", "this prompt"] == 0.8825
    assert figures["math", "DeepSeekMath-7B Instruct", "this prompt"] == 0.4682
    assert figures["math", "DeepSeekMath-7B RL", "this prompt"] == 0.517
    assert figures["math500", "Qwen2.5-Math-1.5B", "no template"] == 0.618
    assert {name for name, *_ in figures} == {"gsm8k", "math", "math500"}


@pytest.mark.parametrize("accuracy", [82.87, -0.1, float("nan")])
def test_a_published_figure_is_a_fraction(accuracy: float) -> None:
    with pytest.raises(ConfigError, match=r"published\.accuracy must be from 0 to 1, got"):
        Published(model="m", protocol="p", accuracy=accuracy, source="s")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../up"}, "name must be letters, digits, .*, got '../up'"),
        ({"template": "Q:"}, "template must contain {prompt}, got 'Q:'"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"size": -1}, "size must be 0"),
        ({"num_few_shot": -1}, "num_few_shot must be 0 or more"),
    ],
)
def test_a_task_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Task(**{"name": "mine", "data": "mine.jsonl", **fields})  # type: ignore[arg-type]


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean gsm8k"):
        get_task("gsm-8k")
    with pytest.raises(ConfigError, match="did you mean mgsm_de"):
        get_task("mgsm-de")
    with pytest.raises(ConfigError, match=r"`mathrl tasks` lists all, .* file ending in .toml"):
        get_task("chemistry")


def test_data_of_another_size_is_noted() -> None:
    task = get_task("aime24")
    assert task.size_note(30, "aime24") is None
    assert task.size_note(29, "mine.jsonl") == (
        "aime24 has 30 problems, mine.jsonl holds 29: figures published for the task do not compare"
    )
    assert Task(name="mine", data="mine.jsonl").size_note(29, "mine.jsonl") is None


def test_the_page_says_what_the_tasks_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for task in TASKS.values():
        known = KNOWN.get(task.data)
        if task.name.startswith("mgsm_"):
            assert f"`_{task.name[5:]}`" in page or f"`{task.name}`" in page
        else:
            assert f"| `{task.name}` | {task.size} | {task.about}" in page
        assert known is None or f"`{known.hub_id}`" in page or known.parts
        for figure in task.published:
            model = f"| {figure.model} | {figure.protocol.partition(' (')[0]} |"
            assert f"{model} {100 * figure.accuracy:.2f} |" in page


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_the_local_file_is_the_task(name: str) -> None:
    problems = load_problems(DATA / f"{FILES[name]}.jsonl")
    assert get_task(name).size_note(len(problems), name) is None
    assert len({problem.id for problem in problems}) == len(problems)


@needs_data
@pytest.mark.parametrize("name", FILES)
def test_known_answers_can_be_graded(name: str) -> None:
    problems = load_problems(DATA / f"{FILES[name]}.jsonl")
    quick = dataclasses.replace(EVAL, is_symbolic=False)
    unreadable = [
        problem.id
        for problem in problems
        if grade(r"\boxed{1234577}", problem.answer, quick).status == "gold_unparseable"
    ]
    assert unreadable == UNREADABLE.get(name, [])


@needs_data
@pytest.mark.parametrize("name", ["gsm8k", "math500", "minerva_math", "aime24"])
def test_worked_solutions_are_right(name: str) -> None:
    problems = load_problems(DATA / f"{FILES[name]}.jsonl")
    wrong = [p.id for p in problems if not grade(p.metadata["solution"], p.answer).value]
    assert wrong == []


@needs_data
def test_several_answers_of_olympiadbench_count_in_any_order() -> None:
    several = [
        problem
        for problem in load_problems(DATA / "olympiadbench.jsonl")
        if problem.metadata["is_multiple_answer"] and problem.id not in UNREADABLE["olympiadbench"]
    ]
    assert len(several) == 93
    readings = [read_gold(problem.answer, EVAL).readings[0] for problem in several]
    # two are one point each, $(-\frac{1}{2}, \frac{7}{2})$ and $(\frac{1}{4}, \frac{1}{27})$
    assert sum(isinstance(reading, Listing) for reading in readings) == 91
    assert "$69$,$84$" in [problem.answer for problem in several]
    assert grade(r"So $\boxed{84, 69}$.", "$69$,$84$").status == "correct"
    assert grade(r"So $\boxed{84}$.", "$69$,$84$").status == "wrong"


@pytest.mark.parametrize("digits", ["18", "১৮", "౧౮", "๑๘", "１８", "١٨", "१८"])
def test_numbers_in_other_scripts_are_graded(digits: str) -> None:
    # MGSM: Latin, Bengali, Telugu, Thai, full-width; Arabic and Devanagari besides
    assert grade(rf"\boxed{{{digits}}}", "18").status == "correct"
    assert grade(f"#### {digits}", "18").status == "correct"
    assert grade(rf"\boxed{{{digits}}}", "81").status == "wrong"


def test_importing_evals_loads_nothing_heavy() -> None:
    code = (
        "import sys, mathrl.evals\n"
        "heavy = {'torch', 'transformers', 'datasets', 'matplotlib', 'jinja2', 'rich', 'scipy',"
        " 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    path = ["-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    found = subprocess.run([sys.executable, *path], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
