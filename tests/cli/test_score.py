"""mathrl score: every row graded once, in order, whatever happens on the way."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import isclose
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mathrl.cli import group
from mathrl.cli.score_log import Origin, ScoreLog
from mathrl.cli.score_rows import GradedChunk, Tally
from mathrl.errors import ConfigError, DataError, StorageError
from mathrl.rewards import EVAL, grade, pool
from mathrl.schema import Score

DATA = Path(__file__).parents[3] / "shared" / "data" / "completions"
Run = Callable[[str], Result]

ROWS: list[dict[str, Any]] = [
    {"id": "a", "completion": "#### 18", "answer": "18"},
    {"id": "b", "completion": "#### 7", "answer": "18"},
    {"id": "c", "completion": "no idea", "answer": "18"},
    {"id": "d", "completion": "#### 5", "answer": None},
    {"id": "é", "completion": "#### 1.50", "answer": "so 3/2\n#### 3/2"},
]


def write(name: str, rows: list[dict[str, Any]] = ROWS) -> Path:
    path = Path(name)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scores(name: str = "x.scores.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


@pytest.fixture
def mathrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder that holds x.jsonl."""
    monkeypatch.chdir(tmp_path)
    write("x.jsonl")
    return lambda line: CliRunner().invoke(group, line.split())


def test_a_file_is_graded_line_by_line(mathrl: Run) -> None:
    done = mathrl("score x.jsonl")
    assert done.exit_code == 0, done.output
    assert [line["row"] for line in scores()] == [0, 1, 2, 3, 4]
    assert [line["id"] for line in scores()] == ["a", "b", "c", "d", "é"]
    assert [line["value"] for line in scores()] == [1.0, 0.0, 0.0, None, 1.0]
    assert [line["status"] for line in scores()] == [
        "correct",
        "wrong",
        "no_answer",
        "gold_unparseable",
        "correct",
    ]
    score = grade("#### 7", "18", EVAL)
    assert scores()[1] == {
        "row": 1,
        "id": "b",
        "value": 0.0,
        "status": "wrong",
        "prediction": "7",
        "tier": 1,
        "reason": score.reason,
    }


def test_the_table_by_hand(mathrl: Run) -> None:
    shown = mathrl("score x.jsonl").stdout
    # 4 graded, 2 correct: Wilson 0.5 ± 1.96/(1 + 0.96) sqrt(1/16 + 3.84/64) = 15.00 … 85.00.
    assert "x.jsonl: 5 rows, columns completion and answer, policy eval" in shown
    table = {line[:16].rstrip(): line[16:].split() for line in shown.splitlines()}
    assert table["accuracy"][:4] == ["4", "50.00", "95", "%"]
    assert table["accuracy"][-3:] == ["15.00", "…", "85.00"]
    assert table["correct"] == ["2", "50.00"]
    assert table["no_answer"] == ["1", "25.00"]
    assert table["gold_unparseable"][:2] == ["1", "–"]
    assert "5 checks in" in shown
    assert shown.endswith("scores: x.scores.jsonl\n\n")


def test_samples_of_a_row_count_as_one_draw() -> None:
    right, wrong = Score(value=1.0, status="correct"), Score(value=0.0, status="wrong")
    tally = Tally()
    for row in [[right] * 4, [wrong] * 4, [right] * 4, [wrong] * 4]:
        tally.add_row(row)
    # Rows agree with themselves: 16 samples are worth 4. v = 4 rows * (4 * 0.5)^2 / 16^2 = 1/16,
    # and p (1 - p) / v = 4.
    assert isclose(tally.effective_size, 4.0)
    single = Tally()
    for score in [right, wrong, wrong]:
        single.add_row([score])
    assert isclose(single.effective_size, 3.0)


