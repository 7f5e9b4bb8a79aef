"""Verifying a run: whatever is changed after it shows, and rescoring changes only verdicts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mathrl.evals import load_run
from mathrl.evals.rescore import rescore
from mathrl.evals.verify import verify_data, verify_policy, verify_run
from mathrl.schema import Problem
from tests.evals.test_run import run


def faults(folder: Path) -> dict[str, str]:
    return {check.name: check.fault for check in verify_run(folder) if check.fault}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def only(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def test_an_untouched_run_has_no_fault(tmp_path: Path, problems: list[Problem]) -> None:
    run(tmp_path, problems)
    assert faults(tmp_path) == {}
    assert {check.name for check in verify_run(tmp_path)} == {
        "problems and prompts", "manifest", "samples", "verdict log", "verdicts", "figures",
    }  # fmt: skip


def _text(folder: Path) -> None:
    edit(only(folder / "samples"), '"text": "#### 99"', '"text": "#### 1"')


def _finish(folder: Path) -> None:
    edit(only(folder / "samples"), '"finish_reason": "stop"', '"finish_reason": "length"')


def _verdict(folder: Path) -> None:
    edit(only(folder / "scores"), '"status": "wrong"', '"status": "correct"')


def _figure(folder: Path) -> None:
    edit(folder / "results.json", '"accuracy": 0.', '"accuracy": 0.9')


def _interval(folder: Path) -> None:
    edit(folder / "results.json", '"stderr": 0.', '"stderr": 0.0')


def _answer(folder: Path) -> None:
    edit(only(folder / "problems"), '"answer": "3"', '"answer": "99"')


def _prompt(folder: Path) -> None:
    edit(only(folder / "problems"), '"prompt_hash": "', '"prompt_hash": "0')


def _seed(folder: Path) -> None:
    edit(folder / "manifest.json", '"seed": 0', '"seed": 1')


def _policy(folder: Path) -> None:
    edit(folder / "manifest.json", '"policy_fingerprint": "fake"', '"policy_fingerprint": "mine"')


def _temperature(folder: Path) -> None:
    edit(folder / "manifest.json", '"temperature": 1.0', '"temperature": 0.0')


def _sample_gone(folder: Path) -> None:
    path = only(folder / "samples")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def _problem_gone(folder: Path) -> None:
    path = only(folder / "problems")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def _results_gone(folder: Path) -> None:
    (folder / "results.json").write_text("{}")


def _shown_prompt(folder: Path) -> None:
    edit(only(folder / "problems"), '"prompt": "Q: What is 2?"', '"prompt": "Q: What is 3?"')


def _level(folder: Path) -> None:
    edit(only(folder / "problems"), '"metadata": {}', '"metadata": {"level": 5}')


def _version(folder: Path) -> None:
    edit(folder / "manifest.json", '"mathrl": "0.', '"mathrl": "9.')


def _engine(folder: Path) -> None:
    edit(folder / "manifest.json", '"engine": "fake"', '"engine": "vllm"')


def _another_task(folder: Path) -> None:
    path = folder / "results.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps({**entries, "gsm8k": {**entries["a/b"], "accuracy": 0.99}}))


def _usage(folder: Path) -> None:
    edit(
        only(folder / "samples"), '"finish_reason": "stop"', '"finish_reason": "stop", "usage": {}'
    )


def _key_fields(folder: Path) -> None:
    edit(only(folder / "samples"), '"fingerprint": "fake"', '"fingerprint": "mine"')


def _reason(folder: Path) -> None:
    edit(only(folder / "scores"), '"reason": "', '"reason": "so be it: ')


def _results_no_json(folder: Path) -> None:
    (folder / "results.json").write_text("{ torn")


def _no_json(folder: Path) -> None:
    only(folder / "problems").write_text("{")


@pytest.mark.parametrize(
    ("tamper", "where"),
    [
        (_text, {"samples", "verdicts", "figures"}),
        (_finish, {"samples", "figures"}),
        (_verdict, {"verdict log", "verdicts", "figures"}),
        (_figure, {"figures"}),
        (_interval, {"figures"}),
        (_answer, {"problems and prompts", "readable"}),
        (_prompt, {"problems and prompts", "samples"}),
        (_shown_prompt, {"problems and prompts"}),
        (_level, {"problems and prompts", "figures"}),
        (_seed, {"manifest", "samples"}),
        (_policy, {"manifest", "samples"}),
        (_temperature, {"manifest", "samples"}),
        (_version, {"manifest"}),
        (_engine, {"manifest"}),
        (_another_task, {"figures"}),
        (_usage, {"samples", "figures"}),
        (_key_fields, {"samples"}),
        (_reason, {"verdict log"}),
        (_sample_gone, {"samples"}),
        (_problem_gone, {"problems and prompts", "samples", "verdict log", "figures"}),
        (_results_gone, {"figures"}),
        (_results_no_json, {"readable"}),
        (_no_json, {"readable"}),
    ],
)
def test_what_was_changed_shows(
    tmp_path: Path, problems: list[Problem], tamper: Callable[[Path], None], where: set[str]
) -> None:
    run(tmp_path, problems)
    tamper(tmp_path)
    assert set(faults(tmp_path)) == where


def test_the_policy_and_the_data_are_checked_on_request(
    tmp_path: Path, problems: list[Problem]
) -> None:
    run(tmp_path, problems[:5])
    assert not verify_policy(tmp_path, "fake")[0].fault
    assert verify_policy(tmp_path, "other")[0].fault
    assert not verify_data(tmp_path, "a/b", problems).fault
    other = [Problem(id=p.id, prompt=p.prompt, answer="7") for p in problems]
    assert verify_data(tmp_path, "a/b", other).fault.startswith("5 problems are not")


def test_another_grader_is_named_and_rescoring_takes_its_place(
    tmp_path: Path, problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(tmp_path, problems)
    samples = only(tmp_path / "samples").read_bytes()
    monkeypatch.setattr("mathrl.evals.verifiers.grader_fingerprint", lambda: "newer")
    [check] = [check for check in verify_run(tmp_path) if check.name == "verdicts"]
    assert "another version" in check.note
    assert load_run(tmp_path)["a/b"].result == before  # by the verdicts that were given then
    found = rescore(tmp_path)["a/b"]
    assert (found.before, found.after) == (before, before)
    assert (found.now_correct, found.no_longer_correct) == ((), ())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["tasks"]["a/b"]["verified"]["verifier"]["fingerprint"] == "newer"
    assert only(tmp_path / "samples").read_bytes() == samples
    assert faults(tmp_path) == {}
