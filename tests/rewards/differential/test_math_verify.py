"""Where mathrl and math-verify disagree, and who is right: each row was read by a person.

Our side of the list runs always. The peer's side runs where ``MATHRL_MATH_VERIFY`` names the
Python of an environment that has math-verify (``make grading ARGS=--peer`` makes one):

    MATHRL_MATH_VERIFY=build/peers/math-verify-0.9.0/bin/python .venv/bin/python -m pytest \\
        tests/rewards/differential
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mathrl.rewards import EVAL, equivalent, grade

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in Path(__file__).with_name("math_verify.jsonl").read_text("utf-8").splitlines()
]
WORKER = Path(__file__).parents[3] / "benchmarks" / "grading_worker.py"
PEER_PYTHON = os.environ.get("MATHRL_MATH_VERIFY")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['prediction']} / {row['answer']}"[:60])
def test_our_side_of_the_list(row: dict[str, Any]) -> None:
    judge = grade if row["form"] == "text" else equivalent
    score = judge(row["prediction"], row["answer"], EVAL)
    assert (score.value == 1.0) == row["ours"], score


@pytest.mark.skipif(not PEER_PYTHON, reason="MATHRL_MATH_VERIFY names no Python with math-verify")
def test_the_other_side_of_the_list() -> None:
    cases = [[row["answer"], row["prediction"], row["form"], "eval"] for row in ROWS]
    run = subprocess.run(
        [str(PEER_PYTHON), WORKER, "math-verify"],
        input=json.dumps(cases) + "\n",
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    verdicts = json.loads(run.stdout.splitlines()[-1])["verdicts"]
    got = [value == 1.0 for value, _ in verdicts]
    assert got == [row["theirs"] for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['prediction']} / {row['answer']}"[:60])
def test_every_row_is_a_difference_with_a_reason(row: dict[str, Any]) -> None:
    assert row["ours"] != row["theirs"]
    assert row["right"] in ("ours", "theirs", "policy")
    assert row["why"]
