r"""A GRPO step beside TRL's on a GPU: wall seconds by phase and peak memory, in one run.

    python benchmarks/train_step_gpu.py --out train-step.json
    python benchmarks/train_step_gpu.py --sizes 0.5b --groups 16 --completion 512    # a part of it
    python benchmarks/train_step_gpu.py --sizes tiny --device cpu --groups 4 --rollouts 8 \
        --prompt 32 --completion 32    # the same code without a GPU

Random Qwen2.5 models, one update without a reference on completions that all have the maximal
length, sampled with our local engine and with transformers' ``generate``. Each half runs in a
process of its own and takes as many completions through a backward pass as the memory holds: all,
or half as many, and so on (``rows``). TRL is measured with bfloat16 autocast over float32 weights,
its default and what keeps steps of 1e-6; with bfloat16 weights, which is less memory and loses such
steps; and, where the whole batch does not fit otherwise, with its default of recomputing
activations. Without a GPU the memory is that of the process, libraries included.

A machine without network needs torch, transformers, accelerate, pyarrow, tensorboard, click, rich,
sympy, pandas, jinja2 and xxhash of its own, and five wheels (1.8 MB): tomli-w (7 kB) for our half,
trl (948 kB), datasets (608 kB), dill (120 kB) and multiprocess (150 kB) for TRL's. Elsewhere:

    python -m pip download --no-deps --only-binary=:all: --python-version 3.12 -d wheels \
        tomli-w==1.2.0 trl==1.16.0 datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19

There:

    python -m pip install -q --no-index --no-deps --target wheels/site wheels/*.whl && \
        PYTHONPATH=wheels/site python benchmarks/train_step_gpu.py --out train-step.json

What fails, such as a half whose library is missing, is told in its line of the table.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from train_step_gpu_shape import OUT_OF_MEMORY, SHAPES, save_model

HERE = Path(__file__).parent
Report = dict[str, Any]
"""What a half prints; ``error`` alone where it has nothing to report."""

HALVES = {
    "ours": ["ours"],
    "TRL": ["peer"],
    "TRL, bf16 weights": ["peer", "--weights", "bfloat16"],
    "TRL, checkpointing": ["peer", "--checkpointing"],
}
COLUMNS = ("generate_s", "update_s", "step_s", "peak_gib")
HEAD = (
    "| model | G | completion | trainer | precision | rows | generate, s | update, s | step, s "
    "| peak, GiB | step: ours / TRL | peak: ours / TRL |"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One configuration of the table."""

    size: str
    group: int
    completion: int


@dataclass(slots=True)
class Benchmark:
    """Runs the halves, each in a process of its own, and keeps what they report."""

    arguments: argparse.Namespace
    results: list[Report] = field(default_factory=list)
    fitted: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """Rows that went through at once, whatever the group; a next group starts from there."""

    def run(self) -> Iterator[Report]:
        """Measure every setting, the halves one after the other."""
        asked = self.arguments
        for size in asked.sizes:
            with tempfile.TemporaryDirectory() as folder:
                save_model(SHAPES[size], Path(folder))
                for completion, group in itertools.product(asked.completion, asked.groups):
                    setting = Setting(size=size, group=group, completion=completion)
                    yield from self._measure(setting, folder)

    def _measure(self, setting: Setting, model: str) -> Iterator[Report]:
        reports: dict[str, Report] = {}
        for name in HALVES:
            plain = reports.get("TRL", {})
            if name == "TRL, checkpointing" and plain.get("rows") == self.arguments.rollouts:
                continue  # it saves memory that is not short, for a forward pass more
            report = self._fit(name, setting, model)
            reports[name] = report
            row = {**asdict(setting), "trainer": name, **report, **ratios(reports["ours"], report)}
            self.results.append(row)
            yield row

    def _fit(self, name: str, setting: Setting, model: str) -> Report:
        """One half, with as many rows at once as the memory holds."""
        key = (name, setting.size, setting.completion)
        report = fitting(
            lambda rows: self._half(name, setting, model, rows),
            self.fitted.get(key, self.arguments.rollouts),
        )
        self.fitted[key] = report["rows"]
        return report

    def _half(self, name: str, setting: Setting, model: str, rows: int) -> Report:
        asked = self.arguments
        half, *options = HALVES[name]
        python = asked.peer_python if half == "peer" else sys.executable
        command = [python, str(HERE / f"train_step_gpu_{half}.py"), "--model", model, *options]
        numbers = {
            "group": setting.group,
            "completion": setting.completion,
            "rollouts": asked.rollouts,
            "prompt": asked.prompt,
            "steps": asked.steps,
            "rows": rows,
        }
        for key, number in numbers.items():
            command += [f"--{key}", str(number)]
        report = report_of([*command, "--device", asked.device])
        expected = asked.rollouts * setting.completion
        if report.get("tokens", expected) != expected:
            return {"error": f"{report['tokens']:.0f} tokens a step instead of {expected}"}
        return report


