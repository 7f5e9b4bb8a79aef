"""What goes over the wire, field by field."""

import json

import pytest

from mathrl.engines import SampleRequest, SamplingParams, sample_seed
from mathrl.engines.wire import Dialect, NoCompletion, body, error_words, printable, read_completion
from mathrl.schema import Message, Usage

REQUEST = SampleRequest(
    problem_id="p",
    sample_index=0,
    prompt="1+1?",
    prompt_ids=None,
    seed=2**40 + 7,
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="1+1?")),
)
TEXT = SampleRequest(problem_id="p", sample_index=0, prompt="1+1?", prompt_ids=None, seed=3)
PARAMS = SamplingParams(temperature=0.5, max_new_tokens=9, stop=("Q:",))


def sent(request, dialect=Dialect(), more=()):  # noqa: B008 - frozen
    return body(request, PARAMS, model="m", dialect=dialect, more=dict(more))


def answer(**choice):
    return json.dumps({"choices": [choice]}).encode()


def test_a_chat_is_asked_with_messages():
    assert sent(REQUEST) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1+1?"},
        ],
        "temperature": 0.5,
        "max_tokens": 9,
        "seed": 7,  # 2 ** 40 + 7 in 31 bits
        "stop": ["Q:"],
    }


def test_a_completion_is_asked_with_text():
    asked = sent(TEXT)
    assert asked["prompt"] == "1+1?"
    assert "messages" not in asked


def test_the_seeds_of_one_problem_stay_apart_in_31_bits():
    seeds = [sample_seed(0, 0, "p", i) % 2**31 for i in range(1000)]
    assert len(set(seeds)) == 1000
    assert max(seeds) < 2**31


def test_a_dialect_is_spoken():
    asked = sent(REQUEST, Dialect(cap_field="max_completion_tokens", has_seed=False))
    assert asked["max_completion_tokens"] == 9
    assert not {"max_tokens", "seed"} & asked.keys()


def test_further_fields_go_along():
    assert sent(REQUEST, more={"reasoning_effort": "low"})["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            Dialect(cap_field="max_completion_tokens"),
        ),
        ("seed: Extra inputs are not permitted", Dialect(has_seed=False)),
        ("max_tokens is too large: this model has at most 16384", Dialect()),
        ("the weights were seeded badly", Dialect()),
    ],
)
def test_a_dialect_is_learnt_from_a_refusal(told, expected):
    assert Dialect().without(told) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        (None, None),
        ("of its own making", None),
        (["list"], None),
    ],
)
def test_finish_reasons(told, expected):
    found = read_completion(answer(message={"content": "2"}, finish_reason=told))
    assert (found.text, found.finish_reason) == ("2", expected)


def test_text_of_the_completions_endpoint():
    assert read_completion(answer(text="2", finish_reason="stop")).text == "2"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart(name):
    found = read_completion(answer(message={"content": "2", name: "1+1=3, no, 2"}))
    assert (found.text, found.reasoning) == ("2", "1+1=3, no, 2")


def test_cut_while_reasoning_is_an_empty_text():
    said = {"content": None, "reasoning_content": "let me"}
    found = read_completion(answer(message=said, finish_reason="length"))
    assert (found.text, found.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    ("said", "reason", "num_tokens"),
    [
        ({}, "length", 0),
        ({}, "content_filter", 0),
        ({"reasoning": "two"}, "stop", 0),
        ({"tool_calls": [{"id": "c"}]}, "tool_calls", 0),
        ({"function_call": {"name": "add"}}, "stop", 0),
        ({}, "stop", 1),  # the model's first token was its last
    ],
)
def test_null_is_an_empty_text_where_something_says_why(said, reason, num_tokens):
    usage = {"completion_tokens": num_tokens}
    for message in (said, {"content": None, **said}):
        choice = {"message": message, "finish_reason": reason}
        data = json.dumps({"choices": [choice], "usage": usage}).encode()
        assert read_completion(data).text == ""


@pytest.mark.parametrize("reason", ["stop", None, "of its own making"])
@pytest.mark.parametrize(
    "said",
    [
        {"message": {}},
        {"message": {"content": None}},
        {"message": {"content": None, "reasoning": "", "tool_calls": []}},
        {"text": None},
    ],
)
def test_null_without_a_reason_is_no_completion(said, reason):
    with pytest.raises(NoCompletion, match="null for content, and nothing that says why"):
        read_completion(answer(**said, finish_reason=reason))


def test_an_empty_text_is_a_completion():
    found = read_completion(answer(message={"content": ""}, finish_reason="stop"))
    assert (found.text, found.finish_reason) == ("", "stop")


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 30,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(prompt_tokens=5, completion_tokens=30, reasoning_tokens=20),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 30, "completion_tokens_details": None},
            Usage(prompt_tokens=5, completion_tokens=30),
        ),
        ({"prompt_tokens": "many"}, None),
        ({"prompt_tokens": True, "completion_tokens": -3}, None),
        (
            {"prompt_tokens": 10**400, "completion_tokens": 10**9 - 1},
            Usage(prompt_tokens=10**9, completion_tokens=10**9 - 1),
        ),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_what_the_api_counts(counted, expected):
    data = json.dumps({"choices": [{"text": "2"}], "usage": counted}).encode()
    assert read_completion(data).usage == expected


def test_cost_by_hand():
    # 2 million in at 0.5 and 0.1 million out at 8: 1 + 0.8
    used = Usage(prompt_tokens=2_000_000, completion_tokens=60_000, reasoning_tokens=60_000)
    assert (used + Usage(completion_tokens=40_000)).cost(0.5, 8) == pytest.approx(1.8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>\x1b[31mno", r"no JSON: '<html>\\x1b\[31mno'"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"null", "no choice: null"),
        (b"[]", "no choice"),
        (b'{"choices": []}', "no choice"),
        (b'{"choices": [{}]}', "no choice"),
        (b'{"choices": [{"message": null}]}', "no choice"),
        (b'{"choices": [{"message": {"content": ["part"]}}]}', "content that is no text"),
        (b'{"choices": [{"text": "2", "finish_reason": "abort"}]}', "given up \\(abort\\)"),
        (b'{"error": {"message": "overloaded"}}', "an error: .*overloaded"),
    ],
)
def test_anything_else_is_no_completion(data, message):
    with pytest.raises(NoCompletion, match=message):
        read_completion(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"error": {"message": "m", "code": "c", "type": "t"}}', ("c t", "m")),
        (b'{"error": "m"}', ("", "m")),
        (b'{"detail": [{"loc": ["seed"]}]}', ("", '[{"loc": ["seed"]}]')),
        (b'{"message": "m"}', ("", "m")),
        (b"not found", ("", "not found")),
        (b"\xff", ("", "�")),
    ],
)
def test_errors_come_in_many_forms(data, expected):
    assert error_words(data) == expected


def test_what_a_server_says_is_one_short_line():
    assert printable("a\n\x1b[2Jb\u202e" + "c" * 10**6).startswith("a [2Jb ccc")
    assert len(printable("c" * 10**6)) == 300
