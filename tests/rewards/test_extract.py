"""What counts as the answer of a completion, and under which policy."""

from dataclasses import replace

import pytest

from mathrl.errors import ConfigError
from mathrl.rewards import EVAL, REWARD, Policy, extract, grade


@pytest.mark.parametrize(
    ("completion", "cue", "text"),
    [
        (r"The answer is 1. #### 2 \boxed{3}", "box", "3"),
        ("The answer is 1.\n#### 2", "hashes", "2"),
        ("Answer: 1. So the answer is 2", "phrase", "2"),
        ("Answer: 1\nfrom 2 and 3", "label", "1"),
        ("1 and then 2 pens", "last_value", "2"),
        ("in all 25% of them", "last_value", "25%"),
        ("pages 3-5", "last_value", "5"),
        ("ticket 12,3456", "last_value", "12,3456"),
        ("so he is\n#### 27 years old in 5 years.", "hashes", "27 years"),
        ("it fell to -5", "last_value", "-5"),
        ("Mark makes #### 7500 cents a week.", "hashes", "7500 cents a week"),
        ("The answer (arabic numerals) is: \n\n 26", "phrase", "26"),
        ("the answer is Tuesday, I think", "phrase", "Tuesday, I think"),
        ("### Answer: **7**", "label", "7"),
    ],
)
def test_the_first_cue_of_the_policy_decides(completion: str, cue: str, text: str) -> None:
    found = extract(completion, EVAL)
    assert (found.cue, found.text) == (cue, text)


def test_a_reward_never_comes_from_a_last_value() -> None:
    found = extract("there are 12 pens", REWARD)
    assert (found.status, found.text) == ("no_answer", None)
    assert "last_value" not in found.reason


def test_a_heading_is_not_an_answer() -> None:
    assert extract("#### Step 3: add\n4 + 5\nThe answer is 9.", EVAL).text == "9"
    assert extract("##### 3", EVAL).cue == "last_value"


def test_only_what_follows_the_last_thought_is_read() -> None:
    assert extract(r"\boxed{1}</think>\boxed{2}</think>\boxed{3}", EVAL).text == "3"
    assert extract(r"\boxed{1}<think>\boxed{2}", EVAL).text == "1"


def test_conflicts_are_refused_by_value() -> None:
    assert grade(r"\boxed{1/2} \boxed{0.50}", "1/2", REWARD).status == "correct"
    assert grade(r"\boxed{x+1} \boxed{1+x}", "x+1", REWARD).status == "correct"
    assert grade(r"\boxed{1} \boxed{two}", "1", REWARD).status == "undecided"
    assert grade("#### 1\n#### 2", "2", REWARD).status == "undecided"
    assert grade(r"\boxed{1}. Wait, no. \boxed{2}", "2", REWARD).status == "correct"


def test_long_texts_are_read_from_the_end() -> None:
    policy = replace(REWARD, name="tail", cues=("box",), max_characters=20)
    assert extract(r"\boxed{1}" + " " * 20, policy).status == "no_answer"
    assert extract(" " * 20 + r"\boxed{1}", policy).text == "1"


def test_an_unknown_cue_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown cue 'last_number'; a policy knows box, tag"):
        replace(EVAL, cues=("last_number",))  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [EVAL, REWARD], ids=["eval", "reward"])
@pytest.mark.parametrize(
    "part",
    ["####", "the answer is ", "Answer:", "\nAnswer:\n", "1,234,", "$", "<think>", "</think>", "=",
     r"\boxed{1}", r"\frac", "the ", "\n", " and 1", "*", "#### 1\n", "a ", "-", "\\", r"\text{"],
)  # fmt: skip
def test_floods_stay_within_the_caps(part: str, policy: Policy) -> None:
    found = extract(part * (60_000 // len(part)), policy)
    assert len(found.text or "") <= policy.max_answer_characters
