"""Grade mathematical answers, and reward them: one grader, two policies, no heavy imports."""

from mathrl.rewards.accuracy import accuracy_reward
from mathrl.rewards.combine import combine, load_reward
from mathrl.rewards.extract import Extraction, extract
from mathrl.rewards.grade import equivalent, grade
from mathrl.rewards.policy import EVAL, REWARD, Policy
from mathrl.rewards.shaping import (
    CosineLengthReward,
    FormatReward,
    GatedReward,
    LengthPenalty,
    RepetitionPenalty,
    format_reward,
    gated,
    repetition_penalty,
)

__all__ = [
    "EVAL",
    "REWARD",
    "CosineLengthReward",
    "Extraction",
    "FormatReward",
    "GatedReward",
    "LengthPenalty",
    "Policy",
    "RepetitionPenalty",
    "accuracy_reward",
    "combine",
    "equivalent",
    "extract",
    "format_reward",
    "gated",
    "grade",
    "load_reward",
    "repetition_penalty",
]
