"""Data sources: where a step's rollouts come from.

Which problems a step takes, and every sample's seed, follow from the recipe's seed and the step
alone; so a resumed run draws what the uninterrupted one would have drawn.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mathrl.engines import Engine, SampleRequest, SamplingParams, sample_seed
from mathrl.errors import ConfigError, DataError
from mathrl.prompts import PromptBuilder
from mathrl.schema import Completion, Problem, Rollout, Score
from mathrl.trainers.credit import has_spread
from mathrl.trainers.recipe import Recipe

SPECIAL_TOKENS = 8
"""More than any tokenizer puts around a text by itself."""


class ScoresCompletions(Protocol):
    """The rich form of a reward."""

    def scores(self, completions: Sequence[Any], **columns: Any) -> list[Score]:
        """One score a completion."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The scored rollouts of a step."""

    rollouts: list[Rollout]
    """To learn from."""
    discarded: list[Rollout] = field(default_factory=list)
    """Drawn, and left out because their group teaches nothing (dynamic sampling)."""


class Source(Protocol):
    """Draws the scored rollouts of a step."""

    def draw(self, step: int) -> Drawn:
        """The rollouts of this step (the first step is 1)."""


class ProblemOrder:
    """Every problem once an epoch, in an order that follows from the seed."""

    def __init__(self, problems: Sequence[Problem], *, num_problems: int, seed: int) -> None:
        """Deal ``num_problems`` a step; the last step of an epoch runs over into the next."""
        if not problems:
            raise DataError("no training problems are left")
        self.problems = problems
        self.num_problems = num_problems
        self.seed = seed

    def take(self, step: int) -> list[Problem]:
        """The problems of a step."""
        first = (step - 1) * self.num_problems
        orders: dict[int, list[int]] = {}
        taken = []
        for position in range(first, first + self.num_problems):
            epoch, place = divmod(position, len(self.problems))
            order = orders.setdefault(epoch, self._order(epoch) if epoch not in orders else [])
            taken.append(self.problems[order[place]])
        return taken

    def _order(self, epoch: int) -> list[int]:
        order = list(range(len(self.problems)))
        random.Random(f"order-{self.seed}-{epoch}").shuffle(order)
        return order


