"""What ``mathrl plan train`` prints: two tables, a verdict and what to change."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from mathrl.evals.display import bare_table, console
from mathrl.trainers.plan import ITEMS
from mathrl.trainers.plan_advice import Attempt
from mathrl.trainers.plan_report import TrainingPlan
from mathrl.trainers.plan_shape import GIB

HEADINGS = {
    "sample": "sample",
    "score": "reference pass",
    "update": "update",
    "step": "AdamW",
}


def show(plan: TrainingPlan, *, recipe: str, hardware: str | None) -> None:
    """Print a plan for people."""
    shape = plan.shape
    where = f"{shape.num_gpus} x {hardware}" if hardware else f"{shape.num_gpus} GPU"
    adapters = shape.model.adapter_parameters
    added = f" and {adapters:,} of adapters" if adapters else ""
    header = (
        f"{recipe}: {shape.model.name}, {shape.model.parameters:,} parameters{added}, on {where}\n"
        f"{shape.num_problems} problems x {shape.group_size} completions a step\n"
        f"assumed: {shape.prompt_tokens} tokens a prompt, {shape.completion_tokens:g} a completion "
        f"(at most {shape.max_new_tokens})\n"
    )
    console().print(header, markup=False, emoji=False)  # breaks lines between words
    console().print(_memory_table(plan))
    click.echo()
    if plan.time:
        console().print(_time_table(plan))
        click.echo()
    for line in _verdict(plan):
        click.echo(line)  # a terminal may break it anywhere: a command is copied whole


def as_record(plan: TrainingPlan, hardware: str | None) -> dict[str, Any]:
    """A plan for machines: bytes, seconds and operations."""
    shape, advice = plan.shape, plan.advice
    return {
        "model": shape.model.name,
        "parameters": shape.model.parameters,
        "adapter_parameters": shape.model.adapter_parameters,
        "gpu": hardware,
        "num_gpus": shape.num_gpus,
        "prompt_tokens": shape.prompt_tokens,
        "completion_tokens": shape.completion_tokens,
        "memory": {phase: dict(items) for phase, items in plan.memory.phases.items()},
        "peak": plan.memory.peak,
        "peak_phase": plan.memory.peak_phase,
        "capacity": plan.capacity,
        "fits": plan.fits,
        "time": {phase: asdict(time) for phase, time in plan.time.items()},
        "most_micro_batch_tokens": advice.most_tokens if advice else None,
        "alone": [_attempt_record(attempt) for attempt in advice.alone] if advice else [],
        "fitting": _attempt_record(advice.fitting) if advice and advice.fitting else None,
    }


def _attempt_record(attempt: Attempt) -> dict[str, Any]:
    return {
        "set": [change.assignment for change in attempt.changes],
        "num_gpus": attempt.num_gpus,
        "peak": attempt.peak,
    }


def _memory_table(plan: TrainingPlan) -> Table:
    phases = plan.memory.phases
    table = bare_table("GiB on each GPU", *(HEADINGS[phase] for phase in phases))
    for item in ITEMS:
        cells = [phases[phase].get(item) for phase in phases]
        if any(cells):
            table.add_row(item, *("" if cell is None else _gib(cell) for cell in cells))
    totals = [
        f"{'*' if phase == plan.memory.peak_phase else ''}{_gib(plan.memory.total(phase))}"
        for phase in phases
    ]
    table.add_row("total (* the peak)", *totals, style="bold")
    return table


def _time_table(plan: TrainingPlan) -> Table:
    table = bare_table("a step", "PFLOP a GPU", "limit, s", "expected, s")
    times = [(HEADINGS[phase], time) for phase, time in plan.time.items()]
    for name, time in times:
        table.add_row(
            name,
            f"{time.flops / 1e15:,.2f}" if time.flops else "",
            _seconds(time.limit_s),
            f"{_seconds(time.low_s)} - {_seconds(time.high_s)}",
        )
    low, high = (sum(getattr(time, key) for _, time in times) for key in ("low_s", "high_s"))
    table.add_row(
        "all",
        f"{sum(time.flops for _, time in times) / 1e15:,.2f}",
        _seconds(sum(time.limit_s for _, time in times)),
        f"{_seconds(low)} - {_seconds(high)}",
        style="bold",
    )
    return table


def _verdict(plan: TrainingPlan) -> Iterator[str]:
    peak = plan.memory.peak
    if plan.capacity is None or plan.advice is None:
        yield f"needs {_gib(peak)} GiB on each GPU; --gpu or --gpu-memory tell whether it fits"
        return
    if plan.fits:
        free = _gib(plan.capacity - peak)
        yield f"fits: {_gib(peak)} of {_gib(plan.capacity)} GiB, {free} GiB free"
        yield f"largest optimizer.micro_batch_tokens that fits: {plan.advice.most_tokens}"
        return
    yield f"does not fit: {_gib(peak)} GiB of {_gib(plan.capacity)} GiB"
    if plan.advice.alone:
        yield "each change alone:"
    for attempt in plan.advice.alone:
        for change in attempt.changes:
            yield f"  --set {change.assignment}  {_gib(attempt.peak)} GiB ({change.cost})"
    yield _way_out(plan, plan.advice.fitting)


def _way_out(plan: TrainingPlan, fitting: Attempt | None) -> str:
    if fitting is None:
        reason = "no number of GPUs of this size would do"
        if plan.shape.model.is_tied:
            reason += ": tied embeddings cannot be sharded"
        return f"none of these is enough, and {reason}"
    options = " ".join(f"--set {change.assignment}" for change in fitting.changes)
    if fitting.num_gpus != plan.shape.num_gpus:
        options = f"--num-gpus {fitting.num_gpus} {options}"
    return f"fits with: {options}  ({_gib(fitting.peak)} GiB)"


def _gib(size: float) -> str:
    if size < 0.005 * GIB:
        return "<0.01"
    return f"{size / GIB:,.2f}"


def _seconds(seconds: float) -> str:
    if seconds < 0.005:
        return "<0.01"
    return f"{seconds:,.2f}" if seconds < 10 else f"{seconds:,.0f}"
