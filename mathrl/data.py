"""Load problems: a named benchmark, a hub data set, a local file or the embedded generator.

    load_problems("gsm8k", limit=100)
    load_problems("my_problems.jsonl")

A local file is JSONL, Parquet or CSV with a row a problem. The question is read from the first of
``QUESTION_COLUMNS`` that the file has, the answer from the first of ``ANSWER_COLUMNS`` (of a
``solution``, its last box); every other column goes to the problem's metadata, where ``subject``
and ``level`` mean the same for every data set. JSONL and CSV are read line by line, and no further
than the limit.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

from mathrl.errors import DataError
from mathrl.hub import KNOWN, HubDataset, hub_rows
from mathrl.known_answers import known_answer, typed_answer
from mathrl.nearest import did_you_mean
from mathrl.schema import Problem
from mathrl.tables import FORMATS, Row, choose_column, read_rows

QUESTION_COLUMNS = ("problem", "question", "prompt", "query", "input")
WORKED_COLUMN = "solution"
ANSWER_COLUMNS = (
    "answer",
    "gold",
    "final_answer",
    "expected_answer",
    "ground_truth",
    "target",
    WORKED_COLUMN,
)
SUBJECT_COLUMNS = ("subfield", "subject", "type", "Type", "solution_type")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_LEVEL = re.compile(r"(?:level\s*)?([0-9]{1,3}|\?)", re.IGNORECASE)


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
    if known is not None:
        rows, stem = hub_rows(known, name, split), f"{name}/{split}"
    elif path.suffix in FORMATS or path.exists():
        rows, stem = read_rows(path), path.stem
    elif _HUB_NAME.fullmatch(name):
        source = HubDataset(hub_id=name, splits={split: split})
        rows, stem = hub_rows(source, name, split), f"{name}/{split}"
    else:
        raise DataError(f"no data set or file {name!r}{_suggest(name)}")
    problems = _problems(islice(rows, limit), stem, question_column, answer_column)
    if not problems:
        raise DataError(f"{name} holds no problems")
    return problems


def _problems(
    rows: Iterator[Row], stem: str, question_column: str | None, answer_column: str | None
) -> list[Problem]:
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows):
        question_name = choose_column(row, question_column, QUESTION_COLUMNS, "question", place)
        answer_name = choose_column(row, answer_column, ANSWER_COLUMNS, "answer", place)
        question = row.pop(question_name)
        if not isinstance(question, str) or not question.strip():
            raise DataError(f"{place}: {question_name!r} must be text, not {question!r:.60}")
        cell = known_answer(row.pop(answer_name), answer_name, place)
        _check_encodable(question, question_name, place)
        _check_encodable(cell or "", answer_name, place)
        is_solution = answer_name == WORKED_COLUMN
        if cell is not None and (is_solution or "####" in cell):
            row.setdefault(WORKED_COLUMN, cell)  # the column held the whole worked solution
        answer = typed_answer(cell, is_solution=is_solution)
        _name_subject_and_level(row)
        given_id = row.pop("id", None)
        problem_id = f"{stem}/{number}" if given_id is None else str(given_id)
        if problem_id in places:
            raise DataError(f"{place}: the id {problem_id!r} is taken by {places[problem_id]}")
        places[problem_id] = place
        problems.append(Problem(id=problem_id, prompt=question, answer=answer, metadata=row))
    return problems


def _name_subject_and_level(row: dict[str, Any]) -> None:
    """Put subject and level under these names; MATH says ``type`` and ``Level 3``."""
    subjects = (row.get(name) for name in SUBJECT_COLUMNS)
    if subject := next((subject for subject in subjects if isinstance(subject, str)), None):
        row["subject"] = subject
    level = row.get("level")
    if isinstance(level, str) and (found := _LEVEL.fullmatch(level.strip())):
        row["level"] = int(found[1]) if found[1] != "?" else None


def _check_encodable(text: str, column: str, place: str) -> None:
    """Refuse half a character, which JSON can spell; no tokenizer reads it and no file holds it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise DataError(f"{place}: {column!r} has half a character, {half!r}") from error


def _suggest(name: str) -> str:
    parts = {part for known in KNOWN.values() for part in known.parts}
    wholes = ", ".join(known for known in ["arithmetic", *KNOWN] if known not in parts)
    hint = did_you_mean(name, ["arithmetic", *KNOWN]) or f"known names are {wholes}."
    return f"; {hint} A local file ends in {', '.join(FORMATS)}, a hub name is org/name"