def fitting(measure: Callable[[int], Report], rows: int) -> Report:
    """Measure with as many rows at once as the memory holds: all, or half as many, and so on.

    Returns:
        The first report that is not of a lack of memory, or the last one, with its ``rows``.
    """
    while True:
        report = measure(rows)
        if report.get("error") != OUT_OF_MEMORY or rows % 2:
            return {**report, "rows": rows}
        rows //= 2


def report_of(command: list[str]) -> Report:
    """What a half prints last; its last word as the error where it fails."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    changes = {
        "PYTHONPATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, env={**os.environ, **changes}, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        return {"error": said[-1]}
    report: Report = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def ratios(ours: Report, other: Report) -> dict[str, float]:
    """Our step time and peak memory as shares of another's; nothing where one is missing."""
    if ours is other or "error" in ours or "error" in other:
        return {}
    return {f"{key}_ratio": ours[key] / other[key] for key in ("step_s", "peak_gib")}


def table_row(row: Report) -> str:
    """One line of the table; an error stands where the ratios would."""
    places = [row["size"], str(row["group"]), str(row["completion"]), row["trainer"]]
    if "error" in row:
        cells = [*places, "–", str(row["rows"]), *["–"] * len(COLUMNS), row["error"], "–"]
        return f"| {' | '.join(cells)} |"
    shares = [f"{row[key]:.2f}" if key in row else "" for key in ("step_s_ratio", "peak_gib_ratio")]
    numbers = [f"{row[key]:.2f}" for key in COLUMNS]
    return f"| {' | '.join([*places, row['precision'], str(row['rows']), *numbers, *shares])} |"


def options() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SHAPES), default=["0.5b", "1.5b"])
    parser.add_argument("--groups", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--completion", nargs="+", type=int, default=[512, 1024])
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--rollouts", type=int, default=64, help="completions a step")
    parser.add_argument("--steps", type=int, default=4, help="measured, after the first")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--peer-python", default=sys.executable, help="one that has TRL")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU; to try this without one: --sizes tiny --device cpu")
    if not shutil.which(asked.peer_python):
        parser.error(f"--peer-python {asked.peer_python} is no program")
    for group in asked.groups:
        if asked.rollouts % group:
            parser.error(f"--rollouts {asked.rollouts} is no multiple of --groups {group}")
    return asked


def main() -> None:
    """Measure, print the table line by line, and keep the figures."""
    asked = options()
    benchmark = Benchmark(asked)
    click.echo(f"{asked.rollouts} completions a step, prompts of {asked.prompt} tokens\n")
    click.echo(HEAD)
    click.echo("|---" * (HEAD.count("|") - 1) + "|")
    for row in benchmark.run():
        click.echo(table_row(row))
        if asked.out:  # after each, so that what was measured outlives an interruption
            found = {"settings": vars(asked), "results": benchmark.results}
            text = json.dumps(found, indent=1, default=str)
            asked.out.write_text(text + "\n", encoding="utf-8")
    for versions in {str(row["versions"]) for row in benchmark.results if "versions" in row}:
        click.echo(f"\n{versions}")


if __name__ == "__main__":
    main()
