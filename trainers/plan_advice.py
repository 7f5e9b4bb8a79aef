"""What to change in a recipe that does not fit, found by trying.

Every change is tried alone; then the cheapest set of changes that fits is looked for. The changes
stand in order of their cost, and one comes in only where no three of the cheaper ones suffice. What
a recipe or a model refuses is tried like everything else, and left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import compress, product
from math import inf
from typing import Any

from mathrl.errors import ConfigError
from mathrl.trainers.plan import plan_memory
from mathrl.trainers.plan_shape import TrainingShape
from mathrl.trainers.recipe import Recipe

WORTH_SAYING = 0.99
"""A change that leaves more than this of the memory is not shown."""
MAX_CHANGES = 3
"""Changes at a time: what needs more is better served by more GPUs."""
MAX_GPUS = 4096
"""Where the search for a number of GPUs gives up."""

ShapeOf = Callable[[Recipe, int], TrainingShape]
"""(recipe, number of GPUs) -> all that decides what a step of it costs"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Another value for one key of the recipe, and what it costs."""

    key: str
    value: Any
    cost: str

    @property
    def assignment(self) -> str:
        """What to type after ``--set``."""
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"{self.key}={value}"

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with the other value."""
        section, _, name = self.key.partition(".")
        return replace(recipe, **{section: replace(getattr(recipe, section), **{name: self.value})})


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Changes that were tried, and what a step then needs."""

    changes: tuple[Change, ...]
    num_gpus: int
    peak: float
    """Bytes on each GPU; infinite where the changes are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What a person could do next."""

    alone: tuple[Attempt, ...]
    """Each change that helps, by itself; none where the recipe fits."""
    fitting: Attempt | None
    """The cheapest changes that fit, on more GPUs if there is no other way; None: nothing does, or
    the recipe fits as it is."""
    most_tokens: int
    """The largest power of two for ``optimizer.micro_batch_tokens`` with which the recipe, as it
    is otherwise, fits; 0: none."""


def advise(recipe: Recipe, shape_of: ShapeOf, *, num_gpus: int, capacity: float) -> Advice:
    """Find out what would make a recipe fit, or how far it does.

    Args:
        recipe: What will run.
        shape_of: What a recipe costs on a number of GPUs.
        num_gpus: GPUs at hand.
        capacity: Bytes of each.
    """
    search = _Search(recipe, shape_of, capacity)
    now = search.attempt((), num_gpus)
    most_tokens = search.most_tokens((), num_gpus)
    if now.peak <= capacity:
        return Advice(alone=(), fitting=None, most_tokens=most_tokens)
    alone = [search.attempt((change,), num_gpus) for change in search.changes(num_gpus)]
    return Advice(
        alone=tuple(attempt for attempt in alone if attempt.peak < WORTH_SAYING * now.peak),
        fitting=search.cheapest(num_gpus) or search.fewest_gpus(num_gpus),
        most_tokens=most_tokens,
    )


