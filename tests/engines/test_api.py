"""The API engine against a server that fails in every way: no test waits for real."""

import json
import threading

import anyio
import pytest

from benchmarks.mock_api import FAULTS, KEY, MockApi, drawn_faults, written
from mathrl.engines import SampleRequest, SamplingParams, sample_seed
from mathrl.engines.api import ApiEngine
from mathrl.engines.api_config import ApiConfig
from mathrl.engines.pace import Pace
from mathrl.errors import ConfigError, EngineError
from mathrl.schema import Message, Usage
from tests.engines.fake_clock import Clock

PARAMS = SamplingParams(temperature=1.0, max_new_tokens=16)


@pytest.fixture
def api():
    running = MockApi()
    yield running
    running.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def open_engine(api, clock):
    def open_engine(**settings):
        config = ApiConfig(**{"base_url": api.url, "model": "mock", **settings})
        return ApiEngine(config, pace=Pace(clock=clock, sleep=clock.sleep))

    return open_engine


def requests(problems=3, samples=4):
    return [
        SampleRequest(
            problem_id=f"p{u}",
            sample_index=i,
            prompt=f"{u} plus 1?",
            prompt_ids=None,
            seed=sample_seed(0, 0, f"p{u}", i),
            messages=(Message(role="user", content=f"{u} plus 1?"),),
        )
        for u in range(problems)
        for i in range(samples)
    ]


def sample(engine, asked, params=PARAMS):
    found = dict(engine.sample(asked, params))
    return [found[index] for index in range(len(asked))]


def assert_right(found, asked):
    assert [c.text for c in found] == [written(r.prompt, r.seed % 2**31) for r in asked]


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_each_request_has_its_own_answer(api, open_engine, endpoint):
    asked = requests()
    if endpoint == "completions":
        asked = [
            SampleRequest(
                problem_id=r.problem_id,
                sample_index=r.sample_index,
                prompt=r.prompt,
                prompt_ids=None,
                seed=r.seed,
            )
            for r in asked
        ]
    assert_right(sample(open_engine(endpoint=endpoint), asked), asked)


def test_every_sample_has_a_seed_of_its_own(api, open_engine):
    sample(open_engine(), requests(problems=2, samples=16))
    assert len({body["seed"] for body in api.asked}) == len(api.asked) == 32
    assert not any("n" in body for body in api.asked)


def test_no_requests_are_no_completions(open_engine):
    assert list(open_engine().sample([], PARAMS)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_asked_again(api, open_engine, fault):
    api.faults = [None, fault, fault]
    engine, asked = open_engine(concurrency=1), requests()
    assert_right(sample(engine, asked), asked)
    assert (engine.num_requests, engine.num_retries) == (14, 2)
    assert [body["seed"] for body in api.asked[1:4]] == [api.asked[1]["seed"]] * 3


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_a_server_that_comes_to_no_end_is_asked_again(api, open_engine, fault):
    api.faults = [fault]
    engine, asked = open_engine(timeout_s=0.2), requests(1, 1)
    assert_right(sample(engine, asked), asked)
    assert engine.num_retries == 1


def test_waits_double_and_end(api, open_engine, clock):
    api.draw_fault = lambda: "500"
    with pytest.raises(EngineError, match="failed 5 times, the last time with 500 told with 500"):
        sample(open_engine(max_retries=4, concurrency=1), requests())
    assert len(api.asked) == 5
    for wait_s, longest_s in zip(clock.slept, [1, 2, 4, 8], strict=True):
        assert longest_s / 2 <= wait_s <= longest_s


def test_retry_after_holds_every_request(api, open_engine, clock):
    api.faults = ["429-30"]
    sample(open_engine(concurrency=1), requests(1, 2))
    # its own wait is part of what the API asked for, and the second request finds the time over
    assert sum(clock.slept) == pytest.approx(30)


def test_a_retry_after_of_hours_ends_the_run(api, open_engine, clock):
    api.faults = ["429-7200"]
    with pytest.raises(EngineError, match="wants to be asked again in 7200 s"):
        sample(open_engine(concurrency=1), requests())
    assert clock.slept == []


def test_a_retry_after_of_no_time_is_waited_for_as_if_absent(api, open_engine):
    api.faults = ["429-Mon, 01 Jan 2024 00:00:00 +99999999999999"]
    engine, asked = open_engine(), requests()
    assert_right(sample(engine, asked), asked)
    assert engine.num_retries == 1


def test_a_count_of_no_sense_ends_no_run(api, clock):
    api.change = lambda answer: answer | {"usage": {"prompt_tokens": 10**400}}
    config = ApiConfig(base_url=api.url, model="mock")
    pace = Pace(tokens_per_minute=10**6, clock=clock, sleep=clock.sleep)
    engine, asked = ApiEngine(config, pace=pace), requests()
    assert_right(sample(engine, asked), asked)
    assert engine.usage == Usage(prompt_tokens=12 * 10**9)


def test_a_storm_of_faults_changes_no_completion(api, open_engine):
    api.draw_fault = drawn_faults(0.5, seed=1)
    engine, asked = open_engine(max_retries=50), requests(problems=10)
    assert_right(sample(engine, asked), asked)
    assert engine.num_requests == 40 + engine.num_retries
    assert engine.usage == Usage(prompt_tokens=3 * 40, completion_tokens=10 * 40)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("400", r"refuses problem p0 \(400 told with 400\)"),
        ("402", "wants to be paid first"),
        ("403", "refuses a request without a key; name the variable .* --api-key-env NAME"),
        ("404", "has no model 'mock' or no such address: .* end in /v1"),
        ("301", "moved"),
    ],
)
def test_what_will_not_pass_ends_at_once(api, open_engine, status, message):
    api.faults = [status]
    with pytest.raises(EngineError, match=message):
        sample(open_engine(concurrency=1), requests())
    assert len(api.asked) == 1


