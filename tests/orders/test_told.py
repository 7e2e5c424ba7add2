"""Snapshot and events make the fresh state: asserted for every event of every kind of life."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.conf import settings as django_settings
from redis import Redis

from accounts.models import TradingHalt
from orders import changes, claims, intake, reconciliation
from orders.models import Order, OrderEvent
from orders.states import State
from orders.stream import order_document, stream_of
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory, order_row
from tests.orders.pump import pump_until


class Follower:
    """A client: takes a snapshot, then nothing but events, and holds what they say."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._redis = Redis.from_url(django_settings.REDIS_URL, socket_timeout=5)
        self._after = "0-0"
        self.orders = {str(order.pk): order_document(order) for order in _orders(desk)}
        self.heard = 0
        self._catch_up(take=False)

    def assert_fresh(self) -> None:
        """Apply the events since; each must be the next of its order, and their sum what a new snapshot says."""
        self._catch_up(take=True)
        assert self.orders == {str(order.pk): order_document(order) for order in _orders(self._desk)}

    def _catch_up(self, *, take: bool) -> None:
        key = f"events:{stream_of(self._desk.account.pk)}"
        entries: Any = self._redis.xrange(key, min=f"({self._after}" if self._after != "0-0" else "-")
        for offset, fields in entries:
            self._after = offset.decode()
            event = orjson.loads(fields[b"e"])
            if take and "order" in event:
                self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        document = event["order"]
        held = self.orders.get(document["id"])
        expected = (held["sequence"] if held else 0) + 1
        assert (document["sequence"], event["event"]["sequence"]) == (expected, expected)
        assert event["event"]["after"] == document["state"]
        self.orders[document["id"]] = document
        self.heard += 1


def _orders(desk: Desk) -> list[Order]:
    return list(Order.objects.select_related("account").filter(account=desk.account))


def filled(desk: Desk) -> None:
    order = desk.place(quantity=3)
    pump_until(desk, lambda: Order.objects.get(pk=order.pk).state == State.COMPLETE)


def denied(desk: Desk) -> None:
    desk.place(product="NRML")


def denied_at_the_claim(desk: Desk) -> None:
    order = desk.place()
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))
    desk.submit(order)


def withdrawn(desk: Desk) -> None:
    order = desk.place()
    intake.cancel(principal=desk.principal, order_id=order.pk, idempotency_key=None, now=datetime.now(UTC))


def expired(desk: Desk) -> None:
    order = desk.place(deadline_seconds=1)
    desk.clock.advance(5)
    desk.submit(order)


def rejected(desk: Desk) -> None:
    desk.sandbox.fault("ip_not_registered", route="order.place", count=1)
    desk.submit(desk.place())


def throttled(desk: Desk) -> None:
    desk.sandbox.fault("http_429", route="order.place", count=1)
    desk.submit(desk.place())


def doubted_and_found(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route="order.place", count=1)
    desk.submit(desk.place())
    reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)


def doubted_and_given_up(desk: Desk) -> None:
    desk.sandbox.fault("http_5xx", route="order.place", count=1)
    desk.submit(desk.place())
    for _ in range(3):
        desk.clock.advance(100)
        reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)


def modified_and_cancelled(desk: Desk) -> None:
    order = desk.patient()
    now = datetime.now(UTC)
    for ask in (
        lambda: intake.modify(
            principal=desk.principal,
            order_id=order.pk,
            wanted={"price": desk.price(-4)},
            idempotency_key="m",
            now=now,
        ),
        lambda: intake.cancel(principal=desk.principal, order_id=order.pk, idempotency_key="c", now=now),
    ):
        asked = ask()
        assert asked.command is not None
        changes.carry(command_id=asked.command.pk, sessions=desk.sessions, clock=desk.clock)
    pump_until(desk, lambda: Order.objects.get(pk=order.pk).state == State.CANCELLED)


def placed_elsewhere(desk: Desk) -> None:
    row = order_row("99", status="OPEN", order_at=datetime.now(UTC))
    reconciliation.hear(account_id=desk.account.pk, row=row, now=datetime.now(UTC))
    later = datetime.now(UTC) + timedelta(seconds=1)
    full = order_row("99", status="COMPLETE", filled_quantity=10, pending_quantity=0, order_at=later)
    reconciliation.hear(account_id=desk.account.pk, row=full, now=later)


def a_dead_worker(desk: Desk) -> None:
    order = desk.place()
    claims.claim(order_id=order.pk, clock=desk.clock)
    desk.clock.advance(60)
    reconciliation.recover(now=desk.clock.now())


LIVES: list[Callable[[Desk], None]] = [
    filled,
    denied,
    denied_at_the_claim,
    withdrawn,
    expired,
    rejected,
    throttled,
    doubted_and_found,
    doubted_and_given_up,
    modified_and_cancelled,
    placed_elsewhere,
    a_dead_worker,
]


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_the_snapshot_and_the_events_make_the_fresh_state(desk: Desk, life: Callable[[Desk], None]) -> None:
    desk.place()
    follower = Follower(desk)

    life(desk)

    follower.assert_fresh()
    assert follower.heard == OrderEvent.objects.count() - 1


def test_a_late_order_is_told_too(desk: Desk) -> None:
    order = OrderFactory(account=desk.account, state=State.NOT_PLACED)
    follower = Follower(desk)
    tag = claims.tag_for(order, attempt=1)

    reconciliation.hear(account_id=desk.account.pk, row=order_row("77", tag=tag), now=datetime.now(UTC))

    follower.assert_fresh()
    assert follower.heard > 1
