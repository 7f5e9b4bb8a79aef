"""What goes to an OpenAI-compatible API and what comes back: pure functions on JSON.

Source: the API reference of OpenAI (chat completions, completions), and where others differ:
``reasoning_content`` (DeepSeek, vLLM) or ``reasoning`` (OpenRouter, vLLM) beside the content.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mathrl.engines.base import SampleRequest, SamplingParams
from mathrl.schema import Completion, FinishReason, Usage

Endpoint = Literal["chat", "completions"]
PATHS: dict[Endpoint, str] = {"chat": "/chat/completions", "completions": "/completions"}
OWN_FIELDS = frozenset(
    ("model", "messages", "prompt", "n", "seed", "temperature", "stop", "stream", "max_tokens")
) | {"max_completion_tokens"}
"""Fields that follow from a run's own options."""

SEED_BITS = 31
"""Some APIs read a seed as a 32-bit integer and refuse a larger one."""

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
CALLS = ("tool_calls", "function_call")
"""What a message may hold in place of content."""
GIVEN_UP = ("error", "abort")
"""Finish reasons of a completion that its server did not bring to an end."""
SPENT = ("insufficient_quota", "credit_balance", "billing", "spend_limit")
"""Words in the code of a 429 that no waiting helps."""
TOLD_CHARACTERS = 300
MAX_TOKENS = 10**9
"""No request takes more; a count above it counts as this, so that sums stay within a float."""


class NoCompletion(Exception):
    """An answer that holds no completion; the message says what it is instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """Where APIs differ; it is learnt from what one refuses."""

    cap_field: str = "max_tokens"
    """Newer OpenAI models refuse this name and older servers ignore the newer one."""
    has_seed: bool = True

    def without(self, told: str) -> "Dialect":
        """The dialect that avoids what a refusal names; itself where it names nothing known."""
        dialect = self
        if "max_tokens" in told and "max_completion_tokens" in told:
            dialect = replace(dialect, cap_field="max_completion_tokens")
        if re.search(r"\b(random_)?seed\b", told):
            dialect = replace(dialect, has_seed=False)
        return dialect


def body(
    request: SampleRequest,
    params: SamplingParams,
    *,
    model: str,
    dialect: Dialect,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """What is posted for one sample: never ``n``, so that every sample has a seed of its own."""
    asked: dict[str, Any] = {
        **more,
        "model": model,
        "temperature": params.temperature,
        dialect.cap_field: params.max_new_tokens,
    }
    if request.messages is None:
        asked["prompt"] = request.prompt
    else:
        asked["messages"] = [asdict(message) for message in request.messages]
    if dialect.has_seed:
        asked["seed"] = request.seed % 2**SEED_BITS
    if params.stop:
        asked["stop"] = list(params.stop)
    return asked


def read_completion(data: bytes) -> Completion:
    """Read the answer to one request.

    Raises:
        NoCompletion: It is damaged, an error, or something else; the message repeats it whole.
    """
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise NoCompletion(f"no JSON: {data.decode(errors='replace')!r}") from None
    if isinstance(answer, dict) and answer.get("error"):
        raise NoCompletion(f"an error: {json.dumps(answer['error'])}")
    try:
        choice = answer["choices"][0]
        reason = choice.get("finish_reason")
        said = choice["message"] if "message" in choice else {"content": choice["text"]}
        text = said.get("content")  # some servers leave out what is null
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        is_call = any(said.get(part) for part in CALLS)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise NoCompletion(f"no choice: {json.dumps(answer)}") from None
    if reason in GIVEN_UP:
        raise NoCompletion(f"a completion that was given up ({reason})")
    if not isinstance(text, str | None):
        raise NoCompletion(f"content that is no text: {json.dumps(text)}")
    completion = Completion(
        text=text or "",
        finish_reason=FINISH_REASONS.get(reason) if isinstance(reason, str) else None,
        reasoning=reasoning if isinstance(reasoning, str) else None,
        usage=_usage(answer.get("usage")),
    )
    if text is None and not (is_call or _explains_silence(completion)):
        raise NoCompletion("null for content, and nothing that says why")
    return completion


def _explains_silence(completion: Completion) -> bool:
    """A text may be missing as it was withheld, cut, only reasoning, or over with one token."""
    return (
        completion.finish_reason in ("length", "content_filter")
        or bool(completion.reasoning)
        or (completion.usage is not None and completion.usage.completion_tokens > 0)
    )


def _usage(counted: object) -> Usage | None:
    """The tokens that an answer says it took; None where it says nothing readable."""
    if not isinstance(counted, dict):
        return None
    details = counted.get("completion_tokens_details")
    found = Usage(
        prompt_tokens=_count(counted.get("prompt_tokens")),
        completion_tokens=_count(counted.get("completion_tokens")),
        reasoning_tokens=_count(
            details.get("reasoning_tokens") if isinstance(details, dict) else None
        ),
    )
    return found if found != Usage() else None


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return min(max(0, value), MAX_TOKENS)


def error_words(data: bytes) -> tuple[str, str]:
    """The code and the message of an error, in whatever form an API gives them.

    Returns:
        ``(code, message)`` as they came; the code is empty where there is none.
    """
    text = data.decode(errors="replace")
    try:
        error = json.loads(text)
    except (ValueError, RecursionError):
        return "", text
    if isinstance(error, dict):
        error = error.get("error") or error
    if not isinstance(error, dict):
        return "", str(error)
    code = f"{error.get('code') or ''} {error.get('type') or ''}".strip()
    message = error.get("message") or error.get("detail") or text
    return code, message if isinstance(message, str) else json.dumps(message)


def printable(text: str) -> str:
    """Text of a server on one short line, without what would steer a terminal."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 10 * TOLD_CHARACTERS])
    return " ".join(shown.split())[:TOLD_CHARACTERS]
