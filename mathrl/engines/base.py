"""The engine contract: who samples completions, whatever runs underneath.

Evals and trainers know only this page. An engine takes flat requests, each with a seed of its
own, and streams completions as they finish, so a result depends on its request alone and never
on batch size, order or the number of processes (up to the rounding of the arithmetic).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mathrl.errors import ConfigError, DataError
from mathrl.schema import Completion, Message

if TYPE_CHECKING:
    from mathrl.policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """One completion asked of an engine.

    ``prompt`` is the rendered text and ``prompt_ids`` its token ids (None for engines that read
    text alone); ``messages`` is the same prompt as turns, for engines that read those instead;
    ``sample_index`` tells apart the samples of one problem.
    """

    problem_id: str
    sample_index: int
    prompt: str
    prompt_ids: tuple[int, ...] | None
    seed: int
    messages: tuple[Message, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How to sample.

    Completions are drawn from the full softmax of ``logits / temperature``: what training can
    score exactly. ``temperature`` 0 is greedy. ``stop`` strings end a completion and are cut.
    """

    temperature: float = 1.0
    max_new_tokens: int = 1024
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:
            raise ConfigError(f"temperature must be between 0 and 100, got {self.temperature}")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")
        if any(not text for text in self.stop):
            raise ConfigError("a stop string must not be empty")


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What an engine can do; a caller that needs more says so before any work is done."""

    token_ids: bool
    """Prompts go in as ids and completions come back with ids."""
    logprobs: bool
    """Completions carry the log-probs of the sampling distribution."""
    sync: bool
    """``sync`` makes the engine sample from a policy's newest weights."""
    deterministic: bool
    """The same requests give the same completions."""
    max_positions: int | None = None
    """Most tokens of prompt and completion together; None: no limit is known."""
    messages: bool = False
    """Prompts go in as messages, and the other side puts them in its own chat template."""

    @classmethod
    def for_training(cls, *, deterministic: bool, max_positions: int | None) -> "Capabilities":
        """All that a trainer needs: ids, log-probs and weights that follow the policy's."""
        return cls(
            token_ids=True,
            logprobs=True,
            sync=True,
            deterministic=deterministic,
            max_positions=max_positions,
        )


class Engine(Protocol):
    """Samples completions from one policy."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""

    @property
    def fingerprint(self) -> str:
        """Hash of what samples: two engines that share it sample from the same distribution."""

    @property
    def policy_version(self) -> int:
        """Number of training steps that the sampled policy has seen."""

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index into requests, completion)`` as each finishes, in any order.

        Closing the iterator abandons what is still in flight.
        """

    def sync(self, policy: "Policy", version: int) -> None:
        """Sample from this policy's current weights from now on."""

    def sleep(self) -> None:
        """Give back memory while the trainer works; ``wake`` must follow before ``sample``."""

    def wake(self) -> None:
        """Take back what ``sleep`` released."""

    def close(self) -> None:
        """Free everything; the engine is not used again."""


def checked_prompt(
    request: SampleRequest, params: SamplingParams, max_positions: int | None
) -> tuple[int, ...]:
    """The prompt's ids, where they fit together with their completion.

    Raises:
        DataError: There are none, or too many.
    """
    problem, ids = request.problem_id, request.prompt_ids
    if not ids:
        raise DataError(f"problem {problem}: the prompt is empty or has no token ids")
    if max_positions is not None and len(ids) + params.max_new_tokens > max_positions:
        raise DataError(
            f"problem {problem}: {len(ids)} prompt tokens and {params.max_new_tokens} new ones do "
            f"not fit the model's {max_positions} positions; lower max_new_tokens or leave the "
            "problem out"
        )
    return ids


def sample_seed(seed: int, step: int, problem_id: str, sample_index: int) -> int:
    """Derive one sample's seed from what identifies it, and from nothing else.

    Returns:
        An integer in [0, 2**63), independent of batch size, world size and order.
    """
    key = f"{seed}\0{step}\0{problem_id}\0{sample_index}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
