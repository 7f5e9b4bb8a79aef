"""``kill -9`` at random moments of one training run: are the final weights those of a whole run?

    python benchmarks/kill_nine.py --kills 20

Trains the embedded policy twice, once in peace and once killed again and again at moments drawn
from a seed, resumed each time, and compares the exported weights byte by byte.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click

RUNS = Path("runs/kill-nine")
SETTINGS = (
    "rollout.num_problems=8",
    "rollout.group_size=8",
    "loss.updates_per_rollout=2",
    "eval.num_problems=20",
    "eval.every=4",
    "checkpoint.every=2",
)


def start(folder: Path, steps: int) -> subprocess.Popen[bytes]:
    """Start the run, or go on with it."""
    if (folder / "config.toml").exists():
        words = ["--resume", str(folder)]
    else:
        words = ["--out", str(folder), "--max-steps", str(steps)]
        words += [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "mathrl", "train-grpo", *words]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=one_thread, stderr=subprocess.DEVNULL)


def exported(folder: Path) -> str:
    """Hash of the weights that a run ends with."""
    weights = (folder / "policy" / "model.safetensors").read_bytes()
    return hashlib.sha256(weights).hexdigest()


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shutil.rmtree(RUNS, ignore_errors=True)
    if start(RUNS / "whole", arguments.steps).wait() != 0:
        raise SystemExit("the run in peace failed")
    draw = random.Random(arguments.seed)
    killed = RUNS / "killed"
    num_kills = 0
    while True:
        process = start(killed, arguments.steps)
        try:
            limit_s = draw.uniform(1, 12) if num_kills < arguments.kills else None
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            num_kills += 1
            continue
        if code != 0:
            raise SystemExit(f"the run failed after {num_kills} kills")
        break
    is_same = exported(RUNS / "whole") == exported(killed)
    verdict = "bit-identical" if is_same else "DIFFERENT"
    click.echo(f"{num_kills} kills, {arguments.steps} steps: the final weights are {verdict}")
    sys.exit(0 if is_same else 1)


if __name__ == "__main__":
    main()
