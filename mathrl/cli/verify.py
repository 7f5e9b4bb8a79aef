"""``mathrl verify``: derive every reported number of a run again.

mathrl verify runs/gsm8k-policy
"""

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mathrl.evals.verify import Check

FAILED = 1
"""Exit code where something does not come out the same."""

_FULL_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{4,}\b")


@click.command("verify")
@click.argument("run")
@click.option("--model", help="Also check that the samples are of this policy: folder or hub id.")
@click.option("--data", help="Also check the problems and answers against this file or data set.")
@click.pass_context
def command(context: click.Context, /, run: str, model: str | None, data: str | None) -> None:
    """Check a run folder: its problems, samples, verdicts and every number of results.json.

    Ends with exit code 1 where anything was changed after the run.
    """
    from mathrl.evals.verify import verify_policy, verify_run

    checks = verify_run(run)
    if model is not None:
        from mathrl.engines.local import LocalEngine
        from mathrl.policy import load_policy

        checks += verify_policy(run, LocalEngine(load_policy(model)).fingerprint)
    if data is not None:
        checks += _data_checks(run, data)
    _print(checks)
    if any(check.fault for check in checks):
        click.echo(f"\n{run}: changed after the run, or damaged", err=True)
        context.exit(FAILED)
    click.echo(f"\n{run}: every number is what its samples give")


def _data_checks(run: str, data: str) -> "list[Check]":
    from pathlib import Path

    from mathrl.data import load_problems
    from mathrl.evals.folder import read_entries
    from mathrl.evals.verify import verify_data

    checks = []
    for task, facts in read_entries(Path(run)).items():
        asked = facts.get("options", {})
        problems = load_problems(
            data,
            question_column=asked.get("question_column"),
            answer_column=asked.get("answer_column"),
        )
        checks.append(verify_data(run, task, problems))
    return checks


def _print(checks: "list[Check]") -> None:
    from mathrl.evals.display import bare_table, console

    table = bare_table("", "", "", "", text=range(4))
    for check in checks:
        mark = "FAILED" if check.fault else "ok"
        note = _FULL_HASH.sub(r"\1", check.note)
        table.add_row(check.task, check.name, mark, check.fault or note)
    console().print(table)