class LiveSampler:
    """Groups of completions sampled from the policy as it is now, then scored (online)."""

    def __init__(
        self,
        recipe: Recipe,
        problems: Sequence[Problem],
        prompts: PromptBuilder,
        engine: Engine,
        reward: ScoresCompletions,
    ) -> None:
        """Check what the engine can do before anything is sampled.

        Raises:
            ConfigError: The engine gives text alone: without token ids nothing can be scored
                exactly, and text tokenised again need not give the same ids. Or completions may
                be longer than the model's positions.
            DataError: A prompt does not fit: told now, and not in the step that meets it.
        """
        if not (engine.capabilities.token_ids and engine.capabilities.sync):
            raise ConfigError(
                f"{type(engine).__name__} cannot train: it gives no token ids or cannot follow "
                "the policy's weights; use the local engine"
            )
        self.order = ProblemOrder(
            problems, num_problems=recipe.rollout.num_problems, seed=recipe.seed
        )
        self.recipe = recipe
        self.prompts = prompts
        self.engine = engine
        self.reward = reward
        self._check_lengths()

    def draw(self, step: int) -> Drawn:
        """Sample ``group_size`` completions of each problem of this step, and score them.

        With ``max_draws`` above 1, problems are drawn again until ``num_problems`` groups have
        completions of different rewards (DAPO's dynamic sampling), or ``max_draws`` times.
        """
        wanted, max_draws = self.recipe.rollout.num_problems, self.recipe.rollout.max_draws
        seen: Counter[str] = Counter()
        groups: list[list[Rollout]] = []
        for turn in range(max_draws):
            # a step has its own places in the order, so that what it takes follows from its number
            problems = self.order.take((step - 1) * max_draws + turn + 1)
            groups += self._groups(problems, step, seen, first=len(groups))
            if max_draws == 1:
                return Drawn([rollout for group in groups for rollout in group])
            if sum(map(_has_spread, groups)) >= wanted:
                break
        teaching = [group for group in groups if _has_spread(group)][:wanted]
        used = {group[0].group for group in teaching}
        return Drawn(
            [rollout for group in teaching for rollout in group],
            [r for group in groups for r in group if r.group not in used],
        )

    def _groups(
        self, problems: Sequence[Problem], step: int, seen: Counter[str], *, first: int
    ) -> list[list[Rollout]]:
        """Sample and score one group a problem, numbered from ``first``."""
        requests = self._requests(problems, step, seen)
        params = SamplingParams(
            temperature=self.recipe.rollout.temperature,
            max_new_tokens=self.recipe.rollout.max_new_tokens,
        )
        completions: dict[int, Completion] = dict(self.engine.sample(requests, params))
        size = self.recipe.rollout.group_size
        ordered = [completions[index] for index in range(len(requests))]
        owners = [problems[index // size] for index in range(len(requests))]
        scores = score(self.reward, owners, requests, ordered)
        rollouts = [
            Rollout(
                problem=owners[index],
                prompt_ids=request.prompt_ids or (),
                completion=ordered[index],
                group=first + index // size,
                policy_version=self.engine.policy_version,
                score=scores[index],
            )
            for index, request in enumerate(requests)
        ]
        return [rollouts[start : start + size] for start in range(0, len(rollouts), size)]

    def _check_lengths(self) -> None:
        limit = self.engine.capabilities.max_positions
        if limit is None:
            return
        room = limit - self.recipe.rollout.max_new_tokens
        if room < 1:
            raise ConfigError(
                f"rollout.max_new_tokens is {self.recipe.rollout.max_new_tokens}: of the model's "
                f"{limit} positions that leaves none for a prompt"
            )
        too_long = [
            problem.id
            for problem, text in ((p, self.prompts.text(p)) for p in self.order.problems)
            # a token covers a byte or more, so that only a long text has to be counted
            if len(text.encode("utf-8", "surrogatepass")) + SPECIAL_TOKENS > room
            and len(self.prompts.ids(text) or ()) > room
        ]
        if too_long:
            raise DataError(
                f"{len(too_long)} prompts, the first that of problem {too_long[0]}, have more than "
                f"the {room} tokens that the model's {limit} positions leave beside "
                f"{self.recipe.rollout.max_new_tokens} new ones; leave them out"
            )

    def _requests(
        self, problems: Sequence[Problem], step: int, seen: Counter[str]
    ) -> list[SampleRequest]:
        size = self.recipe.rollout.group_size
        requests = []
        for problem in problems:
            text = self.prompts.text(problem)
            ids = self.prompts.ids(text)
            # a problem that comes twice in one step gets other samples the second time
            first = seen[problem.id] * size
            seen[problem.id] += 1
            requests += [
                SampleRequest(
                    problem_id=problem.id,
                    sample_index=index,
                    prompt=text,
                    prompt_ids=ids,
                    seed=sample_seed(self.recipe.seed, step, problem.id, index),
                )
                for index in range(first, first + size)
            ]
        return requests


class Demonstrations:
    """Worked solutions of the problems, as if the policy had written them (SFT)."""

    def __init__(
        self,
        recipe: Recipe,
        problems: Sequence[Problem],
        prompts: PromptBuilder,
        engine: Engine,
        reward: ScoresCompletions,
    ) -> None:
        """Take the solutions from ``problem.metadata``; engine and reward are not asked.

        Raises:
            DataError: A problem has no ``solution``.
        """
        for problem in problems:
            if not problem.metadata.get("solution"):
                raise DataError(f"problem {problem.id} has no 'solution' to learn from")
        self.order = ProblemOrder(
            problems, num_problems=recipe.rollout.num_problems, seed=recipe.seed
        )
        self.prompts = prompts

    def draw(self, step: int) -> Drawn:
        """The demonstrations of this step, each ended by the end-of-sequence token."""
        rollouts = []
        for group, problem in enumerate(self.order.take(step)):
            text = str(problem.metadata["solution"])
            prompt_ids = self.prompts.ids(self.prompts.text(problem))
            rollouts.append(
                Rollout(
                    problem=problem,
                    prompt_ids=prompt_ids or (),
                    completion=Completion(
                        text=text, token_ids=self._completion_ids(text), finish_reason="stop"
                    ),
                    group=group,
                    policy_version=step - 1,
                    score=Score(value=1.0, status="correct", reason="demonstration"),
                )
            )
        return Drawn(rollouts)

    def _completion_ids(self, text: str) -> tuple[int, ...]:
        tokenizer = self.prompts.tokenizer
        assert tokenizer is not None, "training always has a tokenizer"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return (*ids, tokenizer.eos_token_id)


def _has_spread(group: Sequence[Rollout]) -> bool:
    values = [r.score.value for r in group if r.score is not None and r.score.value is not None]
    return bool(values) and has_spread(torch.tensor(values, dtype=torch.float64))


def score(
    reward: ScoresCompletions,
    problems: Sequence[Problem],
    requests: Sequence[SampleRequest],
    completions: Sequence[Completion],
) -> list[Score]:
    """Score completions, handing the reward functions every column of the data set."""
    columns = {key for problem in problems for key in problem.metadata}
    metadata = {key: [problem.metadata.get(key) for problem in problems] for key in columns}
    return reward.scores(
        [completion.text for completion in completions],
        **{
            **metadata,
            "answer": [problem.answer for problem in problems],
            "prompts": [request.prompt for request in requests],
            "completion_ids": [list(c.token_ids or ()) for c in completions],
        },
    )
