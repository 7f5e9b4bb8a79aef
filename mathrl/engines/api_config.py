"""Which API samples, and how hard it may be asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mathrl.engines.wire import OWN_FIELDS, Endpoint
from mathrl.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiConfig:
    """Which API, and how hard it may be asked."""

    base_url: str
    """Up to and with ``/v1``."""
    model: str
    """The API's name for it."""
    endpoint: Endpoint = "chat"
    """``chat`` sends messages, ``completions`` rendered text."""
    key_variable: str | None = None
    """Environment variable with the key; None sends none."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request, such as ``reasoning_effort``."""
    concurrency: int = 16
    """Requests at a time."""
    requests_per_minute: float = 0.0
    """0: no limit."""
    tokens_per_minute: float = 0.0
    """Of prompts and completions together; 0: no limit."""
    timeout_s: float = 600.0
    """For one request, from its turn to its whole answer."""
    max_retries: int = 8
    """How often a request is asked again; eight waits take two or three minutes together."""

    def __post_init__(self) -> None:
        url = _split(self.base_url)
        own = sorted(OWN_FIELDS & self.more.keys())
        checks = [
            (
                url.scheme in ("http", "https") and url.hostname,
                f"base_url must be like https://host/v1, got {self.base_url!r}",
            ),
            (
                not (url.username or url.password or url.query or url.fragment),
                "base_url must hold no name, password or query: it is stored with the run",
            ),
            (self.model, "model must name one of the API's models"),
            (not own, f"{', '.join(own)} follow from a run's own options"),
            (self.concurrency >= 1, f"concurrency must be 1 or more, got {self.concurrency}"),
            (
                self.requests_per_minute >= 0 and self.tokens_per_minute >= 0,
                "a limit a minute must be 0 (none) or more",
            ),
            (self.timeout_s > 0, f"timeout_s must be above 0, got {self.timeout_s}"),
            (self.max_retries >= 0, f"max_retries must be 0 or more, got {self.max_retries}"),
        ]
        for is_right, message in checks:
            if not is_right:
                raise ConfigError(f"api: {message}")

    def key(self) -> str:
        """The key, which exists nowhere but in the environment and in what is sent.

        Raises:
            ConfigError: The variable is not set, or holds something that no header can.
        """
        if self.key_variable is None:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise ConfigError(
                "--api-key-env must name an environment variable that holds the key (the name, "
                "not the key itself), and what it names is not set"
            )
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"the key in {self.key_variable} holds characters that no key has")
        return key


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - read so that a wrong one is found here
    except ValueError:
        return urlsplit("")
    return parts
