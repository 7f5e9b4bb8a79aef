"""``mathrl plan eval``: what it takes for granted, what it prints, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.errors import DataError, MathrlError

Run = Callable[[str], Result]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda line: CliRunner().invoke(group, ["plan", "eval", *line.split()])


def record(plan: Run, line: str) -> dict[str, Any]:
    done = plan(f"{line} --json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def evaluated(name: str, words: list[str], *, question: str = "What is") -> None:
    """A run folder of one word a problem, of a letter a sample: correct or wrong."""
    with open("problems.jsonl", "w") as problems, open(f"{name}.jsonl", "w") as file:
        for place, word in enumerate(words):
            row = {"id": f"p{place}", "problem": f"{question} {place}?", "answer": str(place)}
            problems.write(json.dumps(row) + "\n")
            for letter in word:
                text = f"#### {place if letter == 'c' else 99}"
                file.write(json.dumps({"id": f"p{place}", "completion": text}) + "\n")
    line = f"eval --task gsm8k --data problems.jsonl --completions {name}.jsonl --out {name}"
    assert CliRunner().invoke(group, line.split()).exit_code == 0


def test_the_table_of_the_reference(plan: Run) -> None:
    # reference/evals.md, section 5, at s² = 0.08.
    found = record(plan, "--gain 2 --sample-variance 0.08")
    assert list(found["samples_needed"]) == ["gsm8k", "math500", "math", "aime24"]
    assert found["gain_variances"] == [0.005, 0.01, 0.02, 0.03]
    assert found["samples_needed"]["gsm8k"][1:3] == [3, 4]
    assert found["samples_needed"]["math500"][1:] == [11, 30, None]
    assert found["samples_needed"]["math"] == [1, 1, 1, 1]
    assert found["samples_needed"]["aime24"] == [None] * 4


def test_what_is_assumed_is_said_and_what_is_given_is_not(plan: Run) -> None:
    shown = plan("--gain 2").stdout
    assert "within problems, s² = 0.064, assumed: 0.4 p (1 - p)" in shown  # 0.4 * 0.8 * 0.2
    assert "ω²: assumed" in shown and "never" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    given = plan("--gain 2 --task gsm8k --sample-variance 0.08 --gain-variance 0.01").stdout
    assert "assumed" not in given and "never" not in given
    assert given.count("gsm8k") == 2 and "math500" not in given


def test_a_pilot_pair_measures_both_variances(plan: Run) -> None:
    evaluated("before", ["wwww", "ww"] * 20)
    evaluated("after", ["cccw", "ww"] * 20)
    found = record(plan, "--gain 2 --run before --run after --problems 10000")
    # One problem in two, in one run, has 3/4 * 1/4 * 4/3 = 1/4: s² = 1/4 / 4.
    assert found["sample_variance"] == 1 / 16
    assert (found["accuracy"], found["is_sample_variance_assumed"]) == (0.0, False)
    # Gains 3/4 and 0: variance (3/8)² * 40/39, less 1/4 / 4 for one problem in two.
    variance = 9 / 64 * 40 / 39 - 1 / 32
    assert found["gain_variances"][1] == pytest.approx(variance, abs=1e-15)
    # Its terms lie 1/32 from their mean: error 1/32 / sqrt(39).
    error = 1 / 32 / 39**0.5
    ends = [variance - 2 * error, variance + 2 * error]
    assert found["gain_variances"][::2] == pytest.approx(ends, abs=1e-15)
    assert f"ω² = {variance:.3f} ± {error:.2g}" in plan("--gain 2 --run before --run after").stdout


def test_a_pilot_of_single_samples_gives_the_share_of_changed_verdicts(plan: Run) -> None:
    evaluated("before", list("ccww"))
    evaluated("after", list("cwww"))
    shown = plan("--gain 2 --run before --run after").stdout
    assert "pilot: 4 problems, 25.0 % of verdicts change" in shown
    assert "assumed: 0.4 p (1 - p)" in shown
    found = record(plan, "--gain 2 --run before --run after")
    assert found["single_sample"]["discordances"] == [0.25]
    # (2.8016 / 0.02)² * 0.25
    assert found["single_sample"]["problems_needed"] == [4906]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--gain 0", "--gain must be between 0 and 100 points, got 0"),
        ("--gain nan", "--gain must be between 0 and 100 points, got nan"),
        ("--gain 25", "--gain 25 is above what accuracy 80 % leaves room for"),
        ("--gain 2 --accuracy 80", "accuracy must be from 0 to below 1 to rise, got 80"),
        ("--gain 2 --power 1", "--power must be from 0.05 to below 1, got 1"),
        ("--gain 2 --sample-variance 0.3", "--sample-variance must be between 0 and 0.25, got 0.3"),
        ("--gain 2 --gain-variance -1", "--gain-variance must be between 0 and 1, got -1"),
        ("--gain 2 --task gsm9k", "no task 'gsm9k': did you mean gsm8k"),
        ("--gain 2 --run nowhere", "nowhere/results.json: no such file"),
        ("--gain 2 --run a --run a", "--run got the same run folder twice"),
        ("--gain 2 --run a --run b --run c", "a pilot is one run or a pair, got 3"),
    ],
)
def test_mistakes_are_named(plan: Run, line: str, message: str) -> None:
    failed = plan(line).exception
    assert isinstance(failed, MathrlError)
    assert message in str(failed)


def test_a_pilot_of_another_task_is_refused(plan: Run) -> None:
    evaluated("before", ["cw", "ww"])
    failed = plan("--gain 2 --run before --task aime24").exception
    assert "before has no task aime24, it has gsm8k" in str(failed)


def test_a_task_without_a_size_is_named(plan: Run) -> None:
    Path("mine.toml").write_text('name = "mine"\ndata = "mine.jsonl"\n')
    done = plan("--gain 2 --task mine.toml")
    assert isinstance(done.exception, MathrlError)
    assert "gives no size: add 'size' to it, or take --problems N" in str(done.exception)


def test_a_pilot_pair_on_other_questions_is_refused(plan: Run) -> None:
    evaluated("before", ["cw", "ww"])
    evaluated("after", ["cw", "ww"], question="What was")
    failed = plan("--gain 2 --run before --run after").exception
    assert isinstance(failed, DataError)
    assert "after: the question of p0, p1 is not the one of before" in str(failed)