def test_lists_of_samples_and_conversations(mathrl: Run) -> None:
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "#### 18"}]
    rows = [
        {"responses": ["#### 18", "#### 7"], "target": 18},
        {"responses": chat, "target": 18.0},
        {"responses": [chat, chat, "#### 1"], "target": ["18"]},
        {"responses": "#### 18", "target": 7},
    ]
    write("x.jsonl", rows)
    assert mathrl("score x.jsonl").exit_code == 0
    assert [(s["row"], s.get("sample"), s["value"]) for s in scores()] == [
        (0, 0, 1.0),
        (0, 1, 0.0),
        (1, None, 1.0),
        (2, 0, 1.0),
        (2, 1, 1.0),
        (2, 2, 0.0),
        (3, None, 0.0),
    ]
    assert {s["num_samples"] for s in scores() if s["row"] == 2} == {3}


def test_a_worked_solution_is_cut_to_its_answer(mathrl: Run) -> None:
    rows = [
        {"output": "#### 18", "solution": s}
        for s in (r"\boxed{7} + 11 = \boxed{18}.", "9*2\n#### 18")
    ]
    write("x.jsonl", rows)
    mathrl("score x.jsonl")
    assert [s["status"] for s in scores()] == ["correct", "correct"]


@pytest.mark.parametrize("suffix", ["jsonl.gz", "csv", "parquet", "stdin"])
def test_every_format_gives_the_same(
    mathrl: Run, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    text = Path("x.jsonl").read_bytes()
    source = f"y.{suffix}"
    if suffix == "csv":
        rows = [row | {"answer": "18"} for row in ROWS]
        write("x.jsonl", rows)
        lines = ["id,completion,answer", *(f"{r['id']},{r['completion']},18" for r in rows)]
        Path(source).write_text("\r\n".join(lines), encoding="utf-8")
    elif suffix == "jsonl.gz":
        Path(source).write_bytes(gzip.compress(text))
    elif suffix == "parquet":
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(ROWS), source)
    else:
        source = "-"
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
        from mathrl.cli.score import command

        with CliRunner().isolation():  # CliRunner.invoke would put its own stdin there
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
            command.main(["-", "--out", "y.scores.jsonl"], standalone_mode=False)
    if source != "-":
        assert mathrl(f"score {source}").exit_code == 0
    mathrl("score x.jsonl")
    assert Path("y.scores.jsonl").read_bytes() == Path("x.scores.jsonl").read_bytes()


