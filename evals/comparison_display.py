"""Comparisons for a terminal of 80 columns: who is compared, by how much, where from, how sure."""

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

from mathrl.evals.bootstrap import MIN_CHANGED, RESAMPLES, SEED
from mathrl.evals.compare import p_text
from mathrl.evals.display import bare_table, interval, percent
from mathrl.evals.run_comparison import ComparedRun, Side

if TYPE_CHECKING:
    from rich.table import Table


def run_table(runs: Sequence[ComparedRun]) -> "Table":
    """The runs of one task with their letters: the first one, then those compared with it."""
    table = bare_table("", "run", "accuracy", text=(0, 1))
    for place, side in enumerate(_sides(runs)):
        table.add_row(_letter(place), side.run, percent(side.result.accuracy))
    return table


def difference_table(runs: Sequence[ComparedRun]) -> "Table":
    """Each run against the first one, in percent."""
    is_family = runs[0].num_tests > 1
    adjusted = ["p, Holm"] if is_family else []
    table = bare_table("", "difference", "95 % interval", "p", *adjusted, "fixed / broken", "mde")
    for place, run in enumerate(runs, start=1):
        found = run.comparison
        table.add_row(
            _letter(place),
            f"{100 * found.difference:+.2f} ± {percent(found.stderr)}",
            interval(found.ci95, sign="+"),
            *(_bare_p(p) for p in (found.p_value, run.p_holm)[: 1 + is_family]),
            f"{found.fixed} / {found.broken}",
            percent(found.mde),
        )
    return table


def attribution_table(runs: Sequence[ComparedRun]) -> "Table | None":
    """What each difference consists of; None where no run has its samples."""
    table = bare_table("", "of which", "difference", "95 % interval", text=(0, 1))
    for place, run in enumerate(runs, start=1):
        parts = run.attribution.parts if run.attribution else {}
        for index, (name, part) in enumerate(parts.items()):
            table.add_row(
                "" if index else _letter(place),
                name,
                f"{100 * part.difference:+.2f} ± {percent(part.stderr)}",
                "none seen" if part.ci95 is None else interval(part.ci95, sign="+"),
            )
    return table if table.rows else None


def comparison_notes(runs: Sequence[ComparedRun]) -> Iterator[str]:
    """The verdict on each run in words, and what must be known before it is trusted."""
    for place, run in enumerate(runs, start=1):
        yield f"{_letter(place)}: {run.verdict()}"
        yield f"   paired bootstrap: {_bootstrap(run)}"
        if run.attribution is not None and run.attribution.truncation is None:
            yield "   how completions ended is not recorded: truncation is in the other parts"
        yield from (f"   note: {notice}" for notice in run.notices)


def changed_problems(runs: Sequence[ComparedRun]) -> Iterator[str]:
    """The ids of the problems that each run fixed and broke, one a line."""
    for place, run in enumerate(runs, start=1):
        ids = {"fixed": run.comparison.fixed_ids, "broken": run.comparison.broken_ids}
        for word, names in ids.items():
            yield f"{_letter(place)}, {word} ({len(names)}):"
            yield from (f"   {name}" for name in names)


def _bootstrap(run: ComparedRun) -> str:
    if run.bootstrap is None:
        return f"none; it needs {MIN_CHANGED} problems that differ, and not all alike"
    return f"{interval(run.bootstrap, sign='+')} ({RESAMPLES} resamples, seed {SEED})"


def _sides(runs: Sequence[ComparedRun]) -> list[Side]:
    return [runs[0].base, *(run.side for run in runs)]


def _letter(place: int) -> str:
    """A, B, ... Z, AA, BB, ..."""
    return ascii_uppercase[place % 26] * (1 + place // 26)


def _bare_p(p_value: float) -> str:
    return p_text(p_value).removeprefix("p ").removeprefix("= ")
