"""Grade mathematical answers, and reward them: one grader, two policies, no heavy imports.

Names that a check does not need are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mathrl.rewards.accuracy import accuracy_reward
from mathrl.rewards.extract import Extraction, extract
from mathrl.rewards.grade import equivalent, grade
from mathrl.rewards.policy import EVAL, REWARD, Policy

if TYPE_CHECKING:
    from mathrl.rewards.combination import combine, load_reward
    from mathrl.rewards.explanation import Explanation, explain
    from mathrl.rewards.format import FormatReward, format_reward
    from mathrl.rewards.length import CosineLengthReward, LengthPenalty
    from mathrl.rewards.many import grade_many
    from mathrl.rewards.repetition import RepetitionPenalty, repetition_penalty
    from mathrl.rewards.shaping import GatedReward, gated

_HOMES = {
    "combination": ("combine", "load_reward"),
    "explanation": ("Explanation", "explain"),
    "format": ("FormatReward", "format_reward"),
    "length": ("CosineLengthReward", "LengthPenalty"),
    "many": ("grade_many",),
    "repetition": ("RepetitionPenalty", "repetition_penalty"),
    "shaping": ("GatedReward", "gated"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EVAL",
    "REWARD",
    "CosineLengthReward",
    "Explanation",
    "Extraction",
    "FormatReward",
    "GatedReward",
    "LengthPenalty",
    "Policy",
    "RepetitionPenalty",
    "accuracy_reward",
    "combine",
    "equivalent",
    "explain",
    "extract",
    "format_reward",
    "gated",
    "grade",
    "grade_many",
    "load_reward",
    "repetition_penalty",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'mathrl.rewards' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mathrl.rewards.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
