"""The command line as a whole: light, and one clear line for every mistake."""

import json
import subprocess
import sys

import pytest

from mathrl.cli import COMMANDS, main


def run(capsys, *words):
    """Exit code, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with every kind of bad input in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "half.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n{"question": "1')
    (tmp_path / "columns.jsonl").write_text('{"q": "1+1?", "answer": "2"}\n')
    (tmp_path / "key.toml").write_text('method = "grpo"\n[loss]\nbetta = 1\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_loads_nothing_heavy(name):
    code = (
        "import sys, json\nfrom mathrl.cli import main\n"
        f"try: main({[name] if name else []} + ['--help'])\n"
        "except SystemExit as stopped: assert stopped.code == 0, stopped.code\n"
        "heavy = ['torch', 'transformers', 'datasets', 'numpy', 'matplotlib']\n"
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, loaded = said.stdout.strip().split("\n")
    assert json.loads(loaded) == []
    assert text[0].startswith("Usage: mathrl")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train-grpo --data nowhere.jsonl", "no such file: nowhere.jsonl"),
        ("train-grpo --data empty.jsonl", "empty.jsonl is empty"),
        ("train-grpo --data half.jsonl", "half.jsonl line 2"),
        ("train-grpo --data columns.jsonl", "no question column; it has q, answer"),
        ("train-grpo --data columns.jsonl --question-column q", "too few to hold 200"),
        ("train-grpo key.toml", "unknown key 'loss.betta'; did you mean beta?"),
        ("train-grpo --set rollout.group_size=1", "must be at least 2"),
        ("train-grpo --set loss.beta", "--set wants key=value"),
        ("train-grpo --model folder", "folder is not a model folder: it has no config.json"),
        ("train-grpo --model config.json", "config.json is a file"),
        ("train-grpo --model ./nowhere/at/all", "no such model folder: ./nowhere/at/all"),
        ("train-grpo --reward nothing", "no reward named 'nothing'"),
        ("train-grpo --resume folder", "folder is not a run"),
        ("train-grpo --resume folder --seed 1", "drop the rest"),
        ("train-grpo --max-steps many", "Invalid value for '--max-steps'"),
        ("train-grpo nowhere", "no recipe 'nowhere'; shipped: cispo, dapo"),
        ("eval --task gsm9k", "did you mean gsm8k"),
        ("eval", "Missing option '--task'"),
        ("eval --task arithmetic --model folder", "it has no config.json"),
        ("compare folder elsewhere", "folder/results.json: no such file"),
        ("trian-grpo", "No such command 'trian-grpo'; did you mean train-grpo?"),
        ("zzz", "No such command 'zzz'. (see"),
        ("--versoin", "No such option '--versoin'."),
        ("eval --task gsm8k --engine vlm", "did you mean vllm?"),
        ("eval --task gsm8k --engine zzz", "'recorded', 'lm-eval'. (see"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, words, message):
    code, _, err = run(capsys, *words.split())
    assert code == 2
    assert message in err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not (here / "runs").exists(), "nothing is written for a command that cannot start"


def test_debug_shows_the_traceback(here):
    from mathrl.errors import DataError

    with pytest.raises(DataError):
        main(["train-grpo", "--data", "empty.jsonl", "--debug"])


def test_an_unforeseen_fault_is_not_hidden(monkeypatch):
    from mathrl.cli import tasks

    def broken(**options):
        raise ZeroDivisionError

    monkeypatch.setattr(tasks.command, "callback", broken)
    with pytest.raises(ZeroDivisionError):
        main(["tasks"])


def test_version(capsys):
    import mathrl

    assert run(capsys, "--version")[1] == f"mathrl, version {mathrl.__version__}\n"
