"""mathrl report, run as a command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group


@pytest.fixture
def mathrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Run a command line in a folder with the runs ``before`` (2 of 4) and ``after`` (3 of 4)."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, rows: list[dict[str, str]]) -> None:
        Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    def run(line: str) -> Result:
        return CliRunner().invoke(group, line.split(), catch_exceptions=True)

    write("problems.jsonl", [{"id": f"p{i}", "problem": "?", "answer": f"{i}"} for i in range(4)])
    for name, right in (("before", (0, 1)), ("after", (0, 1, 2))):
        answers = [i if i in right else 99 for i in range(4)]
        rows = [{"id": f"p{i}", "completion": f"#### {a}"} for i, a in enumerate(answers)]
        write(f"{name}.jsonl", rows)
        files = f"--data problems.jsonl --completions {name}.jsonl --out {name}"
        assert run(f"eval --task gsm8k {files}").exit_code == 0
    return run


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
    ],
)
def test_bad_input_is_one_line(mathrl: Callable[[str], Result], line: str, message: str) -> None:
    assert message in str(mathrl(line).exception)
