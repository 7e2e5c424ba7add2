"""Hearing back in time: trades after a fill, events after an outage, positions that tie, books before sends."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis

from accounts.models import BrokerAccount
from accounts.queries import login_for
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from orders import reconciliation, retelling, tasks, ties
from orders.models import Order, OrderEvent, Trade
from orders.parameters import request_of
from orders.readings import BookReading, PositionGap
from orders.states import State
from orders.stream import stream_of
from tests.factories import BrokerAccountFactory
from tests.orders.conftest import Desk, open_desk
from tests.orders.factories import OrderFactory, order_row, trade_row
from tests.proving import Numbers
from tests.sandbox_server import SandboxServer, wait_for

PLACE, BOOK = "order.place", "order.book"
NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def queued(redis: Redis, task: str) -> int:
    return sum(task.encode() in message for message in redis.lrange("orders", 0, -1))


def test_a_fill_without_its_trades_has_the_book_read_by_the_next_sweep(desk: Desk, clean_redis: Redis) -> None:
    order = desk.patient()
    row = order_row(
        order.broker_order_id or "", status="COMPLETE", filled_quantity=1, quantity=1, order_at=datetime.now(UTC)
    )
    reconciliation.hear(account_id=desk.account.pk, row=row, now=datetime.now(UTC))
    clean_redis.delete("orders")

    tasks.sweep()

    assert queued(clean_redis, "orders.tasks.reconcile_account") == 1


def test_a_fill_whose_trades_are_held_asks_for_nothing(desk: Desk, clean_redis: Redis) -> None:
    desk.patient()
    clean_redis.delete("orders")

    tasks.sweep()

    assert queued(clean_redis, "orders.tasks.reconcile_account") == 0


def messages(redis: Redis, account: BrokerAccount) -> list[bytes]:
    entries: Any = redis.xrange(f"events:{stream_of(account.pk)}")
    return [fields[b"e"] for _, fields in entries]


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=3)


def test_what_was_said_while_redis_was_down_is_told_afterwards(desk: Desk, clean_redis: Redis) -> None:
    order = desk.patient()
    clean_redis.flushall()

    told = retelling.retell(now=later())

    assert told == 1
    (message,) = messages(clean_redis, desk.account)
    assert str(order.pk).encode() in message
    assert b'"sequence":4' in message


def test_what_was_told_is_not_told_again(desk: Desk, clean_redis: Redis) -> None:
    desk.patient()
    before = len(messages(clean_redis, desk.account))

    assert retelling.retell(now=later()) == 0
    assert retelling.retell(now=later()) == 0
    assert len(messages(clean_redis, desk.account)) == before


def test_one_lost_event_is_told_alone(desk: Desk, clean_redis: Redis) -> None:
    order = desk.patient()
    clean_redis.zrem(f"told:{stream_of(desk.account.pk)}", f"{order.pk}:4")
    before = len(messages(clean_redis, desk.account))

    assert retelling.retell(now=later()) == 1
    assert len(messages(clean_redis, desk.account)) == before + 1


def test_a_lost_trade_is_told(desk: Desk, clean_redis: Redis) -> None:
    order = OrderFactory(account=desk.account, at_broker=True)
    now = datetime.now(UTC)
    reconciliation.hear_trade(
        account_id=desk.account.pk, row=trade_row(order.broker_order_id, "9", filled_at=now), now=now, source="book"
    )
    clean_redis.flushall()

    retelling.retell(now=later())

    assert any(b'"trade_id":"9"' in message for message in messages(clean_redis, desk.account))


def test_nothing_is_told_while_redis_rests(desk: Desk, settings: Any) -> None:
    desk.patient()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sync_bus.cache_clear()
    try:
        with pytest.raises(FeedDown):
            sync_bus().ping()
        assert retelling.retell(now=later()) == 0
    finally:
        sync_bus.cache_clear()


def traded(account: BrokerAccount, quantity: int, **values: Any) -> Order:
    order: Order = OrderFactory(account=account, at_broker=True, created_at=NOW, quantity=10, **values)
    reconciliation.hear_trade(
        account_id=account.pk,
        row=trade_row(
            str(order.broker_order_id), str(order.broker_order_id), quantity=quantity, filled_at=NOW, product="CNC"
        ),
        now=NOW,
        source="book",
    )
    return order


@pytest.mark.django_db
def test_positions_that_agree_leave_no_gap() -> None:
    account = BrokerAccountFactory()
    traded(account, 7)

    assert ties.compare(account_id=account.pk, theirs=Counter({("NSE", "INFY", "CNC"): 7}), now=NOW) == []


@pytest.mark.django_db
def test_a_position_nobody_can_explain_is_a_gap_until_it_ties() -> None:
    account = BrokerAccountFactory()
    traded(account, 7)

    (gap,) = ties.compare(account_id=account.pk, theirs=Counter({("NSE", "INFY", "CNC"): 9}), now=NOW)
    assert (gap.ours, gap.theirs, gap.explained) == (7, 9, False)
    ties.compare(account_id=account.pk, theirs=Counter({("NSE", "INFY", "CNC"): 7}), now=NOW)

    assert PositionGap.objects.get().closed_at == NOW


@pytest.mark.django_db
def test_a_conversion_explains_a_gap() -> None:
    account = BrokerAccountFactory()
    traded(account, 7)

    gaps = ties.compare(account_id=account.pk, theirs=Counter({("NSE", "INFY", "MIS"): 7}), now=NOW)

    assert [(gap.product, gap.explained) for gap in sorted(gaps, key=lambda gap: gap.product)] == [
        ("CNC", True),
        ("MIS", True),
    ]
    assert "converted" in gaps[0].explanation


@pytest.mark.django_db
def test_trades_not_heard_yet_explain_a_gap() -> None:
    account = BrokerAccountFactory()
    order = OrderFactory(account=account, at_broker=True, created_at=NOW, filled_quantity=7)

    (gap,) = ties.compare(account_id=account.pk, theirs=Counter({("NSE", "INFY", "CNC"): 7}), now=NOW)

    assert gap.explained
    assert order.broker_order_id in gap.explanation


def test_a_days_trading_ties_to_the_brokers_positions(fresh_desk: Desk) -> None:
    order = fresh_desk.place(quantity=3)
    fresh_desk.submit(order)

    def tied() -> bool:
        gaps = ties.tie(account_id=fresh_desk.account.pk, sessions=fresh_desk.sessions, clock=fresh_desk.clock)
        return gaps == [] and Trade.objects.filter(order=order).exists()

    wait_for(tied, seconds=15, every=0.2)
    assert not PositionGap.objects.filter(closed_at=None).exists()


@pytest.mark.proof(id="R11")
def test_the_books_are_read_before_anything_is_sent(fresh_desk: Desk, numbers: Numbers) -> None:
    BookReading.objects.all().delete()
    order = fresh_desk.place()
    since = fresh_desk.sandbox.journal_end()

    fresh_desk.submit(order)

    routes = [entry["route"] for entry in fresh_desk.sandbox.journal(since=since)]
    numbers.add("sent before the book", BOOK not in routes[: routes.index(PLACE)])
    assert BOOK in routes[: routes.index(PLACE)]
    assert order.state == State.ACKED


@pytest.mark.proof(id="R11")
def test_nothing_is_sent_while_the_book_cannot_be_read(fresh_desk: Desk, numbers: Numbers) -> None:
    BookReading.objects.all().delete()
    fresh_desk.sandbox.fault("http_5xx", route=BOOK, status=503, body="json")
    order = fresh_desk.place()

    again = fresh_desk.submit(order)

    numbers.add("sent before the book", len(fresh_desk.placed))
    assert again is not None
    assert (order.state, order.reason_code) == (State.READY, "BOOK_UNREAD")
    assert fresh_desk.placed == []


@pytest.mark.proof(id="R11")
def test_five_hundred_orders_of_a_lost_hour_are_adopted_and_not_sent_again(
    settings: Any, transactional_db: None, clean_redis: Redis, numbers: Numbers
) -> None:
    with SandboxServer("--no-limits", "--cash", "1e12") as exchange:
        desk = open_desk(exchange, settings)
        client = desk.sessions.client(login_for(account_id=desk.account.pk, now=desk.clock.now()))
        request = request_of(OrderFactory.build(account=desk.account, price=desk.price(-5), quantity=1))
        for _ in range(500):
            client.place_order(request)
        since, began = exchange.journal_end(), datetime.now(UTC)

        report = reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)

        took = (datetime.now(UTC) - began).total_seconds()
        again = exchange.journal(since=since, route=PLACE)
    numbers.most("seconds for 500 orders", took)
    numbers.add("sent again", len(again))
    assert report.adopted == 500
    assert again == []


def test_an_account_whose_orders_are_forbidden_is_cordoned(desk: Desk) -> None:
    order = desk.place()
    desk.sandbox.fault("http_403", route=PLACE, count=1, error_type="UserException", message="blocked")

    desk.submit(order)

    desk.account.refresh_from_db()
    assert order.state == State.REJECTED
    assert desk.account.state == BrokerAccount.State.CORDONED
    assert "blocked" in desk.account.state_reason
    assert desk.place().reason_code == "ACCOUNT_CLOSED"


@pytest.mark.django_db
def test_a_book_that_cannot_be_read_is_asked_for_less_and_less_often() -> None:
    account = BrokerAccountFactory()
    pauses = []
    for _ in range(8):
        reconciliation.note_failure(account_id=account.pk, error="no answer", now=NOW)
        held = BookReading.objects.get()
        assert held.next_at is not None
        pauses.append((held.next_at - NOW).total_seconds())

    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300]
    reconciliation.note_reading(account_id=account.pk, at=NOW)
    assert BookReading.objects.get().next_at is None


def test_a_resting_account_is_left_out_of_the_periodic_reading(desk: Desk, clean_redis: Redis) -> None:
    reconciliation.note_failure(account_id=desk.account.pk, error="no answer", now=datetime.now(UTC))

    tasks.reconcile_books()

    assert queued(clean_redis, "orders.tasks.reconcile_account") == 0
    assert OrderEvent.objects.count() == 0
