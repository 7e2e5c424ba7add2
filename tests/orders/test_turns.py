"""Many orders of one account: a few are woken, each wakes the next, and nobody else waits behind them."""

from datetime import timedelta
from uuid import UUID

from redis import Redis

from orders import claims, tasks
from orders.clock import DatabaseClock
from orders.models import Order
from orders.states import State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory


def queued(redis: Redis, orders: list[Order]) -> list[UUID]:
    messages = redis.lrange("orders", 0, -1)
    return [order.pk for order in orders if any(str(order.pk).encode() in message for message in messages)]


def resting(desk: Desk, count: int) -> list[Order]:
    return [desk.place(order_type="LIMIT", price=desk.price(-5)) for _ in range(count)]


def test_only_the_first_of_a_crowd_are_woken(desk: Desk, clean_redis: Redis) -> None:
    orders = resting(desk, 5)

    assert queued(clean_redis, orders) == [orders[0].pk, orders[1].pk]
    assert [order.woken_at is None for order in orders] == [False, False, True, True, True]


def test_an_order_that_leaves_wakes_the_next_one_for_its_turn(desk: Desk) -> None:
    orders = resting(desk, 4)
    woken: list[tuple[UUID, float]] = []

    for order in orders[:2]:
        claims.claim_and_announce(order_id=order.pk, clock=desk.clock, wake=lambda *next_one: woken.append(next_one))

    assert [order_id for order_id, _ in woken] == [orders[2].pk, orders[3].pk]
    assert all(0 <= seconds <= 0.25 for _, seconds in woken)


def test_an_order_that_is_too_late_wakes_the_next_one_at_once(desk: Desk) -> None:
    orders = resting(desk, 3)
    Order.objects.filter(pk=orders[0].pk).update(deadline_at=desk.clock.now())
    woken: list[tuple[UUID, float]] = []

    claims.claim_and_announce(order_id=orders[0].pk, clock=desk.clock, wake=lambda *next_one: woken.append(next_one))

    assert woken == [(orders[2].pk, 0.0)]


def test_the_last_one_wakes_nobody(desk: Desk) -> None:
    order = resting(desk, 1)[0]
    woken: list[tuple[UUID, float]] = []

    claims.claim_and_announce(order_id=order.pk, clock=desk.clock, wake=lambda *next_one: woken.append(next_one))

    assert woken == []


def test_the_sweeper_leaves_a_queue_that_moves(desk: Desk, clean_redis: Redis) -> None:
    resting(desk, 4)
    clean_redis.delete("orders")

    tasks.sweep()

    assert clean_redis.llen("orders") == 0


def test_the_sweeper_wakes_the_oldest_of_each_account_whose_wake_ups_were_lost(desk: Desk, clean_redis: Redis) -> None:
    orders = resting(desk, 4)
    stranger = OrderFactory(created_at=desk.clock.now() + timedelta(seconds=1))
    clean_redis.delete("orders")
    Order.objects.filter(pk__in=[order.pk for order in orders[:2]]).update(
        woken_at=DatabaseClock().now() - timedelta(seconds=3)
    )

    tasks.sweep()

    assert queued(clean_redis, [*orders, stranger]) == [orders[0].pk, orders[1].pk, stranger.pk]


def test_an_order_that_waits_for_its_turn_is_not_forgotten_before_it(desk: Desk, clean_redis: Redis) -> None:
    order = resting(desk, 1)[0]
    clean_redis.delete("orders")
    later = DatabaseClock().now() + timedelta(seconds=1)
    Order.objects.filter(pk=order.pk).update(woken_at=later, not_before=later)

    tasks.sweep()

    assert clean_redis.llen("orders") == 0
    assert Order.objects.get(pk=order.pk).state == State.READY
