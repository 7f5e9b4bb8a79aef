"""mathrl eval on vLLM, in its process and served, against the local engine's results."""

import json

import pytest
from click.testing import CliRunner

from mathrl.cli import group
from tests.vllm.conftest import RunningServer

pytest.importorskip("vllm", reason="vLLM is not installed: make test-vllm makes its environment")

LINE = "eval --task arithmetic --limit 100"


def evaluated(line, folder):
    done = CliRunner().invoke(group, f"{LINE} {line} --out {folder}".split())
    assert done.exit_code == 0, done.output
    return json.loads((folder / "results.json").read_text())["arithmetic"], done.stdout


def test_greedy_results_are_the_local_engines(tmp_path, servers):
    expected, _ = evaluated("", tmp_path / "local")
    urls = " ".join(f"--engine-url {server.url}" for server in servers)
    served, _ = evaluated(urls, tmp_path / "served")
    assert served == expected
    found, _ = evaluated("--engine vllm", tmp_path / "vllm")
    assert found == expected


def test_many_seeded_prompts_fit_and_are_found_again(tmp_path):
    """More prompt tokens than vLLM reads at a time: a cut prompt once ended it on a CPU."""
    found, _ = evaluated("--engine vllm -n 4", tmp_path)
    assert found["n_samples"] == 400
    again, shown = evaluated("--engine vllm -n 4", tmp_path)
    assert again == found
    assert "400 samples were in the run folder already" in shown


def test_a_server_on_a_cpu_needs_whole_prompts(tmp_path):
    server = RunningServer("--no-enable-chunked-prefill")
    try:
        url = server.wait().url
        found, _ = evaluated(f"--engine-url {url} -n 4", tmp_path)
    finally:
        server.kill()
    assert found["n_samples"] == 400
