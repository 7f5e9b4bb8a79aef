"""results.json: what is written is what is read, and a kill never leaves half a file."""

import json
from math import isnan
from pathlib import Path

import pytest

from mathrl.errors import DataError
from mathrl.evals import ProblemOutcome, SampleOutcome, load_results, save_result
from mathrl.evals.summary import summarise
from mathrl.schema import Completion, FinishReason, Score


def outcome(
    problem_id: str, verdicts: str, *, finish: FinishReason | None = None
) -> ProblemOutcome:
    """One sample a letter: ``c`` correct, ``w`` wrong, ``-`` no answer."""
    scores = {
        "c": Score(value=1.0, status="correct", prediction="1"),
        "w": Score(value=0.0, status="wrong", prediction="2"),
        "-": Score(value=0.0, status="no_answer"),
    }
    samples = [
        SampleOutcome(
            sample_index=index,
            completion=Completion(text="ab", finish_reason=finish),
            num_tokens=3,
            score=scores[letter],
        )
        for index, letter in enumerate(verdicts)
    ]
    return ProblemOutcome.from_samples(problem_id, samples)


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    result = summarise("t", [outcome("a", "cw-"), outcome("b", "www")], n_uncovered=2)
    save_result(tmp_path, result)
    read = load_results(tmp_path)["t"]
    assert read.to_json() == result.to_json()
    assert [(p.problem_id, p.n, p.c, p.samples) for p in read.problems] == [
        ("a", 3, 1, ()),
        ("b", 3, 0, ()),
    ]


def test_the_contract_of_the_file(tmp_path: Path) -> None:
    save_result(tmp_path, summarise("t", [outcome("a", "cw"), outcome("b", "cc")]))
    entry = json.loads((tmp_path / "results.json").read_text())["t"]
    assert entry["accuracy"] == 0.75
    assert (entry["n_problems"], entry["n_samples"]) == (2, 4)
    assert entry["pass_at_k"] == {"1": 0.75, "2": 1.0}
    assert entry["maj_at_k"] == {"1": 0.75, "2": 1.0}  # of the tie c, w the first wins
    assert entry["status"] == {"correct": 0.75, "wrong": 0.25}
    assert entry["ci95"][0] < 0.75 < entry["ci95"][1]
    assert 0 < entry["stderr"] < 1


def test_tasks_of_one_folder_stay_side_by_side(tmp_path: Path) -> None:
    for task in ("s", "t"):
        save_result(tmp_path, summarise(task, [outcome("a", "c"), outcome("b", "w")]))
    assert set(load_results(tmp_path)) == {"s", "t"}
    assert not list(tmp_path.glob("*.tmp"))


def test_samples_stand_in_the_order_of_their_index() -> None:
    there = outcome("a", "cw-")
    assert ProblemOutcome.from_samples("a", there.samples[::-1]) == there
    assert [sample.sample_index for sample in there.samples] == [0, 1, 2]


def test_one_problem_has_no_standard_error_but_an_interval(tmp_path: Path) -> None:
    save_result(tmp_path, summarise("t", [outcome("a", "cw")]))
    assert json.loads((tmp_path / "results.json").read_text())["t"]["stderr"] is None
    read = load_results(tmp_path)["t"]
    assert isnan(read.stderr)
    assert read.ci95.low < read.accuracy < read.ci95.high


def test_ks_are_powers_of_two_and_the_number_of_samples() -> None:
    result = summarise("t", [outcome("a", "cwwwwwc"), outcome("b", "wwwwww")])
    assert list(result.pass_at_k) == [1, 2, 4, 6]
    for name, curve in result.curves.items():
        for k, rate in curve.items():
            bounds = result.curves_ci95[name][k]
            assert bounds.low <= rate <= bounds.high


def test_truncation_and_length() -> None:
    cut, whole = outcome("a", "w", finish="length"), outcome("b", "c", finish="stop")
    result = summarise("t", [cut, whole, outcome("c", "cc", finish="stop")])
    assert (result.truncated, result.mean_length, result.length_unit) == (0.25, 3.0, "tokens")
    assert summarise("t", [outcome("a", "w")]).truncated is None


@pytest.mark.parametrize("text", ["{", "[]", '{"t": {}}', '{"t": 1}'])
def test_a_file_that_is_not_results_is_a_data_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(DataError, match=r"results\.json"):
        load_results(tmp_path)


def test_a_folder_without_results_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mathrl eval"):
        load_results(tmp_path)
