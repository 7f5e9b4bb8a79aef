"""``rollouts/step-000001.parquet``: every completion of a step, with its verdict.

    pandas.read_parquet("runs/mine/rollouts")   # all steps in one table

The columns are the same in every file, and the same rollouts give the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from mathrl.files import write_whole
from mathrl.schema import Rollout

SCHEMA = pa.schema(
    {
        "step": pa.int64(),
        "group": pa.int64(),
        "policy_version": pa.int64(),
        "id": pa.string(),
        "prompt": pa.string(),
        "answer": pa.string(),
        "completion": pa.string(),
        "finish_reason": pa.string(),
        "reward": pa.float64(),
        "status": pa.string(),
        "prediction": pa.string(),
        "parts": pa.map_(pa.string(), pa.float64()),
        "is_discarded": pa.bool_(),
        "prompt_ids": pa.list_(pa.int32()),
        "token_ids": pa.list_(pa.int32()),
        "logprobs": pa.list_(pa.float32()),
    }
)


def write_rollouts(
    path: Path, step: int, rollouts: Sequence[Rollout], discarded: Sequence[Rollout] = ()
) -> None:
    """Replace the file of a step, whole or not at all.

    Args:
        path: The file.
        step: The step that drew the rollouts.
        rollouts: Those learnt from.
        discarded: Those drawn and left out.

    Raises:
        StorageError: The disk refused.
    """
    rows = [_row(step, rollout, is_discarded=False) for rollout in rollouts]
    rows += [_row(step, rollout, is_discarded=True) for rollout in discarded]
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    buffer = pa.BufferOutputStream()
    parquet.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue().to_pybytes())


def _row(step: int, rollout: Rollout, *, is_discarded: bool) -> dict[str, Any]:
    completion, score = rollout.completion, rollout.score
    row: dict[str, Any] = {
        "step": step,
        "group": rollout.group,
        "policy_version": rollout.policy_version,
        "id": rollout.problem.id,
        "prompt": rollout.problem.prompt,
        "answer": rollout.problem.answer,
        "completion": completion.text,
        "finish_reason": completion.finish_reason,
        "is_discarded": is_discarded,
        "prompt_ids": rollout.prompt_ids,
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
    }
    if score is not None:
        row |= {
            "reward": score.value,
            "status": score.status,
            "prediction": score.prediction,
            "parts": list(score.parts.items()),
        }
    return row
