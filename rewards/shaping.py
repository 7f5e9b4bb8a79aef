"""The shaping rewards in one place, and ``gated``: pay one reward only where another one is paid.

    gated(format_reward, by=accuracy_reward)

Shaping rewards judge how something is said; alone they teach to say nothing well. They follow
TRL's convention, survive pickling, and give None only where a gate gives no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mathrl.rewards.format import FormatReward, format_reward
from mathrl.rewards.length import CosineLengthReward, LengthPenalty
from mathrl.rewards.repetition import RepetitionPenalty, repetition_penalty
from mathrl.rewards.weighted import Reward, WeightedReward, named
from mathrl.schema import Score

__all__ = [
    "CosineLengthReward",
    "FormatReward",
    "GatedReward",
    "LengthPenalty",
    "RepetitionPenalty",
    "format_reward",
    "gated",
    "repetition_penalty",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedReward:
    """A reward that is 0.0 wherever its gate is not positive; make one with ``gated``."""

    reward: WeightedReward
    by: WeightedReward

    is_shaping = True

    @property
    def __name__(self) -> str:
        """The reward's own name after ``gated_``."""
        return f"gated_{self.reward.name}"

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Reward each completion.

        Args:
            completions: Texts or conversations, passed on as they are.
            **columns: Every other column of the batch, passed on.

        Returns:
            The reward where the gate is positive, 0.0 where it is not, None where the gate, or the
            reward behind it, has no verdict.

        Raises:
            GradingError: The reward or the gate failed.
        """
        return [score.value for score in self.scores(completions, **columns)]

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """Reward each completion: as calling it, with the status of whichever decided.

        Args:
            completions: Texts or conversations, passed on as they are.
            **columns: Every other column of the batch, passed on.

        Raises:
            GradingError: The reward or the gate failed.
        """
        verdicts = self.by.scores(completions, **columns)
        rewards = self.reward.scores(completions, **columns)
        return [self._pass(*pair) for pair in zip(verdicts, rewards, strict=True)]

    def _pass(self, verdict: Score, reward: Score) -> Score:
        if verdict.value is not None and verdict.value > 0:
            return reward
        # a 0 for bad form beside a None for good form would tilt the group against good form
        value = None if verdict.value is None else 0.0
        reason = f"closed by {self.by.name}: {verdict.reason}"
        return Score(value=value, status=verdict.status, reason=reason)


def gated(reward: Reward, *, by: Reward) -> GatedReward:
    """Pay a reward only where another one is positive.

    Args:
        reward: The reward to pay, such as ``format_reward``.
        by: The gate, such as ``accuracy_reward``; it is called on the same columns.

    Raises:
        ConfigError: One of them cannot be called.
    """
    return GatedReward(reward=named(reward), by=named(by))
