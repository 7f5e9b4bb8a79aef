"""Rewards by name, their sums, and the checks on functions that are not ours."""

import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards import accuracy_reward, combine, load_reward
from mathrl.rewards.combination import WeightedReward, standardised
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


def test_shaping_rewards_have_names_too() -> None:
    reward = combine(["accuracy", "format=0.2", "gated_format=0.1", "repetition=0.5"])
    text = r"<think>Half of 10 is 5.</think>\boxed{6}"
    (score,) = reward.scores([text], answer=["5"])
    assert score.parts == {"accuracy": 0, "format": 1, "gated_format": 0, "repetition": 0}
    assert score.value == pytest.approx(0.2)
    for name in ("length", "cosine_length=0.5"):
        with pytest.raises(ConfigError, match=r"needs your limit: write .*max_length=1024"):
            load_reward(name)


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


def test_the_grader_gives_the_status_wherever_it_stands() -> None:
    for specs in (["repetition", "format", "accuracy"], ["accuracy", "format", "repetition"]):
        right, silent = combine(specs).scores([r"\boxed{5}", "well"], answer=["5", "5"])
        assert (right.status, right.prediction) == ("correct", "5")
        assert silent.status == "no_answer"
    (score,) = combine(["repetition", "format"]).scores(["well"])  # no grader: the first part
    assert score.status == "correct"


def test_standardised_by_hand() -> None:
    # group a: 0 0 3, mean 1, variance (1 + 1 + 4) / 2 = 3; group b: 1 0, mean 1/2, variance 1/2
    values = standardised([0, 1, 0, 0, 3], ["a", "b", "a", "b", "a"])
    root3, root2 = math.sqrt(3), math.sqrt(2)
    assert values == pytest.approx(
        [-1 / root3, 1 / root2, -1 / root3, -1 / root2, 2 / root3], abs=1e-15
    )


def test_standardised_without_spread_is_exactly_zero() -> None:
    tenth = 0.1 + 0.2 - 0.3  # 5.6e-17: the same number in another order
    assert standardised([0.7, 0.7, 0.7], "aaa") == [0.0, 0.0, 0.0]
    assert standardised([0.3, 0.3 + tenth], "aa") == [0.0, 0.0]
    assert standardised([5.0, 6.0], "ab") == [0.0, 0.0]  # groups of one
    assert standardised([1e308, -1e308], "aa") == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])
    assert standardised([], "") == []


def test_standardised_leaves_out_what_has_no_verdict() -> None:
    values = standardised([1.0, None, 0.0, None], "aaab")
    assert values == [pytest.approx(math.sqrt(0.5)), None, pytest.approx(-math.sqrt(0.5)), None]


def test_standardised_ignores_scale_shift_and_order() -> None:
    values = [0.3, 1.7, -2.0, 0.3, 5.5, 4.0]
    groups = "aababb"
    once = standardised(values, groups)
    moved = standardised([40 * value - 7 for value in values], groups)
    assert moved == pytest.approx(once, abs=1e-12)
    assert standardised(values[::-1], groups[::-1]) == pytest.approx(once[::-1], abs=1e-15)
    negated = standardised([-value for value in values], groups)
    assert negated == pytest.approx([-value for value in once if value is not None], abs=1e-15)


def test_a_normalised_combination_by_hand() -> None:
    # accuracy 1 0 1 0 in one group: mean 1/2, variance 4 (1/4) / 3 = 1/3, so sqrt(3)/2 each way;
    # the scale, 100 0 0 0: mean 25, offsets 75 -25 -25 -25, variance 7500 / 3 = 50^2: 1.5 and -0.5
    scale = WeightedReward(name="scale", function=returning([100, 0, 0, 0]), weight=0.1)
    reward = combine(["accuracy", scale], is_normalised=True)
    completions = [r"\boxed{5}", r"\boxed{6}"] * 2
    scores = reward.scores(completions, prompts=["?"] * 4, answer=["5"] * 4)
    half = math.sqrt(3) / 2
    assert [score.value for score in scores] == pytest.approx(
        [half + 0.15, -half - 0.05, half - 0.05, -half - 0.05], abs=1e-15
    )
    assert scores[0].parts == {"accuracy": 1.0, "scale": 100.0}  # as they came
    assert [score.status for score in scores] == ["correct", "wrong"] * 2


def test_normalisation_keeps_groups_apart_and_none_out() -> None:
    part = returning([1.0, 5.0, 0.0, 5.0, None])
    prompts = [[{"role": "user", "content": text}] for text in "abaac"]
    values = combine([part], is_normalised=True)(["x"] * 5, prompts=prompts)
    # a: 1 0 5, mean 2, offsets -1 -2 3, variance 14 / 2
    root = math.sqrt(7)
    assert values[:4] == pytest.approx([-1 / root, 0.0, -2 / root, 3 / root], abs=1e-15)
    assert values[4] is None
    (first, *_) = combine([part], is_normalised=True).scores(["x"] * 5, prompts=prompts)
    assert first.status == "correct"  # its own value is positive, though below the group's mean


@pytest.mark.parametrize("prompts", [None, "??", ["?"]])
def test_normalisation_needs_to_know_the_groups(prompts: Any) -> None:
    with pytest.raises(GradingError, match="groups apart by the list column 'prompts'"):
        combine([length], is_normalised=True)(["a", "b"], prompts=prompts)


def test_a_combination_survives_pickling() -> None:
    reward = pickle.loads(pickle.dumps(combine(["accuracy"])))
    assert (reward.__name__, reward([r"\boxed{5}"], answer=["5"])) == ("combined_reward", [1.0])
    assert pickle.loads(pickle.dumps(combine(["accuracy"], is_normalised=True))).is_normalised


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
    scores = WeightedReward(name="any", function=returning(results)).scores(["a", "b"])
    assert [score.value for score in scores] == [1.0, 1.0]
    assert all(type(score.value) is float for score in scores)


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
    with pytest.raises(GradingError, match=r"^accuracy_reward needs a list column 'answer'"):
        combine(["accuracy"])(["a"])


def test_a_combination_needs_rewards_with_names_of_their_own() -> None:
    with pytest.raises(ConfigError, match="at least one reward"):
        combine([])
    with pytest.raises(ConfigError, match="two rewards are named accuracy"):
        combine(["accuracy", "accuracy=0.5"])
    with pytest.raises(ConfigError, match="cannot be called"):
        combine([5])  # type: ignore[list-item]
