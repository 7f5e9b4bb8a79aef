"""mathrl eval on an API, run as a command, and which engine its options mean."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchmarks.mock_api import KEY, MockApi
from mathrl.cli import group
from mathrl.cli.eval_engine import EngineOptions
from mathrl.errors import ConfigError, EngineError
from mathrl.evals.presets import PRESETS
from mathrl.policy import load_policy
from tests.engines.fake_server import FakeServer

LINE = "eval --task arithmetic --limit 3 -n 2 --model mock --out run"


@pytest.fixture
def api() -> Iterator[MockApi]:
    running = MockApi()
    yield running
    running.stop()


@pytest.fixture
def mathrl(
    api: MockApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Result]:
    """Run a command line in an empty folder, on the mock API."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Result:
        words = f"{LINE} --base-url {api.url} {line}".split()
        return CliRunner().invoke(group, words, catch_exceptions=True)

    return run


def records() -> list[dict[str, object]]:
    """What the run folder holds."""
    files = [path.read_text() for path in Path("run/samples").iterdir()]
    return [json.loads(line) for text in files for line in text.splitlines()]


def test_an_api_is_evaluated(mathrl: Callable[[str], Result], api: MockApi) -> None:
    done = mathrl("--price-in 2 --price-out 100")
    assert done.exit_code == 0, done.output
    num_words = sum(len(body["messages"][-1]["content"].split()) for body in api.asked)
    # 60 completion tokens at 100 a million are 0.006
    cost = f"{num_words * 2e-6 + 0.006:.4f}"
    assert f"tokens of all samples: {num_words} in, 60 out, cost {cost}" in done.stdout
    assert "asked now: 6 requests, 0 of them again after a failure" in done.stdout
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["engine"] == "api"
    assert config["engine_options"] == {"base_url": api.url, "price_in": 2.0, "price_out": 100.0}


def test_the_cost_of_a_run_outlives_the_command(mathrl: Callable[[str], Result]) -> None:
    first = mathrl("--price-out 100").stdout.splitlines()
    again = mathrl("--price-out 100").stdout.splitlines()
    [total] = [line for line in first if line.startswith("tokens of all samples")]
    assert total in again
    assert not any(line.startswith("asked now") for line in again)
    assert "6 samples were in the run folder already" in again


def test_the_messages_are_what_is_hashed(mathrl: Callable[[str], Result], api: MockApi) -> None:
    mathrl("")
    mathrl("--endpoint completions")
    mathrl("--system Brief.")
    hashes = {record["prompt_hash"] for record in records()}
    assert len(hashes) == 3 * 3
    assert len(api.asked) == 3 * 6
    assert api.asked[-1]["messages"][0] == {"role": "system", "content": "Brief."}


def test_a_preset_is_sent_as_the_text_that_its_hash_covers(
    mathrl: Callable[[str], Result], api: MockApi
) -> None:
    row = {"id": "p0", "problem": "What is 2 + 3?", "answer": "5"}
    Path("problems.jsonl").write_text(json.dumps(row) + "\n")
    done = mathrl("--task gsm8k --data problems.jsonl --as qwen")
    assert done.exit_code == 0, done.output
    expected = PRESETS["qwen", "gsm8k"].template.replace("{prompt}", "What is 2 + 3?")
    assert [body.get("prompt") for body in api.asked] == [expected] * 2
    assert not any("messages" in body for body in api.asked)
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["engine_options"]["endpoint"] == "completions"


