"""From run folders to a report: the labels of the runs, what they did, what they depended on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mathrl.errors import ConfigError
from mathrl.evals.report.page import Fact, Report, ReportTask
from mathrl.evals.run import TaskRun, load_run
from mathrl.evals.run_comparison import Side

HEX_DIGITS = 12
"""Shown of a hash; enough to tell two apart."""


def load_report(folders: Sequence[str | Path]) -> Report:
    """Read one run, or several to be compared with the first.

    Raises:
        ConfigError: A folder is named twice.
        DataError: A folder is no finished run.
    """
    labels = _labels(folders)
    runs = [load_run(folder) for folder in folders]
    names = dict.fromkeys(task for run in runs for task in run)
    title = " · ".join(names) if len(names) < 4 else f"{len(names)} tasks"
    return Report(
        title=title,
        runs=labels,
        tasks=tuple(_task(name, labels, [run.get(name) for run in runs]) for name in names),
        commands=tuple(f"mathrl verify {label}" for label in labels),
        facts=tuple(fact for name in names for fact in _facts(name, runs, len(names) > 1)),
    )


def _labels(folders: Sequence[str | Path]) -> tuple[str, ...]:
    """The folders' own names, numbered where two are the same; never a whole path."""
    places = [Path(folder).resolve() for folder in folders]
    if len(set(places)) < len(places):
        raise ConfigError("report got the same run folder twice")
    labels: list[str] = []
    for place in places:
        name = place.name or "run"
        count = sum(other.name == place.name for other in places[: len(labels)])
        labels.append(f"{name} ({count + 1})" if count else name)
    return tuple(labels)


def _task(name: str, labels: Sequence[str], runs: Sequence[TaskRun | None]) -> ReportTask:
    problems = {i: problem for run in runs if run for i, problem in run.problems.items()}
    return ReportTask(
        title=name,
        sides=tuple(
            Side(run=label, result=run.result, details=run) if run else None
            for label, run in zip(labels, runs, strict=True)
        ),
        problems=problems,
    )


def _facts(name: str, runs: Sequence[Mapping[str, TaskRun]], is_one_of_many: bool) -> list[Fact]:
    found = [_facts_of(run[name]) if name in run else {} for run in runs]
    return [
        Fact(
            name=f"{name}: {fact}" if is_one_of_many else fact,
            values=tuple(facts.get(fact, "–") for facts in found),
        )
        for fact in dict.fromkeys(fact for facts in found for fact in facts)
    ]


def _facts_of(run: TaskRun) -> dict[str, str]:
    """What a figure depends on; the machine and its folders are not part of it."""
    facts: Mapping[str, Any] = run.facts
    verifier = facts["verified"]["verifier"]
    params = [f"{name} {value}" for name, value in facts["params"].items() if value not in ([],)]
    return {
        "policy": _short(facts["policy_fingerprint"]),
        "engine": str(facts.get("engine", "–")),
        "data": _short(facts["data_hash"]),
        "prompts": _short(facts["prompt_hash"]),
        "sampling": ", ".join(params).replace("_", " "),
        "seed": str(facts["seed"]),
        "verifier": f"{verifier['name']} {_short(verifier['fingerprint'])}",
        "samples": _short(facts["seal"]["samples"]),
        "versions": ", ".join(f"{name} {value}" for name, value in facts["versions"].items()),
    }


def _short(value: str) -> str:
    return str(value)[:HEX_DIGITS]
