"""mathrl's grader and math-verify on the same cases, in one run, by turns.

Each grader runs in a process of its own, both with the same loop (``grading_worker.py``) and
the same Python. Speed is CPU time, and a ratio: batches go to the two by turns, so that what else
the machine does hits both, and the median of several rounds counts. Every round starts fresh
processes and shows every completion once.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from types import TracebackType
from typing import Any, Self

import click
from grading_sets import PUBLISHED, SETS, Case, adjudicated, completions

VERSION = "0.9.0"
REQUIREMENT = f"math-verify[antlr4-13-2]=={VERSION}"
BATCH = 100
"""Cases a turn: about a second of math-verify's time."""
WARM_UP = Case("warm-up", "2", r"So $x^2 = 4$ and \boxed{2}.", True, "text")
ACCURACY_SETS = tuple(name for name in SETS if name not in ("blind", "hostile"))
OURS, PEER, BARE = "mathrl", "math-verify", "math-verify-bare"


class PeerError(click.ClickException):
    """The peer's environment cannot be made."""


class Worker:
    """One grader in a process of its own."""

    def __init__(self, engine: str, python: Path) -> None:
        """Start it and wait until its grader is loaded.

        Args:
            engine: A name that ``grading_worker.py`` knows.
            python: The interpreter of the environment that has it.
        """
        script = Path(__file__).with_name("grading_worker.py")
        self._process = subprocess.Popen(
            [python, script, engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if engine == OURS else subprocess.DEVNULL,  # the peer logs at length
            text=True,
        )
        ready = self._answer()
        self.import_cpu_s: float = ready["import_cpu_s"]
        self.import_rss_mb: float = ready["rss_mb"]

    def judge(self, cases: Sequence[Case]) -> dict[str, Any]:
        """Judge a batch; the fields of the answer are those of ``grading_worker.py``.

        Args:
            cases: The batch.
        """
        assert self._process.stdin is not None
        rows = [[case.gold, case.text, case.form, case.policy] for case in cases]
        self._process.stdin.write(json.dumps(rows) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        """Judge one case, so that what loads lazily is loaded."""
        self.judge([WARM_UP])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of a grader ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True, slots=True)
class Graders:
    """Which interpreter runs which grader."""

    peer_python: Path

    def start(self, engine: str) -> Worker:
        """Start one.

        Args:
            engine: ``mathrl``, ``math-verify`` or ``math-verify-bare``.
        """
        return Worker(engine, Path(sys.executable) if engine == OURS else self.peer_python)


def make_peer(cache: Path) -> Graders:
    """Make math-verify's own environment, or find it made.

    Args:
        cache: A folder that git does not track.

    Raises:
        PeerError: pip cannot install it.
    """
    folder = cache / f"math-verify-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", REQUIREMENT]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PeerError(f"pip cannot install {REQUIREMENT} in {folder}: {reason}")
        (folder / ".ready").touch()
    return Graders(python)


def print_comparison(graders: Graders, num_rounds: int) -> None:
    """Print accuracy, speed, imports and memory of both side by side.

    Args:
        graders: Where the peer stands.
        num_rounds: Rounds of each timing; their median counts.
    """
    click.echo(_machine())
    _print_accuracy(graders)
    gsm8k = [case for file in PUBLISHED for case in completions(file)]
    _print_speed(graders, {"GSM8K": gsm8k, "MATH": adjudicated()}, num_rounds)
    _print_imports(graders, num_rounds)


def judge_by_turns(workers: Sequence[Worker], cases: Sequence[Case]) -> list[list[dict[str, Any]]]:
    """Give every worker each batch in turn; its answers, batch by batch.

    Args:
        workers: The graders.
        cases: What to judge.
    """
    answers: list[list[dict[str, Any]]] = [[] for _ in workers]
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        for worker, answered in zip(workers, answers, strict=True):
            answered.append(worker.judge(batch))
    return answers


def joined(answers: Iterable[dict[str, Any]], field: str) -> list[Any]:
    """Put one field of several answers end to end.

    Args:
        answers: One a batch.
        field: The field.
    """
    return [value for answer in answers for value in answer[field]]


def _print_accuracy(graders: Graders) -> None:
    click.echo("\nright, % (false positives / false negatives)")
    click.echo(f"{'set':<20}{'n':>6}{'mathrl':>20}{'math-verify $…$':>22}{'math-verify bare':>22}")
    for name in ACCURACY_SETS:
        cases = [case for case in SETS[name]() if case.form != "format"]
        columns = []
        for engine in (OURS, PEER, BARE):
            with graders.start(engine) as worker:
                verdicts = joined(judge_by_turns([worker], cases)[0], "verdicts")
            columns.append(_accuracy(cases, [value == 1.0 for value, _ in verdicts]))
        ours, wrapped, bare = columns
        click.echo(f"{name:<20}{len(cases):>6}{ours:>20}{wrapped:>22}{bare:>22}")


def _accuracy(cases: Sequence[Case], is_paid: Sequence[bool]) -> str:
    pairs = list(zip(cases, is_paid, strict=True))
    num_false_positives = sum(paid and not case.expected for case, paid in pairs)
    num_false_negatives = sum(case.expected and not paid for case, paid in pairs)
    num_right = len(pairs) - num_false_positives - num_false_negatives
    return f"{100 * num_right / len(pairs):.2f} ({num_false_positives}/{num_false_negatives})"


