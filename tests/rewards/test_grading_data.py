"""The labelled cases of ../shared/data/grading, each set judged by ``benchmarks/grading.py``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "grading"
TIMEOUT_S = 240
"""A set takes seconds; only a grader that hangs needs minutes."""
INTERPRETER = "math500_rho_7b_interpreter test"
WRONG_LABELS = {
    f"{INTERPRETER}/intermediate_algebra/1388.json": "labelled right, and gives no answer at all",
    f"{INTERPRETER}/precalculus/695.json": "labelled right: (-∞,0) for (-∞,0], but x = 90° gives 0",
    f"{INTERPRETER}/precalculus/697.json": "labelled wrong: tan 100° + 4 sin 100° is -tan 80° + "
    "4 cos 10°, which is -√3; EVAL takes an answer that is not simplified",
    f"{INTERPRETER}/intermediate_algebra/1102.json": "labelled wrong: the roots are -2 and 1, "
    "each in a box of one sentence",
    f"{INTERPRETER}/prealgebra/1114.json": r"labelled wrong: \boxed{15} square cm for 15 cm^2",
}
"""Recorded labels that we hold to be wrong, by the name of their row, each with the reason."""

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="needs the labelled cases in ../shared/data/grading"
)


def judged(name: str) -> list[dict[str, Any]]:
    """Run one set in a process of its own; a summary for each context that it ran in."""
    command = [sys.executable, ROOT / "benchmarks" / "grading.py", "--set", name, "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def unexplained(summary: dict[str, Any]) -> list[dict[str, str]]:
    return [row for row in summary["failing"] if row["name"] not in WRONG_LABELS]


@pytest.mark.parametrize(
    ("name", "num_cases"),
    [
        ("suites", 198),
        ("probes", 73),
        ("mutations", 1889),
        ("adjudicated", 1800),
        ("gsm8k_openai", 2638),
        ("exploits", 67),
        ("math500_verbatim", 500),
        ("math500_scalars", 831),
    ],
)
def test_every_label_is_met(name: str, num_cases: int) -> None:
    [summary] = judged(name)
    assert summary["num_cases"] == num_cases
    assert unexplained(summary) == []
    if name == "adjudicated":  # the list of wrong labels holds no other row
        assert {row["name"] for row in summary["failing"]} == set(WRONG_LABELS)


def test_hostile_inputs_end_in_the_right_verdict_wherever_they_are_graded() -> None:
    summaries = judged("hostile")
    contexts = ["hostile", "hostile, in a thread", "hostile, in asyncio"]
    assert [summary["name"] for summary in summaries] == contexts
    for summary in summaries:
        assert summary["num_cases"] == 25
        assert unexplained(summary) == []
