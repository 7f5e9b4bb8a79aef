"""``mathrl compare``: what it prints of run folders, what it warns of, what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.errors import DataError, MathrlError

DATA = Path(__file__).parents[3] / "shared" / "data"
Run = Callable[[str], Result]
TEXTS = {"c": "#### {answer}", "w": "#### 99", "u": "I do not know", "t": "So far"}


@pytest.fixture
def mathrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda line: CliRunner().invoke(group, line.split())


@pytest.fixture
def evaluated(mathrl: Run) -> Callable[..., None]:
    """Make a run folder from one word a problem, of a letter a sample: correct, wrong, ..."""

    def make(name: str, *words: str, first: int = 0, options: str = "", **changes: Any) -> None:
        with open(f"{name}-problems.jsonl", "w") as problems, open(f"{name}.jsonl", "w") as file:
            for place, word in enumerate(words, start=first):
                row = {"id": f"p{place}", "problem": f"What is {place}?", "answer": str(place)}
                problems.write(json.dumps({**row, **changes}) + "\n")
                for letter in word:
                    entry = {
                        "id": f"p{place}",
                        "completion": TEXTS[letter].format(answer=place),
                        "finish_reason": "length" if letter == "t" else "stop",
                        "label": letter == "c",
                    }
                    file.write(json.dumps(entry) + "\n")
        done = mathrl(
            f"eval --task gsm8k --data {name}-problems.jsonl --completions {name}.jsonl "
            f"--out {name} {options}"
        )
        assert done.exit_code == 0, done.output

    return make


def entries(mathrl: Run, line: str) -> list[dict[str, Any]]:
    shown = mathrl(f"compare {line} --json")
    assert shown.exit_code == 0, shown.output
    found: list[dict[str, Any]] = json.loads(shown.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs the recorded completions in ../shared/data")
def test_the_recorded_pair_of_the_reference(mathrl: Run) -> None:
    """reference/evals.md, section 5: Qwen2.5-0.5B before and after 1500 steps of distillation."""
    names = ("gsm8k_qwen25_0p5b_instruct", "gsm8k_qwen25_0p5b_kd1500")
    for name in names:
        done = mathrl(
            f"eval --task gsm8k --data {DATA / 'gsm8k_test.jsonl'} --verdicts recorded "
            f"--completions {DATA / 'completions' / name}.jsonl --out {name}"
        )
        assert done.exit_code == 0, done.output
    shown = mathrl(f"compare {names[0]} {names[1]}").stdout
    row = next(line for line in shown.splitlines() if line.startswith("B  -4.47"))
    assert row.split()[:4] == ["B", "-4.47", "±", "1.36"]
    assert "0.0012" in row and "132 / 191" in row and row.endswith("3.80")
    (entry,) = entries(mathrl, " ".join(names))
    assert (entry["fixed"], entry["broken"], entry["n_problems"]) == (132, 191, 1319)
    assert (len(entry["fixed_ids"]), len(entry["broken_ids"])) == (132, 191)
    assert round(entry["p_value"], 4) == 0.0012
    parts = [entry["attribution"][name]["difference"] for name in ("format", "reasoning")]
    assert sum(parts) == pytest.approx(entry["difference"], abs=1e-15)
    # Whole problems: of 132 fixed and 191 broken, so many without a readable answer on one side.
    assert [1319 * part for part in parts] == pytest.approx([-6, -53], abs=1e-9)
    low, high = entry["bootstrap"]["ci95"]
    assert low == pytest.approx(entry["ci95"][0], abs=0.002)
    assert high == pytest.approx(entry["ci95"][1], abs=0.002)


def test_what_is_printed_for_several_runs_fits_80_columns(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", *["w"] * 12)
    evaluated("half", *["c"] * 6, *["w"] * 6)
    evaluated("all", *["c"] * 12)
    shown = mathrl("compare before half all").stdout
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("   note"))
    # p = 2 / 2^6 and 2 / 2^12; Holm: twice the smaller, once the larger.
    rows = [line.split() for line in shown.splitlines()]
    assert ["0.031", "0.031"] in [row[7:9] for row in rows]
    assert ["0.00049", "0.00098"] in [row[7:9] for row in rows]
    assert "C: better by 100.00 points" in shown
    half, everything = entries(mathrl, "before half all")
    assert (half["p_holm"], everything["p_holm"]) == (2 / 2**6, 4 / 2**12)
    assert half["num_tests"] == 2
    assert everything["bootstrap"]["ci95"] is None  # every problem moved alike


def test_parts_of_the_difference(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", "c", "w", "u", "t", "c", "w")
    evaluated("after", "c", "w", "c", "t", "c", "c")
    shown = mathrl("compare before after").stdout
    assert all(part in shown for part in ("truncation", "format", "reasoning"))
    (unseen,) = (line for line in shown.splitlines() if line.endswith("none seen"))
    assert unseen.split() == ["B", "truncation", "+0.00", "±", "0.00", "none", "seen"]
    (entry,) = entries(mathrl, "before after")
    parts = entry["attribution"]
    # One of six problems was fixed from unreadable, one from wrong.
    found = [parts[name]["difference"] for name in ("truncation", "format", "reasoning")]
    assert found == [0.0, 1 / 6, 1 / 6]
    assert parts["before"] == {"truncated": 1 / 6, "unreadable": 1 / 6, "wrong": 2 / 6}


def test_changed_problems_are_listed(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", "cc", "cw", "ww", "cc")
    evaluated("after", "cc", "ww", "cw", "cc")
    listed = mathrl("compare before after --list").stdout
    assert listed.endswith("B, fixed (1):\n   p2\nB, broken (1):\n   p1\n")
    (entry,) = entries(mathrl, "before after")
    assert (entry["fixed_ids"], entry["broken_ids"]) == (["p2"], ["p1"])


def test_problems_of_one_run_only_are_named(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", *"cwcwcwcw")
    evaluated("after", *"ccc", first=6)
    (entry,) = entries(mathrl, "before after")
    assert entry["n_problems"] == 2
    assert entry["only_in_base"] == [f"p{i}" for i in range(6)]
    assert entry["only_in_run"] == ["p8"]
    assert entry["notices"] == [
        "6 problems with a verdict in before only are left out: p0, p1, p2 and 3 more",
        "1 problems with a verdict in after only are left out: p8",
        "the difference is on the 2 common problems; for all, evaluate both runs on the same "
        "--data and --limit",
    ]


@pytest.mark.parametrize("field", ["problem", "answer"])
def test_ids_that_do_not_name_the_same_problem_are_refused(
    mathrl: Run, evaluated: Any, field: str
) -> None:
    evaluated("before", *"cwcwc")
    evaluated("after", *"cwcwc", **{field: "7"})
    failed = mathrl("compare before after").exception
    assert isinstance(failed, DataError)
    name = {"problem": "question", "answer": "answer"}[field]
    assert f"after: the {name} of p0, p1, p2 and 2 more is not the one of before" in str(failed)


def test_verdicts_of_different_graders_are_said(
    mathrl: Run, evaluated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated("before", *"cw")
    evaluated("labels", *"cc", options="--verdicts recorded")
    evaluated("more-labels", *"cc", options="--verdicts recorded")
    with monkeypatch.context() as patch:
        patch.setattr("mathrl.evals.verifiers.grader_fingerprint", lambda: "f" * 32)
        evaluated("after", *"cc")
    labels, after = (entry["notices"] for entry in entries(mathrl, "before labels after"))
    assert labels[0].startswith("verdicts by different verifiers, 'eval' in before and 'recorded")
    assert "two versions of the grader" in after[0] and "ffffffff in after" in after[0]
    assert "note: verdicts by two versions of" in mathrl("compare before after").stdout
    (both,) = entries(mathrl, "labels more-labels")
    assert both["notices"] == [
        "verdicts are the labels that each file records; who gave them is not known"
    ]


def test_how_recorded_completions_were_asked_is_not_known(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", *"cwcw")
    evaluated("after", *"cccw", options="--temperature 0.5 --max-new-tokens 7 --template {prompt}?")
    (entry,) = entries(mathrl, "before after")
    assert (entry["settings"], entry["notices"]) == (None, [])


def test_folders_with_figures_alone_are_compared_by_them(mathrl: Run, evaluated: Any) -> None:
    evaluated("before", *"cwcw")
    evaluated("after", *"cccw")
    (whole,) = entries(mathrl, "before after")
    for name in ("before", "after"):
        Path(f"only-{name}").mkdir()
        shutil.copy(f"{name}/results.json", f"only-{name}/results.json")
    (figures,) = entries(mathrl, "only-before only-after")
    assert figures["attribution"] is None and figures["settings"] is None
    same = ("difference", "stderr", "ci95", "p_value", "mde", "fixed_ids", "bootstrap")
    assert {name: figures[name] for name in same} == {name: whole[name] for name in same}
    assert "of which" not in mathrl("compare only-before only-after").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("before", "at least two run folders, got 1"),
        ("before ./before/", "the same run folder twice"),
        ("before half", "half: the evaluation of gsm8k is not finished (2 of 4 samples"),
        ("before nowhere", "nowhere/results.json: no such file"),
        ("before elsewhere", "the two runs share no problem id (one has p0, p1, p2 and 1 more;"),
        ("before other", "before shares no task with the other runs: it has gsm8k, they have"),
    ],
)
def test_mistakes_are_named(mathrl: Run, evaluated: Any, line: str, message: str) -> None:
    evaluated("before", *"cwcw")
    evaluated("half", *"cwcw", options="--shard 1/2")
    evaluated("elsewhere", *"cwcw", first=10)
    Path("other").mkdir()
    entry = json.loads(Path("before/results.json").read_text())["gsm8k"]
    Path("other/results.json").write_text(json.dumps({"held-out": entry}))
    failed = mathrl(f"compare {line}").exception
    assert isinstance(failed, MathrlError)
    assert message in str(failed)
