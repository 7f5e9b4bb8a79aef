"""A GRPO step beside TRL's: process-CPU seconds by phase and peak memory, in one run.

    python benchmarks/train_step.py            # makes the peer's environment the first time
    python benchmarks/train_step.py --peer-python /path/to/python    # one that has TRL

64 completions of at most 64 tokens a step, one update, one thread, float32, a random Qwen2 of 1.6M
parameters, short (14) and long (120) prompts, with and without a reference. The two halves run in
turns, so that what else the machine does meets both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).parent
FOLDER = HERE.parent / "runs" / "train-step"
REQUIREMENTS = ("torch==2.13.0", "trl==1.16.0", "transformers==5.17.0", "datasets")
SHAPES = {
    "short, G 8": [],
    "short, G 8, beta 0.04": ["--beta", "0.04"],
    "long, G 8": ["--long"],
    "long, G 16": ["--long", "--group", "16"],
}


def peer_python() -> Path:
    """The interpreter of an environment with TRL, made where there is none."""
    folder = FOLDER / "peer"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", REQUIREMENTS[0]], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *REQUIREMENTS], check=True)
        (folder / "ready").touch()
    return python


def measure(python: Path, half: str, options: list[str]) -> dict[str, float]:
    """Run one half once: the median step, its phases, and the memory beyond the import."""
    model = FOLDER / "model"
    command = [str(python), str(HERE / f"train_step_{half}.py"), "--model", str(model), *options]
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])
    report = json.loads(done.stdout.strip().splitlines()[-1])
    step = statistics.median(row["step"] for row in report["rows"])
    generate = statistics.median(row["generate"] for row in report["rows"])
    return {
        "step": step,
        "generate": generate,
        "rest": step - generate,
        "memory": report["memory_mb"],
    }


def main() -> None:
    """Measure every shape by turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = arguments.peer_python or peer_python()
    if not (FOLDER / "model" / "config.json").exists():
        sys.path.insert(0, str(HERE))
        from train_step_shape import save_model

        save_model(FOLDER / "model")
    click.echo("| CPU s a step | ours | TRL | ratio | generate | rest | memory |")
    click.echo("|---|---|---|---|---|---|---|")
    for name, options in SHAPES.items():
        halves: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
        for _ in range(arguments.repeats):
            halves["ours"].append(measure(Path(sys.executable), "ours", options))
            halves["peer"].append(measure(python, "peer", options))
        best = {
            half: {key: min(run[key] for run in runs) for key in runs[0]}
            for half, runs in halves.items()
        }
        ours, peer = best["ours"], best["peer"]
        ratio = {key: peer[key] / ours[key] for key in ours}
        click.echo(
            f"| {name} | {ours['step']:.2f} | {peer['step']:.2f} | {ratio['step']:.2f}x "
            f"| {ratio['generate']:.2f}x | {ratio['rest']:.2f}x | {1 / ratio['memory']:.2f} |"
        )


if __name__ == "__main__":
    main()
