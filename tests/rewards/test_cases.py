"""Cases written from the mathematics, before anybody saw what the grader makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from mathrl.rewards import EVAL, REWARD, equivalent, grade

CASES = Path(__file__).parents[1] / "cases"
FILES = ("blind", "notation", "commitment")
POLICIES = {"eval": (EVAL,), "reward": (REWARD,), "both": (EVAL, REWARD)}


def read_cases() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Group the rows of all files by file and kind."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in FILES:
        for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            groups.setdefault((name, case["kind"]), []).append(case)
    return groups


GROUPS = read_cases()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0]}-{group[1]}")
def test_every_case_gets_its_label(group: tuple[str, str]) -> None:
    wrong = []
    for case in GROUPS[group]:
        decide = grade if case["form"] == "text" else equivalent
        for policy in POLICIES[case["policy"]]:
            score = decide(case["prediction"], case["answer"], policy)
            if (score.value == 1.0) != case["expected"]:
                wrong.append((policy.name, case["answer"], case["prediction"], score.status))
    assert wrong == []