def _print_speed(graders: Graders, sets: dict[str, list[Case]], num_rounds: int) -> None:
    click.echo("\nchecks per second of one core (CPU time), median of the rounds")
    click.echo(f"{'set':<24}{'n':>6}{'mathrl':>10}{'math-verify':>13}{'ratio':>9}")
    for name, cases in sets.items():
        rounds = [_Round.run(graders, cases) for _ in range(num_rounds)]
        _print_rates(name, rounds)
        _print_latencies(name, rounds)
        _print_tier_4(name, len(cases), rounds)
        peaks = [median(found.peak_mb[index] for found in rounds) for index in (0, 1)]
        click.echo(f"{name + ' peak memory, MB':<30}{peaks[0]:>10.0f}{peaks[1]:>13.0f}")


@dataclass(frozen=True, slots=True)
class _Round:
    """Both graders on every case once: CPU and wall seconds of each check, ours then theirs."""

    cpu_s: tuple[list[float], list[float]]
    wall_s: tuple[list[float], list[float]]
    is_tier_4: list[bool]
    is_gold_new: list[bool]
    peak_mb: tuple[float, float]

    @classmethod
    def run(cls, graders: Graders, cases: Sequence[Case]) -> Self:
        first_index: dict[str, int] = {}
        for index, case in enumerate(cases):
            first_index.setdefault(case.gold, index)
        with graders.start(OURS) as ours, graders.start(PEER) as theirs:
            answers = judge_by_turns([ours, theirs], cases)
        tiers = [tier for _, tier in joined(answers[0], "verdicts")]
        return cls(
            cpu_s=(joined(answers[0], "cpu_each_s"), joined(answers[1], "cpu_each_s")),
            wall_s=(joined(answers[0], "wall_each_s"), joined(answers[1], "wall_each_s")),
            is_tier_4=[tier == 4 for tier in tiers],
            is_gold_new=[first_index[case.gold] == index for index, case in enumerate(cases)],
            peak_mb=(answers[0][-1]["rss_mb"], answers[1][-1]["rss_mb"]),
        )

    def rates(self, chosen: Sequence[bool]) -> tuple[float, float]:
        """Checks per second of both over the chosen cases."""
        ours, theirs = (sum(_chosen(times, chosen)) for times in self.cpu_s)
        return sum(chosen) / ours, sum(chosen) / theirs


def _print_rates(name: str, rounds: Sequence[_Round]) -> None:
    quick = [not tier_4 for tier_4 in rounds[0].is_tier_4]
    is_new = rounds[0].is_gold_new
    rows = {
        f"{name} completions": quick,
        "  gold seen before": [a and not b for a, b in zip(quick, is_new, strict=True)],
        "  gold new": [a and b for a, b in zip(quick, is_new, strict=True)],
    }
    for title, chosen in rows.items():
        rates = [found.rates(chosen) for found in rounds]
        ours, theirs = (median(rate[index] for rate in rates) for index in (0, 1))
        ratio = median(our_rate / their_rate for our_rate, their_rate in rates)
        click.echo(f"{title:<24}{sum(chosen):>6}{ours:>10.0f}{theirs:>13.0f}{ratio:>8.0f}x")


def _print_latencies(name: str, rounds: Sequence[_Round]) -> None:
    quick = [not tier_4 for tier_4 in rounds[0].is_tier_4]
    figures: list[tuple[float, ...]] = []
    for index in (0, 1):
        per_round = [sorted(_chosen(found.cpu_s[index], quick)) for found in rounds]
        cuts = [quantiles(times, n=100) for times in per_round]
        figures.append(
            (
                median(cut[49] for cut in cuts),
                median(cut[98] for cut in cuts),
                median(times[-1] for times in per_round),
            )
        )
    for title, ours, theirs in zip(("p50", "p99", "worst"), *figures, strict=True):
        click.echo(
            f"{f'  {title}, ms CPU':<30}{1000 * ours:>10.3f}{1000 * theirs:>13.2f}"
            f"{theirs / ours:>8.0f}x"
        )


def _print_tier_4(name: str, num_cases: int, rounds: Sequence[_Round]) -> None:
    """Print the wall time of what only sympy settles, for our worker's time is not ours."""
    chosen = rounds[0].is_tier_4
    title = f"  tier 4: {100 * sum(chosen) / num_cases:.2f} %, mean ms wall"
    if not any(chosen):
        click.echo(f"{title:<40}none reach it")
        return
    ours, theirs = (
        median(1000 * sum(_chosen(found.wall_s[index], chosen)) / sum(chosen) for found in rounds)
        for index in (0, 1)
    )
    click.echo(f"{title:<40}{ours:.1f} against {theirs:.1f} (n = {sum(chosen)})")


def _print_imports(graders: Graders, num_rounds: int) -> None:
    seconds: dict[str, list[float]] = {OURS: [], PEER: []}
    peaks: dict[str, list[float]] = {OURS: [], PEER: []}
    for _ in range(num_rounds):
        for engine in seconds:
            with graders.start(engine) as worker:
                seconds[engine].append(worker.import_cpu_s)
                peaks[engine].append(worker.import_rss_mb)
    for title, figures, form in (
        ("import, CPU seconds", seconds, ".3f"),
        ("memory after import, MB", peaks, ".0f"),
    ):
        ours, theirs = median(figures[OURS]), median(figures[PEER])
        click.echo(f"{title:<30}{ours:>10{form}}{theirs:>13{form}}{theirs / ours:>8.1f}x")


def _chosen(times: Sequence[float], chosen: Sequence[bool]) -> list[float]:
    return [seconds for seconds, is_chosen in zip(times, chosen, strict=True) if is_chosen]


def _machine() -> str:
    model = "unknown CPU"
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
