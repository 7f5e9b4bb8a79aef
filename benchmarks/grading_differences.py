"""Lists where mathrl and math-verify disagree, for a person to say who is right.

    .venv/bin/python benchmarks/grading_differences.py > /tmp/differences.jsonl

What was decided stands in tests/rewards/differential/math_verify.jsonl, one row a cause; pairs
that stand there are left out here.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from grading_peer import OURS, PEER, joined, judge_by_turns, make_peer
from grading_rewrites import rewritten_golds
from grading_sets import PUBLISHED, ROOT, SETS, Case, completions, read_rows

TRIAGED = ROOT / "tests" / "rewards" / "differential" / "math_verify.jsonl"


SOURCES: dict[str, Callable[[], list[Case]]] = {
    **{name: SETS[name] for name in ("suites", "probes", "mutations", "adjudicated")},
    **{file: partial(completions, file) for file in PUBLISHED},
    "rewrites": rewritten_golds,
}
"""Everything that both graders are asked."""


@click.command()
@click.option("--source", "names", multiple=True, type=click.Choice([*SOURCES]))
@click.option("--peer-cache", type=click.Path(path_type=Path), default=ROOT / "build" / "peers")
def main(names: tuple[str, ...], peer_cache: Path) -> None:
    """Print a JSON line for each pair that the two graders judge differently."""
    graders = make_peer(peer_cache)
    rows = read_rows(TRIAGED) if TRIAGED.exists() else []
    triaged = {(row["prediction"], row["answer"]) for row in rows}
    for name in names or SOURCES:
        cases = [case for case in SOURCES[name]() if (case.text, case.gold) not in triaged]
        with graders.start(OURS) as ours, graders.start(PEER) as theirs:
            answers = judge_by_turns([ours, theirs], cases)
        verdicts = [joined(answered, "verdicts") for answered in answers]
        for case, (our_value, tier), (their_value, _) in zip(cases, *verdicts, strict=True):
            if (our_value == 1.0) != (their_value == 1.0):
                row = asdict(case) | {"source": name, "ours": our_value, "theirs": their_value}
                click.echo(json.dumps({**row, "tier": tier}, ensure_ascii=False))


if __name__ == "__main__":
    main()
