"""Two evaluations of the same problems, every figure of them paired: accuracy, pass@k, maj@k.

``results.json`` has the counts of each problem, but a majority needs the answers; so an evaluation
that others are to be compared with keeps each figure problem by problem in ``rates.json``.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from mathrl.errors import DataError
from mathrl.evals.metrics import pass_at_k
from mathrl.evals.results import EvalResult
from mathrl.evals.stats import PairedResult, paired_difference
from mathrl.files import write_whole

RATES_FILE = "rates.json"

Rates = Mapping[str, Mapping[str, float]]
"""Figure (``accuracy``, ``pass_at_4``, ``maj_at_4``) -> problem id -> its rate."""


def problem_rates(result: EvalResult) -> Rates:
    """Every figure of an evaluation, problem by problem; ``k`` is 2 or more.

    Args:
        result: With its samples, so not one that was read from a file.
    """
    judged = [problem for problem in result.problems if problem.n]
    rates = {"accuracy": {p.problem_id: p.mean for p in judged}}
    for k in result.pass_at_k:
        if k > 1:  # of one sample both are the accuracy
            rates[f"pass_at_{k}"] = {p.problem_id: pass_at_k(p.n, p.c, k) for p in judged}
            rates[f"maj_at_{k}"] = {p.problem_id: p.majority(k) for p in judged}
    return rates


def paired_differences(
    before: Rates, after: Rates, *, single_samples: bool
) -> dict[str, PairedResult]:
    """The difference ``after - before`` of each figure that both have, with its paired error bar.

    Args:
        before: Of the evaluation compared with.
        after: Of the other one.
        single_samples: Both took one sample a problem: the test of the accuracy is McNemar's.

    Raises:
        DataError: They share no problem.
    """
    found = {}
    for figure in before:
        if figure not in after:
            continue
        old, new = before[figure], after[figure]
        common = [problem_id for problem_id in old if problem_id in new]
        if not common:
            raise DataError("the two evaluations share no problem id")
        found[figure] = paired_difference(
            [old[problem_id] for problem_id in common],
            [new[problem_id] for problem_id in common],
            single_samples=single_samples,
        )
    return found


def save_rates(folder: Path, rates: Rates) -> None:
    """Keep the rates beside the results.

    Raises:
        StorageError: The disk refused.
    """
    write_whole(folder / RATES_FILE, json.dumps(rates) + "\n")


def load_rates(folder: Path) -> Rates:
    """Read the rates of an evaluation.

    Raises:
        DataError: There are none that can be read.
    """
    path = folder / RATES_FILE
    if not path.exists():
        raise DataError(f"{path}: no such file; the evaluation before training wrote it")
    try:
        rates: Rates = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not the rates of an evaluation ({error})") from error
    return rates
