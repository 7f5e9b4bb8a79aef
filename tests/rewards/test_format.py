"""The format reward pays for thinking and an answer, and for nothing that only looks like them."""

import time

import pytest

from mathrl.errors import ConfigError, GradingError
from mathrl.rewards.format import MAX_CHARACTERS, FormatReward, format_reward

GOOD = "<think>Half of 84 is 42.</think>The answer is 42."
TAGGED = "<think>Half of 84 is 42.</think>\n<answer>42</answer>"
tagged_reward = FormatReward(is_answer_tagged=True)
open_reward = FormatReward(is_think_open=True)


@pytest.mark.parametrize(
    "completion",
    [
        GOOD,
        "  \n<think>\nHalf of 84 is 42.\n</think>\n\n\\boxed{42}\n",
        "<think>2+2=4</think>4",
        "<think>八十四的一半是四十二</think>四十二",
        r"<think>no real x has x^2 = -1</think>∅",
        "<think>if a < b then a <= b; see <b>both</b></think>yes",
        "<think>Half of 84 is 42.</think>So: <answer>42</answer>, or $6\\cdot7$",
    ],
)
def test_thinking_and_an_answer_are_paid(completion: str) -> None:
    assert format_reward([completion]) == [1.0]


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("", "0 <think>, not 1"),
        ("The answer is 42.", "0 <think>, not 1"),
        ("<think>Half of 84 is 42. The answer is 42.", "0 </think>, not 1"),
        ("Half of 84 is 42.</think>42", "0 <think>, not 1"),
        ("<think></think>42", "no thinking"),
        ("<think> \n\t </think>42", "no thinking"),
        ("<think>.</think>42", "no thinking"),
        ("<think>... --- !!! ...</think>42", "no thinking"),
        ("<think>ok</think>42", "no thinking"),
        ("<think>\u200b\u200b\u200b\u200b</think>42", "no thinking"),
        ("<think>\u3164\u3164\u3164\u3164</think>42", "no thinking"),
        ("<think>Half of 84 is 42, so the answer is 42.</think>", "no answer"),
        (r"<think>Half of 84 is \boxed{42}.</think> . ", "no answer"),
        (r"<think>Half of 84 is \boxed{42}.</think>" + "\u200b", "no answer"),
        ("<think>Half of 84</think>41</think>42", "2 </think>, not 1"),
        ("<think>Half</think>41<think>of 84</think>42", "2 <think>, not 1"),
        ("<think><think>Half of 84</think>42", "2 <think>, not 1"),
        ("</think>Half of 84<think>42", "text before <think>"),
        ("42 it is. <think>Half of 84</think>42", "text before <think>"),
        ("\u200b<think>Half of 84</think>42", "text before <think>"),
        ("<th\u200bink>Half of 84</think>42", "0 <think>, not 1"),
        ("<think>Half of 84</thi\u200bnk>42", "0 </think>, not 1"),
        ("<THINK>Half of 84</THINK>42", "0 <think>, not 1"),
        ("< think >Half of 84</ think >42", "0 <think>, not 1"),
        ("＜think＞Half of 84＜/think＞42", "0 <think>, not 1"),
        ("&lt;think&gt;Half of 84&lt;/think&gt;42", "0 <think>, not 1"),
    ],
)
def test_what_only_looks_like_it_is_not(completion: str, reason: str) -> None:
    (score,) = format_reward.scores([completion])
    assert (score.value, score.status) == (0.0, "wrong")
    assert score.reason.startswith(reason)


def test_the_answer_may_have_tags_of_its_own() -> None:
    assert tagged_reward([TAGGED, GOOD]) == [1.0, 0.0]
    assert format_reward([TAGGED]) == [1.0]


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("<think>Half of 84</think><answer></answer>", "no answer"),
        ("<think>Half of 84</think><answer> . </answer>", "no answer"),
        ("<think>Half of 84</think><answer>41</answer><answer>42</answer>", "2 <answer>"),
        ("<think>Half of 84 <answer>42</answer></think>", "<answer>…</answer> not after"),
        ("<think>Half of 84 <answer>42</answer></think>42", "<answer>…</answer> not after"),
        ("<think>Half of 84 <answer></think>42</answer>", "<answer>…</answer> not after"),
        ("<answer>42</answer><think>Half of 84</think>", "text before <think>"),
        ("<think>Half of 84</think></answer>42<answer>", "<answer>…</answer> not after"),
        ("<think>Half of 84</think><answer>42", "0 </answer>"),
        ("<think>Half of 84</think><answ\u200ber>42</answer>", "0 <answer>"),
    ],
)
def test_tagged_answers_stand_once_after_the_thinking(completion: str, reason: str) -> None:
    for reward in (tagged_reward, format_reward):  # where the tags are optional they still count
        (score,) = reward.scores([completion])
        assert score.value == 0.0
        assert score.reason.startswith(reason)


def test_nothing_stands_outside_tags_that_are_required() -> None:
    for answer in ("So: <answer>42</answer>", "<answer>42</answer> or 41"):
        (score,) = tagged_reward.scores([f"<think>Half of 84</think>{answer}"])
        assert (score.value, score.reason) == (0.0, "text outside the tags")


def test_a_prompt_that_opens_the_thinking_is_declared() -> None:
    opened = GOOD.removeprefix("<think>")
    assert open_reward([opened, GOOD, "</think>42"]) == [1.0, 0.0, 0.0]
    assert format_reward([opened]) == [0.0]


def test_thinking_that_a_chat_template_took_out_of_the_text_still_counts() -> None:
    for key in ("reasoning_content", "thinking"):
        message = {"role": "assistant", key: "Half of 84 is 42.", "content": "42"}
        assert format_reward([[message]]) == open_reward([[message]]) == [1.0]
        assert format_reward([[{**message, "content": ""}]]) == [0.0]
        assert format_reward([[{**message, "content": "41</think>42"}]]) == [0.0]
        assert format_reward([[{**message, key: None}]]) == [0.0]
    with pytest.raises(GradingError, match="a completion must be"):
        format_reward([[{"role": "assistant", "thinking": "Half of 84 is 42."}]])


def test_what_surrounds_a_completion_changes_nothing() -> None:
    for text in (GOOD, TAGGED):
        for reward in (format_reward, tagged_reward):
            assert reward([text]) == reward([f"\n {text}\n "])
    for bad in ("42", GOOD + GOOD, GOOD.replace("</think>", "")):  # nothing after it can repair it
        assert format_reward([bad + " So 42."]) == [0.0]


def test_floods_take_linear_time() -> None:
    floods = [
        "<think>" * 140_000,
        "<think>" + "</think" * 140_000,
        "<think>" + " " * 990_000 + "</think>",
        "<think>" + "<" * 990_000,
        "<think>abc</think>" + "." * 980_000,
    ]
    start = time.perf_counter()
    assert format_reward(floods) == [0.0] * len(floods)
    assert time.perf_counter() - start < 2  # 0.2 s; a quadratic scan of one takes hours


def test_a_text_without_end_is_a_zero_with_its_status() -> None:
    (score,) = format_reward.scores([GOOD + " " * MAX_CHARACTERS])
    assert (score.value, score.status) == (0.0, "limit")


def test_settings_are_checked() -> None:
    assert FormatReward(min_thinking_characters=20)([GOOD]) == [0.0]  # Halfof84is42: 12 characters
    assert FormatReward(min_thinking_characters=12)([GOOD]) == [1.0]
    with pytest.raises(ConfigError, match="must be at least 1, not 0"):
        FormatReward(min_thinking_characters=0)
