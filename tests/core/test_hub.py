"""Known data sets are read by the real package ``datasets``, from folders that look as on the hub.

The rows here are made up; their columns are those of the data sets' own cards.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mathrl.data import load_problems
from mathrl.errors import DataError
from mathrl.hub import KNOWN, MGSM_LANGUAGES
from mathrl.schema import Problem

Serve = Callable[..., None]
ROW: dict[str, dict[str, Any]] = {
    "gsm8k": {"question": "1+1?", "answer": "It is <<1+1=2>>2.\n#### 2"},
    "gsm8k-platinum": {
        "question": "1+1?",
        "answer": "It is 2.\n#### 2",
        "cleaning_status": "verified",
    },
    "gsm_hard": {"input": "1/3?", "code": "def solution(): ...", "target": 0.3333333333333333},
    "svamp": {
        "ID": "chal-1",
        "Body": "Ann has 5 pears and eats 2",
        "Question": "How many are left?",
        "Equation": "( 5.0 - 2.0 )",
        "Answer": 3.0,
        "Type": "Subtraction",
        "question_concat": "Ann has 5 pears and eats 2 How many are left?",
    },
    "asdiv": {
        "body": "Ann has two red pears and three green ones.",
        "question": "How many pears has she?",
        "solution_type": "Addition",
        "answer": "5 (pears)",
        "formula": "2+3=5",
    },
    "math": {
        "problem": "Halve 1.",
        "level": "Level 2",
        "type": "Prealgebra",
        "solution": r"It is $\boxed{\frac{1}{2}}$.",
    },
    "math500": {
        "problem": "Halve 1.",
        "solution": r"It is $\boxed{\frac{1}{2}}$.",
        "answer": r"\frac{1}{2}",
        "subject": "Prealgebra",
        "level": 2,
        "unique_id": "test/prealgebra/7.json",
    },
    "minerva_math": {"question": "How heavy?", "answer": "4.5e33"},
    "olympiadbench": {
        "id": 1606,
        "question": "Solve $x^2=1$.",
        "solution": ["Factor.", "Done."],
        "final_answer": ["$1$, $-1$"],
        "is_multiple_answer": True,
        "subject": "Math",
        "subfield": "Algebra",
    },
    "amc23": {"id": 0, "question": "1+1?", "answer": "2.0", "url": "example.org"},
    "aime24": {
        "id": 60,
        "problem": "1+1?",
        "solution": "It is 2.",
        "answer": "002",
        "url": "example.org",
        "year": "2024",
    },
    "aime25": {"problem": "1+1?", "answer": "2", "id": "0"},
    "mgsm_de": {
        "question": "Was ist 1+1?",
        "answer": None,
        "answer_number": 2,
        "equation_solution": None,
    },
}
READ = {
    "gsm8k": Problem(
        id="gsm8k/test/0",
        prompt="1+1?",
        answer="2",
        metadata={"solution": ROW["gsm8k"]["answer"]},
    ),
    "gsm8k-platinum": Problem(
        id="gsm8k-platinum/test/0",
        prompt="1+1?",
        answer="2",
        metadata={"solution": ROW["gsm8k-platinum"]["answer"], "cleaning_status": "verified"},
    ),
    "gsm_hard": Problem(
        id="gsm_hard/test/0",
        prompt="1/3?",
        answer="1/3",
        metadata={"solution": "def solution(): ..."},
    ),
    "svamp": Problem(
        id="svamp/chal-1",
        prompt="Ann has 5 pears and eats 2. How many are left?",
        answer="3.0",
        metadata={"solution": "( 5.0 - 2.0 )", "subject": "Subtraction"},
    ),
    "asdiv": Problem(
        id="asdiv/test/0",
        prompt="Ann has two red pears and three green ones. How many pears has she?",
        answer="5",
        metadata={"solution": "2+3=5", "subject": "Addition"},
    ),
    "math": Problem(
        id="math/test/0",
        prompt="Halve 1.",
        answer=r"\frac{1}{2}",
        metadata={
            "level": 2,
            "type": "Prealgebra",
            "subject": "Prealgebra",
            "solution": ROW["math"]["solution"],
        },
    ),
    "math500": Problem(
        id="test/prealgebra/7.json",  # as in the full test set
        prompt="Halve 1.",
        answer=r"\frac{1}{2}",
        metadata={
            key: ROW["math500"][key] for key in ("solution", "subject", "level", "unique_id")
        },
    ),
    "minerva_math": Problem(id="minerva_math/test/0", prompt="How heavy?", answer="4.5e33"),
    "olympiadbench": Problem(
        id="olympiadbench/1606",
        prompt="Solve $x^2=1$.",
        answer="$1$, $-1$",
        metadata={
            "solution": "Factor.\n\nDone.",
            "is_multiple_answer": True,
            "subject": "Algebra",
            "subfield": "Algebra",
        },
    ),
    "amc23": Problem(id="0", prompt="1+1?", answer="2.0", metadata={"url": "example.org"}),
    "aime24": Problem(
        id="aime24/60",
        prompt="1+1?",
        answer="002",
        metadata={"solution": "It is 2.", "url": "example.org", "year": "2024"},
    ),
    "aime25": Problem(id="aime25/0", prompt="1+1?", answer="2"),
    "mgsm_de": Problem(
        id="mgsm_de/0", prompt="Was ist 1+1?", answer="2", metadata={"subject": "de"}
    ),
}


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Put rows where a known data set is looked for: a folder in place of the hub's repository."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()

    def put(name: str, **rows_of_split: list[dict[str, Any]]) -> None:
        known, folder = KNOWN[name], tmp_path / name
        folder.mkdir()
        card = f"---\nconfigs:\n- config_name: {known.config or 'default'}\n  data_files:\n"
        for split, rows in rows_of_split.items():
            lines = [json.dumps(row) + "\n" for row in rows]
            (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
            card += f"  - split: {split}\n    path: {split}.jsonl\n"
        (folder / "README.md").write_text(f"{card}---\n", encoding="utf-8")
        monkeypatch.setitem(KNOWN, name, dataclasses.replace(known, hub_id=str(folder)))

    return put


@pytest.mark.parametrize("name", [name for name in ROW if name != "svamp"])
def test_a_row_of_the_hub_becomes_a_problem(serve: Serve, name: str) -> None:
    serve(name, **{KNOWN[name].splits["test"]: [ROW[name]]})
    assert load_problems(name) == [READ[name]]


def test_svamp_is_both_of_its_splits(serve: Serve) -> None:
    serve("svamp", train=[ROW["svamp"]], test=[{**ROW["svamp"], "ID": "chal-2"}])
    first, second = load_problems("svamp")
    assert first == READ["svamp"]
    assert second.id == "svamp/chal-2"


def test_every_known_data_set_is_tried_here() -> None:
    assert set(ROW) == set(READ)
    languages = {f"mgsm_{language}" for language in MGSM_LANGUAGES}
    assert set(KNOWN) - languages - {"mgsm"} == set(ROW) - {"mgsm_de"}


def test_the_whole_of_mgsm_is_its_languages(serve: Serve) -> None:
    for language in MGSM_LANGUAGES:
        serve(f"mgsm_{language}", test=[ROW["mgsm_de"]] * 2)
    problems = load_problems("mgsm")
    assert [problem.id for problem in problems[:3]] == ["mgsm_bn/0", "mgsm_bn/1", "mgsm_de/0"]
    assert [problem.metadata["subject"] for problem in problems[::2]] == list(MGSM_LANGUAGES)
    assert load_problems("mgsm_de") == problems[2:4]
    assert load_problems("mgsm", limit=3) == problems[:3]


def test_problems_of_asdiv_with_several_answers_are_left_out(serve: Serve) -> None:
    several = {**ROW["asdiv"], "answer": "3 (pears); 5 (plums)"}
    serve("asdiv", validation=[several, ROW["asdiv"]])
    (problem,) = load_problems("asdiv")
    assert problem.answer == "5"


def test_a_split_that_the_data_set_has_is_read(serve: Serve) -> None:
    other = {"question": "2+2?", "answer": "#### 4"}
    serve("gsm8k", test=[ROW["gsm8k"]], train=[other])
    assert [problem.answer for problem in load_problems("gsm8k", split="train")] == ["4"]
    with pytest.raises(DataError, match="mgsm has the split test, not 'train'"):
        load_problems("mgsm", split="train")


def test_a_data_set_whose_columns_changed_is_named(serve: Serve) -> None:
    renamed = {**ROW["svamp"], "Prompt": "?"}
    del renamed["Body"]
    serve("svamp", train=[renamed], test=[renamed])
    with pytest.raises(
        DataError, match=r"svamp/test row 0: .*svamp has no column 'Body'; it has ID"
    ):
        load_problems("svamp")


def test_a_folder_without_data_is_one_line(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = dataclasses.replace(KNOWN["aime25"], hub_id=str(tmp_path))
    monkeypatch.setitem(KNOWN, "aime25", known)
    with pytest.raises(DataError, match=r"cannot load .* from the hub .*--data problems\.jsonl"):
        load_problems("aime25")
