"""Load problems: a named benchmark, a hub data set, a local file or the embedded generator.

    load_problems("gsm8k", limit=100)
    load_problems("my_problems.jsonl")

A local file is JSONL, Parquet or CSV with a row a problem. The question is read from the first of
``problem, question, prompt, query, input`` that the file has, the answer from the first of
``answer, gold, final_answer, expected_answer, ground_truth, target``; every other column goes to
the problem's metadata. JSONL and CSV are read line by line, and no further than the limit.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, cast

from mathrl.boxes import last_box
from mathrl.errors import DataError
from mathrl.schema import Problem
from mathrl.tables import FORMATS, Row, choose_column, import_extra, read_rows

QUESTION_COLUMNS = ("problem", "question", "prompt", "query", "input")
ANSWER_COLUMNS = ("answer", "gold", "final_answer", "expected_answer", "ground_truth", "target")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def after_hashes(answer: str) -> str:
    """Cut GSM8K's worked answer to what follows its last ``####``.

    Args:
        answer: The text of the column; without ``####`` it is the answer already.
    """
    return answer.rpartition("####")[2].strip() if "####" in answer else answer


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDataset:
    """Where a known data set is on the hub and how it is read."""

    hub_id: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"test": "test"})
    """Our split names to the hub's."""
    question: str
    answer: str
    read_answer: Callable[[str], str | None] = after_hashes


KNOWN: Mapping[str, HubDataset] = {
    "gsm8k": HubDataset(
        hub_id="openai/gsm8k",
        config="main",
        splits={"train": "train", "test": "test"},
        question="question",
        answer="answer",
    ),
    "math": HubDataset(
        hub_id="DigitalLearningGmbH/MATH-lighteval",
        splits={"train": "train", "test": "test"},
        question="problem",
        answer="solution",
        read_answer=last_box,
    ),
    "math500": HubDataset(hub_id="HuggingFaceH4/MATH-500", question="problem", answer="answer"),
    "aime24": HubDataset(
        hub_id="HuggingFaceH4/aime_2024",
        splits={"test": "train"},  # the hub calls its only split train
        question="problem",
        answer="answer",
    ),
    "amc23": HubDataset(hub_id="math-ai/amc23", question="question", answer="answer"),
}


def load_problems(
    name_or_path: str | Path,
    *,
    split: str = "test",
    question_column: str | None = None,
    answer_column: str | None = None,
    limit: int | None = None,
) -> list[Problem]:
    """Load problems with their answers.

    Args:
        name_or_path: ``arithmetic``, a name in ``KNOWN``, a hub ``org/name``, or a local
            ``.jsonl``, ``.parquet`` or ``.csv`` file.
        split: ``train`` or ``test``; a local file has no splits.
        question_column: Where the question is, if not in one of ``QUESTION_COLUMNS``.
        answer_column: Where the answer is, if not in one of ``ANSWER_COLUMNS``.
        limit: Read the first so many problems only.

    Returns:
        The problems in the order of their source, each with an id of its own.

    Raises:
        DataError: There is no such data, or a row is not a problem; names the file and the line.
        MissingExtraError: The format or the hub needs a package that is not installed.
    """
    name = str(name_or_path)
    if limit is not None and limit < 1:
        raise DataError(f"limit must be at least 1, not {limit}")
    if name == "arithmetic":
        from mathrl.arithmetic import SIZES, generate_problems

        count = min(limit, SIZES.get(split, limit)) if limit is not None else None
        return generate_problems(cast(Literal["train", "test"], split), count=count)
    path = Path(name_or_path)
    known = KNOWN.get(name)
    columns = _Columns(question_column, answer_column, after_hashes)
    if known is not None:
        columns = _Columns(
            question_column or known.question, answer_column or known.answer, known.read_answer
        )
        rows, stem = _hub_rows(known, name, split), f"{name}/{split}"
    elif path.suffix in FORMATS or path.exists():
        rows, stem = read_rows(path), path.stem
    elif _HUB_NAME.fullmatch(name):
        source = HubDataset(hub_id=name, splits={split: split}, question="", answer="")
        rows, stem = _hub_rows(source, name, split), f"{name}/{split}"
    else:
        raise DataError(f"no data set or file {name!r}{_suggest(name)}")
    problems = _problems(islice(rows, limit), stem, columns)
    if not problems:
        raise DataError(f"{name} holds no problems")
    return problems


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the question and the answer are; None means the first of the usual names."""

    question: str | None
    answer: str | None
    read_answer: Callable[[str], str | None]


def _problems(rows: Iterator[Row], stem: str, columns: _Columns) -> list[Problem]:
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows):
        question_name = choose_column(row, columns.question, QUESTION_COLUMNS, "question", place)
        answer_name = choose_column(row, columns.answer, ANSWER_COLUMNS, "answer", place)
        question = row.pop(question_name)
        if not isinstance(question, str) or not question.strip():
            raise DataError(f"{place}: {question_name!r} must be text, not {question!r:.60}")
        answer = _answer_text(row.pop(answer_name), answer_name, place)
        _check_encodable(question, question_name, place)
        _check_encodable(answer or "", answer_name, place)
        if answer is not None and (final := columns.read_answer(answer)) != answer:
            row.setdefault("solution", answer)  # the column held the whole worked solution
            answer = final
        given_id = row.pop("id", None)
        problem_id = f"{stem}/{number}" if given_id is None else str(given_id)
        if problem_id in places:
            raise DataError(f"{place}: the id {problem_id!r} is taken by {places[problem_id]}")
        places[problem_id] = place
        problems.append(Problem(id=problem_id, prompt=question, answer=answer, metadata=row))
    return problems


def _answer_text(value: object, column: str, place: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise DataError(f"{place}: {column!r} must be text or a number, not {value!r:.60}")


def _check_encodable(text: str, column: str, place: str) -> None:
    """Refuse half a character, which JSON can spell; no tokenizer reads it and no file holds it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise DataError(f"{place}: {column!r} has half a character, {half!r}") from error


def _hub_rows(source: HubDataset, name: str, split: str) -> Iterator[Row]:
    if split not in source.splits:
        raise DataError(f"{name} has the split {', '.join(source.splits)}, not {split!r}")
    datasets = import_extra("datasets", f"loading {name}")
    try:
        table = datasets.load_dataset(source.hub_id, source.config, split=source.splits[split])
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"cannot load {source.hub_id} from the hub ({reason});"
            " without a network give a local file, for example --data problems.jsonl"
        ) from error
    for number, row in enumerate(table):
        yield f"{name}/{split} row {number}", dict(row)


def _suggest(name: str) -> str:
    names = ["arithmetic", *KNOWN]
    close = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known names are {', '.join(names)}"
    return f"; {hint} A local file ends in {', '.join(FORMATS)}, a hub name is org/name"
