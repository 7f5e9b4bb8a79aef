r"""The data set ``arithmetic``: seeded word problems with worked solutions.

Small enough for a policy of well under a million parameters, hard enough that it errs while it
reasons. A problem starts from one number and changes it in ``level`` steps (1, 2 or 3):

    Mia has 7 pens. Mia buys 15 more. Mia gives away 4. How many pens does Mia have now?
    7+15=22
    22-4=18
    #### 18

Train and test are disjoint by what is computed, whatever the names and things: a hash of the
numbers and operations decides the split.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mathrl.errors import ConfigError
from mathrl.schema import Problem

Split = Literal["train", "test"]

LEVELS = (1, 2, 3)
MAX_VALUE = 99
"""Every intermediate result lies in 0..99: two digits are what the tiny policy can compute."""
MAX_CHANGE, MAX_FACTOR = 20, 5
"""Largest operand of + and -, and of *."""
TEST_SHARE = 10
"""One computation in ten belongs to the test split."""
SIZES: dict[str, int] = {"train": 20_000, "test": 1_000}

MAX_MISSES = 10_000
"""After so many computations in a row that are known already, there are no more to find."""

NAMES = ("Mia", "Ben", "Zoe", "Sam", "Ana", "Leo", "Eva", "Max", "Ida", "Tom")
THINGS = ("pens", "books", "coins", "cards", "shells", "apples", "stamps", "marbles")
STARTS = ("{name} has {n} {things}.", "{name} starts with {n} {things}.")
STEPS = {
    "+": (
        "{name} buys {n} more.",
        "{name} finds {n} {things}.",
        "A friend gives {name} {n}.",
    ),
    "-": (
        "{name} gives away {n}.",
        "{name} loses {n} {things}.",
        "{name} sells {n}.",
    ),
    "*": (
        "Then {name} has {n} times as many.",
        "The {things} become {n} times as many.",
    ),
}
QUESTIONS = ("How many {things} does {name} have now?", "How many {things} are there now?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Computation:
    """What a problem computes: a start and a chain of (operation, operand)."""

    start: int
    steps: tuple[tuple[str, int], ...]

    @property
    def split(self) -> Split:
        """The split that this computation belongs to, whatever words are put around it."""
        digest = hashlib.blake2b(repr((self.start, self.steps)).encode(), digest_size=8).digest()
        return "test" if int.from_bytes(digest, "big") % TEST_SHARE == 0 else "train"

    def results(self) -> list[int]:
        """The value after each step."""
        values, value = [], self.start
        for operation, operand in self.steps:
            value = apply(operation, value, operand)
            values.append(value)
        return values


def apply(operation: str, value: int, operand: int) -> int:
    """Apply one of ``+ - *``."""
    if operation == "+":
        return value + operand
    return value - operand if operation == "-" else value * operand


def generate_problems(
    split: Split, *, count: int | None = None, seed: int = 0, levels: Sequence[int] = LEVELS
) -> list[Problem]:
    """Make the problems of one split: distinct computations, the same for the same seed.

    Args:
        split: ``train`` or ``test``; no computation is in both, for any two seeds.
        count: How many; 20,000 and 1,000 by default.
        seed: Another seed gives other problems of the same split.
        levels: Numbers of steps to draw from, evenly.

    Raises:
        ConfigError: The split is unknown, or the levels hold fewer distinct computations.
    """
    if split not in SIZES:
        raise ConfigError(f"arithmetic has the splits train and test, not {split!r}")
    count = SIZES[split] if count is None else count
    rng = random.Random(f"arithmetic-{split}-{seed}")
    seen: set[Computation] = set()
    problems: list[Problem] = []
    misses = 0  # in a row
    while len(problems) < count:
        computation = _draw_computation(rng, rng.choice(levels))
        if computation.split != split or computation in seen:
            misses += 1
            if misses > MAX_MISSES:
                raise ConfigError(f"levels {tuple(levels)} hold fewer than {count} problems")
            continue
        seen.add(computation)
        misses = 0
        problems.append(_problem(f"arithmetic/{split}/{len(problems)}", computation, rng))
    return problems


def worked_solution(computation: Computation, *, rng: random.Random | None = None) -> str:
    """Write the chain of thought, ``#### answer`` at its end.

    Args:
        computation: What to work out.
        rng: Where given, one step, drawn from it, gets a wrong result; the rest follows from
            that, so the demonstration is consistent and its answer nearly always wrong.
    """
    wrong_at = rng.randrange(len(computation.steps)) if rng else None
    lines, value = [], computation.start
    for index, (operation, operand) in enumerate(computation.steps):
        result = apply(operation, value, operand)
        if rng and index == wrong_at:
            result = rng.choice([v for v in range(MAX_VALUE + 1) if v != result])
        lines.append(f"{value}{operation}{operand}={result}")
        value = result
    return "\n".join([*lines, f"#### {value}"])


def demonstrations(problems: Sequence[Problem], *, mistake_rate: float, seed: int) -> list[Problem]:
    """Replace the solutions of a share of the problems by wrong ones, as careless teachers would.

    Args:
        problems: Problems of this data set.
        mistake_rate: Share of the demonstrations with a wrong step, in [0, 1].
        seed: Decides which ones and where.
    """
    rng = random.Random(f"mistakes-{seed}")
    shown = []
    for problem in problems:
        if rng.random() < mistake_rate:
            computation = Computation(**problem.metadata["computation"])
            solution = worked_solution(computation, rng=rng)
            problem = replace(problem, metadata={**problem.metadata, "solution": solution})
        shown.append(problem)
    return shown


def _draw_computation(rng: random.Random, level: int) -> Computation:
    start = value = rng.randint(2, MAX_VALUE)
    steps = []
    for _ in range(level):
        operation = rng.choice([op for op in STEPS if _operands(op, value)])
        operand = rng.choice(_operands(operation, value))
        steps.append((operation, operand))
        value = apply(operation, value, operand)
    return Computation(start=start, steps=tuple(steps))


def _operands(operation: str, value: int) -> range:
    """The operands that keep the result in 0..MAX_VALUE and the step worth a line."""
    if operation == "+":
        return range(1, min(MAX_CHANGE, MAX_VALUE - value) + 1)
    if operation == "-":
        return range(1, min(MAX_CHANGE, value) + 1)
    return range(2, min(MAX_FACTOR, MAX_VALUE // value) + 1) if value else range(0)


def _problem(problem_id: str, computation: Computation, rng: random.Random) -> Problem:
    words = {"name": rng.choice(NAMES), "things": rng.choice(THINGS)}
    sentences = [rng.choice(STARTS).format(n=computation.start, **words)]
    for operation, operand in computation.steps:
        sentences.append(rng.choice(STEPS[operation]).format(n=operand, **words))
    sentences.append(rng.choice(QUESTIONS).format(**words))
    return Problem(
        id=problem_id,
        prompt=" ".join(sentences),
        answer=str(computation.results()[-1]),
        metadata={
            "solution": worked_solution(computation),
            "level": len(computation.steps),
            "computation": {"start": computation.start, "steps": computation.steps},
        },
    )
