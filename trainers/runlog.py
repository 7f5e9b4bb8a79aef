"""What a training run leaves behind while it goes: metrics, rollouts, TensorBoard.

``metrics.jsonl`` has one record a step (``kind`` train) and one an evaluation (``kind`` eval);
``rollouts/step-000001.parquet`` has every completion of a step with its verdict.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from torch.utils.tensorboard import SummaryWriter

from mathrl.files import write_whole
from mathrl.trainers.rollout_file import write_rollouts
from mathrl.trainers.sources import Drawn

Record = dict[str, float | int | str | bool]
Kind = Literal["train", "eval"]
OnRecord = Callable[[Record], None]


class Tracker(Protocol):
    """Another place that a run's numbers go to."""

    def add(self, kind: Kind, step: int, metrics: Mapping[str, float]) -> None:
        """Take a record; one whose step was seen before replaces or follows the first."""

    def close(self) -> None:
        """Write what is still held."""


class RunLog:
    """Writes one run's records; opened again, it goes on behind the last finished step."""

    def __init__(
        self,
        folder: Path,
        *,
        last_step: int,
        is_writing: bool = True,
        trackers: Sequence[Tracker] = (),
    ) -> None:
        """Open the log of a run whose checkpoint is at ``last_step`` (0: a new run).

        What was logged behind that step is dropped: the resumed run logs it again. Of several
        ranks one writes; the others make the same records and keep none.

        Args:
            folder: The run's.
            last_step: Steps that are done.
            is_writing: This rank keeps the records.
            trackers: Where they go besides the folder.
        """
        self.folder = folder
        self.path = folder / "metrics.jsonl"
        self.is_writing = is_writing
        kept = [record for record in read_records(self.path) if _is_settled(record, last_step)]
        self.evaluations = {int(r["step"]): r for r in kept if r["kind"] == "eval"}
        """The evaluations so far, by step; the same on every rank."""
        self._trackers: list[Tracker] = []
        if is_writing:
            write_whole(self.path, "".join(map(_line, kept)))
            self._trackers = [TensorBoard(folder, last_step), *trackers]

    def write(self, kind: Kind, step: int, metrics: Mapping[str, float]) -> Record:
        """Append a record, flushed, and return it for whoever watches."""
        record: Record = {"kind": kind, "step": step, **metrics}
        if kind == "eval":
            self.evaluations[step] = record
        if self.is_writing:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        for tracker in self._trackers:
            tracker.add(kind, step, metrics)
        return record

    def write_rollouts(self, step: int, drawn: Drawn) -> None:
        """Keep every completion of a step; a step that is done again replaces its file."""
        if self.is_writing:
            path = self.folder / "rollouts" / f"step-{step:06d}.parquet"
            write_rollouts(path, step, drawn.rollouts, drawn.discarded)

    def close(self) -> None:
        """Write what the trackers still hold."""
        for tracker in self._trackers:
            tracker.close()


class TensorBoard:
    """The metrics as TensorBoard's events, in the run's folder."""

    def __init__(self, folder: Path, last_step: int) -> None:
        """Go on behind ``last_step``: the viewer hides what older files have behind it."""
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)

    def add(self, kind: Kind, step: int, metrics: Mapping[str, float]) -> None:
        """Add one point to the curve of each metric."""
        for key, value in metrics.items():
            self._writer.add_scalar(f"{kind}/{key}", value, step)

    def close(self) -> None:
        """Write what is still held."""
        self._writer.close()


def read_records(path: Path) -> list[Record]:
    """The records of a run; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is torn


def _line(record: Record) -> str:
    """A record as JSON, which has no NaN: what a skipped update could not measure is left out."""
    known = {
        key: value
        for key, value in record.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
    return json.dumps(known, allow_nan=False) + "\n"


def _is_settled(record: Record, last_step: int) -> bool:
    """An evaluation belongs to the start of the next step: that at ``last_step`` comes again."""
    step = int(record["step"])
    return step < last_step or (step == last_step and record["kind"] == "train")
