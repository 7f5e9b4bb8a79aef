"""``benchmarks/kill_nine_eval.py``, smaller: kills of real processes lose and repeat nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "api"])
def test_no_stored_sample_is_lost_or_asked_twice(engine: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/kill_nine_eval.py", "--engine", engine),
            *("--kills", "2", "--problems", "30", "--out", str(tmp_path)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 of 120 samples: 0 lost, 0 stored twice; results.json identical" in done.stdout
