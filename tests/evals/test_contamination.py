"""Contamination: the table of the data set's own README, and brute force on small texts."""

import json
import random
import re
import string
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mathrl.cli.contamination import command
from mathrl.data import load_problems
from mathrl.evals import ProblemOutcome
from mathrl.evals.contamination import (
    CRITERIA,
    MAX_MATCHES,
    Overlap,
    TrainingRow,
    find_overlap,
    subset_accuracy,
)
from mathrl.schema import Problem

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "math_train.jsonl").exists(), reason="needs the data sets in ../shared/data"
)
WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def overlap_of(rows: list[str], questions: list[str]) -> Overlap:
    problems = [Problem(id=f"p{i}", prompt=q, answer="0") for i, q in enumerate(questions)]
    training = [TrainingRow(place=f"line {i}", text=text) for i, text in enumerate(rows, start=1)]
    return find_overlap(training, problems)


def counts(overlap: Overlap) -> list[int]:
    return [len(overlap.found(criterion)) for criterion in CRITERIA]


@needs_data
@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [  # same text, same words, masked (None: not published), >= 80 %, >= 50 %, any 13-gram
        ("gsm8k_train", "gsm8k_test", [0, 0, 0, 0, 1, 3]),
        ("gsm8k_train", "svamp", [0, 0, None, 0, 0, 0]),
        ("gsm8k_train", "asdiv", [0, 0, None, 0, 0, 5]),
        ("math_train", "math_test", [2, 10, 392, 46, 170, 586]),
        ("math_train", "math500", [0, 1, None, 3, 17, 58]),
        ("math_train", "aime24", [0, 0, None, 0, 0, 9]),
        ("math_train", "amc23", [0, 0, None, 0, 0, 11]),
        ("math_train", "olympiadbench", [None, 1, None, 1, 1, 7]),
    ],
)
def test_the_published_table(train: str, test: str, expected: list[int | None]) -> None:
    found = counts(find_overlap(rows_of(train), load_problems(DATA / f"{test}.jsonl")))
    assert [None if wanted is None else n for n, wanted in zip(found, expected, strict=True)] == (
        expected
    )


@needs_data
def test_the_two_verbatim_leaks_are_named() -> None:
    overlap = find_overlap(rows_of("math_train"), load_problems(DATA / "math_test.jsonl"))
    verbatim = {p.problem_id: p.matches[0].place for p in overlap.found("same text")}
    assert verbatim == {
        "test/algebra/636.json": "train/algebra/517.json",
        "test/precalculus/24307.json": "train/geometry/6032.json",
    }


