"""vLLM behind one address or several: they share the work, and each has weights of its own.

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs

A server takes a step's weights from a folder that it must see under the same path. One that fails
a request is left out, and what it was asked goes to another; the next push of weights is its way
back in. Every server carries the version of its weights, so that one that was started again in
between is found out.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

from mathrl.engines.base import Capabilities, SampleRequest, SamplingParams, checked_prompt
from mathrl.engines.choice import EngineConfig
from mathrl.engines.decode import decode_completion
from mathrl.engines.probe import check_weights
from mathrl.engines.server import Server, ServerLost
from mathrl.errors import EngineError
from mathrl.policy import Policy, save_policy
from mathrl.schema import Completion

CONNECTIONS = 256
"""Requests that one server is asked at a time: as many as vLLM batches by default."""
CONNECT_S = 10.0
"""A server that does not take a connection in this time is lost."""


class ServedEngine:
    """Samples through vLLM servers; ``sync`` must give them weights before the first sample."""

    def __init__(
        self,
        policy: Policy,
        config: EngineConfig,
        folder: Path,
        *,
        is_pusher: bool = True,
        has_logprobs: bool = True,
    ) -> None:
        """Meet the servers.

        Args:
            policy: Whose tokenizer and stop ids count.
            config: Addresses and limits.
            folder: Where the weights are put for the servers.
            is_pusher: Of several ranks, the one that hands out weights.
            has_logprobs: Off, no log-probs are asked for and pushed weights are not probed.

        Raises:
            EngineError: No server answers.
        """
        self.policy = policy
        self.policy_version = 0
        self.config = config
        self.folder = folder.absolute()
        self.is_pusher = is_pusher
        self.has_logprobs = has_logprobs
        self.servers = [Server(url) for url in config.urls]
        limits = self._at_all(self.servers, Server.meet)
        self.max_positions = min(
            config.max_positions, policy.max_positions or config.max_positions, *limits
        )

    @property
    def capabilities(self) -> Capabilities:
        """Everything but the same bits twice: its kernels depend on the batch."""
        found = Capabilities.for_training(deterministic=False, max_positions=self.max_positions)
        return replace(found, logprobs=self.has_logprobs)

    @property
    def fingerprint(self) -> str:
        """Hash of the weights that were pushed last."""
        return self.policy.fingerprint()

    @property
    def version(self) -> str:
        """What a server with the newest weights of this run calls them."""
        return f"{self.folder}@{self.policy_version}"

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        """Yield completions as they finish; see ``Engine.sample``.

        Raises:
            DataError: A prompt with its completion does not fit.
            EngineError: Every server is lost, or one refuses a request.
        """
        for request in requests:
            checked_prompt(request, params, self.max_positions)
        self._at_all(self._used(), partial(Server.check_version, version=self.version))
        yield from self._sample(self._used(), requests, params)

    def sync(self, policy: Policy, version: int) -> None:
        """Hand the policy's weights to every server, those that were lost before among them.

        Raises:
            EngineError: No server took them, or one then samples from others.
        """
        self.policy, self.policy_version = policy, version
        for server in self.servers:
            server.fault = ""
        if not self.is_pusher:
            return
        save_policy(policy, self.folder)
        push = partial(Server.push, folder=self.folder, version=self.version)
        self._at_all(self.servers, push)
        for server in self._used() if self.has_logprobs else ():
            self._probe(server)
        if not self._used():
            raise self._all_lost()

    def sleep(self) -> None:
        """Nothing to give back: a server has its own memory."""

    def wake(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Nothing to free: connections live as long as one call."""

    def _used(self) -> list[Server]:
        return [server for server in self.servers if not server.fault]

    def _sample(
        self, servers: list[Server], requests: Sequence[SampleRequest], params: SamplingParams
    ) -> Iterator[tuple[int, Completion]]:
        homes = _homes(requests, servers)
        with self._portal() as (portal, client):
            futures = {
                portal.start_task_soon(
                    self._complete, client, [home, *servers], request, params
                ): index
                for index, (request, home) in enumerate(zip(requests, homes, strict=True))
            }
            for future in as_completed(futures):
                yield futures[future], future.result()

    def _probe(self, server: Server) -> None:
        try:
            sample = partial(self._sample, [server])
            check_weights(sample, self.policy, max_gap=self.config.max_probe_gap)
        except EngineError:
            if not server.fault:  # its weights are wrong; one that is lost is only left out
                raise

    async def _complete(
        self,
        client: httpx2.AsyncClient,
        servers: list[Server],
        request: SampleRequest,
        params: SamplingParams,
    ) -> Completion:
        """Ask the first server, and where that is lost, any other."""
        for server in servers:
            if server.fault:
                continue
            try:
                choice = await server.complete(
                    client,
                    request,
                    params,
                    sorted(self.policy.stop_ids),
                    has_logprobs=self.has_logprobs,
                )
            except ServerLost as loss:
                server.fault = str(loss)
                continue
            ids = tuple(choice["token_ids"])
            logprobs = None
            if self.has_logprobs:
                logprobs = tuple(choice["logprobs"]["token_logprobs"])
                if params.temperature == 0:
                    logprobs = (0.0,) * len(ids)
            return Completion(
                text=decode_completion(self.policy, ids, params.stop),
                token_ids=ids,
                logprobs=logprobs,
                finish_reason=choice["finish_reason"],
            )
        raise self._all_lost()

    def _at_all(self, servers: list[Server], work: Callable[..., Awaitable[Any]]) -> list[Any]:
        """Do something at several servers at a time.

        Returns:
            The results of those that did it; the others are left out from now on.

        Raises:
            EngineError: None did.
        """
        results = []
        with self._portal() as (portal, client):
            futures = [portal.start_task_soon(work, server, client) for server in servers]
            for server, future in zip(servers, futures, strict=True):
                try:
                    results.append(future.result())
                except ServerLost as loss:
                    server.fault = str(loss)
        if not results:
            raise self._all_lost()
        return results

    @contextmanager
    def _portal(self) -> Iterator[tuple[BlockingPortal, httpx2.AsyncClient]]:
        """Connections that are worked on beside this thread; an error or Ctrl-C drops them."""
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self._client()) as client,
        ):
            yield portal, client

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx2.AsyncClient]:
        timeout = httpx2.Timeout(self.config.timeout_s, connect=CONNECT_S, pool=None)
        limits = httpx2.Limits(max_connections=CONNECTIONS * len(self.servers))
        async with httpx2.AsyncClient(timeout=timeout, limits=limits) as client:
            yield client

    def _all_lost(self) -> EngineError:
        faults = "; ".join(f"{server.url}: {server.fault}" for server in self.servers)
        return EngineError(f"no vLLM server is left ({faults})")


def _homes(requests: Sequence[SampleRequest], servers: Sequence[Server]) -> list[Server]:
    """The server that each request goes to first: groups in turn, for their shared prompts."""
    places: dict[Any, int] = {}
    return [
        servers[places.setdefault(request.prompt_ids, len(places)) % len(servers)]
        for request in requests
    ]
