"""mathrl matrix, on run folders that mathrl eval wrote."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mathrl.cli import main

Run = Callable[..., int]
TEXTS = {
    "before": {"p0": ["#### 18"], "p1": ["5"], "p2": ["5"]},
    "after": {"p0": ["5"], "p1": ["18"], "p2": ["18"]},
    "apart": {"p3": ["18"]},
    "several": {"p0": ["#### 18", "18"]},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with five runs of gsm8k, one on other questions, and aime24."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        return int(stopped.value.code or 0)

    problems = [{"id": f"p{i}", "problem": f"What is {i}?", "answer": "18"} for i in range(4)]
    write("problems.jsonl", problems)
    for name, texts in TEXTS.items():
        record(run, name, "gsm8k", texts)
    record(run, "other", "aime24", TEXTS["before"])
    problems = [{**problem, "problem": "Another question?"} for problem in problems]
    write("problems.jsonl", problems)
    record(run, "asked", "gsm8k", TEXTS["after"])
    return run


def write(name: str, rows: list[dict[str, str]]) -> None:
    Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def record(run: Run, name: str, task: str, texts: Mapping[str, list[str]]) -> None:
    rows = [{"id": key, "completion": text} for key, many in texts.items() for text in many]
    write("completions.jsonl", rows)
    words = f"eval --task {task} --data problems.jsonl --completions completions.jsonl --out {name}"
    assert run(*words.split()) == 0


def test_a_run_has_a_row_a_rule(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("matrix", "before") == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    # one of three right: 33.33, sd of (1, 0, 0) is sqrt(1/3), / sqrt 3 = 33.33
    assert ["lm-eval-strict", "33.33", "33.33", "33.33", "3"] in lines
    assert ["lm-eval-flexible", "33.33", "33.33", "100.00", "3"] in lines
    assert "the same completions: 33.33 points between lm-eval-cot-strict and" in printed


def test_every_sample_counts(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("matrix", "several", "--rule", "lm-eval-strict", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    row = entry["runs"]["several"]["lm-eval-strict"]
    assert row == {"accuracy": 0.5, "stderr": None, "found": 0.5, "n_problems": 1, "n_samples": 2}


def test_two_runs_are_paired_and_warned_of(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("matrix", "before", "after") == 0
    printed = capsys.readouterr().out
    assert "gsm8k, before -> after, in points" in printed
    assert "warning: the sign of the change depends on the rule" in printed


def test_two_runs_fit_eighty_columns(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run("matrix", "before", "after") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)
    rows = [line.split() for line in lines if line.startswith("lm-eval-cot-strict")]
    assert [len(row) for row in rows] == [5, 5, 11], "a row is a line"


def test_verify_shows_the_start_of_a_hash(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mathrl.evals.verifiers import grader_fingerprint

    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run("verify", "before") == 0
    printed = capsys.readouterr().out
    assert f"eval, {grader_fingerprint()[:12]}\n" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_differences_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("matrix", "before", "after", "--json", "--rule", "lm-eval-strict") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["task"] == "gsm8k"
    assert list(entry["runs"]) == ["before", "after"]
    (difference,) = entry["differences"]
    assert difference["difference"] == pytest.approx(-1 / 3)
    assert (difference["fixed"], difference["broken"]) == (0, 1)
    assert (entry["sign_dependence"], entry["warning"]) == ("none", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("before", "before"), "the same run folder twice"),
        (("before", "after", "other"), "one run folder or two, got 3"),
        (("before", "other"), "before and other share no task"),
        (("before", "apart"), "the two runs share no problem that rule mathrl can grade"),
        (("before", "asked"), "asked: the question of p0, p1, p2 and 1 more is not the"),
        (("missing",), "missing: no run folder"),
        (("before", "--rule", "flexible"), "did you mean lm-eval-flexible"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("matrix", *arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
