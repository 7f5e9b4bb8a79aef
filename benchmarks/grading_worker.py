"""Judges cases for one grader in a process of its own; the same loop whichever grader it is.

    python benchmarks/grading_worker.py mathrl            # in mathrl's environment
    python benchmarks/grading_worker.py math-verify       # in the peer's: golds in $...$
    python benchmarks/grading_worker.py math-verify-bare  # golds and answers as they are

Reads a JSON list of cases a line, ``[[gold, text, form, policy], ...]``, and answers each with one
object a line. Only the standard library, so that it runs in both environments.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Check = Callable[[str, str, str, str], tuple[float | None, int | None]]
"""(gold, text, form, policy) -> the verdict's value, None for "no verdict", and the tier."""


def mathrl_check() -> Check:
    """Load mathrl's grader."""
    from mathrl.rewards import EVAL, REWARD, equivalent, grade

    def check(gold: str, text: str, form: str, policy: str) -> tuple[float | None, int | None]:
        judge = equivalent if form == "answer" else grade
        score = judge(text, gold, REWARD if policy == "reward" else EVAL)
        return score.value, score.tier

    return check


def math_verify_check(*, is_wrapped: bool) -> Check:
    """Load math-verify, called as its README does, with its own time limits.

    Args:
        is_wrapped: Put golds and bare answers between dollar signs, which it reads best.
    """
    from math_verify import parse, verify  # type: ignore[import-not-found, unused-ignore]

    def check(gold: str, text: str, form: str, policy: str) -> tuple[float | None, int | None]:
        answer = f"${text}$" if is_wrapped and form == "answer" else text
        known = parse(f"${gold}$" if is_wrapped else gold)
        return (float(verify(known, parse(answer))) if known else None), None

    return check


LOADERS: dict[str, Callable[[], Check]] = {
    "mathrl": mathrl_check,
    "math-verify": lambda: math_verify_check(is_wrapped=True),
    "math-verify-bare": lambda: math_verify_check(is_wrapped=False),
}


def main() -> None:
    """Answer batches until the input ends."""
    start = time.process_time()
    check = LOADERS[sys.argv[1]]()
    imported_s = time.process_time() - start
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a grader prints must not get among the answers
    answers.write(json.dumps({"import_cpu_s": imported_s, "rss_mb": _rss_mb()}) + "\n")
    answers.flush()
    for line in sys.stdin:
        answers.write(json.dumps({**_judge(check, json.loads(line)), "rss_mb": _rss_mb()}) + "\n")
        answers.flush()


def _judge(check: Check, cases: list[list[str]]) -> dict[str, object]:
    verdicts, cpu_each_s, wall_each_s = [], [], []
    for case in cases:
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        verdicts.append(check(*case))
        cpu_each_s.append((time.process_time_ns() - cpu) / 1e9)
        wall_each_s.append((time.perf_counter_ns() - wall) / 1e9)
    return {"verdicts": verdicts, "cpu_each_s": cpu_each_s, "wall_each_s": wall_each_s}


def _rss_mb() -> float:
    """Peak memory of this process and of those it started, which are still there."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = Path("/proc/self/task").glob("*/children")
    pids = [pid for listing in children for pid in listing.read_text().split()]
    return own + sum(_peak_mb(pid) for pid in pids)


def _peak_mb(pid: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:  # it has ended
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
