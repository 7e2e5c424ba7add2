"""The breaker that all processes share, with Redis and without it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from redis import Redis

from accounts import tasks
from accounts.breaker import (
    BACK_OFF_SECONDS,
    FAILURES,
    HISTORY,
    WINDOW_SECONDS,
    Breaker,
    State,
    state_key,
    take_history,
)
from accounts.errors import BrokerRests
from accounts.models import AuditEntry
from accounts.sessions import Sessions
from accounts.shared import TIMEOUT_SECONDS, Resting, SharedScripts
from kite.errors import Evidence, KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled, Unavailable
from kite.limits import CallClass
from kite.types import Login
from tests.accounts.breaking import PATIENCE
from tests.factories import BrokerAccountFactory
from tests.proving import Numbers
from tests.sandbox_server import SandboxServer

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = Evidence(method="GET", path="/quote")
ACCOUNT = "11111111-1111-1111-1111-111111111111"
TRIALS = 50
PROCESSES = 8
DEAD = "redis://127.0.0.1:1/0"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker_at(url: str, clock: Any = time.monotonic) -> Breaker:
    patience = TIMEOUT_SECONDS if url != settings.REDIS_URL else PATIENCE
    return Breaker(scripts=SharedScripts(url=url, timeout_seconds=patience), clock=clock)


@pytest.fixture
def breaker(clean_redis: Redis) -> Breaker:
    """Return a breaker at an empty Redis."""
    return breaker_at(settings.REDIS_URL)


def call(breaker: Breaker, error: KiteError | None = None, call_class: CallClass = CallClass.QUOTE) -> State:
    """Make one call that ends so."""
    state = breaker.enter(account_id=ACCOUNT, call_class=call_class)
    breaker.leave(account_id=ACCOUNT, call_class=call_class, error=error)
    return state


def down() -> Unavailable:
    return Unavailable("the broker answered 503", evidence=EVIDENCE)


def broken(breaker: Breaker, call_class: CallClass = CallClass.QUOTE) -> None:
    """Fail until it opens."""
    for _ in range(FAILURES):
        call(breaker, down(), call_class)


def pass_time(redis: Redis, account_id: str = ACCOUNT, call_class: CallClass = CallClass.QUOTE) -> None:
    """Let the back-off be over."""
    redis.hset(state_key(account_id=account_id, call_class=call_class), "until", 0)


def is_held(breaker: Breaker, call_class: CallClass = CallClass.QUOTE) -> bool:
    try:
        breaker.enter(account_id=ACCOUNT, call_class=call_class)
    except BrokerRests:
        return True
    return False


def test_five_failures_within_half_a_minute_open_it(breaker: Breaker) -> None:
    for _ in range(FAILURES - 1):
        assert call(breaker, down()) is State.CLOSED
    assert not is_held(breaker)

    call(breaker, OutcomeUnknown("no answer", evidence=EVIDENCE))

    with pytest.raises(BrokerRests) as held:
        breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE)
    assert held.value.retry_after == pytest.approx(BACK_OFF_SECONDS[0], rel=0.25)


def test_failures_of_an_earlier_time_do_not_count(breaker: Breaker, clean_redis: Redis) -> None:
    for _ in range(FAILURES - 1):
        call(breaker, down())
    key = f"breaker:{ACCOUNT}:quote:failures"
    long_ago = [int(value) - int(WINDOW_SECONDS * 1000) - 1 for value in clean_redis.lrange(key, 0, -1)]
    clean_redis.delete(key)
    clean_redis.rpush(key, *long_ago)

    call(breaker, down())

    assert not is_held(breaker)


@pytest.mark.parametrize("kind", [Refused, SessionExpired, Throttled])
def test_an_answer_that_says_no_is_an_answer(breaker: Breaker, kind: type[KiteError]) -> None:
    for _ in range(3 * FAILURES):
        call(breaker, kind("no", evidence=EVIDENCE))

    assert not is_held(breaker)


def test_accounts_and_classes_have_breakers_of_their_own(breaker: Breaker) -> None:
    broken(breaker)

    assert not is_held(breaker, CallClass.HISTORICAL)
    assert breaker.enter(account_id="another", call_class=CallClass.QUOTE) is State.CLOSED


def test_another_process_is_held_too(breaker: Breaker) -> None:
    broken(breaker)

    assert is_held(breaker_at(settings.REDIS_URL))


def test_two_good_probes_close_it(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    pass_time(clean_redis)

    assert call(breaker) is State.PROBE
    assert call(breaker) is State.PROBE

    assert call(breaker) is State.CLOSED


def test_a_bad_probe_doubles_the_back_off_up_to_a_minute(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    waits = []
    for _ in range(6):
        pass_time(clean_redis)
        assert call(breaker, down()) is State.PROBE
        with pytest.raises(BrokerRests) as held:
            breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE)
        waits.append(held.value.retry_after)

    assert waits == [pytest.approx(seconds, rel=0.25) for seconds in (10, 20, 40, 60, 60, 60)]


def test_a_late_failure_of_a_call_that_left_before_changes_nothing(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    before = clean_redis.hgetall(state_key(account_id=ACCOUNT, call_class=CallClass.QUOTE))

    breaker_at(settings.REDIS_URL).leave(account_id=ACCOUNT, call_class=CallClass.QUOTE, error=down())

    assert clean_redis.hgetall(state_key(account_id=ACCOUNT, call_class=CallClass.QUOTE)) == before


def test_a_probe_that_was_not_made_is_given_back(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    pass_time(clean_redis)
    breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE)
    other = breaker_at(settings.REDIS_URL)
    assert is_held(other)

    breaker.give_back(account_id=ACCOUNT, call_class=CallClass.QUOTE)

    assert other.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE) is State.PROBE


def test_the_turn_of_a_prober_that_died_comes_back(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    pass_time(clean_redis)
    breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE)

    assert 0 < clean_redis.pttl(f"breaker:{ACCOUNT}:quote:probe") <= 15_000


def test_every_change_is_written_down_once(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)
    pass_time(clean_redis)
    call(breaker)
    call(breaker)

    changes = take_history(scripts=SharedScripts(url=settings.REDIS_URL))

    assert [(change.account_id, change.call_class, change.state, change.reason) for change in changes] == [
        (ACCOUNT, "quote", "open", "unavailable: the broker answered 503"),
        (ACCOUNT, "quote", "closed", "the broker answers again"),
    ]
    assert changes[0].seconds == pytest.approx(5, rel=0.25)


@pytest.mark.django_db
def test_openings_and_closings_are_in_the_history_of_the_account_once(breaker: Breaker, clean_redis: Redis) -> None:
    account = BrokerAccountFactory(id=UUID(ACCOUNT))
    broken(breaker)
    kept = clean_redis.dump(HISTORY)
    assert kept is not None
    tasks.record_breakers()
    clean_redis.restore(
        HISTORY, 0, kept, replace=True
    )  # as if the worker had died between the commit and the forgetting

    tasks.record_breakers()

    entry = AuditEntry.objects.get(subject=f"account:{account.label}")
    assert (entry.action, entry.reason) == ("accounts.breaker.opened", "unavailable: the broker answered 503")
    assert entry.detail["class"] == "quote"
    assert not clean_redis.xlen(HISTORY)


@pytest.mark.django_db
def test_a_breaker_of_nobody_is_forgotten(breaker: Breaker, clean_redis: Redis) -> None:
    broken(breaker)

    tasks.record_breakers()

    assert not AuditEntry.objects.exists()
    assert not clean_redis.xlen(HISTORY)


@pytest.mark.django_db
def test_history_waits_while_redis_rests(settings: Any) -> None:
    settings.REDIS_URL = DEAD

    tasks.record_breakers()

    assert not AuditEntry.objects.exists()


@pytest.fixture
def processes(clean_redis: Redis) -> Iterator[list["subprocess.Popen[str]"]]:
    """Return eight processes that enter when they are told to."""
    command = [sys.executable, "-m", "tests.accounts.breaking", settings.REDIS_URL]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    yield started
    for process in started:
        process.stdin.close()  # type: ignore[union-attr]
        process.wait(10)
        process.stdout.close()  # type: ignore[union-attr]


def all_at_once(processes: list["subprocess.Popen[str]"], account_id: str) -> list[str]:
    moment = time.time() + 0.01
    for process in processes:
        process.stdin.write(f"{account_id} {moment}\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    return [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]


@pytest.mark.proof(id="R15")
def test_of_eight_processes_exactly_one_probes_in_each_of_fifty_trials(
    processes: list["subprocess.Popen[str]"], clean_redis: Redis, numbers: Numbers
) -> None:
    assert all_at_once(processes, "warm") == ["closed"] * PROCESSES
    breaker = breaker_at(settings.REDIS_URL)
    told: list[list[str]] = []

    for trial in range(TRIALS):
        account_id = f"trial-{trial}"
        for _ in range(FAILURES):
            breaker.leave(account_id=account_id, call_class=CallClass.QUOTE, error=down())
        assert all_at_once(processes, account_id) == ["open"] * PROCESSES
        pass_time(clean_redis, account_id)
        told.append(sorted(all_at_once(processes, account_id)))
        numbers.add("trials")
        numbers.add("trials with another number of probes", told[-1].count("probe") != 1)

    assert told == [["open"] * (PROCESSES - 1) + ["probe"]] * TRIALS


def test_without_redis_the_process_goes_on_by_itself() -> None:
    clock = Clock()
    breaker = breaker_at(DEAD, clock)

    broken(breaker)
    assert is_held(breaker)
    clock.now += BACK_OFF_SECONDS[0]
    assert breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE) is State.PROBE
    assert is_held(breaker)
    breaker.leave(account_id=ACCOUNT, call_class=CallClass.QUOTE, error=down())
    assert is_held(breaker)
    clock.now += BACK_OFF_SECONDS[1]
    assert call(breaker) is State.PROBE
    assert call(breaker) is State.PROBE

    assert call(breaker) is State.CLOSED


def test_without_redis_an_unmade_probe_is_given_back_too() -> None:
    clock = Clock()
    breaker = breaker_at(DEAD, clock)
    broken(breaker)
    clock.now += BACK_OFF_SECONDS[0]
    breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE)

    breaker.give_back(account_id=ACCOUNT, call_class=CallClass.QUOTE)
    breaker.give_back(account_id=ACCOUNT, call_class=CallClass.QUOTE)

    assert breaker.enter(account_id=ACCOUNT, call_class=CallClass.QUOTE) is State.PROBE


def test_when_redis_rests_what_it_said_last_still_holds(clean_redis: Redis) -> None:
    clock = Clock()
    scripts = SharedScripts(url=settings.REDIS_URL, clock=clock)
    breaker = Breaker(scripts=scripts, clock=clock)
    broken(breaker)
    clean_redis.set("broken", "x")
    with pytest.raises(Resting):
        scripts.run("return redis.call('LPUSH', 'broken', 1)", keys=[], args=[])

    assert is_held(breaker)

    clean_redis.flushall()
    clock.now += 1.1
    assert not is_held(breaker)


@pytest.mark.proof(id="R15")
@pytest.mark.parametrize("kind", ["dead", "silent"])
def test_a_redis_that_is_down_costs_a_call_no_more_than_a_tenth_of_a_second_and_a_half(
    kind: str, sandbox: SandboxServer, silent_server: str, settings: Any, numbers: Numbers
) -> None:
    settings.REDIS_URL = DEAD if kind == "dead" else silent_server
    token = sandbox.session()
    login = Login(
        account_id=ACCOUNT,
        api_key=sandbox.user().api_key,
        access_token=token,
        version=1,
        rest_root=sandbox.rest_root,
        ws_root="",
    )

    # The least of a few: a busy machine may add to any of them.
    added = min(seconds_of_a_call(settings.REDIS_URL) for _ in range(5))
    numbers.most("added seconds", added)
    assert added <= 0.15
    sessions = Sessions()
    assert sessions.seconds_until_orders(login) is None
    assert sessions.client(login).orders() == sessions.client(login).orders()


def seconds_of_a_call(url: str) -> float:
    """Return what the breaker adds to a call that fails, in a process that has not met this Redis yet."""
    breaker = Breaker(scripts=SharedScripts(url=url))
    began = time.monotonic()
    breaker.enter(account_id=ACCOUNT, call_class=CallClass.ORDER)
    breaker.leave(account_id=ACCOUNT, call_class=CallClass.ORDER, error=down())
    return time.monotonic() - began


class Broker:
    """A login at the sandbox and sessions to use it with."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        user = sandbox.user()
        self.login = Login(
            account_id=ACCOUNT,
            api_key=user.api_key,
            access_token=sandbox.session(),
            version=1,
            rest_root=sandbox.rest_root,
            ws_root="",
        )
        self.sessions = Sessions()