def test_no_quota_is_not_waited_for(api, open_engine, monkeypatch):
    api.refused = {"model": "You exceeded your quota"}
    monkeypatch.setattr("benchmarks.mock_api.Handler.answer", quota_answer)
    with pytest.raises(EngineError, match="wants to be paid first"):
        sample(open_engine(concurrency=1), requests())
    assert len(api.asked) == 1


def quota_answer(self, body, status=200, headers=(), length=None):
    data = json.dumps({"error": {"message": "no", "code": "insufficient_quota"}}).encode()
    self.send_response(429)
    self.send_header("Content-Length", str(len(data)))
    self.end_headers()
    self.wfile.write(data)


def test_a_key_is_sent_and_never_told(api, open_engine, monkeypatch):
    monkeypatch.setenv("SOME_KEY", f"{KEY}\n")
    api.key = KEY
    asked = requests(1, 2)
    assert_right(sample(open_engine(key_variable="SOME_KEY"), asked), asked)
    monkeypatch.setenv("SOME_KEY", "sk-wrong-7f3a")
    engine = open_engine(key_variable="SOME_KEY")
    with pytest.raises(EngineError, match="refuses the key in SOME_KEY") as caught:
        sample(engine, asked)
    assert "sk-wrong" not in str(caught.value)  # though the API repeats it
    assert "sk-wrong" not in repr(engine.config) + engine.fingerprint


@pytest.mark.parametrize("key", ["0", "1", "EMPTY", "makes", "message", '"'])
def test_a_key_changes_no_completion(api, open_engine, monkeypatch, key):
    monkeypatch.setenv("SOME_KEY", key)
    api.change = lambda answer: answer | {"padding": f"{key} and 10"}
    engine, asked = open_engine(key_variable="SOME_KEY", max_retries=0), requests()
    assert_right(sample(engine, asked), asked)  # such as "That makes\n#### 10"
    assert engine.usage == Usage(prompt_tokens=3 * 12, completion_tokens=10 * 12)


