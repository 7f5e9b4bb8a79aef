"""Grade mathematical answers, and reward them: one grader, two policies, no heavy imports."""

from mathrl.rewards.accuracy import accuracy_reward
from mathrl.rewards.combine import combine, load_reward
from mathrl.rewards.extract import EVAL, REWARD, Policy, extract
from mathrl.rewards.grade import equivalent, grade

__all__ = [
    "EVAL",
    "REWARD",
    "Policy",
    "accuracy_reward",
    "combine",
    "equivalent",
    "extract",
    "grade",
    "load_reward",
]
