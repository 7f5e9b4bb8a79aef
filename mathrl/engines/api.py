"""Any OpenAI-compatible API: text goes in, text comes back, and every failure has its meaning.

    mathrl eval --task gsm8k --engine api --base-url https://HOST/v1 --model NAME

One request a sample, each with its own seed. What may pass (429, 5xx, time-outs, broken
connections, damaged answers) is asked again after a growing wait; what will not (a refused key,
an unknown model, a bad request) ends the run with one line. What is finished by then is kept.
"""

import hashlib
import json
import random
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal
from anyio.streams.memory import MemoryObjectSendStream

from mathrl.engines.api_config import ApiConfig
from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams
from mathrl.engines.pace import Pace, retry_after_s
from mathrl.engines.wire import (
    PATHS,
    SPENT,
    Dialect,
    NoCompletion,
    body,
    error_words,
    printable,
    read_completion,
)
from mathrl.errors import ConfigError, EngineError
from mathrl.schema import Completion, Usage

if TYPE_CHECKING:
    from mathrl.policy import Policy

CONNECT_S = 10.0
LONGEST_HOLD_S = 900.0
"""A ``Retry-After`` beyond this ends the run: somebody should know."""
MAX_ANSWER_BYTES = 64 * 2**20
"""More is no completion."""
PASSING = frozenset((408, 409, 425, 429))
"""Statuses below 500 that may be another one next time."""

Finished = MemoryObjectSendStream[tuple[int, Completion]]


class Fault(Exception):
    """A request that failed and may succeed next time; the message says how."""


@dataclass(slots=True)
class _Call:
    """One call of ``sample``: what is still to be asked, and what ended it."""

    waiting: deque[tuple[int, SampleRequest]]
    params: SamplingParams
    failure: EngineError | None = None
    idle: set[anyio.CancelScope] = field(default_factory=set)

    def fail(self, error: EngineError) -> None:
        """Ask for nothing more: nobody gets another turn."""
        self.failure = self.failure or error
        for scope in self.idle:
            scope.cancel()

    async def pause(self, wait: Awaitable[None]) -> None:
        """Wait, but not beyond the failure of another request.

        Raises:
            EngineError: The failure of another request.
        """
        with anyio.CancelScope() as scope:
            self.idle.add(scope)
            await wait
        self.idle.discard(scope)
        if self.failure is not None:
            raise self.failure


