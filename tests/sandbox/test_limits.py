"""Rate limits are counted as the broker counts: by calendar second, minute and day, per key or account."""

import datetime as dt

import pytest
from kiteconnect import KiteConnect

from sandbox.errors import KiteError
from sandbox.limits import Limits
from sandbox.settings import Settings
from tests.sandbox.conftest import connect
from tests.sandbox_server import SandboxServer

TODAY = dt.date(2026, 11, 25)


class Wall:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


def limits(wall: Wall, **changes: object) -> Limits:
    settings = Settings()
    settings.change(changes)
    return Limits(settings=settings, seed=1, wall=wall)


def test_a_calendar_second_is_the_unit(wall: Wall) -> None:
    counter = limits(wall)
    wall.now += 0.9
    counter.check_call(kind="quote", api_key="a")
    wall.now += 0.2

    counter.check_call(kind="quote", api_key="a")

    with pytest.raises(KiteError) as refused:
        counter.check_call(kind="quote", api_key="a")
    assert (refused.value.status, refused.value.message) == (429, "Too many requests")


def test_keys_are_counted_apart(wall: Wall) -> None:
    counter = limits(wall)
    counter.check_call(kind="quote", api_key="a")

    counter.check_call(kind="quote", api_key="b")


def test_the_skew_moves_the_second(wall: Wall) -> None:
    counter = limits(wall, limit_skew_seconds=0.5)
    wall.now += 0.4
    counter.check_call(kind="quote", api_key="a")
    wall.now += 0.2

    counter.check_call(kind="quote", api_key="a")


def decisions(wall: Wall, *, seed: int, jitter: float) -> list[bool]:
    """Return which of 60 calls are let through while the clock stands in the middle of a second."""
    wall.now = 1_000_000.5
    settings = Settings(limit_jitter_seconds=jitter)
    counter = Limits(settings=settings, seed=seed, wall=wall)
    found = []
    for _ in range(60):
        try:
            counter.check_call(kind="other", api_key="a")
        except KiteError:
            found.append(False)
        else:
            found.append(True)
    return found


def test_jitter_blurs_the_second_by_the_seed(wall: Wall) -> None:
    assert decisions(wall, seed=1, jitter=0.0) == [True] * 10 + [False] * 50
    assert decisions(wall, seed=1, jitter=0.4) == [True] * 10 + [False] * 50
    blurred = decisions(wall, seed=1, jitter=0.7)
    assert sum(blurred) > 10
    assert blurred == decisions(wall, seed=1, jitter=0.7)
    assert blurred != decisions(wall, seed=2, jitter=0.7)


@pytest.mark.parametrize(
    ("changes", "step", "allowed"),
    [({}, 0.0, 10), ({"orders_per_minute": 15}, 1.0, 15), ({"orders_per_day": 20, "orders_per_minute": 99}, 1.0, 20)],
    ids=["second", "minute", "day"],
)
def test_orders_have_a_second_a_minute_and_a_day(
    wall: Wall, changes: dict[str, object], step: float, allowed: int
) -> None:
    wall.now = 999_960.0
    counter = limits(wall, **changes)
    accepted = 0

    for _ in range(40):
        try:
            counter.check_order(user_id="u", today=TODAY)
            accepted += 1
        except KiteError:
            break
        wall.now += step

    assert accepted == allowed


def test_switched_off_limits_count_nothing(wall: Wall) -> None:
    counter = limits(wall, limits=False)

    for _ in range(100):
        counter.check_call(kind="quote", api_key="a")

    assert counter.refused == 0


def test_the_running_exchange_throttles(sandbox: SandboxServer) -> None:
    client = connect(sandbox)

    with pytest.raises(Exception, match="Too many requests") as refused:
        _call_often(client)

    assert getattr(refused.value, "code", None) == 429


def _call_often(client: KiteConnect) -> None:
    for _ in range(25):
        client.profile()
