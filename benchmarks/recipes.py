"""The demo's learning curve with each recipe's objective, over several seeds.

    python benchmarks/recipes.py            # all recipes, three seeds: about an hour on two cores
    python benchmarks/recipes.py --plot     # only the table and the figure, of what is there

Each recipe's objective (its ``[loss]``, dynamic sampling, overlong punishment) trains the embedded
policy at the demo's size: 40 steps of 32 problems with 16 completions, lr 3e-4. A run is kept in
``runs/recipes``, and one that is there is not made again.
"""

import argparse
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

RUNS = Path("runs/recipes")
FIGURE = Path("docs/recipes.png")
OBJECTIVES = {
    "deepseekmath": [],
    "dr_grpo": [],
    "dapo": ["rollout.max_draws=3", "rollout.overlong_cache=12"],
    "gspo": [],
    "cispo": ["rollout.max_draws=3"],
    "rloo": [],
    "reinforce_pp": [],
}
"""What a recipe sets outside its ``[loss]`` that belongs to its method, at the demo's lengths."""


def train(name: str, seed: int) -> None:
    """Train one recipe with one seed, in this process."""
    import dataclasses
    import json

    from mathrl.cli.training import run_training
    from mathrl.policy import load_policy
    from mathrl.trainers import load_recipe

    loss = dataclasses.asdict(load_recipe(name).loss)
    settings = [f"loss.{key}={json.dumps(value)}" for key, value in loss.items()]
    recipe = load_recipe("demo", [*settings, *OBJECTIVES[name], f"seed={seed}"])
    folder = RUNS / f"{name}-{seed}"
    is_begun = (folder / "config.toml").exists()
    run_training(recipe, folder, None if is_begun else load_policy())


def run_all(seeds: int) -> None:
    """Train what is missing, one process a core with one thread each."""
    jobs = [(name, seed) for seed in range(seeds) for name in OBJECTIVES]
    missing = [job for job in jobs if not (RUNS / f"{job[0]}-{job[1]}" / "policy").exists()]

    def start(job: tuple[str, int]) -> None:
        RUNS.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--train", job[0], "--seed", str(job[1])]
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (RUNS / f"{job[0]}-{job[1]}.log").open("w") as log:
            subprocess.run(command, check=True, stderr=log, env=threads)
        click.echo(f"{job[0]} seed {job[1]} is done", err=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(start, missing))


def curves(name: str) -> list[dict[int, float]]:
    """The held-out accuracy by step of each seed's run."""
    from mathrl.trainers.runlog import read_records

    found = []
    for folder in sorted(RUNS.glob(f"{name}-?")):
        records = read_records(folder / "metrics.jsonl")
        evals = [record for record in records if record["kind"] == "eval"]
        found.append({int(record["step"]): 100 * float(record["accuracy"]) for record in evals})
    return found


def show() -> None:
    """Print the table and draw the figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    click.echo("| recipe | before | after, each seed | mean | spread |\n|---|---|---|---|---|")
    for name in OBJECTIVES:
        runs = [curve for curve in curves(name) if curve]
        if not runs:
            continue
        steps = sorted(set.intersection(*(set(curve) for curve in runs)))
        means = [statistics.fmean(curve[step] for curve in runs) for step in steps]
        last = [curve[steps[-1]] for curve in runs]
        [line] = axes.plot(steps, means, label=name)
        low = [min(curve[step] for curve in runs) for step in steps]
        high = [max(curve[step] for curve in runs) for step in steps]
        axes.fill_between(steps, low, high, alpha=0.12, color=line.get_color())
        each = " ".join(f"{value:.1f}" for value in last)
        spread = f"{max(last) - min(last):.1f}"
        click.echo(
            f"| {name} | {means[0]:.1f} | {each} | {statistics.fmean(last):.1f} | {spread} |"
        )
    axes.set_xlabel("step")
    axes.set_ylabel("held-out accuracy, one sample, %")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    figure.savefig(FIGURE, dpi=120)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", action="store_true", help="only show what is there")
    parser.add_argument("--train", metavar="RECIPE", help="one run, in this process")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.seed)
        return
    if not arguments.plot:
        run_all(arguments.seeds)
    show()


if __name__ == "__main__":
    main()
