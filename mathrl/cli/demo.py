"""``mathrl demo``: the main job on the embedded policy, measured before and after."""

import json
import shutil
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mathrl.cli import INTERRUPTED
from mathrl.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from mathrl.evals import Comparison, EvalResult
    from mathrl.policy import Policy
    from mathrl.schema import Problem
    from mathrl.trainers import Recipe

RECIPE = "demo"
NUM_PROBLEMS = 500
NUM_SAMPLES = 8
PARTS = ("before", "train", "after", "results.json", "report.html", "learning_curve.png")
MARKER = "demo.toml"
"""The recipe of the demo in a folder; a folder with other files and without it is not ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One policy on the test problems."""

    single: "EvalResult"
    """One seeded sample a problem at temperature 1: the headline."""
    many: "EvalResult"
    """Eight samples a problem, the first of them those of ``single``: pass@k and maj@k."""
    greedy: "EvalResult"


@click.command("demo")
@click.option("--out", default="runs/demo", show_default=True, help="Folder of the run.")
@click.option("--seed", default=0, show_default=True, help="Decides every sample.")
@click.pass_context
def command(context: click.Context, /, out: str, seed: int) -> None:
    """Evaluate the embedded policy, train it with GRPO, evaluate it again, compare.

    Takes a few minutes on two cores. Ctrl-C keeps what is done, and the same command goes on; a
    finished demo is made anew.
    """
    _check_extras()
    from mathrl.cli.training import run_training
    from mathrl.evals import compare
    from mathrl.policy import load_policy
    from mathrl.trainers import load_recipe

    start = time.perf_counter()
    folder = Path(out)
    recipe = load_recipe(RECIPE, [f"seed={seed}"])
    is_resumed = _prepare(folder, recipe)
    before = _measure("before", load_policy(), folder, recipe)
    click.echo(f"before: {_summary(before)}\n", err=True)
    training_start = time.perf_counter()
    result = run_training(recipe, folder / "train", None if is_resumed else load_policy())
    train_s = time.perf_counter() - training_start
    if not result.is_finished:
        click.echo(f"stopped after step {result.step}; the same command goes on", err=True)
        context.exit(INTERRUPTED)
    after = _measure("after", result.policy, folder, recipe)
    click.echo(f"after: {_summary(after)}\n", err=True)
    comparison = compare(before.single, after.single)
    times = {"wall_s": round(time.perf_counter() - start, 1), "train_s": round(train_s, 1)}
    _save(folder, before, after, comparison, seed, times)
    _print(folder, before, after, comparison)


def _check_extras() -> None:
    """Told before the training, not after it."""
    missing = [
        name
        for name in ("torch", "transformers", "matplotlib", "jinja2", "latex2mathml")
        if not find_spec(name)
    ]
    if missing:
        raise MissingExtraError(
            f"the demo needs {', '.join(missing)}: pip install 'mathrl[train,eval]'"
        )


def _prepare(folder: Path, recipe: "Recipe") -> bool:
    """Clear a finished demo, or one of another recipe; True if training has begun already.

    What an interrupted demo has sampled stays: its keys tell whether it may be used.
    """
    from mathrl.config import to_toml
    from mathrl.files import write_whole

    marker = folder / MARKER
    if not marker.exists() and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} holds files of something else: choose another --out")
    is_same = marker.exists() and marker.read_text(encoding="utf-8") == to_toml(recipe)
    if is_same and not (folder / "results.json").exists():
        return (folder / "train" / "config.toml").exists()
    for name in PARTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_whole(marker, to_toml(recipe))
    return False


def _measure(side: str, policy: "Policy", folder: Path, recipe: "Recipe") -> Measured:
    """Sample, grade and aggregate; samples that are stored already are not drawn again."""
    from mathrl.engines import SamplingParams
    from mathrl.engines.local import LocalEngine
    from mathrl.evals import SampleStore, evaluate, get_task
    from mathrl.prompts import PromptBuilder

    task = get_task("arithmetic")
    prompts = PromptBuilder(recipe.prompt, tokenizer=policy.tokenizer)
    store = SampleStore(folder / side)

    def run(num_samples: int, temperature: float) -> "EvalResult":
        return evaluate(
            task,
            _test_problems(),
            LocalEngine(policy),
            prompts,
            SamplingParams(temperature=temperature, max_new_tokens=recipe.rollout.max_new_tokens),
            num_samples=num_samples,
            seed=recipe.seed,
            store=store,
        )

    click.echo(f"{side}: {NUM_SAMPLES} + 1 samples of {NUM_PROBLEMS} test problems", err=True)
    try:
        many = run(NUM_SAMPLES, 1.0)
        return Measured(single=run(1, 1.0), many=many, greedy=run(1, 0.0))
    finally:
        store.close()


