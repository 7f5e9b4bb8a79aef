"""Runs mathrl's grader over labelled cases: the verdict, the tier and the time of each check."""

import asyncio
import faulthandler
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from grading_sets import Case

import mathrl.rewards
from mathrl.rewards import EVAL, REWARD, accuracy_reward, equivalent, grade
from mathrl.schema import Score

HANG_S = 60.0
"""A check that takes longer ends the run with a traceback; the grader's own limit is 1 s."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case as our grader judged it."""

    case: Case
    score: Score
    seconds: float

    @property
    def is_paid(self) -> bool:
        """Whether the grader called the answer right."""
        return self.score.value == 1.0

    @property
    def is_right(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.is_paid == self.case.expected


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of the table."""

    name: str
    num_cases: int
    num_right: int
    num_false_positives: int
    num_false_negatives: int
    num_no_verdict: int
    num_tier_4: int
    worst_s: float


def judge(cases: Sequence[Case]) -> list[Outcome]:
    """Judge each case in this thread.

    Args:
        cases: What to judge.
    """
    return [_judge_one(case) for case in cases]


def judge_in_thread(cases: Sequence[Case]) -> list[Outcome]:
    """Judge each case in a thread that is not the main one.

    Args:
        cases: What to judge.
    """
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(judge(cases)))
    thread.start()
    thread.join()
    return outcomes


def judge_in_event_loop(cases: Sequence[Case]) -> list[Outcome]:
    """Judge each case inside a running asyncio loop.

    Args:
        cases: What to judge.
    """

    async def all_cases() -> list[Outcome]:
        return judge(cases)

    return asyncio.run(all_cases())


def summarise(name: str, outcomes: Sequence[Outcome]) -> Summary:
    """Count what was right.

    Args:
        name: The row's name.
        outcomes: One a case.
    """
    wrong = [outcome for outcome in outcomes if not outcome.is_right]
    return Summary(
        name=name,
        num_cases=len(outcomes),
        num_right=len(outcomes) - len(wrong),
        num_false_positives=sum(outcome.is_paid for outcome in wrong),
        num_false_negatives=sum(not outcome.is_paid for outcome in wrong),
        num_no_verdict=sum(outcome.score.value is None for outcome in outcomes),
        num_tier_4=sum(outcome.score.tier == 4 for outcome in outcomes),
        worst_s=max((outcome.seconds for outcome in outcomes), default=0.0),
    )


def _judge_one(case: Case) -> Outcome:
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    start = perf_counter()
    score = _score(case)
    seconds = perf_counter() - start
    faulthandler.cancel_dump_traceback_later()
    return Outcome(case, score, seconds)


def _score(case: Case) -> Score:
    policy = REWARD if case.policy == "reward" else EVAL
    if case.form == "answer":
        return equivalent(case.text, case.gold, policy)
    if case.form == "text":
        return grade(case.text, case.gold, policy)
    reward = accuracy_reward if case.form == "reward" else _format_reward()
    value = reward([case.text], answer=[case.gold])[0]
    if case.form == "format":
        return Score(value=value, status="correct" if value == 1.0 else "wrong", reason="format")
    score = grade(case.text, case.gold, policy)
    if score.value != value:
        raise AssertionError(f"accuracy_reward pays {value}, grade {score} on {case}")
    return score


def _format_reward() -> Callable[..., list[float | None]]:
    """Find ``format_reward``; a grader without one pays nothing for format."""
    found: Callable[..., list[float | None]] = getattr(
        mathrl.rewards, "format_reward", lambda texts, **_: [0.0] * len(texts)
    )
    return found
