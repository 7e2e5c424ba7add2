"""The database is the memory: whatever is lost on the way is found again by the next sweeps."""

import time
from datetime import UTC, datetime

import pytest
from redis import Redis

from orders import tasks
from orders.clock import DatabaseClock
from orders.models import Order, OrderCommand
from orders.states import CommandState, State
from tests.orders.conftest import Desk
from tests.orders.test_changes import ask_cancel
from tests.proving import Numbers
from tests.sandbox_server import wait_for

PROMISED_SECONDS = 5.0
SHORT_LOSSES, LONG_LOSSES = 3, 30


def is_queued(redis: Redis, row_id: object) -> bool:
    queues = (redis.lrange(name, 0, -1) for name in ("commands", "orders"))
    return any(str(row_id).encode() in message for messages in queues for message in messages)


def found_again(redis: Redis, row_id: object) -> float:
    """Sweep as beat does, every two seconds, and return after how many seconds the row was in the queue again."""
    began = time.monotonic()
    swept = 0.0

    def look() -> bool:
        nonlocal swept
        if time.monotonic() - swept >= 2:
            swept = time.monotonic()
            tasks.sweep()
        return is_queued(redis, row_id)

    wait_for(look, seconds=30, every=0.05)
    return time.monotonic() - began


def lose_redis(desk: Desk, redis: Redis, numbers: Numbers, *, times: int) -> None:
    for done in range(times):
        order = desk.place(order_type="LIMIT", price=desk.price(-5))
        redis.flushall()
        numbers.most("pick-up seconds", found_again(redis, order.pk))
        desk.submit(order)
        numbers.add("orders lost with Redis", order.broker_order_id is None)
        numbers.add("losses of Redis")
        numbers.step(done, times)
        assert order.state == State.ACKED
        # The bounds are another test's matter.
        Order.objects.filter(pk=order.pk).update(trading_day="2000-01-01")
    assert len(desk.placed) == times


@pytest.mark.proof(id="R07")
def test_an_order_is_found_again_when_redis_was_emptied(desk: Desk, clean_redis: Redis, numbers: Numbers) -> None:
    lose_redis(desk, clean_redis, numbers, times=SHORT_LOSSES)


@pytest.mark.long
@pytest.mark.proof(id="R07")
def test_thirty_losses_of_redis_lose_nothing(desk: Desk, clean_redis: Redis, numbers: Numbers) -> None:
    lose_redis(desk, clean_redis, numbers, times=LONG_LOSSES)


def test_a_cancellation_is_found_again_too(desk: Desk, clean_redis: Redis) -> None:
    command = ask_cancel(desk, desk.patient())
    assert isinstance(command, OrderCommand)
    clean_redis.flushall()

    found_again(clean_redis, command.pk)

    assert command.state == CommandState.READY


def test_a_message_that_a_killed_worker_took_along_is_sent_again(desk: Desk, clean_redis: Redis) -> None:
    order = desk.place()
    clean_redis.delete("orders", "unacked", "unacked_index")
    Order.objects.filter(pk=order.pk).update(woken_at=datetime.now(UTC))

    found_again(clean_redis, order.pk)

    assert is_queued(clean_redis, order.pk)


def test_what_was_woken_a_moment_ago_is_not_woken_again(desk: Desk, clean_redis: Redis) -> None:
    order = desk.place()
    clean_redis.delete("orders")
    Order.objects.filter(pk=order.pk).update(woken_at=DatabaseClock().now())

    tasks.sweep()

    assert not is_queued(clean_redis, order.pk)