@pytest.fixture
def broker(sandbox: SandboxServer, clean_redis: Redis) -> Broker:
    """Return a login of the first user."""
    sandbox.settings(limits=False)
    return Broker(sandbox)


def reads(broker: Broker, count: int) -> list[str]:
    told = []
    for _ in range(count):
        try:
            broker.sessions.client(broker.login).orders()
            told.append("ok")
        except KiteError as error:
            told.append(type(error).__name__)
    return told


def test_calls_of_a_broker_that_fails_stop_leaving(broker: Broker) -> None:
    broker.sandbox.fault("http_5xx", status=503)
    before = broker.sandbox.journal_end()

    told = reads(broker, 9)

    assert told == ["Unavailable"] * FAILURES + ["BrokerRests"] * 4
    assert len(broker.sandbox.journal(since=before, route="order.book")) <= FAILURES


@pytest.mark.proof(id="R15")
def test_orders_wait_and_the_order_book_is_the_probe(broker: Broker, clean_redis: Redis) -> None:
    breaker = breaker_at(settings.REDIS_URL)
    broken(breaker, CallClass.ORDER)
    wait = broker.sessions.seconds_until_orders(broker.login)
    assert wait == pytest.approx(5, rel=0.25)

    pass_time(clean_redis, call_class=CallClass.ORDER)
    before = broker.sandbox.journal_end()
    assert broker.sessions.seconds_until_orders(broker.login) is None

    routes = [row["route"] for row in broker.sandbox.journal(since=before)]
    assert len(routes) == 2
    assert not [route for route in routes if route == "order.place"]
    assert call(breaker, call_class=CallClass.ORDER) is State.CLOSED


def test_a_failed_probe_holds_orders_longer(broker: Broker, clean_redis: Redis) -> None:
    broken(breaker_at(settings.REDIS_URL), CallClass.ORDER)
    pass_time(clean_redis, call_class=CallClass.ORDER)
    broker.sandbox.fault("http_5xx", status=503)

    assert broker.sessions.seconds_until_orders(broker.login) is not None

    wait = broker.sessions.seconds_until_orders(broker.login)
    assert wait == pytest.approx(10, rel=0.25)


def test_a_probe_without_a_slot_is_given_back(broker: Broker, clean_redis: Redis) -> None:
    broken(breaker_at(settings.REDIS_URL), CallClass.QUOTE)
    pass_time(clean_redis)
    far = str(int((time.time() + 60) * 1_000_000))
    clean_redis.set(f"budget:{broker.login.api_key}:quote", far)

    with pytest.raises(Throttled):
        broker.sessions.client(broker.login).ltp(["NSE:INFY"])
    clean_redis.delete(f"budget:{broker.login.api_key}:quote")

    assert broker.sessions.client(broker.login).ltp(["NSE:INFY"])