class ApiEngine:
    """Samples from a model behind an OpenAI-compatible API."""

    policy_version = 0

    def __init__(self, config: ApiConfig, *, pace: Pace | None = None) -> None:
        """Ask nothing yet.

        Args:
            config: Which API, and how hard it may be asked.
            pace: Whose clock counts; one with the limits of ``config`` by default.

        Raises:
            ConfigError: There is no key where one is named.
        """
        self.config = config
        self.usage = Usage()
        self.num_requests = 0
        self.num_retries = 0
        self.dialect = Dialect()
        self._key = config.key()
        self._url = config.base_url.rstrip("/") + PATHS[config.endpoint]
        self._has_answered = False
        self._pace = pace or Pace(
            requests_per_minute=config.requests_per_minute,
            tokens_per_minute=config.tokens_per_minute,
        )

    @property
    def capabilities(self) -> Capabilities:
        """Text alone; a seed is a wish that most APIs promise nothing about."""
        return Capabilities(
            token_ids=False,
            logprobs=False,
            sync=False,
            deterministic=False,
            messages=self.config.endpoint == "chat",
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the address, the model's name and the further fields.

        The address counts, as two hosts may run one name in different precisions; what a host
        changes behind a name, nobody outside can know.
        """
        identity = ["api", self._url, self.config.model, dict(self.config.more)]
        text = json.dumps(identity, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield completions as they finish; see ``Engine.sample``.

        No more are asked than the caller takes: what is finished and not taken yet counts as
        asked, so that little that was paid for is lost with the process.

        Raises:
            EngineError: The API refuses what it is asked, or a request failed too often. All
                completions that were under way then have been yielded before.
        """
        call = _Call(deque(enumerate(requests)), params)
        send, receive = anyio.create_memory_object_stream[tuple[int, Completion]]()
        with send, receive, start_blocking_portal() as portal:
            asking = portal.start_task_soon(self._ask_all, call, send)
            with suppress(anyio.EndOfStream):
                while True:
                    yield portal.call(receive.receive)
            asking.result()

    def sync(self, policy: "Policy", version: int) -> None:
        """Refuse: an API's weights are its own.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("an API cannot follow a policy; train with engine 'local' or 'vllm'")

    def sleep(self) -> None:
        """Nothing to give back."""

    def wake(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Nothing to free: connections live as long as one call."""

    async def _ask_all(self, call: _Call, finished: Finished) -> None:
        num_workers = min(self.config.concurrency, len(call.waiting))
        limits = httpx2.Limits(max_connections=num_workers or 1)
        timeout = httpx2.Timeout(self.config.timeout_s, connect=CONNECT_S, pool=None)
        async with (
            finished,
            httpx2.AsyncClient(timeout=timeout, limits=limits) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(num_workers):
                group.start_soon(self._work, client, call, finished)
        if call.failure is not None:
            raise call.failure

    async def _work(self, client: httpx2.AsyncClient, call: _Call, finished: Finished) -> None:
        """Ask for one completion after another, until none is waiting."""
        while call.waiting:
            index, request = call.waiting.popleft()
            try:
                completion = await self._complete(client, call, request)
            except EngineError as error:
                call.fail(error)
                return
            await finished.send((index, completion))

    async def _complete(
        self, client: httpx2.AsyncClient, call: _Call, request: SampleRequest
    ) -> Completion:
        num_failures = 0
        while True:
            await call.pause(self._pace.turn())
            dialect = self.dialect
            try:
                completion = await self._ask(client, call.params, request, dialect)
            except Fault as fault:
                num_failures += 1
                if num_failures > self.config.max_retries:
                    raise self._error(
                        f"failed {num_failures} times, the last time {fault}"
                    ) from None
            else:
                if completion is not None:
                    return completion
                continue  # refused in this dialect, and another one is known by now
            self.num_retries += 1
            await call.pause(self._pace.back_off(num_failures, random.random()))

    async def _ask(
        self,
        client: httpx2.AsyncClient,
        params: SamplingParams,
        request: SampleRequest,
        dialect: Dialect,
    ) -> Completion | None:
        """Ask once.

        Returns:
            The completion; None where the API refuses the dialect.

        Raises:
            Fault: It may succeed next time.
            EngineError: It will not.
        """
        asked = body(
            request, params, model=self.config.model, dialect=dialect, more=self.config.more
        )
        self.num_requests += 1
        response, data = await self._posted(client, asked)
        if response.is_success:
            return self._taken(data)
        code, message = error_words(data)
        if response.status_code == 400 and "content_filter" in code:
            return Completion(text="", finish_reason="content_filter")
        if response.status_code in (400, 422):
            told = message.replace(self.config.model, "")  # some model is called seed
            if dialect.without(told) != dialect:
                self.dialect = self.dialect.without(told)
                return None
        self._raise(response, code, self._told(message), request)

    async def _posted(
        self, client: httpx2.AsyncClient, asked: Mapping[str, Any]
    ) -> tuple[httpx2.Response, bytes]:
        """Send a request and read the whole answer, in the time that one request has."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        data = bytearray()
        try:
            with anyio.fail_after(self.config.timeout_s):
                async with client.stream(
                    "POST", self._url, json=asked, headers=headers
                ) as response:
                    async for part in response.aiter_bytes():
                        data += part
                        if len(data) > MAX_ANSWER_BYTES:
                            raise Fault(f"with an answer over {MAX_ANSWER_BYTES >> 20} MiB")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            if not self._has_answered:
                why = self._told(str(error)) or type(error).__name__
                raise self._error(f"cannot be reached ({why}): is --base-url right?") from None
            raise Fault(f"as it could not be reached ({self._told(str(error))})") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise Fault(f"without a whole answer in {self.config.timeout_s:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            why = f"{type(error).__name__}: {self._told(str(error))}"
            raise Fault(f"with a broken answer ({why})") from None
        self._has_answered = True
        return response, bytes(data)

    def _taken(self, data: bytes) -> Completion:
        try:
            completion = read_completion(data)
        except NoCompletion as fault:
            raise Fault(f"with {self._told(str(fault))}") from None
        if completion.usage is not None:
            self.usage += completion.usage
            tokens = completion.usage.prompt_tokens + completion.usage.completion_tokens
            self._pace.count_tokens(tokens)
        return completion

    def _raise(
        self, response: httpx2.Response, code: str, message: str, request: SampleRequest
    ) -> NoReturn:
        """Say what a status other than success means."""
        status = response.status_code
        told = f"{status} {message}".strip()
        is_spent = any(word in code for word in SPENT)
        if status >= 500 or (status in PASSING and not is_spent):
            self._hold(retry_after_s(response.headers.get("Retry-After")))
            raise Fault(f"with {told}")
        if status in (401, 403):
            variable = self.config.key_variable
            whose = f"the key in {variable}" if variable else "a request without a key"
            hint = "" if variable else "; name the variable that holds one: --api-key-env NAME"
            raise self._error(f"refuses {whose}{hint} ({told})")
        if status == 404:
            raise self._error(
                f"has no model {self.config.model!r} or no such address: is the name right, and "
                f"does --base-url end in /v1? ({told})"
            )
        if response.is_redirect:
            raise self._error(f"moved; give the new address as --base-url ({told})")
        if is_spent or status == 402:
            raise self._error(f"wants to be paid first ({told})")
        raise self._error(f"refuses problem {request.problem_id} ({told})")

    def _hold(self, wait_s: float | None) -> None:
        if wait_s is None:
            return
        if wait_s > LONGEST_HOLD_S:
            raise self._error(f"wants to be asked again in {wait_s:.0f} s, and not before")
        self._pace.hold(wait_s)

    def _told(self, text: str) -> str:
        """What a server says, fit to be shown: the key goes before a cut could leave half of it.

        A completion is never changed so: a key such as ``0`` stands in many.
        """
        return printable(text.replace(self._key, "***") if self._key else text)

    def _error(self, what: str) -> EngineError:
        return EngineError(f"{self._url} {what}")