def _test_problems() -> "list[Problem]":
    from mathrl.data import load_problems

    return load_problems("arithmetic", split="test", limit=NUM_PROBLEMS)


def _summary(measured: Measured) -> str:
    low, high = (100 * bound for bound in (measured.single.ci95.low, measured.single.ci95.high))
    return (
        f"{100 * measured.single.accuracy:.1f} % correct at temperature 1 "
        f"(95 % interval {low:.1f} … {high:.1f})"
    )


def _save(
    folder: Path,
    before: Measured,
    after: Measured,
    comparison: "Comparison",
    seed: int,
    times: dict[str, float],
) -> None:
    from mathrl.evals.curves import Curve, CurvePoint, learning_curve_png
    from mathrl.evals.report import Fact, Report, ReportTask, write_report
    from mathrl.evals.run_comparison import Side
    from mathrl.files import write_whole
    from mathrl.trainers.runlog import read_records

    points = tuple(
        CurvePoint(
            step=int(record["step"]),
            rate=float(record["accuracy"]),
            low=float(record["ci95_low"]),
            high=float(record["ci95_high"]),
        )
        for record in read_records(folder / "train" / "metrics.jsonl")
        if record["kind"] == "eval"
    )
    curves = (Curve(label="held-out problems", points=points),)

    def sides(old: "EvalResult", new: "EvalResult") -> tuple[Side, Side]:
        return Side(run="before", result=old), Side(run="after", result=new)

    (folder / "learning_curve.png").write_bytes(learning_curve_png(curves))
    write_report(
        folder / "report.html",
        Report(
            title="GRPO on arithmetic word problems",
            runs=("before", "after"),
            tasks=(
                ReportTask(
                    title="one sample", sides=sides(before.single, after.single), is_detailed=False
                ),
                ReportTask(
                    title="greedy", sides=sides(before.greedy, after.greedy), is_detailed=False
                ),
                ReportTask(
                    title=f"{NUM_SAMPLES} samples",
                    sides=sides(before.many, after.many),
                    problems={problem.id: problem for problem in _test_problems()},
                ),
            ),
            commands=("mathrl demo" + (f" --seed {seed}" if seed else ""),),
            curves=curves,
            facts=(
                Fact(name="seed", values=(str(seed),)),
                Fact(name="training", values=(f"{times['train_s']:.0f} s",)),
            ),
        ),
    )
    results = {
        "before": _figures(before),
        "after": _figures(after),
        **comparison.to_json(),
        "seed": seed,
        **times,
    }
    write_whole(folder / "results.json", json.dumps(results, indent=1) + "\n")


def _figures(measured: Measured) -> dict[str, Any]:
    single, many = measured.single.to_json(), measured.many.to_json()
    figures = {key: single[key] for key in ("accuracy", "stderr", "ci95", "n_problems", "status")}
    figures |= {key: many[key] for key in ("pass_at_k", "maj_at_k", "n_samples")}
    return {**figures, "greedy_accuracy": measured.greedy.accuracy}


def _print(folder: Path, before: Measured, after: Measured, comparison: "Comparison") -> None:
    from mathrl.evals.display import bare_table, console, interval, percent

    table = bare_table("%", "before", "after", "difference")

    def row(name: str, old: float, new: float) -> None:
        table.add_row(name, percent(old), percent(new), f"{100 * (new - old):+.2f}")

    row("accuracy, one sample", before.single.accuracy, after.single.accuracy)
    row("greedy", before.greedy.accuracy, after.greedy.accuracy)
    for k in list(before.many.pass_at_k)[1:]:
        row(f"pass@{k}", before.many.pass_at_k[k], after.many.pass_at_k[k])
    for k in list(before.many.maj_at_k)[1:]:
        row(f"maj@{k}", before.many.maj_at_k[k], after.many.maj_at_k[k])
    console().print(table)
    click.echo(
        f"\naccuracy {100 * comparison.difference:+.2f} points, 95 % interval "
        f"{interval(comparison.ci95, sign='+')}, exact McNemar p = {comparison.p_value:.2g} on "
        f"{comparison.n_problems} problems ({comparison.fixed} fixed, {comparison.broken} broken)"
    )
    for name in ("report.html", "learning_curve.png", "results.json"):
        click.echo(folder / name)
