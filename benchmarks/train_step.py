"""A GRPO step beside TRL's: process-CPU seconds by phase and peak memory, in one run.

    python benchmarks/train_step.py            # makes the peer's environment the first time
    python benchmarks/train_step.py --peer-python /path/to/python    # one that has TRL

64 completions of at most 64 tokens a step, one update, one thread, float32, a random Qwen2 of 1.6M
parameters, short (14) and long (120) prompts, with and without a reference. The two halves run in
turns, so that what else the machine does meets both.

A second table says how far each is from the machine's limit: CPU seconds over those that the FLOPs
which the step's own rollouts need (``train_step_flops.py``) take at the rate of the model's matrix
products, measured in the same run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import click
import torch
from train_step_flops import Rates, check_formula, forward_flops, measure_rates
from train_step_shape import save_model
from transformers import Qwen2Config, Qwen2ForCausalLM

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


Measured = dict[str, float]
"""CPU seconds of the median step and its phases, the same over the FLOPs of one forward pass
(``step/flops``), and the memory beyond the import."""


def measure(python: Path, half: str, options: list[str], config: Qwen2Config) -> Measured:
    """Run one half once."""
    model = FOLDER / "model"
    command = [str(python), str(HERE / f"train_step_{half}.py"), "--model", str(model), *options]
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env={**os.environ, **quiet}, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])
    report = json.loads(done.stdout.strip().splitlines()[-1])
    found = {"memory": report["memory_mb"]}
    flops = [forward_flops(config, rollouts) for rollouts in report["rollouts"]]
    for phase in ("step", "generate", "rest"):
        seconds = [
            row["step"] - row["generate"] if phase == "rest" else row[phase]
            for row in report["rows"]
        ]
        found[phase] = statistics.median(seconds)
        pairs = zip(seconds, flops, strict=True)
        found[f"{phase}/flops"] = statistics.median(each / needed for each, needed in pairs)
    return found


def measure_by_turns(
    python: Path, options: list[str], model: Qwen2ForCausalLM, repeats: int
) -> tuple[Measured, Measured, Rates]:
    """The best of some turns of both halves, and of the machine's rate at its products."""
    ours, peers, rates = [], [], measure_rates(model)
    for _ in range(repeats):
        ours.append(measure(Path(sys.executable), "ours", options, model.config))
        rates = rates.faster(measure_rates(model))
        peers.append(measure(python, "peer", options, model.config))
        rates = rates.faster(measure_rates(model))
    return *(
        {key: min(run[key] for run in runs) for key in runs[0]} for runs in (ours, peers)
    ), rates


def cost_line(name: str, ours: Measured, peer: Measured) -> str:
    """A row of the first table."""
    ratio = {key: peer[key] / ours[key] for key in ours}
    return (
        f"| {name} | {ours['step']:.2f} | {peer['step']:.2f} | {ratio['step']:.2f}x "
        f"| {ratio['generate']:.2f}x | {ratio['rest']:.2f}x | {1 / ratio['memory']:.2f} |"
    )


def distance_line(name: str, ours: Measured, peer: Measured, rates: Rates) -> str:
    """A row of the second table: each phase of both halves as a multiple of its limit."""
    generate, rest = rates.limit_s(1, has_reference="beta" in name)
    limits = {"step": generate + rest, "generate": generate, "rest": rest}
    needed_s = ours["step"] / ours["step/flops"] * limits["step"]
    multiples = [
        f"{half[f'{phase}/flops'] / limit:.1f}"
        for phase, limit in limits.items()
        for half in (ours, peer)
    ]
    speeds = f"{rates.sampling / 1e9:.0f}, {rates.training / 1e9:.0f}"
    return f"| {name} | {needed_s:.2f} | {speeds} | {' | '.join(multiples)} |"


def main() -> None:
    """Measure every shape by turns and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = arguments.peer_python or peer_python()
    if not (FOLDER / "model" / "config.json").exists():
        save_model(FOLDER / "model")
    torch.set_num_threads(1)
    model = Qwen2ForCausalLM.from_pretrained(FOLDER / "model", attn_implementation="eager")
    check_formula(model)
    click.echo("| CPU s a step | ours | TRL | ratio | generate | rest | memory |")
    click.echo("|---|---|---|---|---|---|---|")
    distances = []
    for name, options in SHAPES.items():
        ours, peer, rates = measure_by_turns(python, options, model, arguments.repeats)
        click.echo(cost_line(name, ours, peer))
        distances.append(distance_line(name, ours, peer, rates))
    click.echo("\nCPU s over the limit's, by phase:\n")
    click.echo(
        "| | limit, s | GFLOP/s | ours, step | TRL | ours, generate | TRL | ours, rest | TRL |"
    )
    click.echo("|---|---|---|---|---|---|---|---|---|")
    click.echo("\n".join(distances))


if __name__ == "__main__":
    main()
