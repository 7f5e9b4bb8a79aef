"""What a training run leaves behind while it goes: metrics, rollouts, TensorBoard.

``metrics.jsonl`` has one record a step (``kind`` train) and one an evaluation (``kind`` eval);
``rollouts/step-000001.jsonl`` has every completion of a step with its verdict.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from torch.utils.tensorboard import SummaryWriter

from mathrl.files import write_whole
from mathrl.schema import Rollout

Record = dict[str, float | int | str | bool]
OnRecord = Callable[[Record], None]


class RunLog:
    """Writes one run's records; opened again, it goes on behind the last finished step."""

    def __init__(self, folder: Path, *, last_step: int, is_writing: bool = True) -> None:
        """Open the log of a run whose checkpoint is at ``last_step`` (0: a new run).

        What was logged behind that step is dropped: the resumed run logs it again. Of several
        ranks one writes; the others make the same records and keep none.
        """
        self.folder = folder
        self.path = folder / "metrics.jsonl"
        self._tensorboard: SummaryWriter | None = None
        if not is_writing:
            return
        kept = [record for record in read_records(self.path) if _is_settled(record, last_step)]
        write_whole(self.path, "".join(json.dumps(record) + "\n" for record in kept))
        self._tensorboard = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)

    def write(
        self, kind: Literal["train", "eval"], step: int, metrics: Mapping[str, float]
    ) -> Record:
        """Append a record, flushed, and return it for whoever watches."""
        record: Record = {"kind": kind, "step": step, **metrics}
        if self._tensorboard is None:
            return record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        for key, value in metrics.items():
            self._tensorboard.add_scalar(f"{kind}/{key}", value, step)
        return record

    def write_rollouts(self, step: int, rollouts: Sequence[Rollout]) -> None:
        """Keep every completion of a step; a step that is done again replaces its file."""
        if self._tensorboard is None:
            return
        path = self.folder / "rollouts" / f"step-{step:06d}.jsonl"
        write_whole(path, "".join(map(_rollout_line, rollouts)))

    def close(self) -> None:
        """Write what TensorBoard still holds."""
        if self._tensorboard is not None:
            self._tensorboard.close()


def read_records(path: Path) -> list[Record]:
    """The records of a run; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # what follows the last newline is torn


def _is_settled(record: Record, last_step: int) -> bool:
    """An evaluation belongs to the start of the next step: that at ``last_step`` comes again."""
    step = int(record["step"])
    return step < last_step or (step == last_step and record["kind"] == "train")


def _rollout_line(rollout: Rollout) -> str:
    score = rollout.score
    row: dict[str, Any] = {
        "id": rollout.problem.id,
        "group": rollout.group,
        "policy_version": rollout.policy_version,
        "completion": rollout.completion.text,
        "tokens": len(rollout.completion.token_ids or ()),
        "finish_reason": rollout.completion.finish_reason,
        "answer": rollout.problem.answer,
    }
    if score is not None:
        row |= {
            "reward": score.value,
            "status": score.status,
            "prediction": score.prediction,
            "parts": dict(score.parts),
        }
    return json.dumps(row, ensure_ascii=False) + "\n"
