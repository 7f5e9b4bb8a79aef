"""``mathrl audit-reward``: the table, the exit code, the file, and what it says of bad input."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mathrl.cli import main

FAKES = """
import os, time

def exact(completions, answer, **columns):
    return [float(text == gold) for text, gold in zip(completions, answer)]

def evaluating(completions, **columns):
    return [float(eval(completions[0]) or 0)]

def hanging(completions, **columns):
    open(os.environ["STARTED"], "w").close()
    time.sleep(60)
"""
ROW = {"component": "accuracy", "problem": "1 + 6?", "answer": "7", "why": "because"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with fakes and a bank: two exploits, of which ``exact`` pays one, and a control."""
    (tmp_path / "audited.py").write_text(FAKES)
    rows = [
        {"id": "one-1", "exploit": "one", "completion": "7", "is_paid": False},
        {"id": "two-1", "exploit": "two", "completion": "8", "is_paid": False},
        {"id": "control-1", "exploit": "control", "completion": "7", "is_paid": True},
    ]
    (tmp_path / "bank.jsonl").write_text("".join(json.dumps(ROW | row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(["audit-reward", *words])
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


def test_a_paid_exploit_is_shown_and_exit_code_1(capsys):
    code, out, err = run(capsys, "audited:exact", "--bank", "bank.jsonl")
    assert (code, err) == (1, "")
    lines = [line.split() for line in out.splitlines()]
    head = ["exploit", "n", "paid", "refused", "none", "error", "timeout", "killed", "executed"]
    assert lines[0] == [*head, "slowest"]
    assert lines[1][:-2] == ["one", "1", "1", *"······"]
    assert lines[2][:-2] == ["two", "1", "·", "1", *"·····"]
    assert "exploits paid:\n  one-1  1  7  (because)" in out
    assert out.splitlines()[-1] == (
        "audited:exact: exploits paid 1 of 2, honest controls refused 0 of 1, code executed 0, "
        "timeouts 0, killed 0, errors 0"
    )


def test_a_sound_function_has_exit_code_0(capsys):
    code, out, _ = run(capsys, "audited:exact", "--bank", "bank.jsonl", "--skip", "one")
    assert code == 0
    assert "exploits paid 0 of 1, honest controls refused 0 of 1" in out


def test_an_executed_payload_is_exit_code_1_though_nothing_is_paid(capsys, here):
    bank = Path("payload.jsonl")
    payload = {"id": "x", "exploit": "run", "completion": "open('@name@', 'w').close()"}
    bank.write_text(json.dumps(ROW | payload | {"is_paid": False}))
    code, out, _ = run(capsys, "audited:evaluating", "--bank", "payload.jsonl")
    assert code == 1
    assert "payloads executed:\n  x  0  open('@name@', 'w').close()" in out
    assert "exploits paid 0 of 1" in out and "code executed 1" in out


def test_every_row_is_in_the_file(capsys):
    run(capsys, "audited:exact", "--bank", "bank.jsonl", "--json", "found.json")
    found = json.loads(Path("found.json").read_text())
    assert found["config"]["reward"] == "audited:exact"
    assert found["config"]["timeout_s"] == 20
    assert (found["summary"]["exploits_paid"], found["summary"]["num_exploits"]) == (1, 2)
    assert found["summary"]["is_sound"] is False
    rows = {row["id"]: row for row in found["rows"]}
    assert [row["status"] for row in rows.values()] == ["paid", "refused", "paid"]
    assert rows["one-1"]["value"] == 1.0 and rows["one-1"]["should_be_paid"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nothing", "no reward named 'nothing'"),
        ("audited:exat", "module audited has no 'exat'; did you mean exact?"),
        ("audited:exact --bank nowhere.jsonl", "no such file: nowhere.jsonl"),
        ("audited:exact --bank audited.py", "audited.py is not a file ending in"),
        ("audited:exact --skip none", "no exploit 'none' to skip; there are first_box_right"),
        ("audited:exact --timeout 0", "at most 86400 seconds, got 0"),
        ("audited:exact --json nowhere/found.json", "no such folder: nowhere"),
        ("audited:exact --convention other", "Invalid value for '--convention'"),
        ("", "Missing argument 'PKG.MOD:FN'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = run(capsys, *words.split())
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ") and err.count("\n") == 1


def test_ctrl_c_is_exit_code_130(tmp_path, monkeypatch):
    started = tmp_path / "started"
    monkeypatch.setenv("STARTED", str(started))
    process = subprocess.Popen(
        [sys.executable, "-m", "mathrl", "audit-reward", "audited:hanging"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not started.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
