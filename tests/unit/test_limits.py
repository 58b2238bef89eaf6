"""Rate limits in memory, and what is read from the settings."""

import asyncio
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access.limits import RateLimits, client_key, rate_limit_notes
from service.access.verdicts import Verdict
from service.access.windows import MemoryWindows
from service.errors import SettingsError
from service.settings import Settings


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time now."""
        return self.now


def checks(limits: RateLimits, count: int, address: str = "192.0.2.1") -> list[Verdict]:
    async def all_of_them() -> list[Verdict]:
        return await asyncio.gather(*(limits.check("detect", address) for _ in range(count)))

    return asyncio.run(all_of_them())


def test_exactly_the_limit_is_admitted() -> None:
    limits = RateLimits(Settings(rate_limit_detect="20/minute"))
    verdicts = checks(limits, 100)
    assert [verdict.allowed for verdict in verdicts] == [True] * 20 + [False] * 80
    assert [verdict.remaining for verdict in verdicts[:20]] == list(range(19, -1, -1))
    assert {verdict.remaining for verdict in verdicts[20:]} == {0}
    assert {verdict.limit for verdict in verdicts} == {20}
    assert {verdict.reset_seconds for verdict in verdicts} <= {59, 60}
    assert verdicts[-1].rate == "20 per 1 minute"
    assert checks(limits, 1, "192.0.2.2")[0].allowed
    assert asyncio.run(limits.check("mask", "192.0.2.1")).limit == 150


def test_of_several_limits_each_holds_and_the_tightest_is_told() -> None:
    limits = RateLimits(Settings(rate_limit_detect="100/hour; 3/second"))
    verdicts = checks(limits, 5)
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.limit for verdict in verdicts] == [3] * 5
    assert verdicts[-1].reset_seconds == 1
    hour = checks(RateLimits(Settings(rate_limit_detect="2/hour;3/second")), 3)
    assert [(verdict.allowed, verdict.limit) for verdict in hour] == [(True, 2), (True, 2), (False, 2)]
    assert hour[-1].reset_seconds > 3000


def test_addresses_of_version_6_are_limited_by_their_network() -> None:
    assert client_key("192.0.2.1") == "192.0.2.1"
    assert client_key("2001:db8:1:2::5") == client_key("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert client_key("2001:db8:1:3::5") != client_key("2001:db8:1:2::5")
    assert client_key("::1") == "::1"
    assert client_key("unknown") == "unknown"


@given(
    steps=st.lists(st.floats(min_value=0, max_value=40, allow_nan=False), min_size=1, max_size=120),
    limit=st.integers(min_value=1, max_value=12),
)
def test_no_window_ever_holds_more_than_the_limit(steps: list[float], limit: int) -> None:
    clock, expiry = Clock(), 60
    windows = MemoryWindows(clock)

    async def run() -> None:
        admitted: list[float] = []
        for step in steps:
            clock.now += step
            allowed = await windows.acquire_entry("key", limit, expiry)
            recent = sum(time > clock.now - expiry for time in admitted)
            # A little late is allowed, early never is.
            surely_recent = sum(time > clock.now - expiry * (1 + 1 / 500) for time in admitted)
            if allowed:
                assert recent < limit
                admitted.append(clock.now)
            else:
                assert surely_recent >= limit

    asyncio.run(run())


def test_memory_is_bounded_however_many_addresses_come() -> None:
    clock = Clock()
    windows = MemoryWindows(clock, max_keys=100)

    async def run() -> None:
        for number in range(1000):
            clock.now += 0.001
            await windows.acquire_entry("kept", 300, 60)
            assert await windows.acquire_entry(f"address {number}", 300, 60)
            assert len(windows) <= 100
        # Who keeps coming is not forgotten.
        assert (await windows.get_moving_window("kept", 300, 60))[1] == 300
        clock.now += 61
        for number in range(60):
            await windows.acquire_entry(f"late {number}", 300, 60)
        assert len(windows) == 60
        # One key with a vast limit is no list of every hit.
        for _ in range(20_000):
            clock.now += 0.002
            await windows.acquire_entry("busy", 1_000_000, 60)
        assert (await windows.get_moving_window("busy", 1_000_000, 60))[1] == 20_000
        assert len(windows._windows[60]["busy"].times) < 1100

    asyncio.run(run())


@pytest.mark.alone
def test_a_check_costs_little() -> None:
    limits = RateLimits(Settings(rate_limit_detect="1000000/minute"))

    async def run() -> float:
        best = float("inf")
        for batch in range(20):
            started = perf_counter()
            for number in range(200):
                await limits.check("detect", f"192.0.{batch}.{number}")
            best = min(best, (perf_counter() - started) / 200)
        return best

    # The quietest of the batches: what is measured is the code, not the machine's other work.
    assert asyncio.run(run()) < 50e-6


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379/2",
        "redis://user:p%40ss@host:6379",
        "rediss://:secret@host",
        "valkey://host",
        "valkeys://host:6380/0",
        "unix:///run/redis.sock",
        "redis://[::1]:6379",
    ],
)
def test_urls_that_are_understood(url: str) -> None:
    assert rate_limit_notes(Settings(redis_url=url, workers=4)) == []
    assert RateLimits(Settings(redis_url=url)).warning() is None


@pytest.mark.parametrize(
    "url",
    [
        "host:6379",
        "http://host",
        "redis://",
        "redis:///0",
        "redis://:s3cret@host:0",
        "redis://:s3cret@host:port",
        "redis://:s3cret@host:99999",
        "redis://:s3cret@host/name",
        "redis://user:s3cret#more@host",
        "redis://user:1/s3cret@host",
        "redis://:s3cret@[::1",
        "redis://:s3cret@host?no_such_option=1",
        "redis://:s3cret@host?socket_timeout=soon",
        "unix://",
    ],
)
def test_malformed_urls_are_told_in_one_line_without_the_password(url: str) -> None:
    for read in (rate_limit_notes, RateLimits):
        with pytest.raises(SettingsError) as caught:
            read(Settings(redis_url=url))
        assert caught.value.detail.startswith("FACE_API_REDIS_URL is malformed: expected redis://")
        assert "s3cret" not in caught.value.detail
        assert "\n" not in caught.value.detail


def test_several_processes_without_a_shared_server_are_told() -> None:
    assert rate_limit_notes(Settings()) == []
    [note] = rate_limit_notes(Settings(workers=4))
    assert "per process" in note
    assert "FACE_API_REDIS_URL" in note
