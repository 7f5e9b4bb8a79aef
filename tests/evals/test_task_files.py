"""A task of the user's own: what its file may say, and how a mistake in it is named."""

import sys
from pathlib import Path

import pytest

from mathrl.errors import ConfigError, MissingExtraError
from mathrl.evals.tasks import Published, Task, get_task

WHOLE_TOML = """
name = "school"
data = "problems/school.jsonl"
split = "test"
size = 2
about = "last year's exam"
licence = "ours"
source = "the school"
template = "Q: {prompt}\\nA:"
system = "Be brief."
num_few_shot = 1
few_shot_data = "shots.jsonl"
max_new_tokens = 512
chat = "off"
question_column = "q"
answer_column = "a"

[[published]]
model = "ours-7b"
protocol = "this prompt, greedy"
accuracy = 0.5
source = "our report"
"""
WHOLE_YAML = """
name: school
data: problems/school.jsonl
split: test
size: 2
about: last year's exam
licence: ours
source: the school
template: "Q: {prompt}\\nA:"
system: Be brief.
num_few_shot: 1
few_shot_data: shots.jsonl
max_new_tokens: 512
chat: off
question_column: q
answer_column: a
published:
  - {model: ours-7b, protocol: "this prompt, greedy", accuracy: 0.5, source: our report}
"""


@pytest.mark.parametrize(
    ("name", "text"), [("t.toml", WHOLE_TOML), ("t.yaml", WHOLE_YAML), ("t.yml", WHOLE_YAML)]
)
def test_a_file_may_say_all_that_a_task_has(tmp_path: Path, name: str, text: str) -> None:
    if name != "t.toml":
        pytest.importorskip("yaml")
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert get_task(str(path)) == Task(
        name="school",
        data=str(tmp_path / "problems" / "school.jsonl"),
        size=2,
        about="last year's exam",
        licence="ours",
        source="the school",
        template="Q: {prompt}\nA:",
        system="Be brief.",
        num_few_shot=1,
        few_shot_data=str(tmp_path / "shots.jsonl"),
        max_new_tokens=512,
        chat="off",
        question_column="q",
        answer_column="a",
        published=(
            Published(
                model="ours-7b", protocol="this prompt, greedy", accuracy=0.5, source="our report"
            ),
        ),
    )


@pytest.mark.parametrize(
    ("data", "expected"), [("math500", "math500"), ("org/name", "org/name"), ("/x.csv", "/x.csv")]
)
def test_only_a_relative_file_is_relative_to_the_task(
    tmp_path: Path, data: str, expected: str
) -> None:
    path = tmp_path / "t.toml"
    path.write_text(f'name = "mine"\ndata = "{data}"\n', encoding="utf-8")
    assert get_task(str(path)) == Task(name="mine", data=expected)


GOOD = 'name = "mine"\ndata = "mine.jsonl"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data = "mine.jsonl"', "t.toml: no key 'name', which a task needs; a task has name, data"),
        ('name = "mine"', "t.toml: no key 'data'"),
        (GOOD + "max_token = 5\n", r"t.toml: unknown key 'max_token'; did you mean max_new_tokens"),
        (GOOD + 'max_new_tokens = "5"\n', "max_new_tokens must be a whole number, got '5'"),
        (GOOD + "template = 5\n", "t.toml: template must be text, got 5"),
        (GOOD + 'template = "Q:"\n', r"t.toml: template must contain {prompt}, got 'Q:'"),
        (GOOD + 'chat = "maybe"\n', "t.toml: chat must be one of 'auto', 'on', 'off', got 'maybe'"),
        ('name = "a/b"\ndata = "x"\n', "t.toml: name must be letters, .*, got 'a/b'"),
        (GOOD + "published = 0.5\n", "t.toml: published must be a list, got 0.5"),
        (GOOD + "published = [0.5]\n", "t.toml: published is a section, got 0.5"),
        (
            GOOD + '[[published]]\nmodel = "m"\nprotocol = "p"\nsource = "s"\naccuracy = 82.87\n',
            "t.toml: published.accuracy must be from 0 to 1, got 82.87",
        ),
        (GOOD + '[[published]]\nmodel = "m"\n', "t.toml: no key 'published.protocol' and "),
        (
            GOOD + "[[published]]\nacc = 1.0\n",
            "t.toml: unknown key 'published.acc'; known: model, protocol, acc",
        ),
        ("name = mine", "t.toml is not valid TOML: .*line 1"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        get_task(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: mine\n data: x", "t.yaml is not valid YAML: .*line 2"),
        ("[" * 600, "t.yaml is not valid YAML"),
        ("just a line", "t.yaml: a task is a list of `key: value` lines, got 'just a line'"),
        ("", "t.yaml: a task is a list of `key: value` lines, got None"),
        ("name: 2024\ndata: x", "t.yaml: name must be text, got 2024"),
        ("name: mine\ndata: x\n5: x", "t.yaml: unknown key '5'"),
        ("name: mine\ndata: x\nname: x", "not valid YAML: the key 'name' stands twice.*line 3"),
        (
            "name: mine\ndata: x\npublished:\n  - {model: a, source: b, model: c}",
            "the key 'model' stands twice.*line 4",
        ),
        ("name: !!python/object/apply:os.getcwd []\ndata: x", "t.yaml is not valid YAML"),
    ],
)
def test_a_mistake_in_yaml_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "t.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        get_task(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for suffix in (".toml", ".yaml"):
        with pytest.raises(ConfigError, match=f"cannot read .*none{suffix}: No such file"):
            get_task(str(tmp_path / f"none{suffix}"))


def test_yaml_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r't.yaml needs yaml: pip install "mathrl\[eval\]"'):
        get_task(str(tmp_path / "t.yaml"))
