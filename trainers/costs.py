"""What a training step costs: seconds by phase, tokens a second, peak memory."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mathrl.schema import Score
from mathrl.trainers.parallel import ALONE, Ranks
from mathrl.trainers.sources import ScoresCompletions

GIB = 2**30
NO_TOKENS = ("sync",)
"""Phases whose time does not follow the number of tokens."""


class Stopwatch:
    """Adds up the seconds of named phases; a phase within another is taken off the outer one."""

    def __init__(self) -> None:
        """Start at nothing."""
        self._seconds: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a block for this phase."""
        self._settle()
        self._running.append(name)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def lap(self) -> dict[str, float]:
        """The seconds of each phase since the last lap."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _settle(self) -> None:
        """Count the time since the last change for the phase that was running."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the phase that asked for work pays for it
        now = time.perf_counter()
        if self._running:
            name = self._running[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


class TimedReward:
    """A reward whose time is a phase of its own, inside the sampling."""

    def __init__(self, reward: ScoresCompletions, watch: Stopwatch) -> None:
        """Score with ``reward`` as before."""
        self.reward = reward
        self.watch = watch

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """One score a completion."""
        with self.watch.phase("reward"):
            return self.reward.scores(completions, **columns)


def cost_metrics(
    seconds: dict[str, float], tokens: float, ranks: Ranks = ALONE
) -> dict[str, float]:
    """Seconds and tokens a second of each phase and of the whole step, and the peak memory.

    Args:
        seconds: Of each phase of the step, on this rank.
        tokens: Of all completions of the step, whatever a phase does with them; so the rates
            tell which phase a step waits for.
        ranks: Who trains; the memory is that of the rank with the most.
    """
    spent = {**seconds, "step": sum(seconds.values())}
    metrics = {f"time/{name}_s": value for name, value in spent.items()}
    for name, value in spent.items():
        if value > 0 and name not in NO_TOKENS:
            metrics[f"tokens_per_s/{name}"] = tokens / value
    metrics["memory/peak_gib"] = max(ranks.exchange(peak_memory_gib()))
    return metrics


def peak_memory_gib() -> float:
    """The most memory so far: what torch allocated on the GPU, or the resident set without one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / GIB
    import resource  # not on Windows, where this module only has to be importable

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB
