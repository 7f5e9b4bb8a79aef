"""Our verdicts beside the labels that came with the completions of real models.

``tests/cases/reviewed_labels.jsonl`` lists the rows where we hold that the label is wrong, or that
it comes of a rule of the source's own, each with its reason; the rest must agree.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from click.testing import CliRunner

from mathrl.cli import group
from mathrl.rewards import grade
from mathrl.schema import Score

DATA = Path(__file__).parents[3] / "shared" / "data"
COMPLETIONS = DATA / "completions"
REVIEWED = Path(__file__).parents[1] / "cases" / "reviewed_labels.jsonl"
pytestmark = pytest.mark.skipif(
    not COMPLETIONS.is_dir(), reason="needs the recorded completions in ../shared/data"
)
LABELLED = (
    "gsm8k_abel_13b",
    "gsm8k_gsmplus_gpt35",
    "gsm8k_openai_175b_verification",
    "gsm8k_openai_6b_finetuning",
    "gsm8k_qwen25_0p5b_instruct",
    "gsm8k_qwen25_0p5b_kd1500",
    "gsm8k_rho_1b_cot",
    "gsm8k_zero_shot_cot_davinci",
    "math500_rho_1b_cot",
    "math500_rho_7b_interpreter",
    "math_qwen_rm_example_n8",
)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def reviewed(name: str) -> set[tuple[str, int | None]]:
    return {(row["id"], row["sample"]) for row in rows(REVIEWED) if row["file"] == name}


def judged(name: str) -> dict[tuple[str, int | None], tuple[bool, Score]]:
    """The label and our verdict of each row."""
    return {
        (row["id"], row.get("sample")): (row["label"], grade(row["completion"], row["gold"]))
        for row in rows(COMPLETIONS / f"{name}.jsonl")
    }


@pytest.mark.parametrize("name", LABELLED)
def test_verdicts_are_the_labels_but_for_the_reviewed_rows(name: str) -> None:
    verdicts, aside = judged(name), reviewed(name)
    agreed = [
        label == (score.status == "correct")
        for row, (label, score) in verdicts.items()
        if row not in aside
    ]
    assert fmean(agreed) >= 0.995
    labels = [label for row, (label, _) in verdicts.items() if row not in aside]
    ours = [score.status == "correct" for row, (_, score) in verdicts.items() if row not in aside]
    assert abs(fmean(ours) - fmean(labels)) <= 0.003
    for row in aside:  # a row that agrees has no place in the list
        label, score = verdicts[row]
        assert label != (score.status == "correct"), row


def test_the_list_gives_a_reason_for_each_row_and_stays_short() -> None:
    listed = list(rows(REVIEWED))
    assert all(row["reason"] and row["kind"] in ("label", "rule") for row in listed)
    assert len({(row["file"], row["id"], row["sample"]) for row in listed}) == len(listed)
    assert len(listed) < 90


def evaluated(folder: Path, *options: str) -> dict[str, Any]:
    line = [
        "eval", "--task", "math", "--data", str(DATA / "math_test.jsonl"),
        "--completions", str(COMPLETIONS / "math_qwen_rm_example_n8.jsonl"),
        "--reward-column", "rm_score", "--out", str(folder), *options,
    ]  # fmt: skip
    done = CliRunner().invoke(group, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    entry: dict[str, Any] = json.loads((folder / "results.json").read_text())["math"]
    return entry


def test_the_published_curve_comes_of_the_recorded_labels(tmp_path: Path) -> None:
    entry = evaluated(tmp_path, "--verdicts", "recorded")
    passes = [100 * entry["pass_at_k"][k] for k in "1248"]
    assert [round(rate, 3) for rate in passes] == [91.0, 93.286, 95.1, 96.0]
    assert entry["maj_at_k"]["8"] == 0.93
    assert entry["best_of_k"]["8"] == 0.94
    assert entry["verifier"] == "recorded labels"


def test_by_the_grader_nine_rows_of_800_differ(tmp_path: Path) -> None:
    entry = evaluated(tmp_path)
    correct: defaultdict[str, int] = defaultdict(int)
    for row in rows(COMPLETIONS / "math_qwen_rm_example_n8.jsonl"):
        correct[row["id"]] += row["label"]
    differing = {i: entry["correct_of"][i] - n for i, n in correct.items()}
    # 10000 for 10{,}000 is labelled wrong, which its other samples write and have right; and the
    # source has lost the answer 4:30 p.m. (its own known answer is "4:30p.."), so all 8 are wrong.
    differences = {"test/prealgebra/1130.json": 1, "test/prealgebra/1462.json": 8}
    assert {problem: n for problem, n in differing.items() if n} == differences
