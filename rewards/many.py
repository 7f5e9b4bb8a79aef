"""Grade many completions at once: the same scores as ``grade`` one by one, on every core.

    >>> [score.status for score in grade_many(["#### 18", "#### 7"], "18")]
    ['correct', 'wrong']

A small batch is graded where it is asked; one that lasts longer than starting a process goes on
in worker processes (``pool.py``), from any thread and inside any process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import partial
from itertools import repeat
from operator import attrgetter
from typing import Any

from mathrl.errors import GradingError
from mathrl.rewards.grade import grade
from mathrl.rewards.policy import EVAL, Policy
from mathrl.rewards.pool import spread
from mathrl.schema import Completion, Score

Pair = tuple[str | Completion, str | None]
"""A completion and its known answer."""

CHUNK_ROWS = 64
"""Rows a worker takes at a time: 2 ms of plain grading, against 0.15 ms for the trip."""

FIRST_CHUNK_ROWS = 4
"""The first chunks are short, so that slow rows are noticed early; each is twice the last one."""

CHUNK_CHARACTERS = 500_000
"""Long completions travel in smaller chunks."""


def grade_many(
    completions: Sequence[str | Completion],
    answers: str | Sequence[str | None] | None,
    policy: Policy = EVAL,
    *,
    processes: int | None = None,
) -> list[Score]:
    """Grade each completion against its known answer.

    Args:
        completions: What the model wrote.
        answers: One known answer for all, or one a completion; where those of one problem are
            adjacent, each is parsed once.
        policy: ``EVAL`` or ``REWARD``.
        processes: Most worker processes; every core by default, 1 for none. They start only once
            the batch has lasted ``pool.PATIENCE_S``.

    Returns:
        One score a completion, in order: what ``grade`` gives.

    Raises:
        GradingError: The lengths differ, or two worker processes died of the same rows.
    """
    if isinstance(completions, str):
        raise GradingError("grade_many takes a list of completions; for one of them call grade")
    if answers is None or isinstance(answers, str):
        pairs: Iterator[Pair] = zip(completions, repeat(answers), strict=False)
    elif len(answers) != len(completions):
        raise GradingError(f"got {len(completions)} completions and {len(answers)} answers")
    else:
        pairs = zip(completions, answers, strict=True)
    scored = spread(partial(_grade_chunk, policy=policy), chunks(pairs), processes)
    return [
        Score(**dict(zip(_FIELDS, values, strict=True))) for chunk in scored for values in chunk
    ]


def chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    """Cut rows into chunks that end where the known answer changes, if that is near.

    Args:
        pairs: Completions with their answers.
    """
    chunk: list[Pair] = []
    size, limit = 0, FIRST_CHUNK_ROWS
    for completion, answer in pairs:
        is_other_answer = bool(chunk) and answer != chunk[-1][1]
        is_full = len(chunk) >= limit and (is_other_answer or len(chunk) >= 2 * limit)
        if is_full or size > CHUNK_CHARACTERS:
            yield chunk
            chunk, size, limit = [], 0, min(2 * limit, CHUNK_ROWS)
        if isinstance(completion, Completion):  # token ids are a long way to send for nothing
            text, reason = completion.text, completion.finish_reason
            completion = Completion(text=text, finish_reason=reason)
            size += len(text)
        else:
            size += len(completion)
        chunk.append((completion, answer))
    if chunk:
        yield chunk


_FIELDS = tuple(field.name for field in fields(Score))
_fields_of = attrgetter(*_FIELDS)
"""A score travels as a tuple: ten times cheaper to pickle than a dataclass with slots."""


def _score(values: tuple[Any, ...]) -> Score:
    return Score(**dict(zip(_FIELDS, values, strict=True)))


def _grade_chunk(pairs: list[Pair], policy: Policy) -> list[tuple[Any, ...]]:
    return [_fields_of(grade(completion, answer, policy)) for completion, answer in pairs]