@pytest.mark.parametrize("key", ["0", "EMPTY", "content_filter"])
def test_a_key_damages_no_refusal(api, open_engine, monkeypatch, key):
    def filtered(self, asked):
        error = {"message": f"{key} {key}", "param": 0, "code": "content_filter"}
        self.answer({"error": error}, 400)

    monkeypatch.setattr("benchmarks.mock_api.Handler.respond", filtered)
    monkeypatch.setenv("SOME_KEY", key)
    [found] = sample(open_engine(key_variable="SOME_KEY"), requests(1, 1))
    assert found.finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"<html>%s</html>", 200),
        (b'{"error": "%s"}', 200),
        (b'{"choices": "%s"}', 200),
        (b'{"choices": [{"text": ["%s"]}]}', 200),
        (b'{"error": {"message": "%s"}}', 500),
        (b"\x1b[31m%s\n", 400),
        (b"x" * 290 + b"%s", 400),  # a cut at 300 characters must not leave the first half
    ],
)
def test_a_key_is_in_no_words_of_a_server(api, open_engine, monkeypatch, data, status):
    key = "sk-0123456789abcdef"

    def repeating(self, asked):
        self.answer(data % key.encode(), status)

    monkeypatch.setattr("benchmarks.mock_api.Handler.respond", repeating)
    monkeypatch.setenv("SOME_KEY", key)
    with pytest.raises(EngineError, match=r"\*\*\*") as caught:
        sample(open_engine(key_variable="SOME_KEY", max_retries=0), requests(1, 1))
    assert "sk-0" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_key_is_in_no_words_of_a_broken_answer(api, open_engine, monkeypatch):
    def broken(self, asked):
        self.wfile.write(b"no status: sk-0123\r\n\r\n")

    monkeypatch.setattr("benchmarks.mock_api.Handler.respond", broken)
    monkeypatch.setenv("SOME_KEY", "sk-0123")
    with pytest.raises(EngineError, match=r"broken answer .*\*\*\*") as caught:
        sample(open_engine(key_variable="SOME_KEY", max_retries=0), requests(1, 1))
    assert "sk-0123" not in str(caught.value)


