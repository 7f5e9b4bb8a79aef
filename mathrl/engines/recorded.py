"""The replay engine: completions that some model wrote earlier, read from a file.

    mathrl eval --task gsm8k --data gsm8k_test.jsonl --completions completions.jsonl

A row belongs to the problem with its ``id``, otherwise to the one with exactly its question.
Several rows of one problem are its samples 0, 1, ... in the order of a ``sample`` column, or of
the file. Text only: a recorded completion has no token ids.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams
from mathrl.errors import ConfigError, DataError
from mathrl.schema import Completion, Problem

if TYPE_CHECKING:
    from mathrl.policy import Policy

COMPLETION_COLUMNS = ("completion", "response", "output", "generation")
QUESTION_COLUMNS = ("problem", "question", "prompt")


class RecordedEngine:
    """Replays the completions of a JSONL file."""

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
            path: A JSONL file with one completion a row.
            problems: The problems that may be asked; rows of others are left out.
            completion_column: Column with the completion; the first of ``completion``,
                ``response``, ``output``, ``generation`` by default.

        Raises:
            DataError: The file is missing, empty or not JSONL, has no completion column, or no
                row of it belongs to any of the problems.
        """
        self.path = Path(path)
        data = _read(self.path)
        rows = list(_rows(self.path, data))
        column = _completion_column(self.path, rows, completion_column)
        self._samples = _match(self.path, rows, problems, column)
        self.fingerprint = hashlib.blake2b(data + column.encode(), digest_size=16).hexdigest()

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
            yield index, self._samples[request.problem_id][request.sample_index]

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


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    # What JSON allows; each field is checked where it is used.
    fields: dict[str, Any]


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; --completions takes a JSONL file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not data.strip():
        raise DataError(f"{path}: the file is empty; expected one JSON object a line")
    return data


def _rows(path: Path, data: bytes) -> Iterator[_Row]:
    for line, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {line}: not one whole JSON object ({error})") from None
        if not isinstance(fields, dict):
            raise DataError(f"{path}, line {line}: expected a JSON object, got {text[:40]!r}")
        yield _Row(line, fields)


def _completion_column(path: Path, rows: list[_Row], asked: str | None) -> str:
    found = rows[0].fields
    for column in [asked] if asked else COMPLETION_COLUMNS:
        if column in found:
            return column
    expected = repr(asked) if asked else "one of " + ", ".join(COMPLETION_COLUMNS)
    raise DataError(
        f"{path}, line {rows[0].line}: no completion column: found {', '.join(found)}, expected "
        f"{expected}; name it with --completion-column"
    )


def _match(
    path: Path, rows: list[_Row], problems: Iterable[Problem], column: str
) -> dict[str, list[Completion]]:
    by_id: dict[str, str] = {}
    by_question: dict[str, str] = {}
    for problem in problems:
        by_id[problem.id] = problem.id
        by_question.setdefault(problem.prompt, problem.id)
    found: dict[str, dict[int, Completion]] = {}
    for row in rows:
        questions = (row.fields[name] for name in QUESTION_COLUMNS if name in row.fields)
        owner = by_id.get(str(row.fields.get("id"))) or next(
            (by_question[text] for text in questions if text in by_question), None
        )
        if owner is None:
            continue
        samples = found.setdefault(owner, {})
        index = row.fields.get("sample", len(samples))
        if not isinstance(index, int) or index in samples:
            raise DataError(
                f"{path}, line {row.line}: sample {index!r} of problem {owner}: expected a whole "
                "number that no other row of the problem has"
            )
        samples[index] = _completion(path, row, column)
    if not found:
        raise DataError(
            f"{path}: none of its {len(rows)} rows belongs to any of the {len(by_id)} problems; "
            f"rows are matched by 'id' or by the exact question ({', '.join(QUESTION_COLUMNS)}), "
            f"found {', '.join(rows[0].fields)}"
        )
    return {owner: [samples[i] for i in sorted(samples)] for owner, samples in found.items()}


def _completion(path: Path, row: _Row, column: str) -> Completion:
    text = row.fields.get(column)
    if not isinstance(text, str):
        raise DataError(f"{path}, line {row.line}: {column!r} must be text, got {text!r}")
    reason = row.fields.get("finish_reason")
    return Completion(text=text, finish_reason=reason if reason in ("stop", "length") else None)
