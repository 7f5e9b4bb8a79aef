"""mathrl explain: every step of a grade, as text or as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mathrl.cli import group, main
from mathrl.rewards import REWARD, grade

COMPLETION = r"So it is \boxed{\frac{\sqrt{12}}{2}}."


def explain(*words: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(group, ["explain", *words], input=stdin)
    assert done.exit_code == 0, done.output
    return done.output


def lines(output: str) -> list[tuple[str, str]]:
    return [(line[:14].strip(), line[14:]) for line in output.splitlines()]


def test_the_steps_are_printed_in_order() -> None:
    found = lines(explain(COMPLETION, r"\sqrt3"))
    assert [name for name, _ in found] == [
        *("policy", "cue", "extracted", "answer", "prediction is", "", "answer is", ""),
        *("tier", "verdict", "because"),
    ]
    said = dict(found)
    assert said["policy"] == "eval"
    assert said["cue"] == "box"
    assert said["extracted"] == r"\frac{\sqrt{12}}{2}"
    assert said["answer"] == r"\sqrt3"
    assert said["answer is"] == "Power(3, 1/2)"
    assert [value for name, value in found if not name] == ["= #3^1/2", "= #3^1/2"]
    assert said["tier"] == "2 (structure and normal form)"
    assert said["verdict"] == "correct, worth 1.0"
    assert said["because"] == grade(COMPLETION, r"\sqrt3").reason


def test_a_second_reading_is_another_line() -> None:
    found = lines(explain("#### 1,234", "7"))
    assert ("prediction is", "1234") in found
    assert ("or", "Listing([1, 234], ',')") in found
    assert ("tier", "2 (structure and normal form)") in found or ("tier", "1 (exact numbers)") in (
        found
    )
    assert ("verdict", "wrong, worth 0.0") in found


def test_a_normal_form_equal_to_the_tree_is_not_repeated() -> None:
    assert "= " not in explain("#### 5", "5")


def test_the_same_text_is_tier_0() -> None:
    assert ("tier", "0 (text)") in lines(explain("#### 5", "5"))
    assert ("tier", "1 (exact numbers)") in lines(explain("#### 5.0", "5"))
    assert ("tier", "3 (evaluation)") in lines(explain(r"\boxed{\cos^2 x}", r"1-\sin^2 x"))


def test_nothing_found_is_said() -> None:
    said = dict(lines(explain("It is 5.", "5", "--policy", "reward")))
    assert said["policy"] == "reward"
    assert said["cue"] == "none"
    assert said["extracted"] == "nothing"
    assert said["tier"] == "none"
    assert said["verdict"] == "no_answer, worth 0.0"
    assert said["because"] == grade("It is 5.", "5", REWARD).reason


def test_a_known_answer_that_cannot_be_read_is_worth_nothing() -> None:
    assert ("verdict", "gold_unparseable, worth nothing") in lines(explain("#### 5", ""))


def test_json_has_every_step() -> None:
    found = json.loads(explain(COMPLETION, r"\sqrt3", "--json"))
    score = grade(COMPLETION, r"\sqrt3")
    assert found["policy"] == "eval"
    assert found["cue"] == "box"
    assert found["extracted"] == r"\frac{\sqrt{12}}{2}"
    assert found["answer"] == [{"tree": "Power(3, 1/2)", "normal_form": "#3^1/2"}]
    assert found["prediction"][0]["normal_form"] == "#3^1/2"
    assert found["score"]["status"] == "correct"
    assert found["score"]["value"] == 1.0
    assert found["score"]["tier"] == 2
    assert found["score"]["reason"] == score.reason


def test_json_keeps_letters_of_any_alphabet() -> None:
    output = explain(r"\boxed{\text{да}}", "да", "--json")
    assert "да" in output
    assert json.loads(output)["score"]["status"] == "correct"


def test_a_completion_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "completion.txt"
    file.write_text("Schön: #### 5\n", encoding="utf-8")
    assert dict(lines(explain(f"@{file}", "5")))["extracted"] == "5"


def test_a_completion_from_standard_input() -> None:
    assert dict(lines(explain("-", "7", stdin="so\n#### 7\n")))["verdict"] == "correct, worth 1.0"


def test_a_negative_answer_is_no_option() -> None:
    assert dict(lines(explain("--", "#### -7", "-7")))["verdict"] == "correct, worth 1.0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["explain"], "Missing argument 'COMPLETION'"),
        (["explain", "#### 5"], "Missing argument 'ANSWER'"),
        (["explain", "@nowhere.txt", "5"], "No such file or directory: nowhere.txt"),
        (["explain", "@latin.txt", "5"], "latin.txt is not UTF-8 text"),
        (["explain", "@folder", "5"], "folder"),
        (["explain", "#### 5", "5", "--policy", "kind"], "'kind' is not one of 'eval', 'reward'"),
        (["explain", "#### 5", "5", "6"], "unexpected extra argument"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes("Schön".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main(words)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