def test_few_shot_examples_are_turns(mathrl: Callable[[str], Result], api: MockApi) -> None:
    mathrl("--num-few-shot 2")
    roles = [message["role"] for message in api.asked[0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_further_fields_are_json_or_text(mathrl: Callable[[str], Result], api: MockApi) -> None:
    mathrl('--api-field reasoning_effort=low --api-field thinking={"budget":64}')
    assert api.asked[0]["reasoning_effort"] == "low"
    assert api.asked[0]["thinking"] == {"budget": 64}


def test_reasoning_is_stored_and_not_graded(mathrl: Callable[[str], Result], api: MockApi) -> None:
    def reasoned(answer: dict[str, object]) -> dict[str, object]:
        said = {"content": None, "reasoning_content": "#### 1"}
        return answer | {
            "choices": [{"message": said, "finish_reason": "length"}],
            "usage": {
                "prompt_tokens": 1,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
        }

    api.change = reasoned
    done = mathrl("")
    assert "54 out (54 of them reasoning)" in done.stdout
    assert {record["completion"]["reasoning"] for record in records()} == {"#### 1"}
    entry = json.loads(Path("run/results.json").read_text())["arithmetic"]
    assert (entry["status"], entry["truncated"]) == ({"no_answer": 1.0}, 1.0)


def test_an_api_without_counts_and_seeds_is_told(
    mathrl: Callable[[str], Result], api: MockApi
) -> None:
    api.change = lambda answer: answer | {"usage": None}
    api.refused = {"seed": "seed is not supported"}
    done = mathrl("")
    assert "6 samples came without a token count" in done.stdout
    assert "the API takes no seed" in done.stdout


def test_the_key_is_in_no_file_and_on_no_screen(
    mathrl: Callable[[str], Result], api: MockApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    api.key = KEY
    done = mathrl("--api-key-env SOME_KEY")
    assert done.exit_code == 0, done.output
    assert KEY not in done.output
    assert not any(KEY in path.read_text() for path in Path("run").rglob("*.*"))


def test_what_was_stored_before_a_refusal_is_kept(
    mathrl: Callable[[str], Result], api: MockApi
) -> None:
    api.faults = [None, None, None, "401"]
    failed = mathrl("--concurrency 1")
    assert isinstance(failed.exception, EngineError)
    assert len(records()) == 3
    assert mathrl("").exit_code == 0
    assert len(api.asked) == 4 + 3


def test_ctrl_c_ends_at_once_and_keeps_what_is_stored(tmp_path: Path, api: MockApi) -> None:
    api.faults = [None] * 4 + ["hang"] * 40
    command = [sys.executable, "-m", "mathrl", *LINE.split(), "--base-url", api.url]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    while len(api.asked) < 6 and process.poll() is None:
        time.sleep(0.01)
    while not list(tmp_path.glob("run/samples/*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert b"samples are kept in run; the same command goes on from there" in told


def test_servers_give_the_local_engines_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = FakeServer(load_policy(device="cpu"))
    line = "eval --task arithmetic --limit 3 -n 2 --max-new-tokens 40 --out"
    try:
        for words in (f"{line} local", f"{line} served --engine-url {server.url}"):
            done = CliRunner().invoke(group, words.split())
            assert done.exit_code == 0, done.output
    finally:
        server.stop()
    assert len(server.asked) == 6
    results = [Path(name, "results.json").read_text() for name in ("local", "served")]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "local"),
        ({"engine_urls": ("http://a:1",)}, "served"),
        ({"base_url": "http://a/v1"}, "api"),
    ],
)
def test_options_name_the_engine(options: dict[str, object], kind: str) -> None:
    assert EngineOptions(**options).kind(None, "m") == kind


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--engine served", "--engine served needs --engine-url"),
        ("--engine api", "needs --base-url"),
        ("--engine local --base-url http://a/v1", "--base-url belongs to --engine api"),
        ("--engine vllm --engine-url http://a:1", "--engine-url belongs to --engine served"),
        ("--engine local --dtype float32", "--dtype belongs to --engine vllm"),
        ("--concurrency 4", "--concurrency belongs to --engine api, not to --engine local"),
        ("--base-url http://a/v1 --api-field n", "--api-field must be KEY=VALUE"),
        ("--base-url http://a/v1 --api-field n=4", "n follow from a run's own options"),
        ("--base-url a", "base_url must be like https://host/v1"),
        (
            "--base-url http://a/v1 --task gsm8k --as qwen --endpoint chat",
            "--as qwen writes the roles itself",
        ),
        ("--engine api --completions c.jsonl", "leave --engine api out"),
        ("--base-url http://a/v1 --completions c.jsonl", "not to --engine recorded"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = CliRunner().invoke(group, f"{LINE} {line}".split(), catch_exceptions=True)
    assert isinstance(failed.exception, ConfigError), failed.output
    assert message in str(failed.exception)
    assert not Path("run").exists()