def test_workers_give_what_the_caller_gives(mathrl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write("x.jsonl", ROWS * 100)
    mathrl("score x.jsonl --processes 1 --out one.jsonl")
    monkeypatch.setattr(pool, "PATIENCE_S", 0.0)
    mathrl("score x.jsonl --processes 3 --out three.jsonl")
    assert Path("three.jsonl").read_bytes() == Path("one.jsonl").read_bytes()
    assert [s["row"] for s in scores("three.jsonl")] == list(range(500))


def test_a_finished_file_is_not_graded_again(mathrl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mathrl("score x.jsonl").stdout
    before = Path("x.scores.jsonl").read_bytes()
    monkeypatch.setattr("mathrl.cli.score_rows.grade", None)
    again = mathrl("score x.jsonl")
    assert again.exit_code == 0
    assert Path("x.scores.jsonl").read_bytes() == before
    assert "5 rows were graded before\nnothing was left to grade\n" in again.stdout
    assert again.stdout.split("5 rows were")[0] == first.split("5 checks in")[0]


def test_it_goes_on_after_a_cut_at_any_byte_of_the_last_row(mathrl: Run) -> None:
    write("x.jsonl", [*ROWS, {"completion": ["#### 18", "#### 7"], "answer": "18"}])
    straight = mathrl("score x.jsonl").stdout.split("7 checks")[0]
    whole = Path("x.scores.jsonl").read_bytes()
    state = json.loads(Path("x.scores.state.json").read_text())
    origin = Origin(**{name: state[name] for name in Origin.__slots__})
    start = whole.index(b'{"row": 5')
    for end in range(start, len(whole)):
        Path("x.scores.jsonl").write_bytes(whole[:end])
        with ScoreLog(Path("x.scores.jsonl"), origin) as log:
            assert log.num_rows == 5
        assert Path("x.scores.jsonl").read_bytes() == whole[:start]
    for end in [0, 1, start - 1, start, start + 1, len(whole) - 1]:
        Path("x.scores.jsonl").write_bytes(whole[:end])
        done = mathrl("score x.jsonl")
        assert done.exit_code == 0, done.output
        assert Path("x.scores.jsonl").read_bytes() == whole
        assert done.stdout.startswith(straight)


def test_rubbish_of_a_power_cut_is_cut_off_after_the_last_sync(mathrl: Run) -> None:
    mathrl("score x.jsonl")
    whole = Path("x.scores.jsonl").read_bytes()
    state = json.loads(Path("x.scores.state.json").read_text())
    lines = whole.splitlines(keepends=True)
    Path("x.scores.jsonl").write_bytes(b"".join(lines[:3]) + b"\0" * 50 + b"\n\0\0")
    failed = mathrl("score x.jsonl")
    assert isinstance(failed.exception, DataError)
    assert "x.scores.jsonl line 4: damaged; pass --out FILE" in str(failed.exception)
    Path("x.scores.state.json").write_text(json.dumps(state | {"num_rows": 0}))
    assert mathrl("score x.jsonl").exit_code == 0
    assert Path("x.scores.jsonl").read_bytes() == whole


def test_a_grown_file_goes_on_and_a_mended_one_too(mathrl: Run) -> None:
    text = Path("x.jsonl").read_text()
    Path("x.jsonl").write_text(text.rstrip("\n"))  # no final line end yet
    mathrl("score x.jsonl")
    Path("x.jsonl").write_text(text + '{"id": "f", "completion": 5, "answer": "1"}\n')
    failed = mathrl("score x.jsonl")
    assert isinstance(failed.exception, DataError)
    assert str(failed.exception) == (
        "x.jsonl line 6: 'completion' must be text, a list of messages or a list of samples, "
        "not 5; mend or drop the row, or name another column with --completion-column "
        "(5 rows before it are kept)"
    )
    Path("x.jsonl").write_text(text + '{"id": "f", "completion": "5", "answer": "5"}\n')
    done = mathrl("score x.jsonl")
    assert "5 rows were graded before\n1 checks in" in done.stdout
    assert [s["status"] for s in scores()][-1] == "correct"


def test_rows_that_changed_are_refused(mathrl: Run) -> None:
    mathrl("score x.jsonl")
    before = Path("x.scores.jsonl").read_bytes()
    for rows in ([ROWS[1], *ROWS[1:]], ROWS[:3]):
        write("x.jsonl", rows)
        failed = mathrl("score x.jsonl")
        assert isinstance(failed.exception, DataError)
        assert str(failed.exception) == (
            "x.scores.jsonl holds the scores of other rows than x.jsonl has now; "
            "pass --out FILE to write elsewhere or --force to start over"
        )
        assert Path("x.scores.jsonl").read_bytes() == before
    assert mathrl("score x.jsonl --force").exit_code == 0
    assert len(scores()) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--policy reward", r"was graded with policy eval .*, now it is reward"),
        ("--completion-column id", "with completion column completion, now it is id"),
        ("--answer-column id", "with answer column answer, now it is id"),
    ],
)
def test_other_choices_are_refused(mathrl: Run, options: str, message: str) -> None:
    mathrl("score x.jsonl")
    failed = mathrl(f"score x.jsonl {options}")
    assert isinstance(failed.exception, DataError)
    with pytest.raises(DataError, match=message + ".*; pass --out FILE .* --force"):
        raise failed.exception
    assert mathrl(f"score x.jsonl {options} --force").exit_code == 0
    assert mathrl(f"score x.jsonl {options}").exit_code == 0