@dataclass(frozen=True, slots=True)
class _Search:
    recipe: Recipe
    shape_of: ShapeOf
    capacity: float

    def attempt(self, changes: tuple[Change, ...], num_gpus: int) -> Attempt:
        try:
            recipe = self.recipe
            for change in changes:
                recipe = change.apply(recipe)
            peak = plan_memory(self.shape_of(recipe, num_gpus)).peak
        except ConfigError:  # that the recipe is right as it is was seen before
            peak = inf
        return Attempt(changes=changes, num_gpus=num_gpus, peak=peak)

    def changes(self, num_gpus: int) -> list[Change]:
        """What could be changed, the cheapest first."""
        shape = self.shape_of(self.recipe, num_gpus)
        candidates = [*_in_the_optimizer(self.recipe, shape), *_elsewhere(self.recipe, shape)]
        return [c for c in candidates if self.attempt((c,), num_gpus).peak < inf]

    def cheapest(self, num_gpus: int, *, keys: str = "") -> Attempt | None:
        """The first set of changes that fits, in the order of binary numbers: 1, 2, 1+2, 4, …

        Args:
            num_gpus: To run on.
            keys: How the keys that may change begin.
        """
        changes = [change for change in self.changes(num_gpus) if change.key.startswith(keys)]
        for chosen in product((False, True), repeat=len(changes)):
            if sum(chosen) > MAX_CHANGES:
                continue
            some = tuple(compress(changes, reversed(chosen)))
            if self.attempt(some, num_gpus).peak <= self.capacity:
                return self._with_most_tokens(some, num_gpus)
        return None

    def fewest_gpus(self, num_gpus: int) -> Attempt | None:
        """The cheapest changes of the optimizer on twice, four times, … as many GPUs."""
        more = max(2, num_gpus)
        while more <= MAX_GPUS:
            found = self.cheapest(more, keys="optimizer.")
            if found is not None:
                return found
            more *= 2
        return None

    def most_tokens(self, others: tuple[Change, ...], num_gpus: int) -> int:
        """The largest micro-batch that fits, a power of two; 0: none."""
        best = 0
        for tokens in _powers_of_two(self.shape_of(self.recipe, num_gpus)):
            if self.attempt((*others, _tokens(tokens)), num_gpus).peak <= self.capacity:
                best = tokens
        return best

    def _with_most_tokens(self, changes: tuple[Change, ...], num_gpus: int) -> Attempt:
        """Where the micro-batch had to become smaller: no smaller than need be."""
        others = tuple(c for c in changes if c.key != "optimizer.micro_batch_tokens")
        if len(others) == len(changes):
            return self.attempt(changes, num_gpus)
        asked = self.recipe.optimizer.micro_batch_tokens
        tokens = min(self.most_tokens(others, num_gpus), asked)
        return self.attempt((_tokens(tokens), *others) if tokens else changes, num_gpus)


def _in_the_optimizer(recipe: Recipe, shape: TrainingShape) -> Iterator[Change]:
    """What leaves the objective as it is."""
    optimizer = recipe.optimizer
    one_row = shape.max_new_tokens + (0 if shape.is_shared else shape.prompt_tokens)
    if one_row < optimizer.micro_batch_tokens:
        yield _tokens(one_row)
    others: tuple[tuple[str, Any, str], ...] = (
        ("is_checkpointing", True, "each layer runs again in the backward pass"),
        ("is_offloaded", True, "moments and masters cross the bus, to and fro"),
        ("dtype", "bfloat16", "passes round to 8 bits"),
        ("state", "8bit", "moments within percents; needs mathrl[lowbit]"),
    )
    for name, value, cost in others:
        if getattr(optimizer, name) != value:
            yield Change(key=f"optimizer.{name}", value=value, cost=cost)
    if shape.num_gpus > 1 and not shape.is_sharded:
        yield Change(key="optimizer.sharding", value="sharded", cost="the GPUs exchange weights")


def _elsewhere(recipe: Recipe, shape: TrainingShape) -> Iterator[Change]:
    """vLLM's sleep, then what changes the experiment."""
    if shape.is_sampler_kept:
        yield Change(key="engine.sleep_level", value=2, cost="vLLM wakes up for every step")
    if shape.has_reference:
        yield Change(key="loss.beta", value=0.0, cost="another objective: no KL penalty")
    if shape.has_sampling:
        half = recipe.rollout.max_new_tokens // 2
        cost = "another task: longer completions are cut"
        yield Change(key="rollout.max_new_tokens", value=half, cost=cost)


def _tokens(count: int) -> Change:
    return Change(
        key="optimizer.micro_batch_tokens", value=count, cost="more passes, the same result"
    )


def _powers_of_two(shape: TrainingShape) -> Iterator[int]:
    """From one row of the shortest kind to all rows of a step at once."""
    everything = shape.rows_here * (shape.prompt_tokens + shape.max_new_tokens)
    tokens = 1
    while tokens < everything:
        tokens *= 2
        yield tokens
