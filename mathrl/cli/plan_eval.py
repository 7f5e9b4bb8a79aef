"""``mathrl plan eval``: the samples that an evaluation needs to see a gain.

mathrl plan eval --gain 2
mathrl plan eval --gain 2 --run runs/before --run runs/after     # a pilot of both policies
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mathrl.errors import ConfigError

if TYPE_CHECKING:
    from mathrl.evals.power import Pilot
    from mathrl.evals.run_comparison import Side


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalPlan:
    """What an evaluation is planned for; rates are fractions."""

    gain: float
    power: float
    accuracy: float
    sample_variance: float
    is_sample_variance_known: bool
    """Given, or measured by a pilot."""
    gain_variances: tuple[float, ...]
    are_gain_variances_known: bool
    discordances: tuple[float, ...]
    sizes: dict[str, int]
    """Problems by the name of the test set."""
    pilot: "Pilot | None" = None

    def __post_init__(self) -> None:
        if not 0 < self.gain < 1:
            raise ConfigError(f"--gain must be between 0 and 100 points, got {100 * self.gain:g}")
        if not 0.05 <= self.power < 1:
            raise ConfigError(f"--power must be from 0.05 to below 1, got {self.power:g}")
        if not 0 <= self.accuracy < 1:
            raise ConfigError(f"accuracy must be from 0 to below 1 to rise, got {self.accuracy:g}")
        if self.gain > 1 - self.accuracy:
            raise ConfigError(
                f"--gain {100 * self.gain:g} is above what accuracy {100 * self.accuracy:g} % "
                "leaves room for"
            )
        if not 0 <= self.sample_variance <= 0.25:
            raise ConfigError(
                f"--sample-variance must be between 0 and 0.25, got {self.sample_variance:g}"
            )
        if not all(0 <= w <= 1 for w in self.gain_variances):
            raise ConfigError(
                f"--gain-variance must be between 0 and 1, got {self.gain_variances[0]:g}"
            )


@click.command("eval")
@click.option("--gain", type=float, required=True, help="Points of accuracy to be seen.")
@click.option("--task", help="Only this test set. [default: GSM8K, MATH-500, MATH, AIME]")
@click.option("--problems", type=click.IntRange(min=2), help="Only a test set of this size.")
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN",
    help="Pilot: a run folder with 2 samples a problem or more; twice for a pair of policies.",
)
@click.option("--accuracy", type=float, help="Before the gain. [default: the pilot's, or 0.8]")
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance of seeing it.")
@click.option(
    "--sample-variance",
    type=float,
    help="Within problems, mean of θ(1-θ). [default: the pilot's, or 0.4 p (1-p)]",
)
@click.option(
    "--gain-variance",
    type=float,
    help="Between problems, of the gain. [default: the pilot pair's, or a range]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; rates are fractions there.")
def command(
    gain: float,
    task: str | None,
    problems: int | None,
    runs: tuple[str, ...],
    accuracy: float | None,
    power: float,
    sample_variance: float | None,
    gain_variance: float | None,
    *,
    as_json: bool,
) -> None:
    """Samples a problem that show a gain, and what one sample a problem can show.

    The variances decide. A pilot of both policies with 2 samples a problem or more measures them;
    without one they are assumed, and the output says so.
    """
    from mathrl.cli.plan_eval_view import as_record, show
    from mathrl.evals.power import (
        ASSUMED_GAIN_VARIANCES,
        ASSUMED_SHARE,
        DISCORDANCES,
    )

    pilot = _pilot(runs, task) if runs else None
    rate = accuracy if accuracy is not None else pilot.accuracy if pilot else 0.8
    measured = pilot.sample_variance if pilot else None
    within = sample_variance if sample_variance is not None else measured
    between = (gain_variance,) if gain_variance is not None else _measured_gain(pilot)
    plan = EvalPlan(
        gain=gain / 100,
        power=power,
        accuracy=rate,
        sample_variance=ASSUMED_SHARE * rate * (1 - rate) if within is None else within,
        is_sample_variance_known=within is not None,
        gain_variances=between or ASSUMED_GAIN_VARIANCES,
        are_gain_variances_known=bool(between),
        discordances=(pilot.discordance,) if pilot and pilot.discordance else DISCORDANCES,
        sizes=_sizes(task, problems),
        pilot=pilot,
    )
    if as_json:
        click.echo(json.dumps(as_record(plan), indent=1))
    else:
        show(plan)


def _measured_gain(pilot: "Pilot | None") -> tuple[float, ...]:
    return pilot.gain_variances() if pilot else ()


def _sizes(task: str | None, problems: int | None) -> dict[str, int]:
    from mathrl.evals import TASKS, get_task
    from mathrl.evals.power import BENCHMARKS

    if problems is not None:
        return {task or "given": problems}
    if task is None:
        return BENCHMARKS
    known = {name: entry.size for name, entry in TASKS.items()} | BENCHMARKS
    size = known[task] if task in known else get_task(task).size
    if not size:
        raise ConfigError(f"{task} gives no size: add 'size' to it, or take --problems N")
    return {task: size}


def _pilot(runs: tuple[str, ...], task: str | None) -> "Pilot":
    from mathrl.evals.power import measure_pilot
    from mathrl.evals.run_comparison import check_same_problems

    if len(runs) > 2:
        raise ConfigError(f"a pilot is one run or a pair, got {len(runs)}")
    if len({Path(run).resolve() for run in runs}) < len(runs):
        raise ConfigError("--run got the same run folder twice")
    sides = [_side(run, task) for run in runs]
    if len(sides) == 2:
        check_same_problems(*sides)
    return measure_pilot(*(side.result for side in sides))


def _side(run: str, task: str | None) -> "Side":
    from mathrl.evals.run_comparison import read_sides

    sides = read_sides(run)
    if task is None and len(sides) > 1:
        raise ConfigError(f"{run} has {', '.join(sides)}: name one with --task")
    if task is not None and task not in sides:
        raise ConfigError(f"{run} has no task {task}, it has {', '.join(sides)}")
    return sides[task or next(iter(sides))]