def test_another_grader_is_refused(mathrl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    mathrl("score x.jsonl")
    monkeypatch.setattr("mathrl.evals.verifiers.grader_fingerprint", lambda: "newer")
    failed = mathrl("score x.jsonl")
    assert "was graded with grader another, now it is this one" in str(failed.exception)


def test_the_limit_is_a_beginning(mathrl: Run) -> None:
    mathrl("score x.jsonl --limit 2")
    assert [s["row"] for s in scores()] == [0, 1]
    mathrl("score x.jsonl --limit 4")
    assert [s["row"] for s in scores()] == [0, 1, 2, 3]
    assert "4 rows were graded before\nnothing was left" in mathrl("score x.jsonl --limit 2").stdout
    mathrl("score x.jsonl")
    assert [s["row"] for s in scores()] == [0, 1, 2, 3, 4]
    lines = Path("x.scores.jsonl").read_text().splitlines(keepends=True)
    Path("x.scores.jsonl").write_text("".join(lines[:1]))  # somebody cut it by hand
    mathrl("score x.jsonl --limit 2")
    assert [s["row"] for s in scores()] == [0, 1]
    assert "2 rows were graded before\n3 checks in" in mathrl("score x.jsonl").stdout


def test_many_files_have_a_table_each_and_one_for_all(mathrl: Run) -> None:
    write("y.jsonl", ROWS[:2])
    mathrl("score x.jsonl")
    done = mathrl("score x.jsonl x.scores.jsonl y.jsonl")  # what a shell makes of *.jsonl
    assert done.exit_code == 0, done.output
    assert "all 2 files: 7 rows" in done.stdout
    # x: 2 of 4, y: 1 of 2.
    assert done.stdout.count("50.00") >= 3
    assert (len(scores()), len(scores("y.scores.jsonl"))) == (5, 2)


GOOD = b'{"completion": "1", "answer": "1"}\n'


@pytest.mark.parametrize(
    ("content", "message", "num_kept"),
    [
        (b"", "x.jsonl is empty", None),
        (
            b'{"text": "1", "answer": "1"}',
            "x.jsonl line 1: no completion column; .* name it with",
            None,
        ),
        (b'{"completion": "1"}', "line 1: no answer column; .* --answer-column", None),
        (GOOD + b"\n[1]\n", "x.jsonl line 3: a row must be a JSON object", 1),
        (GOOD + b'{"completion": "1", "ans', "line 2: not one whole JSON object, it ends in", 1),
        (GOOD + b'{"completion": "\xff"}\n', "line 2: byte 0xff is not UTF-8", 1),
        (
            GOOD * 2 + b'{"response": "1", "answer": "1"}\n',
            "line 3: no column 'completion', which the first row has; it has response, answer;"
            " mend or drop the row, or name another column with --completion-column",
            2,
        ),
        (GOOD + b'{"completion": null, "answer": "1"}\n', "line 2: 'completion' must be text", 1),
        (GOOD + b'{"completion": [], "answer": "1"}\n', "line 2: 'completion' must be text", 1),
        (GOOD + b'{"completion": "1", "answer": {}}\n', "line 2: 'answer' must be text or a", 1),
        (GOOD + b'{"completion": "1", "answer": true}\n', "line 2: 'answer' must be text or a", 1),
    ],
)
def test_a_bad_row_is_one_line_and_those_before_it_are_kept(
    mathrl: Run, content: bytes, message: str, num_kept: int | None
) -> None:
    Path("x.jsonl").write_bytes(content)
    failed = mathrl("score x.jsonl")
    assert isinstance(failed.exception, DataError)
    with pytest.raises(DataError, match=message):
        raise failed.exception
    assert "\n" not in str(failed.exception)
    if num_kept is None:
        assert not Path("x.scores.jsonl").exists()
    else:
        assert len(scores()) == num_kept
        assert f"({num_kept} rows before it are kept)" in str(failed.exception)


def test_a_bad_csv_row_too(mathrl: Run) -> None:
    Path("y.csv").write_text("completion,answer\n1,1\n2\n")
    failed = mathrl("score y.csv")
    assert "y.csv line 3: the row does not have the 2 fields" in str(failed.exception)
    assert len(scores("y.scores.jsonl")) == 1


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("score nowhere.jsonl", DataError, "no such file: nowhere.jsonl"),
        ("score x.jsonl x.jsonl --out a", ConfigError, "--out is one file"),
        ("score x.scores.jsonl", DataError, "is what mathrl score wrote"),
        ("score x.jsonl --out /proc/no", StorageError, "/proc/no: cannot write .* --out FILE"),
        ("score x.jsonl --answer-column gold", DataError, "no answer column; .* expected 'gold'"),
    ],
)
def test_mistakes_are_named(mathrl: Run, line: str, error: type[Exception], message: str) -> None:
    failed = mathrl(line)
    assert isinstance(failed.exception, error)
    with pytest.raises(error, match=message):
        raise failed.exception