def rows_of(name: str) -> Iterator[TrainingRow]:
    with (DATA / f"{name}.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            yield TrainingRow(place=row["id"], text=row["problem"])


def test_each_criterion_by_hand() -> None:
    train = f"{WORDS}, 15?"  # 15 words: three 13-grams
    cases = {
        f"{WORDS},\n15?": {"same text", "same words", "same words, numbers masked"},
        f"{WORDS.upper()} 15!": {"same words", "same words, numbers masked"},
        f"{WORDS}, 16?": {"same words, numbers masked"},
        WORDS.replace("three", "3"): set(),
    }
    for question, kinds in cases.items():
        assert overlap_of([train], [question]).problems[0].kinds == kinds, question
    # 14 words and a changed last one: two of its three runs are the row's.
    problem = overlap_of([train], [f"{WORDS}, 16?"]).problems[0]
    assert (problem.num_found, problem.num_ngrams) == (2, 3)
    assert problem.holds("50 % of its 13-grams")
    assert not problem.holds("80 % of its 13-grams")
    # Exactly the half: 14 words of which the last differs.
    half = overlap_of([WORDS], [WORDS.replace("fourteen", "14")]).problems[0]
    assert half.share == 0.5
    assert half.holds("50 % of its 13-grams")


def test_repeated_runs_count_once() -> None:
    question = " ".join(["again"] * 30)
    problem = overlap_of([question], [question]).problems[0]
    assert (problem.num_found, problem.num_ngrams) == (1, 1)


def test_short_problems_are_found_as_copies_only() -> None:
    overlap = overlap_of(["What is 2 + 2?", "$$"], ["What is 2+2?", "What is 3 + 3?", "2 + 2", "$"])
    assert counts(overlap) == [1, 1, 2, 0, 0, 0]
    assert overlap.num_short == 4


def brute_force(rows: list[str], question: str) -> tuple[int, int]:
    """How many of a question's distinct 13-grams some row has, and how many there are."""

    def runs(text: str) -> set[str]:
        words = re.sub(r"[^a-z0-9_]+", " ", text.lower()).split()
        return {" ".join(words[i : i + 13]) for i in range(len(words)) if i + 13 <= len(words)}

    own = runs(question)
    return sum(any(run in runs(row) for row in rows) for run in own), len(own)


def test_shares_agree_with_brute_force() -> None:
    draw = random.Random(0)
    for _ in range(30):
        pool = [" ".join(draw.choices("abc", k=draw.randint(5, 30))) for _ in range(6)]

        def text(pool: list[str] = pool) -> str:
            return draw.choice([" ", ", ", "; "]).join(draw.choices(pool, k=draw.randint(1, 3)))

        rows, questions = [text() for _ in range(8)], [text() for _ in range(8)]
        for problem, question in zip(overlap_of(rows, questions).problems, questions, strict=True):
            assert (problem.num_found, problem.num_ngrams) == brute_force(rows, question)


def test_the_closest_rows_come_first() -> None:
    near = WORDS.replace("fourteen", "14")
    rows = ["nothing", near, f"{WORDS} 15", near, WORDS.upper(), near, near, near]
    problem = overlap_of(rows, [WORDS]).problems[0]
    assert len(problem.matches) == MAX_MATCHES
    assert [m.place for m in problem.matches] == ["line 5", "line 3", "line 2", "line 4", "line 6"]
    assert [m.num_ngrams for m in problem.matches] == [2, 2, 1, 1, 1]
    assert problem.matches[0].kind == "same words"
    assert problem.matches[1].kind is None


def test_a_phrase_of_the_task_names_its_first_row_and_costs_no_more() -> None:
    questions = [f"{WORDS} and problem number x{i}y" for i in range(60)]
    overlap = overlap_of([f"{WORDS} row {i}" for i in range(40)], questions)
    assert all(p.num_found == 2 for p in overlap.problems)
    assert {tuple(m.place for m in p.matches) for p in overlap.problems} == {("line 1",)}


def test_the_training_file_is_never_held() -> None:
    def rows() -> Iterator[TrainingRow]:
        draw = random.Random(0)
        for i in range(500):
            text = "".join(draw.choices(string.ascii_lowercase + " ", k=1000))
            yield TrainingRow(place=f"line {i}", text=text)

    find_overlap(rows(), [])  # what is allocated once
    tracemalloc.start()
    overlap = find_overlap(rows(), [Problem(id="p", prompt=WORDS, answer=None)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert overlap.num_rows == 500
    assert peak < 100_000  # bytes, of 500,000 that were read


def test_accuracy_of_a_subset_by_hand() -> None:
    outcomes = [ProblemOutcome(problem_id=f"p{i}", n=2, c=c) for i, c in enumerate((2, 1, 0, 2))]
    found = subset_accuracy(outcomes, {"p0", "p1", "p2", "unknown"})
    assert found is not None
    # Means 1, 1/2, 0: variance (1/4 + 0 + 1/4) / 2, over 3 problems.
    assert (found.accuracy, found.n_problems) == (0.5, 3)
    assert found.stderr == pytest.approx((0.25 / 3) ** 0.5, abs=1e-15)
    assert subset_accuracy(outcomes, {"unknown"}) is None


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A training file, a test file and recorded completions: one leak, solved; one not, failed."""
    train = [{"id": 7, "question": WORDS, "answer": "1"}, {"question": "Short?", "answer": "1"}]
    problems = [
        {"id": "leak", "problem": WORDS.title(), "answer": "1"},
        {"id": "new", "problem": "Something else?", "answer": "1"},
    ]
    completions = [{"id": "leak", "completion": "#### 1"}, {"id": "new", "completion": "#### 2"}]
    for name, rows in {"train": train, "test": problems, "completions": completions}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def run(*words: str) -> str:
    outcome = CliRunner().invoke(command, list(words), catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.output


def test_the_command_lists_what_it_finds(files: Path) -> None:
    words = ("--train", f"{files}/train.jsonl", "--task", "gsm8k", "--data", f"{files}/test.jsonl")
    shown = run(*words)
    assert "gsm8k: 2 problems, 2 rows" in shown
    assert "leak: line 1 (id 7), same words, 2 of 2 13-grams" in shown
    entry = json.loads(run(*words, "--json"))
    assert entry["found"]["same words"] == entry["found"]["any of these"] == 1
    assert [problem["id"] for problem in entry["problems"]] == ["leak"]


def test_a_run_is_split_into_found_and_clean(files: Path) -> None:
    from mathrl.cli.eval import command as evaluate

    words = ["--task", "gsm8k", "--data", f"{files}/test.jsonl", "--out", f"{files}/run"]
    words += ["--completions", f"{files}/completions.jsonl"]
    assert CliRunner().invoke(evaluate, words, catch_exceptions=False).exit_code == 0
    words = ["--train", f"{files}/train.jsonl", "--run", f"{files}/run"]
    entry = json.loads(run(*words, "--json"))
    parts = entry["accuracy"]["any of these"]
    assert (parts["found"]["accuracy"], parts["found"]["n_problems"]) == (1.0, 1)
    assert (parts["others"]["accuracy"], parts["others"]["n_problems"]) == (0.0, 1)
    assert parts["others"]["stderr"] is None
    assert entry["accuracy"]["same text"]["found"] is None
    assert "100.00 ± – (n = 1)" in run(*words)


@pytest.mark.parametrize(
    ("row", "words", "message"),
    [
        ('{"question": 5}', [], "'question' must be text or a list of messages"),
        ('{"body": "x"}', [], "name it with --train-column"),
        ('{"question": "x"', [], "line 1: not one whole JSON object"),
        ("\n", [], "holds no rows"),
        ("", [], "is empty"),
        ('{"messages": [{"role": "user"}]}', [], "'messages' must be text or a list of messages"),
        ('{"question": "x"}', ["--run", "nowhere"], "leave --data out"),
    ],
)
def test_wrong_input_is_one_clear_error(
    files: Path, row: str, words: list[str], message: str
) -> None:
    (files / "bad.jsonl").write_text(row)
    given = ["--train", f"{files}/bad.jsonl", "--task", "gsm8k", "--data", f"{files}/test.jsonl"]
    outcome = CliRunner().invoke(command, [*given, *words])
    assert outcome.exception is not None
    assert message in str(outcome.exception)


def test_a_missing_training_file_is_told_before_a_hub_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mathrl.evals import problems

    monkeypatch.setattr(problems, "load_task", lambda *_, **__: pytest.fail("asked for the task"))
    outcome = CliRunner().invoke(command, ["--train", "nope", "--task", "gsm8k"])
    assert "no such file: nope" in str(outcome.exception)


def test_conversations_are_read_by_what_is_said(files: Path) -> None:
    row = {"messages": [{"role": "user", "content": WORDS}, {"role": "assistant", "content": "1"}]}
    (files / "chat.jsonl").write_text(json.dumps(row))
    words = ("--train", f"{files}/chat.jsonl", "--task", "gsm8k", "--data", f"{files}/test.jsonl")
    entry = json.loads(run(*words, "--json"))
    assert entry["found"]["any 13-gram"] == 1
