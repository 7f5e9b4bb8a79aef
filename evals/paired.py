"""Two evaluations of the same problems, every figure of them paired: accuracy, pass@k, maj@k.

A majority needs the answers and not only the counts of ``results.json``, so both evaluations come
with their samples, as ``load_run`` gives them.
"""

from collections.abc import Mapping

from mathrl.errors import DataError
from mathrl.evals.metrics import pass_at_k
from mathrl.evals.results import EvalResult
from mathrl.evals.stats import PairedResult, paired_difference

Rates = Mapping[str, Mapping[str, float]]
"""Figure (``accuracy``, ``pass_at_4``, ``maj_at_4``) -> problem id -> its rate."""


def problem_rates(result: EvalResult) -> Rates:
    """Every figure of an evaluation, problem by problem; ``k`` is 2 or more.

    Args:
        result: With its samples, so not one that was read from a file.
    """
    judged = [problem for problem in result.problems if problem.n]
    rates = {"accuracy": {p.problem_id: p.mean for p in judged}}
    ks = [k for k in result.pass_at_k if k > 1]  # of one sample both are the accuracy
    majorities = {p.problem_id: p.majorities(ks) for p in judged}
    for k in ks:
        rates[f"pass_at_{k}"] = {p.problem_id: pass_at_k(p.n, p.c, k) for p in judged}
        rates[f"maj_at_{k}"] = {problem: by_k[k] for problem, by_k in majorities.items()}
    return rates


def paired_differences(before: EvalResult, after: EvalResult) -> dict[str, PairedResult]:
    """The difference ``after - before`` of each figure that both have, with its paired error bar.

    Args:
        before: The evaluation compared with, with its samples.
        after: The other one, with its samples.

    Raises:
        DataError: They share no problem.
    """
    is_single = all(p.n <= 1 for result in (before, after) for p in result.problems)
    old_rates, new_rates = problem_rates(before), problem_rates(after)
    found = {}
    for figure in (figure for figure in old_rates if figure in new_rates):
        old, new = old_rates[figure], new_rates[figure]
        common = [problem_id for problem_id in old if problem_id in new]
        if not common:
            raise DataError("the two evaluations share no problem id")
        found[figure] = paired_difference(
            [old[problem_id] for problem_id in common],
            [new[problem_id] for problem_id in common],
            single_samples=is_single,
        )
    return found
