"""How many requests a caller may send."""

from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import User
from accounts.rates import Allowance, RequestRates
from tests.factories import principal

SLOW = Allowance(per_second=0.01, burst=3)
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def rates(settings: Any, clean_redis: Redis) -> RequestRates:
    return RequestRates(url=settings.REDIS_URL)


@pytest.fixture(params=["shared", "alone"])
def either(request: pytest.FixtureRequest, settings: Any, clean_redis: Redis) -> RequestRates:
    """Return counters that reach Redis, and counters that do not."""
    return RequestRates(url=settings.REDIS_URL if request.param == "shared" else NOWHERE)


def ask(rates: RequestRates, times: int, caller: str = "a") -> list[bool]:
    return [rates.admit(caller=caller, kind="read", allowance=SLOW).admitted for _ in range(times)]


def test_a_burst_is_let_in_and_the_next_is_not(either: RequestRates) -> None:
    assert ask(either, 5) == [True, True, True, False, False]


def test_callers_are_counted_apart(either: RequestRates) -> None:
    ask(either, 3)

    assert ask(either, 1, caller="b") == [True]


def test_what_remains_is_said(either: RequestRates) -> None:
    answers = [either.admit(caller="a", kind="read", allowance=SLOW) for _ in range(4)]

    assert [answer.remaining for answer in answers] == [2, 1, 0, 0]
    assert answers[-1].reset_seconds == pytest.approx(100, abs=5)


def test_two_processes_share_one_count(settings: Any, rates: RequestRates) -> None:
    ask(rates, 2)

    assert ask(RequestRates(url=settings.REDIS_URL), 3) == [True, False, False]


def test_time_gives_room_again() -> None:
    now = [0.0]
    rates = RequestRates(url=NOWHERE, clock=lambda: now[0])
    ask(rates, 3)

    now[0] = 101.0

    assert ask(rates, 2) == [True, False]


@pytest.fixture
def api(db: None, clean_redis: Redis, settings: Any) -> APIClient:
    settings.REQUEST_RATES = {"read": SLOW, "write": SLOW}
    caller = principal()
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    return client


def test_an_answer_says_what_is_left(api: APIClient) -> None:
    answer = api.get("/api/v1/accounts")

    assert answer["RateLimit-Policy"] == '"read";q=3;w=300'
    assert answer["RateLimit"] == '"read";r=2;t=100'


def test_too_many_are_told_when_to_come_back(api: APIClient) -> None:
    answers = [api.get("/api/v1/accounts") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1]["Retry-After"]) in range(90, 101)
    assert answers[-1].json()["code"] == "throttled"
    assert answers[-1].json()["retryable"] is True


def test_reads_do_not_use_up_writes(api: APIClient) -> None:
    for _ in range(4):
        api.get("/api/v1/accounts")

    answer = api.post("/api/v1/orders", {}, format="json", headers={"Idempotency-Key": str(uuid4())})

    assert answer.status_code == 400
