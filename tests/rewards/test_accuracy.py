"""The accuracy reward keeps TRL's convention."""

import pickle

import pytest

from mathrl.errors import GradingError
from mathrl.rewards import accuracy_reward


def test_right_wrong_and_no_verdict() -> None:
    completions = [r"\boxed{5}", r"\boxed{6}", r"\boxed{5}", "so 5"]
    assert accuracy_reward(completions, answer=["5", "5", "", "5"]) == [1.0, 0.0, None, 0.0]


def test_conversations_count_by_their_last_message() -> None:
    conversation = [
        {"role": "user", "content": r"\boxed{6}"},
        {"role": "assistant", "content": r"\boxed{5}"},
    ]
    assert accuracy_reward([conversation], answer=["5"], prompts=["?"]) == [1.0]


def test_scores_are_the_rich_form() -> None:
    (score,) = accuracy_reward.scores([r"\boxed{5.0}"], answer=["5"])
    assert (score.value, score.status, score.prediction, score.tier) == (1.0, "correct", "5", 1)


def test_the_policy_is_the_strict_one() -> None:
    assert accuracy_reward([r"\boxed{50\%}", r"\boxed{1} \boxed{5}"], answer=["50", "5"]) == [0, 0]


def test_it_has_a_name_and_survives_pickling() -> None:
    assert accuracy_reward.__name__ == "accuracy_reward"
    assert pickle.loads(pickle.dumps(accuracy_reward))([r"\boxed{5}"], answer=["5"]) == [1.0]


def test_a_missing_or_short_answer_column_is_an_error() -> None:
    with pytest.raises(GradingError, match="'answer'; it got the columns prompts, gold"):
        accuracy_reward(["5"], prompts=["?"], gold=["5"])
    with pytest.raises(GradingError, match="got one string"):
        accuracy_reward(["5"], answer="5")
    with pytest.raises(GradingError, match=r"2 completions and 1 answers \(columns: answer, ids\)"):
        accuracy_reward(["5", "6"], answer=["5"], ids=[1, 2])


def test_a_message_without_text_says_nothing_and_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "#### "}, {"type": "text", "text": "5"}]
    calls = [{"role": "assistant", "content": None, "tool_calls": []}]
    assert accuracy_reward([calls, [{"content": parts}]], answer=["5", "5"]) == [0.0, 1.0]


@pytest.mark.parametrize("completion", [[], [{"content": 5}], None, 5])
def test_what_is_no_completion_is_an_error(completion: object) -> None:
    with pytest.raises(GradingError, match="a completion must be a string or a list of messages"):
        accuracy_reward([completion], answer=["5"])  # type: ignore[list-item]
