"""What ``mathrl plan eval`` prints: what it takes for granted, and two tables."""

from collections.abc import Iterator
from typing import Any

import click
from rich.table import Table

from mathrl.cli.plan_eval import EvalPlan
from mathrl.evals.display import bare_table, console
from mathrl.evals.power import detectable_gain, problems_needed, samples_needed

NEVER = "never"


def show(plan: EvalPlan) -> None:
    """Print a plan for people."""
    click.echo(
        f"to show a gain of {100 * plan.gain:g} points over {100 * plan.accuracy:.1f} % with "
        f"{100 * plan.power:g} % power\n"
        "(two-sided test at 5 %, both policies on the same problems)\n"
    )
    for line in _premises(plan):
        click.echo(line)
    click.echo("\nsamples a problem, by ω²")
    console().print(_samples_table(plan))
    click.echo("\none sample a problem, or greedy, by the share of verdicts that change:")
    click.echo(f"smallest gain shown, in points; problems that show {100 * plan.gain:g}")
    console().print(_single_table(plan))
    if any(count is None for row in _samples(plan).values() for count in row):
        click.echo(
            f"\n{NEVER}: the problems differ in their gain by more than so few average out;\n"
            "more samples do not help, more problems do"
        )


def as_record(plan: EvalPlan) -> dict[str, Any]:
    """A plan for machines; null for never."""
    return {
        "gain": plan.gain,
        "power": plan.power,
        "accuracy": plan.accuracy,
        "sample_variance": plan.sample_variance,
        "is_sample_variance_assumed": not plan.is_sample_variance_known,
        "gain_variances": list(plan.gain_variances),
        "are_gain_variances_assumed": not plan.are_gain_variances_known,
        "n_problems": dict(plan.sizes),
        "samples_needed": {name: list(row) for name, row in _samples(plan).items()},
        "single_sample": {
            "discordances": list(plan.discordances),
            "detectable_gain": {
                name: [
                    detectable_gain(size, variance_of_one=d, power=plan.power)
                    for d in plan.discordances
                ]
                for name, size in plan.sizes.items()
            },
            "problems_needed": _problems(plan),
        },
    }


def _premises(plan: EvalPlan) -> Iterator[str]:
    pilot, source = plan.pilot, "" if plan.is_sample_variance_known else ", assumed: 0.4 p (1 - p)"
    if pilot is not None:
        changed = pilot.discordance
        seen = "" if changed is None else f", {100 * changed:.1f} % of verdicts change"
        yield f"pilot: {pilot.num_problems} problems{seen}"
    yield f"within problems, s² = {plan.sample_variance:.3g}{source}"
    if not plan.are_gain_variances_known:
        yield "between problems, the gain's variance ω²: assumed, as in the columns"
    elif pilot is not None and plan.gain_variances == pilot.gain_variances():
        yield (
            f"between problems, ω² = {pilot.gain_variance:.3g} ± {pilot.gain_variance_stderr:.2g} "
            "in the pilot; columns: two errors around it"
        )
    if not (plan.is_sample_variance_known and plan.are_gain_variances_known):
        yield "a pilot pair with 2 samples a problem or more measures both: --run A --run B"


def _samples(plan: EvalPlan) -> dict[str, list[int | None]]:
    return {
        name: [
            samples_needed(
                plan.gain,
                num_problems=size,
                sample_variance=plan.sample_variance,
                gain_variance=variance,
                power=plan.power,
            )
            for variance in plan.gain_variances
        ]
        for name, size in plan.sizes.items()
    }


def _problems(plan: EvalPlan) -> list[int]:
    return [
        problems_needed(plan.gain, variance_of_one=d, power=plan.power) for d in plan.discordances
    ]


def _samples_table(plan: EvalPlan) -> Table:
    table = bare_table(
        "", "problems", *(f"ω² = {variance:.3g}" for variance in plan.gain_variances)
    )
    for name, row in _samples(plan).items():
        counts = [NEVER if count is None else f"{count:,}" for count in row]
        table.add_row(name, f"{plan.sizes[name]:,}", *counts)
    return table


def _single_table(plan: EvalPlan) -> Table:
    table = bare_table("", "problems", *(f"{100 * d:.3g} %" for d in plan.discordances))
    for name, size in plan.sizes.items():
        gains = [
            100 * detectable_gain(size, variance_of_one=d, power=plan.power)
            for d in plan.discordances
        ]
        table.add_row(name, f"{size:,}", *(f"{gain:.1f}" for gain in gains))
    table.add_row("problems needed", "", *(f"{count:,}" for count in _problems(plan)))
    return table
