"""One vLLM server: what is asked of it over HTTP, and what its failures mean."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2

from mathrl.engines.base import SampleRequest, SamplingParams
from mathrl.errors import EngineError

WAITS_S = (0.5, 2.0)
"""Before a broken connection is tried again."""
NEUTRAL = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Said in every request: a server takes other ones from the model's folder by itself."""


class ServerLost(Exception):
    """A server that cannot be used any more; the message says why."""


class Server:
    """One vLLM server, and why it is left out if it is.

    Every method raises ``ServerLost`` where the server is slow, broken or gone, and
    ``EngineError`` where it refuses what it was asked, which another server would refuse too.
    """

    def __init__(self, url: str) -> None:
        """Name a server; nothing is asked of it yet."""
        self.url = url.rstrip("/")
        self.fault = ""
        self._model = ""

    async def meet(self, client: httpx2.AsyncClient) -> int:
        """Learn what it calls its model, and return how many positions that has."""
        answer = await self._get(client, "/v1/models")
        try:
            model = answer["data"][0]
            self._model, limit = str(model["id"]), int(model["max_model_len"])
        except (KeyError, IndexError, TypeError) as error:
            raise ServerLost("it names no model with its max_model_len: is it vLLM's?") from error
        return limit

    async def push(self, client: httpx2.AsyncClient, folder: Path, version: str) -> None:
        """Make it take its weights from a folder, under a new version."""
        if not self._model:  # it was not there when the run began
            await self.meet(client)
        # what the new weights leave out must not pass for new
        await self._post(client, "/weight_checker", {"action": "reset"})
        reload = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        await self._post(client, "/collective_rpc", reload)
        await self._post(client, "/reset_prefix_cache", {})
        await self._post(client, "/update_weight_version", {"new_version": version})

    async def check_version(self, client: httpx2.AsyncClient, version: str) -> None:
        """Refuse it where its weights have another version: it was started again since."""
        found = (await self._get(client, "/weight_info"))["weight_version"]
        if found != version:
            raise ServerLost(f"it has the weights {found!r} and not {version!r}")

    async def complete(
        self,
        client: httpx2.AsyncClient,
        request: SampleRequest,
        params: SamplingParams,
        stop_ids: Sequence[int],
        *,
        has_logprobs: bool,
    ) -> Any:
        """Sample one completion: vLLM's ``choice``, with token ids and, if asked, log-probs."""
        body = {
            **NEUTRAL,
            "model": self._model,
            "prompt": list(request.prompt_ids or ()),
            "temperature": params.temperature,
            "max_tokens": params.max_new_tokens,
            "seed": request.seed,
            "stop": list(params.stop),
            "stop_token_ids": list(stop_ids),
            "logprobs": 0 if has_logprobs else None,
            "return_token_ids": True,
        }
        choice = (await self._post(client, "/v1/completions", body))["choices"][0]
        if choice["finish_reason"] not in ("stop", "length"):
            raise ServerLost(f"it gave up a completion: {choice['finish_reason']}")
        return choice

    async def _get(self, client: httpx2.AsyncClient, path: str) -> Any:
        return await self._answer(client, client.build_request("GET", self.url + path))

    async def _post(self, client: httpx2.AsyncClient, path: str, body: Any) -> Any:
        return await self._answer(client, client.build_request("POST", self.url + path, json=body))

    async def _answer(self, client: httpx2.AsyncClient, request: httpx2.Request) -> Any:
        response = await _sent(client, request)
        told = f"{response.status_code} {' '.join(response.text.split())[:300]}"
        path = request.url.path
        if response.status_code == 404 and path != "/v1/completions":
            raise ServerLost(f"it has no {path}: start it with VLLM_SERVER_DEV_MODE=1")
        if response.is_server_error:
            raise ServerLost(f"{path} failed: {told}")
        if response.is_error:
            raise EngineError(f"{self.url} refuses a request: {told}")
        try:
            return response.json()
        except ValueError as error:
            raise ServerLost(f"{path} answers no JSON: is it vLLM's?") from error


async def _sent(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Send a request, and again where the connection breaks."""
    for wait_s in (*WAITS_S, None):
        try:
            return await client.send(request)
        except httpx2.TransportError as error:
            # what was slow once would be slow again
            if wait_s is None or isinstance(error, httpx2.TimeoutException):
                raise ServerLost(f"{type(error).__name__} {error}".strip()) from error
        await asyncio.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")
