"""The grader matrix as tables for a terminal."""

from typing import TYPE_CHECKING

from mathrl.evals.compare import p_text
from mathrl.evals.display import bare_table, interval, percent
from mathrl.evals.matrix import Matrix, MatrixComparison

if TYPE_CHECKING:
    from rich.table import Table


def matrix_table(matrix: Matrix) -> "Table":
    """One run, a row a rule, in percent."""
    table = bare_table("rule", "accuracy", "stderr", "found", "samples")
    for row in matrix.rows:
        table.add_row(
            row.rule.name,
            percent(row.accuracy),
            percent(row.stderr),
            percent(row.found),
            str(row.n_samples),
        )
    return table


def matrix_note(matrix: Matrix) -> str:
    """What the choice of the rule is worth, in one sentence."""
    ranked = sorted((row for row in matrix.rows if row.n_samples), key=lambda row: row.accuracy)
    if len(ranked) < 2:
        return "one rule alone shows no spread"
    if not matrix.spread:
        return "every rule gives the same accuracy"
    return (
        f"the same completions: {percent(matrix.spread)} points between {ranked[0].rule.name} "
        f"and {ranked[-1].rule.name}"
    )


def difference_table(comparison: MatrixComparison) -> "Table":
    """Two runs, a row a rule, in points; fits 80 columns."""
    table = bare_table("rule", "before", "after", "change", "95 % interval", "p", "fixed /\nbroken")
    for row in comparison.rows:
        table.add_row(
            row.rule.name,
            percent(row.before),
            percent(row.after),
            f"{100 * row.paired.difference:+.2f}",
            interval(row.paired.ci95, sign="+"),
            p_text(row.paired.p_value).removeprefix("p ").removeprefix("= "),
            f"{row.paired.fixed} / {row.paired.broken}",
        )
    return table
