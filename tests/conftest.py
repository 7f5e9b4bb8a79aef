"""Fakes that every test may use."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from mathrl.engines import Capabilities, SampleRequest, SamplingParams
from mathrl.schema import Completion, Problem

# two workers on two cores: threads of their own would only wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")

# pytest-xdist gives its workers a width of its own; a test that minds the width sets it
os.environ.pop("COLUMNS", None)

Answer = Callable[[SampleRequest], str]


class FakeEngine:
    """Answers from a function, records what it was asked, and can die on the way."""

    capabilities = Capabilities(token_ids=False, logprobs=False, sync=False, deterministic=True)
    policy_version = 0

    def __init__(
        self, answer: Answer, *, fingerprint: str = "fake", die_after: int | None = None
    ) -> None:
        self.answer = answer
        self.fingerprint = fingerprint
        self.die_after = die_after
        self.asked: list[SampleRequest] = []

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        # Last request first: an engine promises no order.
        for count, index in enumerate(reversed(range(len(requests)))):
            if count == self.die_after:
                raise KeyboardInterrupt
            self.asked.append(requests[index])
            yield index, Completion(text=self.answer(requests[index]), finish_reason="stop")

    def sync(self, policy: Any, version: int) -> None:
        raise NotImplementedError

    def sleep(self) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def problems() -> list[Problem]:
    """Ten problems whose answers are 0 to 9."""
    return [Problem(id=f"p{i}", prompt=f"What is {i}?", answer=str(i)) for i in range(10)]
