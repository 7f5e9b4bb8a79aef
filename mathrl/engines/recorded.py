"""The replay engine: completions that some model wrote earlier, read from a file.

    mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl

A row belongs to the problem with its ``id``, otherwise to the one with exactly its question.
Several rows of one problem are its samples 0, 1, ... in the order of a ``sample`` column, or of
the file. Text only: a recorded completion has no token ids.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams
from mathrl.errors import ConfigError, DataError
from mathrl.schema import Completion, Problem
from mathrl.tables import Row, choose_column, read_rows

if TYPE_CHECKING:
    from mathrl.policy import Policy

COMPLETION_COLUMNS = ("completion", "response", "output", "generation")
QUESTION_COLUMNS = ("problem", "question", "prompt")


_Value = TypeVar("_Value", bool, float)


@dataclass(frozen=True, slots=True)
class _Recorded:
    completion: Completion
    row: Row


class RecordedEngine:
    """Replays the completions of a file."""

    capabilities = Capabilities(token_ids=False, logprobs=False, sync=False, deterministic=True)
    policy_version = 0

    def __init__(
        self,
        path: str | Path,
        problems: Iterable[Problem],
        *,
        completion_column: str | None = None,
    ) -> None:
        """Read the file and match its rows to the problems.

        Args:
            path: A JSONL, Parquet or CSV file with one completion a row.
            problems: The problems that may be asked; rows of others are left out.
            completion_column: Column with the completion; the first of ``completion``,
                ``response``, ``output``, ``generation`` by default.

        Raises:
            DataError: The file is missing, empty or damaged, has no completion column, or no row
                of it belongs to any of the problems.
        """
        self.path = Path(path)
        rows = list(read_rows(self.path))
        if not rows:
            raise DataError(f"{self.path} is empty: expected one completion a row")
        column = completion_column or ""
        self._samples = _match(self.path, rows, problems, completion_column)
        digest = hashlib.blake2b(self.path.read_bytes() + column.encode(), digest_size=16)
        self.fingerprint = digest.hexdigest()

    def num_samples(self, problem_id: str) -> int:
        """How many completions of this problem were recorded."""
        return len(self._samples.get(problem_id, ()))

    @property
    def problem_ids(self) -> tuple[str, ...]:
        """The problems with at least one completion, in the order of the file."""
        return tuple(self._samples)

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield what was recorded; how it was sampled is not ours to choose.

        Raises:
            DataError: A sample was asked that the file does not hold.
        """
        for index, request in enumerate(requests):
            if request.sample_index >= self.num_samples(request.problem_id):
                raise DataError(
                    f"{self.path}: sample {request.sample_index} of problem {request.problem_id} "
                    f"was asked, but {self.num_samples(request.problem_id)} are recorded"
                )
            yield index, self._samples[request.problem_id][request.sample_index].completion

    def column(self, name: str, kind: type[_Value]) -> dict[str, list[_Value]]:
        """Read a further column: what else was recorded of each sample, problem by problem.

        Args:
            name: The column.
            kind: ``bool`` or ``float``; CSV's text is read as either.

        Raises:
            DataError: A row has no such column or value; names its place.
        """
        return {
            owner: [_value(recorded.row, name, kind) for recorded in samples]
            for owner, samples in self._samples.items()
        }

    def sync(self, policy: "Policy", version: int) -> None:
        """Refuse: what is recorded does not change.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("recorded completions cannot follow a policy; train with engine 'local'")

    def sleep(self) -> None:
        """Nothing to give back."""

    def wake(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Nothing to free."""


def _match(
    path: Path, rows: list[Row], problems: Iterable[Problem], column: str | None
) -> dict[str, list[_Recorded]]:
    by_id: dict[str, str] = {}
    by_question: dict[str, str] = {}
    problem_text: dict[str, str] = {}
    for problem in problems:
        by_id[problem.id] = problem.id
        problem_text[problem.id] = problem.prompt
        by_question.setdefault(problem.prompt, problem.id)
    found: dict[str, dict[int, _Recorded]] = {}
    for place, row in rows:
        texts = [row[name] for name in QUESTION_COLUMNS if isinstance(row.get(name), str)]
        asked = next((by_question[text] for text in texts if text in by_question), None)
        owner = by_id.get(str(row.get("id")), asked)
        if owner is None:
            continue
        if asked not in (None, owner) and problem_text[owner] not in texts:
            raise DataError(f"{place}: the id is that of {owner}, the question that of {asked}")
        if asked is None and texts and not _has_question(texts, problem_text[owner]):
            raise DataError(
                f"{place}: it has the id of {owner}, but another question: {texts[0]!r:.80}; are "
                "these the problems that were answered?"
            )
        samples = found.setdefault(owner, {})
        index = _sample_index(row, default=len(samples))
        if index is None or index in samples:
            raise DataError(
                f"{place}: sample {row.get('sample')!r} of problem {owner}: expected a whole "
                "number that no other row of the problem has"
            )
        samples[index] = _Recorded(_completion(place, row, column), (place, row))
    if not found:
        raise DataError(
            f"{path}: none of its {len(rows)} rows belongs to any of the {len(by_id)} problems; "
            f"rows are matched by 'id' or by the exact question ({', '.join(QUESTION_COLUMNS)}), "
            f"found {', '.join(rows[0][1])}"
        )
    return {owner: [samples[i] for i in sorted(samples)] for owner, samples in found.items()}


def _has_question(texts: list[str], question: str) -> bool:
    """Tell whether a text is the question, or a prompt around it, however it is spaced."""
    words = "".join(question.split())
    return any(words in "".join(text.split()) for text in texts)


def _value(row: Row, name: str, kind: type[_Value]) -> _Value:
    """A cell as a number or a truth value; ``true``, ``1`` and ``1.0`` are all true."""
    place, cells = row
    if name not in cells:
        raise DataError(f"{place}: no column {name!r}; it has {', '.join(cells)}")
    text = str(cells.get(name)).lower()
    try:
        number = float({"true": "1", "false": "0"}.get(text, text))
    except ValueError:
        number = nan
    if isnan(number) or (kind is bool and number not in (0, 1)):
        expected = "true or false" if kind is bool else "a number"
        raise DataError(f"{place}: {name!r} must be {expected}, got {cells.get(name)!r:.60}")
    return kind(number)


def _sample_index(row: Mapping[str, Any], *, default: int) -> int | None:
    """The ``sample`` column, which CSV gives as text; None where it is no whole number."""
    value = row.get("sample", default)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) else None


def _completion(place: str, row: Mapping[str, Any], named: str | None) -> Completion:
    column = choose_column(row, named, COMPLETION_COLUMNS, "completion", place)
    text = row[column]
    if not isinstance(text, str):
        raise DataError(f"{place}: {column!r} must be text, got {text!r:.60}")
    reason = row.get("finish_reason")
    return Completion(text=text, finish_reason=reason if reason in ("stop", "length") else None)
