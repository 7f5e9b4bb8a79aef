"""``kill -9`` at random moments of one evaluation: is a stored sample ever lost, or asked twice?

    python benchmarks/kill_nine_eval.py --engine local --kills 10
    python benchmarks/kill_nine_eval.py --engine api --fault-rate 0.2
    python benchmarks/kill_nine_eval.py --engine vllm

Evaluates once in peace and once killed again and again, started anew each time with the same
command. A kill comes when a number of samples drawn from a seed has been stored since the start
before it, and up to 50 ms later; where that number is 0, while the command still starts. ``api``
asks ``mock_api.py``, which fails for a share of the requests.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
from mock_api import MockApi, drawn_faults

POLL_S = 0.002
SPREAD_S = 0.05
USED = 0.8
"""Of an even share of the samples, what passes between two kills on average: some are left for
the run that nobody kills."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One command line."""

    words: tuple[str, ...]
    num_samples: int

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start it, or go on with it."""
        command = [sys.executable, "-m", "mathrl", "eval", *self.words, "--out", str(folder)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, env=one_thread, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def finish(self, folder: Path) -> None:
        """Run it to its end."""
        process = self.start(folder)
        _, told = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"the evaluation failed: {told.decode()[-2000:]}")


def stored(folder: Path) -> list[tuple[str, str]]:
    """Key and text of every whole record, in the files' order."""
    records = []
    for path in sorted((folder / "samples").glob("*.jsonl")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            records.append((record["key"], record["completion"]["text"]))
    return records


def num_lines(folder: Path) -> int:
    """How many records there are, counted quickly."""
    return sum(path.read_bytes().count(b"\n") for path in (folder / "samples").glob("*.jsonl"))


def kill_once(evaluation: Evaluation, folder: Path, num_new: int, late_s: float) -> bool:
    """Start the run and kill it once so many samples were added; False if it ended by then."""
    before = num_lines(folder)
    process = evaluation.start(folder)
    while num_lines(folder) < before + num_new and process.poll() is None:
        time.sleep(POLL_S)
    time.sleep(late_s)  # in the middle of a record, of a grade, of nothing
    has_ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    _, told = process.communicate()
    if has_ended and process.returncode != 0:
        raise SystemExit(f"the evaluation failed: {told.decode()[-2000:]}")
    return not has_ended


def kill_again_and_again(
    evaluation: Evaluation, folder: Path, num_kills: int, seed: int
) -> tuple[int, int]:
    """Kill, then let it end.

    Returns:
        How often it was killed, and how many stored samples were lost on the way.
    """
    draw = random.Random(seed)
    known: dict[str, str] = {}
    killed = lost = 0
    for kills_left in range(num_kills, 0, -1):
        share = (evaluation.num_samples - len(known)) / (kills_left + 1)
        num_new = int(draw.uniform(0, 2 * USED * share))
        killed += kill_once(evaluation, folder, num_new, draw.uniform(0, SPREAD_S))
        lost += len(known.items() - set(stored(folder)))
        known = dict(stored(folder))
    evaluation.finish(folder)
    return killed, lost + len(known.items() - set(stored(folder)))


def compare(evaluation: Evaluation, root: Path, num_kills: int, seed: int) -> bool:
    """Evaluate in peace and with kills, and say whether anything differs."""
    shutil.rmtree(root, ignore_errors=True)
    whole, killed = root / "whole", root / "killed"
    begin = time.monotonic()
    evaluation.finish(whole)
    whole_s = time.monotonic() - begin
    count, lost = kill_again_and_again(evaluation, killed, num_kills, seed)
    keys = Counter(key for key, _ in stored(killed))
    twice = sum(times > 1 for times in keys.values())
    results = [(folder / "results.json").read_bytes() for folder in (whole, killed)]
    is_same = results[0] == results[1]
    has_same_texts = dict(stored(whole)) == dict(stored(killed))
    click.echo(
        f"{count} kills, {len(keys)} of {evaluation.num_samples} samples: {lost} lost, {twice} "
        f"stored twice; results.json {'identical' if is_same else 'DIFFERENT'}, texts "
        f"{'identical' if has_same_texts else 'DIFFERENT'} (a run in peace: {whole_s:.0f} s)"
    )
    return is_same and not lost and not twice and len(keys) == evaluation.num_samples


def main() -> None:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", choices=["local", "vllm", "api"], default="local")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4, help="a problem")
    parser.add_argument("--fault-rate", type=float, default=0.2, help="of the mock API")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/kill-nine-eval"))
    arguments = parser.parse_args()
    words = ["--task", "arithmetic", "-n", str(arguments.samples)]
    words += ["--limit", str(arguments.problems), "--engine", arguments.engine]
    if arguments.engine == "api":
        api = MockApi()
        api.draw_fault = drawn_faults(arguments.fault_rate, arguments.seed)
        api.delay_s = 0.02
        words += ["--base-url", api.url, "--model", "mock", "--max-retries", "20"]
    evaluation = Evaluation(words=tuple(words), num_samples=arguments.problems * arguments.samples)
    root = arguments.out / arguments.engine
    is_right = compare(evaluation, root, arguments.kills, arguments.seed)
    sys.exit(0 if is_right else 1)


if __name__ == "__main__":
    main()
