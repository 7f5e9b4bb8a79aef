"""mathrl report, run as a command."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.errors import DataError


@pytest.fixture
def mathrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Run a command line in a folder with the runs ``before`` (2 of 4) and ``after`` (3 of 4)."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> Result:
        return CliRunner().invoke(group, line.split(), catch_exceptions=True)

    for name, num_right in (("before", 2), ("after", 3)):
        record(name, num_right)
    return run


def record(name: str, num_right: int, *, task: str = "gsm8k", question: str = "?") -> None:
    """Make a run folder of four problems."""

    def write(name: str, rows: list[dict[str, str]]) -> None:
        Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    problems = [{"id": f"p{i}", "problem": question, "answer": f"{i}"} for i in range(4)]
    write("problems.jsonl", problems)
    answers = [i if i < num_right else 99 for i in range(4)]
    write(
        f"{name}.jsonl",
        [{"id": f"p{i}", "completion": f"#### {a}"} for i, a in enumerate(answers)],
    )
    files = f"--data problems.jsonl --completions {name}.jsonl --out {name}"
    done = CliRunner().invoke(group, f"eval --task {task} {files}".split())
    assert done.exit_code == 0, done.output


def test_one_run_gets_its_page_in_its_folder(mathrl: Callable[[str], Result]) -> None:
    done = mathrl("report before")
    assert done.exit_code == 0, done.output
    assert done.stdout == "before/report.html (0.0 MB)\n"
    page = Path("before/report.html").read_text()
    assert "50.00" in page and "mathrl verify before" in page


def test_a_comparison_is_written_where_it_is_asked_for(mathrl: Callable[[str], Result]) -> None:
    assert mathrl("report before after --out both.html").exit_code == 0
    page = Path("both.html").read_text()
    assert "+25.00" in page
    facts = json.loads(Path("after/manifest.json").read_text())["tasks"]["gsm8k"]
    for fact in ("policy_fingerprint", "data_hash", "prompt_hash"):
        assert facts[fact][:12] in page
    assert facts["seal"]["samples"][:12] in page
    assert str(Path.cwd()) not in page


def test_a_run_is_enough_without_its_figures_and_its_data(mathrl: Callable[[str], Result]) -> None:
    Path("before/results.json").unlink()
    Path("problems.jsonl").unlink()
    shutil.move("before", "elsewhere")
    assert mathrl("report elsewhere").exit_code == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("report nothing", "no run folder of `mathrl eval`"),
        ("report before ./before", "the same run folder twice"),
        ("report before --out before", "cannot write"),
        ("report before --out pipe", "it is there already and is no regular file"),
    ],
)
def test_bad_input_is_one_line(mathrl: Callable[[str], Result], line: str, message: str) -> None:
    os.mkfifo("pipe")
    assert message in str(mathrl(line).exception)
    assert Path("pipe").is_fifo()  # still


def test_what_compare_refuses_the_report_refuses_with_the_same_line(
    mathrl: Callable[[str], Result],
) -> None:
    record("apart", 2, task="aime24")
    record("asked", 2, question="Which?")
    for other, message in (
        ("apart", "before shares no task with the other runs: it has gsm8k, they have aime24"),
        ("asked", "asked: the question of p0, p1, p2 and 1 more is not the one of before, so"),
    ):
        refused = mathrl(f"report before {other} --out both.html").exception
        assert isinstance(refused, DataError)
        assert str(refused) == str(mathrl(f"compare before {other}").exception)
        assert str(refused).startswith(message)
    assert not Path("both.html").exists()
