"""TOML and assignments into recipes; every mistake is told by its key."""

import re

import pytest

from mathrl.config import build, override, read_toml, to_toml
from mathrl.errors import ConfigError
from mathrl.trainers.recipe import RECIPES, Recipe, load_recipe


@pytest.mark.parametrize("name", [path.stem for path in RECIPES.glob("*.toml")])
def test_shipped_recipes_load_and_survive_a_round_trip(name, tmp_path):
    recipe = load_recipe(name)
    path = tmp_path / "config.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_the_papers_numbers():
    """DeepSeekMath section 4.2."""
    recipe = load_recipe("deepseekmath")
    assert recipe.optimizer.lr == 1e-6
    assert recipe.loss.beta == 0.04
    assert recipe.rollout.group_size == 64
    assert recipe.rollout.max_new_tokens == 1024
    assert recipe.rollout.group_size * recipe.rollout.num_problems == 1024
    assert recipe.loss.updates_per_rollout == 1


def test_assignments_are_toml_or_else_text():
    values = override(
        {"loss": {"beta": 0.04}},
        ["loss.beta=0.1", "rewards=['a', 'b=2']", "data.name=some file.jsonl", "max_steps = 3"],
    )
    assert values == {
        "loss": {"beta": 0.1},
        "rewards": ["a", "b=2"],
        "data": {"name": "some file.jsonl"},
        "max_steps": 3,
    }


def test_assignments_leave_the_original_alone():
    original = {"loss": {"beta": 0.04}}
    override(original, ["loss.beta=1"])
    assert original == {"loss": {"beta": 0.04}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("loss.betta=0.1", "unknown key 'loss.betta'; did you mean beta?"),
        ("rolout.group_size=4", "unknown key 'rolout'; did you mean rollout?"),
        ("loss.beta=abc", "loss.beta must be a number, got 'abc'"),
        ("max_steps=1.5", "max_steps must be a whole number, got 1.5"),
        ("max_steps=true", "max_steps must be a whole number, got True"),
        ("max_steps=0", "max_steps must be at least 1"),
        ("loss=3", "loss is a section, got 3"),
        ("method=grpoo", "method must be one of 'grpo', 'sft'"),
        ("rewards=accuracy", "rewards must be a list"),
        ("rewards=[]", "rewards is empty"),
        ("loss.beta", "--set wants key=value"),
        ("max_steps.x=1", "'max_steps' is a value, not a section"),
        ("rollout.group_size=1", "rollout.group_size is 1: the completions"),
        ("rollout.temperature=0", "rollout.temperature must be above 0"),
        ("loss.clip_low=1.5", "loss.clip_low must be in [0, 1]"),
        ("prompt.template=no question", "must contain {prompt}"),
    ],
)
def test_mistakes_are_told_in_one_line(assignment, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_recipe("demo", [assignment])
    assert "\n" not in str(caught.value)


def test_a_key_without_a_default_is_asked_for():
    with pytest.raises(ConfigError, match="method"):
        build(Recipe, {}, source="x.toml")


def test_files_that_are_not_toml(tmp_path):
    (tmp_path / "bad.toml").write_text("method = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.toml is not valid TOML: .*line 1"):
        load_recipe(tmp_path / "bad.toml")
    with pytest.raises(ConfigError, match="no recipe 'nowhere'; shipped: cispo, dapo"):
        load_recipe("nowhere")
    with pytest.raises(ConfigError, match="cannot read"):
        read_toml(tmp_path / "absent.toml")
