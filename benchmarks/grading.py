"""Measures the grader on labelled cases: how often it is right, and how long a check takes.

    make grading                                   # the table
    .venv/bin/python benchmarks/grading.py --set probes --show probes
    .venv/bin/python benchmarks/grading.py --json  # every failing row, for programs
    .venv/bin/python benchmarks/grading.py --peer  # beside math-verify, which pip installs

``EVAL`` reads suites, probes, mutations, completions and hostile inputs, ``REWARD`` the exploits
and MATH-500. Times are wall clock and include waiting for tier 4's worker.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from grading_ours import (
    Outcome,
    Summary,
    judge,
    judge_in_event_loop,
    judge_in_thread,
    summarise,
)
from grading_peer import make_peer, print_comparison
from grading_sets import BLIND, DATA, PUBLISHED, ROOT, SETS, Case, completions

Judge = Callable[[Sequence[Case]], list[Outcome]]
CONTEXTS: dict[str, Judge] = {
    "hostile, in a thread": judge_in_thread,
    "hostile, in asyncio": judge_in_event_loop,
}
TABLE_HEAD = (
    f"{'set':<22}{'n':>6}{'right':>7}{'%':>8}{'false +':>9}{'false -':>9}"
    f"{'none':>6}{'tier 4':>8}{'worst ms':>10}"
)


@click.command()
@click.option("--set", "names", multiple=True, type=click.Choice([*SETS, "gsm8k_recorded"]))
@click.option("--show", multiple=True, help="Print every failing row of this set in full.")
@click.option("--json", "is_json", is_flag=True, help="One JSON line a set, with its failing rows.")
@click.option("--peer", "is_peer", is_flag=True, help="Side by side with math-verify instead.")
@click.option("--rounds", "num_rounds", default=3, show_default=True, help="Timings with --peer.")
@click.option(
    "--peer-cache",
    type=click.Path(path_type=Path),
    default=ROOT / "build" / "peers",
    help="Where --peer makes math-verify's environment.  [default: build/peers]",
)
def main(
    *,
    names: tuple[str, ...],
    show: tuple[str, ...],
    is_json: bool,
    is_peer: bool,
    num_rounds: int,
    peer_cache: Path,
) -> None:
    """Print how the grader does on ../shared/data/grading and the recorded completions."""
    if not DATA.is_dir():
        raise click.ClickException(f"{DATA} is missing: the labelled cases live there")
    if is_peer:
        print_comparison(make_peer(peer_cache), num_rounds)
        return
    wanted = list(names or show or [*SETS, "gsm8k_recorded"])
    if "blind" in wanted and not BLIND.exists():
        wanted.remove("blind")
    if not is_json:
        click.echo(TABLE_HEAD)
    for name in wanted:
        if name in SETS:
            _run_set(name, is_shown=name in show, is_json=is_json)
    if "gsm8k_recorded" in wanted and not is_json:
        _print_recorded(is_shown="gsm8k_recorded" in show)


def _run_set(name: str, *, is_shown: bool, is_json: bool) -> None:
    cases = SETS[name]()
    runs = {name: judge(cases)}
    if name == "hostile":
        runs |= {title: run(cases) for title, run in CONTEXTS.items()}
    for title, outcomes in runs.items():
        summary = summarise(title, outcomes)
        failing = [outcome for outcome in outcomes if not outcome.is_right]
        if is_json:
            rows = [_as_row(outcome) for outcome in failing]
            click.echo(json.dumps({**asdict(summary), "failing": rows}))
            continue
        _print_summary(summary)
        for outcome in failing if is_shown else ():
            _print_outcome(outcome)


def _print_summary(row: Summary) -> None:
    click.echo(
        f"{row.name:<22}{row.num_cases:>6}{row.num_right:>7}"
        f"{_percent(row.num_right, row.num_cases):>8}"
        f"{row.num_false_positives:>9}{row.num_false_negatives:>9}{row.num_no_verdict:>6}"
        f"{_percent(row.num_tier_4, row.num_cases):>8}{1000 * row.worst_s:>10.1f}"
    )


def _print_recorded(*, is_shown: bool) -> None:
    """Print the accuracies of recorded GSM8K completions beside the published ones."""
    click.echo(f"\n{'recorded completions':<34}{'n':>6}{'published':>11}{'ours':>8}{'differ':>8}")
    for file, published in PUBLISHED.items():
        outcomes = judge(completions(file))
        ours = _percent(sum(outcome.is_paid for outcome in outcomes), len(outcomes))
        differing = [outcome for outcome in outcomes if not outcome.is_right]
        is_labelled = any(outcome.case.expected for outcome in outcomes)
        differ = str(len(differing)) if is_labelled else "-"
        click.echo(f"{file:<34}{len(outcomes):>6}{published:>11.2f}{ours:>8}{differ:>8}")
        for outcome in differing if is_shown and is_labelled else ():
            _print_outcome(outcome)


def _print_outcome(outcome: Outcome) -> None:
    row = _as_row(outcome)
    click.echo(f"    {row['name']}")
    for key in ("gold", "text"):
        click.echo(f"      {key:<9}{_shortened(row[key])!r}")
    click.echo(f"      expected {row['expected']}, got {row['status']} (tier {row['tier']})")
    click.echo(f"      read     {_shortened(row['prediction'] or '')!r}; {row['reason']}")


def _as_row(outcome: Outcome) -> dict[str, str]:
    case, score = outcome.case, outcome.score
    return {
        "name": case.name,
        "gold": case.gold,
        "text": case.text,
        "expected": "equal" if case.expected else "different",
        "status": score.status,
        "tier": "none" if score.tier is None else str(score.tier),
        "prediction": score.prediction or "",
        "reason": score.reason,
    }


def _shortened(text: str, max_characters: int = 600) -> str:
    """Keep both ends of a long text; the answer mostly stands at the end."""
    if len(text) <= max_characters:
        return text
    half = max_characters // 2
    return f"{text[:half]} … {text[-half:]}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "-"


if __name__ == "__main__":
    main()