def test_a_file_of_scores_without_its_state_is_refused(mathrl: Run) -> None:
    mathrl("score x.jsonl")
    Path("x.scores.state.json").unlink()
    assert "x.scores.state.json, which tells what" in str(mathrl("score x.jsonl").exception)
    Path("x.scores.state.json").write_text("[]")
    assert "x.scores.state.json: damaged" in str(mathrl("score x.jsonl").exception)


def test_two_commands_do_not_write_one_file(mathrl: Run) -> None:
    mathrl("score x.jsonl")
    origin = Origin(completion_column="", answer_column="", policy="", grader="")
    with ScoreLog(Path("z.jsonl"), origin), pytest.raises(StorageError, match="another process"):
        ScoreLog(Path("z.jsonl"), origin)
    ScoreLog(Path("z.jsonl"), origin).__exit__(None, None, None)


def test_a_full_disk_keeps_whole_rows(mathrl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_write, room = os.pwrite, 150

    def small_disk(file: int, data: bytes, offset: int) -> int:
        if offset >= room:
            raise OSError(28, "No space left on device")
        return whole_write(file, data[: room - offset], offset)

    write("x.jsonl", ROWS * 10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", small_disk)
        failed = mathrl("score x.jsonl")
    assert isinstance(failed.exception, StorageError)
    assert "cannot write (No space left on device); the 0 rows before are kept" in str(
        failed.exception
    )
    assert Path("x.scores.jsonl").read_bytes() == b""
    assert mathrl("score x.jsonl").exit_code == 0
    assert len(scores()) == 50


def test_ctrl_c_keeps_what_was_done(mathrl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write("x.jsonl", ROWS * 10)
    whole = ScoreLog.append

    def interrupted(self: ScoreLog, graded: GradedChunk) -> None:
        whole(self, graded)
        if self.num_rows > 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ScoreLog, "append", interrupted)
        stopped = mathrl("score x.jsonl")
    assert stopped.exit_code == 130
    assert stopped.stderr == (
        "interrupted: 12 rows are kept in x.scores.jsonl; the same command goes on from there\n"
    )
    assert "12 rows were graded before\n38 checks in" in mathrl("score x.jsonl").stdout
    mathrl("score x.jsonl --out straight.jsonl")
    assert Path("x.scores.jsonl").read_bytes() == Path("straight.jsonl").read_bytes()


def test_known_answers_are_read_as_those_of_problems(mathrl: Run) -> None:
    write(
        "x.jsonl",
        [
            {"completion": "#### 3244047.1", "answer": 3244047.0999999996},
            {"completion": "#### 14053029.67", "answer": "14053029.666666666"},
            {"completion": "#### 5", "answer": "-"},
        ],
    )
    mathrl("score x.jsonl")
    assert [row["status"] for row in scores()] == ["correct", "correct", "gold_unparseable"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_run_goes_on_to_the_same_file(mathrl: Run, number: signal.Signals) -> None:
    write("x.jsonl", ROWS * 40_000)
    command = [sys.executable, "-m", "mathrl", "score", "x.jsonl", "--processes", "2"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while not (Path("x.scores.jsonl").exists() and Path("x.scores.jsonl").stat().st_size > 50_000):
        assert time.monotonic() - started < 60
        time.sleep(0.01)
    run.send_signal(number)
    assert run.wait() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    kept = Path("x.scores.jsonl").read_bytes()
    limit = kept.count(b"\n") + 1000
    assert f"{limit:,} rows" in mathrl(f"score x.jsonl --limit {limit}").stdout
    mathrl(f"score x.jsonl --limit {limit} --out straight.jsonl")
    assert Path("x.scores.jsonl").read_bytes() == Path("straight.jsonl").read_bytes()


@pytest.mark.skipif(not DATA.exists(), reason="needs the recorded completions in ../shared/data")
def test_the_published_accuracy_is_printed(mathrl: Run) -> None:
    source = DATA / "gsm8k_openai_6b_finetuning.jsonl"
    assert "21.68" in mathrl(f"score {source} --out s.jsonl").stdout
