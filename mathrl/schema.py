"""The data that crosses module borders: frozen, plain, free of heavy imports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "content_filter"]
"""``stop``: the model ended by itself; ``length``: it was cut at the token limit;
``content_filter``: an API withheld the rest, or all of it."""

Status = Literal[
    "correct",
    "wrong",
    "no_answer",
    "unparseable",
    "undecided",
    "timeout",
    "limit",
    "gold_unparseable",
]
"""The grader's verdict in one word; only ``gold_unparseable`` is not the model's doing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One question with its known answer.

    ``prompt`` is the bare question; a ``PromptBuilder`` turns it into what a model reads.
    ``metadata`` keeps whatever else the data set says (``solution``, ``level``, ``subject``).
    """

    id: str
    prompt: str
    answer: str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens that an API counted; ``completion_tokens`` include the ``reasoning_tokens``."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    def cost(self, price_in: float, price_out: float) -> float:
        """What the tokens cost, at prices for a million tokens of the prompt and completion."""
        return (self.prompt_tokens * price_in + self.completion_tokens * price_out) / 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What a policy wrote for one prompt.

    ``token_ids`` are the sampled ids, the end-of-sequence id included where one was sampled;
    ``logprobs`` their log-probabilities under the sampling distribution (temperature applied).
    Recorded files and text-only servers have neither; trainers refuse that. An API may tell the
    ``reasoning`` that came before the text, which is never graded, and count tokens (``usage``).
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: FinishReason | None = None
    reasoning: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A grader's verdict on one completion.

    ``value`` is the reward, or None for "no verdict": something the model did not cause, left
    out of every statistic and every update. ``prediction`` is the answer that was extracted,
    ``tier`` the tier that decided, ``reason`` why, ``parts`` the named parts of a combined
    reward, ``steps`` the scores of single steps, ``cue`` how the answer was found (``box``,
    ``hashes``, ``phrase``, ..., ``last_value``).
    """

    value: float | None
    status: Status
    prediction: str | None = None
    tier: int | None = None
    reason: str = ""
    parts: Mapping[str, float | None] = field(default_factory=dict)
    steps: tuple[float, ...] | None = None
    cue: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One completion in a training batch.

    ``prompt_ids`` is the prompt as the policy read it, ``group`` numbers the problem's group
    within the step (completions of one group are compared with each other), ``policy_version``
    counts the training steps that the sampling policy had seen. ``score`` is None before it
    is scored.
    """

    problem: Problem
    prompt_ids: tuple[int, ...]
    completion: Completion
    group: int
    policy_version: int
    score: Score | None = None
