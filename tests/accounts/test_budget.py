"""The shared schedule of calls, with Redis and without it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from redis import Redis

from accounts.budget import MICROSECONDS, PACES, CallBudget
from accounts.errors import BudgetSpent
from accounts.sessions import Sessions
from accounts.shared import SharedScripts
from kite.limits import CallClass
from kite.types import Login


class Waits(list[float]):
    """Remembers how long a caller was told to wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def spend(budget: CallBudget, call_class: CallClass = CallClass.QUOTE, count: int = 1, api_key: str = "key") -> None:
    for _ in range(count):
        budget.take(api_key=api_key, call_class=call_class)


def test_the_paces_use_four_fifths_of_the_published_limits() -> None:
    rates = {name: MICROSECONDS / pace.interval for name, pace in PACES.items()}

    assert rates == pytest.approx({CallClass.QUOTE: 0.8, CallClass.HISTORICAL: 2.4, CallClass.OTHER: 8.0})


def test_the_first_call_leaves_at_once_and_the_next_waits_for_its_slot(clean_redis: Redis) -> None:
    waits = Waits()
    budget = CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=waits)

    spend(budget, count=2)

    assert waits == [pytest.approx(1.25, abs=0.1)]


def test_a_burst_of_two_other_calls_leaves_at_once(clean_redis: Redis) -> None:
    waits = Waits()

    spend(CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=waits), CallClass.OTHER, count=2)

    assert waits == []


def test_a_call_that_would_wait_too_long_is_refused_and_books_nothing(clean_redis: Redis) -> None:
    waits = Waits()
    budget = CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=waits)
    spend(budget, count=2)

    for _ in range(3):
        with pytest.raises(BudgetSpent) as refused:
            spend(budget)

    assert refused.value.retry_after == pytest.approx(2.5, abs=0.2)


def test_keys_and_classes_do_not_share_a_budget(clean_redis: Redis) -> None:
    waits = Waits()
    budget = CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=waits)

    spend(budget, api_key="one")
    spend(budget, api_key="two")
    spend(budget, CallClass.HISTORICAL, api_key="one")

    assert waits == []


def test_no_calendar_second_holds_more_calls_than_the_broker_allows(clean_redis: Redis) -> None:
    moments: list[float] = []
    lock = threading.Lock()

    def worker(_: int) -> None:
        scripts = SharedScripts(url=settings.REDIS_URL)
        budget = CallBudget(scripts=scripts)
        for _ in range(6):
            budget.take(api_key="key", call_class=CallClass.OTHER, longest_wait=10)
            with lock:
                moments.append(time.time())
        scripts.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(worker, range(4)))

    assert len(moments) == 24
    # 9 by the schedule in any rolling second; the tenth is what a late thread may add.
    assert max(sum(1 for other in moments if start <= other < start + 1) for start in moments) <= 10


def test_the_keys_of_the_schedule_expire_by_themselves(clean_redis: Redis) -> None:
    spend(CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=Waits()), count=2)

    assert 0 < clean_redis.pttl("budget:key:quote") <= 3600


def test_a_silent_redis_costs_one_time_out_and_the_process_decides_by_itself(silent_server: str) -> None:
    waits = Waits()
    budget = CallBudget(scripts=SharedScripts(url=silent_server), sleep=waits)

    started = time.monotonic()
    spend(budget, CallClass.OTHER, count=4)
    elapsed = time.monotonic() - started

    assert elapsed < 0.15 + 0.1
    assert waits == [pytest.approx(0.125, abs=0.12), pytest.approx(0.25, abs=0.12)]


def test_a_dead_redis_costs_nearly_nothing() -> None:
    budget = CallBudget(scripts=SharedScripts(url="redis://127.0.0.1:1/0"), sleep=Waits())

    started = time.monotonic()
    spend(budget)

    assert time.monotonic() - started < 0.15


def test_without_redis_a_call_that_would_wait_too_long_is_refused() -> None:
    budget = CallBudget(scripts=SharedScripts(url="redis://127.0.0.1:1/0"), sleep=Waits())
    spend(budget, count=2)

    with pytest.raises(BudgetSpent):
        spend(budget)


def test_redis_is_asked_again_after_its_rest(clean_redis: Redis) -> None:
    now = [100.0]
    budget = CallBudget(
        scripts=SharedScripts(url=settings.REDIS_URL, clock=lambda: now[0]), sleep=Waits(), clock=lambda: now[0]
    )
    clean_redis.set("budget:key:quote", "not a number")
    spend(budget)
    clean_redis.delete("budget:key:quote")

    spend(budget, api_key="while it rests")
    now[0] += 1.1
    spend(budget, api_key="after its rest")

    assert clean_redis.keys() == [b"budget:after its rest:quote"]


def login(version: int = 1, access_token: str = "token") -> Login:
    return Login(
        account_id="one",
        api_key="key",
        access_token=access_token,
        version=version,
        rest_root="http://127.0.0.1:9",
        ws_root="",
    )


def test_the_same_login_has_the_same_client() -> None:
    sessions = Sessions()

    assert sessions.client(login()) is sessions.client(login())


def test_a_new_login_has_a_new_client() -> None:
    sessions = Sessions()

    assert sessions.client(login()) is not sessions.client(login(version=2, access_token="new"))


def test_a_thread_with_an_old_login_does_not_evict_the_new_client() -> None:
    sessions = Sessions()
    new = sessions.client(login(version=2, access_token="new"))

    sessions.client(login())

    assert sessions.client(login(version=2, access_token="new")) is new