def test_without_a_key_none_is_sent(api, open_engine, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    sample(open_engine(), requests(1, 1))
    assert "Authorization" not in api.headers[0]


def test_a_variable_without_a_key_is_told(open_engine, monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="must name an environment variable") as caught:
        open_engine(key_variable="NO_KEY")
    assert "NO_KEY" not in str(caught.value)  # it may be the key itself


def test_an_unknown_model_is_told(api, open_engine):
    api.models = ["other"]
    with pytest.raises(EngineError, match="has no model 'mock'"):
        sample(open_engine(), requests())


def test_an_address_without_a_server_is_told_at_once(api, open_engine, clock):
    engine = open_engine()
    api.stop()
    with pytest.raises(EngineError, match=r"cannot be reached .* is --base-url right\?"):
        sample(engine, requests())
    assert clock.slept == []


def test_the_newer_name_of_the_cap_is_learnt_once(api, open_engine):
    api.refused = {"max_tokens": "Use 'max_completion_tokens' instead of 'max_tokens'"}
    engine, asked = open_engine(concurrency=4), requests()
    assert_right(sample(engine, asked), asked)
    refused = [body for body in api.asked if "max_tokens" in body]
    assert 1 <= len(refused) <= 4  # those that were under way
    assert engine.num_retries == 0
    answered = [body for body in api.asked if "max_tokens" not in body]
    assert {body["max_completion_tokens"] for body in answered} == {16}


def test_a_seed_that_is_refused_is_left_out(api, open_engine):
    api.refused = {"seed": "seed: extra fields not permitted"}
    engine = open_engine()
    assert len(sample(engine, requests())) == 12
    assert not engine.dialect.has_seed


def test_a_refusal_that_nothing_mends_ends_the_run(api, open_engine):
    api.refused = {"temperature": "temperature must be 1"}
    with pytest.raises(EngineError, match=r"refuses problem p.* temperature must be 1"):
        sample(open_engine(), requests())


def test_a_model_called_seed_keeps_its_seeds(api, open_engine):
    api.refused = {"temperature": "seed-oss has no temperature"}
    engine = open_engine(model="seed-oss")
    with pytest.raises(EngineError, match="has no temperature"):
        sample(engine, requests(1, 1))
    assert engine.dialect.has_seed


def test_a_filtered_prompt_is_an_empty_completion(api, open_engine, monkeypatch):
    def filtered(self, asked):
        self.answer({"error": {"message": "filtered", "code": "content_filter"}}, 400)

    monkeypatch.setattr("benchmarks.mock_api.Handler.respond", filtered)
    [found] = sample(open_engine(), requests(1, 1))
    assert (found.text, found.finish_reason) == ("", "content_filter")


def test_an_answer_without_end_is_not_kept_in_memory(api, open_engine, monkeypatch):
    monkeypatch.setattr("mathrl.engines.api.MAX_ANSWER_BYTES", 1000)
    api.change = lambda answer: answer | {"padding": "x" * 2000}
    with pytest.raises(EngineError, match="with an answer over"):
        sample(open_engine(max_retries=1), requests(1, 1))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_are_asked_at_a_time(api, open_engine, concurrency):
    api.gate = threading.Event()
    engine, asked = open_engine(concurrency=concurrency), requests()

    def open_the_gate():
        while api.num_running < concurrency:
            threading.Event().wait(0.001)
        threading.Event().wait(0.05)  # for more, where there were any
        api.gate.set()

    threading.Thread(target=open_the_gate, daemon=True).start()
    assert_right(sample(engine, asked), asked)
    assert api.max_running == concurrency


def test_no_more_are_asked_than_are_taken(api, open_engine):
    """A slow grader must not leave paid completions in memory, where a kill loses them."""
    running = open_engine(concurrency=3).sample(requests(), PARAMS)
    next(running)
    threading.Event().wait(0.05)
    assert len(api.asked) <= 1 + 3
    running.close()


def test_an_abandoned_call_asks_for_nothing_more(api, open_engine):
    api.faults = [None] + ["hang"] * 11
    running = open_engine(concurrency=2).sample(requests(), PARAMS)
    next(running)
    running.close()  # though the server answers nobody
    threading.Event().wait(0.05)
    assert len(api.asked) <= 3  # the one that is taken, and two that were under way


def test_what_is_under_way_is_kept_when_the_run_ends(api, open_engine):
    api.faults = [None, None, "400"]
    found = []
    with pytest.raises(EngineError, match="400"):
        for index, _ in open_engine(concurrency=3).sample(requests(), PARAMS):
            found.append(index)
    assert len(found) == len(api.asked) - 1 >= 2


def test_nobody_waits_for_a_turn_when_the_run_ends(api):
    async def never(_):
        await anyio.sleep_forever()

    api.faults = ["401"]
    config = ApiConfig(base_url=api.url, model="mock", concurrency=4)
    engine = ApiEngine(config, pace=Pace(requests_per_minute=1, clock=Clock(), sleep=never))
    with pytest.raises(EngineError, match="refuses a request without a key"):
        sample(engine, requests())
    assert len(api.asked) == 1


def test_what_a_fingerprint_covers(open_engine, api):
    base = open_engine().fingerprint
    assert open_engine(base_url=api.url + "/", concurrency=2, timeout_s=9).fingerprint == base
    others = [
        {"model": "other"},
        {"endpoint": "completions"},
        {"base_url": "http://elsewhere/v1"},
        {"more": {"reasoning_effort": "low"}},
    ]
    assert len({open_engine(**other).fingerprint for other in others} | {base}) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "api.example.com/v1"}, "base_url must be like https://host/v1"),
        ({"base_url": "http://host:port/v1"}, "base_url must be like"),
        ({"base_url": "https://me:secret@host/v1"}, "no name, password or query"),
        ({"base_url": "https://host/v1?key=secret"}, "no name, password or query"),
        ({"more": {"n": 4}}, "n follow from a run's own options"),
        ({"concurrency": 0}, "concurrency must be 1 or more"),
        ({"timeout_s": 0}, "timeout_s must be above 0"),
        ({"requests_per_minute": -1}, "a limit a minute"),
        ({"model": ""}, "model must name"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ApiConfig(**{"base_url": "http://host/v1", "model": "m", **settings})
    assert "secret" not in str(caught.value)


def test_an_api_follows_no_policy(open_engine):
    with pytest.raises(ConfigError, match="cannot follow a policy"):
        open_engine().sync(None, 0)
