"""Every choice of the grader in one place: what counts as an answer, and as the same answer.

Two policies are named. ``EVAL`` reads what an honest model means, as published benchmarks are
scored; ``REWARD`` pays only for one answer, clearly committed, because a policy that is trained
on a reward finds every other way to earn it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from mathrl.errors import ConfigError

Cue = Literal["box", "tag", "hashes", "phrase", "label", "last_value"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How a completion is read and compared; use ``EVAL`` or ``REWARD``, or declare another."""

    name: str
    cues: tuple[Cue, ...]
    """Tried in this order; ``last_value`` is the last formula or number of the text."""
    is_prose_read: bool
    """Take the number out of "18 dollars every day"; else a cue must be followed by it alone."""
    is_conflict_refused: bool
    """Refuse answers that disagree, unless the last one follows a correction; else it counts."""
    is_percent_loose: bool
    """Take 25% for 25 as well as for 1/4; else for 1/4 only."""
    is_unit_strict: bool
    """Where both have a unit or a counted noun, it must be the same; else 1 m is 100 cm."""
    is_base_strict: bool
    """A number in a base other than ten must show its base; else the digits may stand alone."""
    is_unevaluated_accepted: bool
    r"""Take ``2^{10}`` for 1024; else a plain known number wants a plain number."""
    is_order_loose: bool
    r"""Take ``\{2,1\}`` and ``2, 1`` for ``1, 2``; tuples in brackets always keep their order."""
    is_bracket_loose: bool
    """Take forms that say the same in other signs: a flat list for a tuple, ``3:4`` for 3/4,
    ``\\{5\\}`` for 5, a comma for a decimal point, another letter for a free constant."""
    relative_tolerance: float
    """How far a rounded decimal may be from an exact value, relative to it; 0 for exact."""
    min_rounded_digits: int
    """Significant digits that a rounded decimal must have before the tolerance applies."""
    max_unit_words: int
    """Plain words read as the unit of a number."""
    is_symbolic: bool = True
    """Ask sympy, in a worker process, what the quick tiers leave open (tier 4)."""
    max_characters: int = 50_000
    """Only the end of a longer completion is read (an answer stands there; floods stay cheap)."""
    max_answer_characters: int = 8_000
    """A longer answer gets the status ``limit``."""
    timeout_s: float = 0.6
    """Wall time of tier 4 for one grade; the other tiers have budgets instead."""

    def __hash__(self) -> int:
        """Hash the name alone, for speed; equality still compares every field."""
        return hash(self.name)

    def __post_init__(self) -> None:
        """Check what a type checker cannot see."""
        if unknown := [cue for cue in self.cues if cue not in get_args(Cue)]:
            known = ", ".join(get_args(Cue))
            raise ConfigError(f"unknown cue {unknown[0]!r}; a policy knows {known}")


EVAL = Policy(
    name="eval",
    cues=("box", "tag", "hashes", "phrase", "label", "last_value"),
    is_prose_read=True,
    is_conflict_refused=False,
    is_percent_loose=True,
    is_unit_strict=False,
    is_base_strict=False,
    is_unevaluated_accepted=True,
    is_order_loose=True,
    is_bracket_loose=True,
    relative_tolerance=1e-9,
    min_rounded_digits=6,
    max_unit_words=8,
)
"""For evals: reads what an honest model means."""

REWARD = Policy(
    name="reward",
    cues=("box", "tag", "hashes", "phrase", "label"),
    is_prose_read=False,
    is_conflict_refused=True,
    is_percent_loose=False,
    is_unit_strict=True,
    is_base_strict=True,
    is_unevaluated_accepted=False,
    is_order_loose=True,
    is_bracket_loose=False,
    relative_tolerance=0.0,
    min_rounded_digits=6,
    max_unit_words=3,
)
"""For training: pays only for one answer, clearly given."""
