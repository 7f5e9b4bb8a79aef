"""When an API is asked again, on a clock of the test's own."""

from datetime import UTC, datetime

import anyio
import pytest

from mathrl.engines.pace import Pace, backoff_s, retry_after_s
from tests.engines.fake_clock import Clock

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock(now=100.0)


def turns(pace, clock, number):
    """When each of so many turns comes, in seconds from now."""
    begin, found = clock.now, []

    async def take():
        for _ in range(number):
            await pace.turn()
            found.append(clock.now - begin)

    anyio.run(take)
    return found


def test_without_limits_nobody_waits(clock):
    assert turns(Pace(clock=clock, sleep=clock.sleep), clock, 3) == [0, 0, 0]


def test_requests_a_minute_are_spread_evenly(clock):
    pace = Pace(requests_per_minute=30, clock=clock, sleep=clock.sleep)
    assert turns(pace, clock, 4) == [0, 2, 4, 6]


def test_a_pause_saves_up_no_turns(clock):
    pace = Pace(requests_per_minute=30, clock=clock, sleep=clock.sleep)
    turns(pace, clock, 1)
    clock.now += 60
    assert turns(pace, clock, 3) == [0, 2, 4]


def test_tokens_are_paid_off_by_the_turns_after_them(clock):
    pace = Pace(tokens_per_minute=600, clock=clock, sleep=clock.sleep)
    assert turns(pace, clock, 1) == [0]
    pace.count_tokens(50)  # 10 tokens a second
    assert turns(pace, clock, 2) == [5, 5]


def test_a_hold_is_everybodys(clock):
    pace = Pace(clock=clock, sleep=clock.sleep)
    pace.hold(7)
    pace.hold(3)  # a shorter one changes nothing
    assert turns(pace, clock, 2) == [7, 7]


def test_a_hold_that_comes_while_a_turn_is_awaited_counts(clock):
    pace = Pace(requests_per_minute=60, clock=clock, sleep=clock.sleep)
    turns(pace, clock, 1)
    sleep = clock.sleep

    async def held(seconds):
        if len(clock.slept) == 0:
            pace.hold(9)
        await sleep(seconds)

    pace._sleep = held
    assert turns(pace, clock, 1) == [9]


def test_waits_double_up_to_a_minute():
    assert [backoff_s(n, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff_s(100_000, 1.0) == 60


def test_jitter_takes_off_up_to_a_half():
    assert [backoff_s(3, jitter) for jitter in (0.0, 0.5, 1.0)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("12", 12.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
        ("Mon, 01 Jan 2024 00:00:00 +9900", None),
        ("9" * 500, None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, expected):
    assert retry_after_s(header, NOW) == expected
