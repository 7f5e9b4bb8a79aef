"""Rewards by name, their sums, and the checks on functions that are not ours."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards import accuracy_reward, combine, load_reward
from mathrl.rewards.combine import WeightedReward
from mathrl.schema import Score


def length(completions: list[str], **_: Any) -> list[float]:
    return [len(completion) for completion in completions]


def returning(results: Any) -> Callable[..., Any]:
    def foreign(completions: list[str], **_: Any) -> Any:
        return results

    return foreign


class Scalar:
    """Stands for a tensor without axes."""

    ndim = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def item(self) -> float:
        return self.value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_built_in_names_and_weights() -> None:
    assert load_reward("accuracy").function is accuracy_reward
    assert load_reward("accuracy").weight == 1.0
    assert load_reward("accuracy=0.25").weight == 0.25


def test_functions_are_found_in_the_current_folder(folder: Path) -> None:
    (folder / "own_rewards.py").write_text("def short(completions, **_):\n    return [1, 0]\n")
    reward = load_reward("own_rewards:short=0.5")
    assert (reward.name, reward.weight) == ("own_rewards:short", 0.5)
    assert [score.value for score in reward.scores(["a", "b"])] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("acuracy", "no reward named 'acuracy'; did you mean accuracy?"),
        ("", "no reward named ''"),
        (":f", "no reward named ':f'"),
        ("broken_one:", "no reward named 'broken_one:'"),
        ("own_reward:short", "no module named 'own_reward'.*did you mean own_rewards?"),
        ("own_rewards:shrot", "module own_rewards has no 'shrot'; did you mean short?"),
        ("own_rewards:number", "module own_rewards cannot call 'number'"),
        ("needy:f", "module needy needs no_such_package, which is not installed"),
        ("cut:f", "module cut cannot be imported"),
        ("accuracy=heavy", "the weight 'heavy' of reward 'accuracy=heavy' is not a number"),
        ("accuracy=", "the weight '' of"),
        ("accuracy=nan", "the weight 'nan' of"),
    ],
)
def test_a_bad_spec_is_one_clear_line(folder: Path, spec: str, message: str) -> None:
    (folder / "own_rewards.py").write_text("number = 5\ndef short(completions, **_): ...\n")
    (folder / "needy.py").write_text("import no_such_package\n")
    (folder / "cut.py").write_text("def f(:\n")
    with pytest.raises(ConfigError, match=message) as caught:
        load_reward(spec)
    assert "\n" not in str(caught.value)


def test_a_combination_is_the_weighted_sum_with_its_parts() -> None:
    reward = combine(["accuracy=2", WeightedReward(name="length", function=length, weight=0.1)])
    right, wrong = reward.scores([r"\boxed{5}", r"\boxed{66}"], answer=["5", "5"])
    assert right.value == pytest.approx(2 * 1 + 0.1 * 9)
    assert right.parts == {"accuracy": 1.0, "length": 9.0}
    assert (right.status, right.prediction, right.tier) == ("correct", "5", 0)
    assert wrong.value == pytest.approx(0.1 * 10)
    assert wrong.status == "wrong"  # the grader's word, not the sum's sign
    assert reward([r"\boxed{5}"], answer=["5"]) == [pytest.approx(2.9)]


def test_parts_without_a_verdict_are_left_out_of_the_sum() -> None:
    first = WeightedReward(name="first", function=returning([None, None, 1.0]), weight=3)
    second = WeightedReward(name="second", function=returning([0.5, None, 0.5]), weight=2)
    scores = combine([first, second]).scores(["a", "b", "c"])
    assert [score.value for score in scores] == [1.0, None, 4.0]
    assert [score.status for score in scores] == ["correct", "gold_unparseable", "correct"]


def test_a_combination_survives_pickling() -> None:
    reward = pickle.loads(pickle.dumps(combine(["accuracy"])))
    assert (reward.__name__, reward([r"\boxed{5}"], answer=["5"])) == ("combined_reward", [1.0])


def test_every_column_is_passed_on() -> None:
    seen: dict[str, Any] = {}

    def spy(**columns: Any) -> list[float]:
        seen.update(columns)
        return [0.0]

    combine([spy])(["a"], prompts=["p"], answer=["1"], completion_ids=[[1]])
    assert seen == {
        "completions": ["a"],
        "prompts": ["p"],
        "answer": ["1"],
        "completion_ids": [[1]],
    }


@pytest.mark.parametrize("results", [[1, True], (1.0, 1), [Scalar(1), Scalar(1.0)]])
def test_numbers_of_every_kind_are_taken(results: Any) -> None:
    values = combine([returning(results)])(["a", "b"])
    assert values == [1.0, 1.0]
    assert all(type(value) is float for value in values)


def test_arrays_of_one_axis_are_taken() -> None:
    numpy = pytest.importorskip("numpy")
    assert combine([returning(numpy.float32([1, 0.5]))])(["a", "b"]) == [1.0, 0.5]
    for results in (numpy.ones((2, 2)), [1.0, numpy.ones(2)]):
        with pytest.raises(GradingError, match="foreign"):
            combine([returning(results)])(["a", "b"])


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([1.0], "foreign returned 1 values for 2 completions"),
        (None, "foreign must return a list, not None"),
        (1.0, "foreign must return a list, not 1.0"),
        ({0: 1.0, 1: 1.0}, "foreign must return a list"),
        ([1.0, float("nan")], "foreign returned nan for row 1"),
        ([10**400, 1.0], "foreign returned 1000.* for row 0"),
        ([1.0, "1"], "foreign returned '1' for row 1"),
        ([Score(value=float("inf"), status="correct"), 1.0], "foreign returned inf for row 0"),
    ],
)
def test_what_is_not_a_reward_is_an_error(results: Any, message: str) -> None:
    with pytest.raises(GradingError, match=message):
        combine([returning(results)])(["a", "b"])


def test_a_fault_of_a_reward_is_raised_as_its_own() -> None:
    def faulty(completions: list[str], **_: Any) -> list[float]:
        raise KeyError("gold")

    with pytest.raises(GradingError, match=r"reward faulty failed: KeyError\('gold'\)") as caught:
        combine([faulty])(["a"])
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(GradingError, match="accuracy_reward needs a list column 'answer'"):
        combine(["accuracy"])(["a"])


def test_a_combination_needs_rewards_with_names_of_their_own() -> None:
    with pytest.raises(ConfigError, match="at least one reward"):
        combine([])
    with pytest.raises(ConfigError, match="two rewards are named accuracy"):
        combine(["accuracy", "accuracy=0.5"])
    with pytest.raises(ConfigError, match="cannot be called"):
        combine([5])  # type: ignore[list-item]
