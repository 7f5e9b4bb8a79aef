"""When an API may be asked again: limits a minute, waits after a failure, and ``Retry-After``."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite

import anyio

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""The wait doubles from one failure of a request to the next."""


class Pace:
    """The turns of one process at one API."""

    def __init__(
        self,
        *,
        requests_per_minute: float = 0.0,
        tokens_per_minute: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Set the limits; 0 is none.

        Args:
            requests_per_minute: Turns are spread evenly: also a second has its share alone.
            tokens_per_minute: Tokens are known once an answer is there, and are paid off by later
                turns: what is in flight when a run begins comes on top.
            clock: Seconds that never go back.
            sleep: Waits that many seconds.
        """
        self._turn_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._token_s = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next_turn = clock()
        self._held_until = clock()

    async def turn(self) -> None:
        """Wait for the next turn."""
        start = max(self._next_turn, self._clock())
        self._next_turn = start + self._turn_s
        while (wait_s := max(start, self._held_until) - self._clock()) > 0:
            await self._sleep(wait_s)

    def count_tokens(self, num_tokens: int) -> None:
        """Put off the turns to come by what an answer took."""
        self._next_turn = max(self._next_turn, self._clock()) + num_tokens * self._token_s

    def hold(self, wait_s: float) -> None:
        """Give nobody a turn for so long: the API asked for it."""
        self._held_until = max(self._held_until, self._clock() + wait_s)

    async def back_off(self, num_failures: int, jitter: float) -> None:
        """Wait after a request has failed so many times; see ``backoff_s``."""
        await self._sleep(backoff_s(num_failures, jitter))


def backoff_s(num_failures: int, jitter: float) -> float:
    """How long to wait after a request has failed, in seconds.

    Args:
        num_failures: 1 or more.
        jitter: In [0, 1]; spreads requests that failed together over half of the wait.
    """
    doublings = min(num_failures - 1, 10)  # 2.0 ** 10000 is no float
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**doublings) * (0.5 + 0.5 * jitter)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header: seconds or a date.

    Returns:
        Seconds from now, 0 or more; None where the header is absent or says neither.

    Source: RFC 9110, section 10.2.3.
    """
    if header is None:
        return None
    try:
        wait_s = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (ValueError, OverflowError):  # the latter for a time zone of many digits
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        wait_s = (aware - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, wait_s) if isfinite(wait_s) else None
