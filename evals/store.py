"""The sample store: every completion is on disk the moment it exists, and is never asked twice.

    RUN/samples/0000-5f3a91c2.jsonl   one file a writer, one record a sample, only appended to
    RUN/scores/0000-9be07d14.jsonl    verdicts, keyed also by who gave them: grading again
                                      touches no sample

A record is found by what it depends on: policy, task, problem, prompt, sampling parameters, seed
and index. Change any of them and it is another sample. A record counts once its line is complete,
so a kill at any moment loses at most the samples in flight: a torn last line is not read, and as
each writer creates its own file, nothing is ever appended to one. Any number of processes write
side by side, and files copied from another folder join these.
"""

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import BufferedWriter
from pathlib import Path
from typing import Any

from mathrl.engines import SamplingParams
from mathrl.errors import DataError, StorageError
from mathrl.schema import Completion, Score, Usage

SAMPLES, SCORES = "samples", "scores"
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
        names = (self.fingerprint, self.task, self.problem_id, self.prompt_hash)
        text = json.dumps((*names, _as_text(self.params), self.seed, self.sample_index))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=64)
def _as_text(params: SamplingParams) -> str:
    return json.dumps(asdict(params), sort_keys=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreKey:
    """What a verdict depends on: the sample, the known answer and the verifier."""

    sample: str
    answer: str | None
    verifier: str
    """The verifier's fingerprint."""
    name: str
    """The verifier's name: one grader has several policies."""


class SampleStore:
    """The samples and scores of one run folder: found by their keys, appended to, never changed.

    Of a sample only its place is held in memory; its record is read when it is asked for.
    """

    def __init__(self, folder: str | Path) -> None:
        """Find what earlier writers left in ``folder``; the first record of a key wins.

        Raises:
            DataError: A complete line of a sample file is not a record.
        """
        self.folder = Path(folder)
        self._samples: dict[str, _Place] = {}
        self._scores: dict[ScoreKey, Score] = {}
        self._writers: dict[str, tuple[Path, BufferedWriter]] = {}
        for path in sorted((self.folder / SAMPLES).glob("*.jsonl")):
            for key, place in _places(path):
                self._samples.setdefault(key, place)
        for path in sorted((self.folder / SCORES).glob("*.jsonl")):
            for line, text in _lines(path):
                try:
                    record = json.loads(text)
                    score_key, score = ScoreKey(**record["key"]), _score(record["score"])
                except (ValueError, TypeError, KeyError, AttributeError):
                    # Verdicts can be derived again, so a damaged one costs only that.
                    logger.warning("%s, line %d: damaged, graded again", path.name, line)
                else:
                    self._scores.setdefault(score_key, score)

    def __enter__(self) -> "SampleStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._samples)

    def __contains__(self, key: SampleKey) -> bool:
        return key.digest() in self._samples

    def get(self, key: SampleKey) -> Completion | None:
        """The stored completion without its log-probs, None where there is none.

        Raises:
            DataError: What stands at its place is not its record.
        """
        record = self.record(key)
        try:
            return None if record is None else _completion(json.loads(record)["completion"])
        except (ValueError, KeyError, TypeError) as error:
            place = self._samples[key.digest()]
            message = f"{place.path}: the record of sample {key.digest()} is damaged"
            raise DataError(message) from error

    def record(self, key: SampleKey) -> bytes | None:
        """The line of a sample as it was written, None where there is none."""
        place = self._samples.get(key.digest())
        if place is None:
            return None
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return file.readline()

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
        record = {"key": digest, **asdict(key), "completion": kept}
        self._samples[digest] = self._append(SAMPLES, record)

    def get_score(self, key: ScoreKey) -> Score | None:
        """The stored verdict, None where there is none."""
        return self._scores.get(key)

    def put_score(self, key: ScoreKey, score: Score) -> None:
        """Append a verdict.

        Raises:
            StorageError: The disk refused.
        """
        self._append(SCORES, {"key": asdict(key), "score": asdict(score)})
        self._scores[key] = score

    def close(self) -> None:
        """Close the files; every record is written already."""
        for _, writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _append(self, log: str, record: dict[str, Any]) -> "_Place":
        try:
            if log not in self._writers:
                self._writers[log] = _create_next(self.folder / log)
            path, writer = self._writers[log]
            offset = writer.tell()
            writer.write(json.dumps(record).encode() + b"\n")
            writer.flush()
        except OSError as error:
            raise StorageError(
                f"{self.folder}: cannot write ({error.strerror}); what was there is intact"
            ) from error
        return _Place(path, offset)


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    offset: int


def _create_next(folder: Path) -> tuple[Path, BufferedWriter]:
    """Create a file of one's own: the next number, and letters that no other machine has drawn.

    Files of several folders can so be copied into one, which merges them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.jsonl")))
    path = folder / f"{number:04d}-{secrets.token_hex(4)}.jsonl"
    return path, path.open("xb")


_KEY = re.compile(rb'\{"key": "([0-9a-f]{32})", .*\}\n', re.DOTALL)


def _places(path: Path) -> Iterator[tuple[str, _Place]]:
    """Yield the key and the place of every complete record; a torn last line is none."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            found = _KEY.fullmatch(line)
            if found is None:
                raise DataError(f"{path}, line {number}: not a sample record; move the file away")
            yield found[1].decode(), _Place(path, offset)
            offset += len(line)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield ``(number, line)`` of every complete line."""
    *complete, _torn = path.read_bytes().split(b"\n")
    yield from enumerate(complete, start=1)


def _completion(kept: dict[str, Any]) -> Completion:
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
