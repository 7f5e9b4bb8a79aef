"""The sample store: every completion is on disk the moment it exists, and is never asked twice.

    RUN/samples/0000.jsonl   one file a writer, one record a sample, only ever appended to
    RUN/scores.jsonl         the grader's verdicts, keyed also by the grader: grading again
                             touches no sample

A record is found by what it depends on: policy, task, problem, prompt, sampling parameters, seed
and index. Change any of them and it is another sample. A record counts once its line is complete,
so a kill at any moment loses at most the samples in flight: a torn last line is not read, and as
each writer creates its own file, nothing is ever appended to one.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Any

from mathrl.engines import SamplingParams
from mathrl.errors import DataError, StorageError
from mathrl.schema import Completion, Score, Usage

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleKey:
    """What a sample depends on; ``seed`` is the sample's own."""

    fingerprint: str
    task: str
    problem_id: str
    prompt_hash: str
    params: SamplingParams
    seed: int
    sample_index: int

    def digest(self) -> str:
        """The key in 32 characters."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreKey:
    """What a verdict depends on: the sample, the gold answer, the grader and its policy."""

    sample: str
    answer: str | None
    grader: str
    policy: str


class SampleStore:
    """The samples and scores of one run folder, read once and appended to."""

    def __init__(self, folder: str | Path) -> None:
        """Read what earlier writers left in ``folder``; the first record of a key wins.

        Raises:
            DataError: A complete line of a sample file is not a record.
        """
        self.folder = Path(folder)
        self._samples: dict[str, Completion] = {}
        self._scores: dict[ScoreKey, Score] = {}
        self._writers: dict[str, BufferedWriter] = {}
        for path in sorted((self.folder / "samples").glob("*.jsonl")):
            for line, record in _records(path):
                if record is None:
                    raise DataError(f"{path}, line {line}: not a sample record; move the file away")
                self._samples.setdefault(record["key"], _completion(record))
        for line, record in _records(self.folder / "scores.jsonl"):
            if record is None:
                # Verdicts can be derived again, so a damaged one costs only that.
                logger.warning("scores.jsonl, line %d: damaged, graded again", line)
                continue
            key = ScoreKey(**record["key"])
            self._scores.setdefault(key, _score(record["score"]))

    def __enter__(self) -> "SampleStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._samples)

    def get(self, key: SampleKey) -> Completion | None:
        """The stored completion without its log-probs, None where there is none."""
        return self._samples.get(key.digest())

    def put(self, key: SampleKey, completion: Completion) -> None:
        """Append a sample, safe from a kill once this returns; a stored key stays as it is.

        Raises:
            StorageError: The disk refused.
        """
        digest = key.digest()
        if digest in self._samples:
            return
        kept: dict[str, Any] = {
            "text": completion.text,
            "token_ids": completion.token_ids,
            "finish_reason": completion.finish_reason,
        }
        if completion.reasoning is not None:
            kept["reasoning"] = completion.reasoning
        if completion.usage is not None:
            kept["usage"] = asdict(completion.usage)
        self._append("samples", {"key": digest, **asdict(key), "completion": kept})
        self._samples[digest] = completion

    def get_score(self, key: ScoreKey) -> Score | None:
        """The stored verdict, None where there is none."""
        return self._scores.get(key)

    def put_score(self, key: ScoreKey, score: Score) -> None:
        """Append a verdict.

        Raises:
            StorageError: The disk refused.
        """
        self._append("scores", {"key": asdict(key), "score": asdict(score)})
        self._scores[key] = score

    def close(self) -> None:
        """Close the files; every record is written already."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _append(self, log: str, record: dict[str, Any]) -> None:
        try:
            if log not in self._writers:
                self._writers[log] = (
                    _create_next(self.folder / "samples")
                    if log == "samples"
                    else _open_scores(self.folder / "scores.jsonl")
                )
            writer = self._writers[log]
            writer.write(json.dumps(record).encode() + b"\n")
            writer.flush()
        except OSError as error:
            raise StorageError(
                f"{self.folder}: cannot write ({error.strerror}); what was there is intact"
            ) from error


def _create_next(folder: Path) -> BufferedWriter:
    """Create the first free ``0000.jsonl``, ``0001.jsonl``, ...: no two writers share a file."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.jsonl")))
    while True:
        try:
            return (folder / f"{number:04d}.jsonl").open("xb")
        except FileExistsError:
            number += 1


def _open_scores(path: Path) -> BufferedWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = path.open("ab")
    if writer.tell() and not path.read_bytes().endswith(b"\n"):
        writer.write(b"\n")  # end a torn record, so that the next one is not glued to it
    return writer


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield ``(line, record)`` of every complete line, None for one that is no JSON object."""
    if not path.exists():
        return
    *complete, _torn = path.read_bytes().split(b"\n")
    for line, text in enumerate(complete, start=1):
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        yield line, record if isinstance(record, dict) and "key" in record else None


def _completion(record: dict[str, Any]) -> Completion:
    kept = record["completion"]
    ids = kept["token_ids"]
    return Completion(
        text=kept["text"],
        token_ids=None if ids is None else tuple(ids),
        finish_reason=kept["finish_reason"],
        reasoning=kept.get("reasoning"),
        usage=Usage(**kept["usage"]) if "usage" in kept else None,
    )


def _score(fields: dict[str, Any]) -> Score:
    steps = fields.pop("steps")
    return Score(**fields, steps=None if steps is None else tuple(steps))
