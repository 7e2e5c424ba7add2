"""Every variety and parameter that Kite has today, as the exchange takes it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.queries import login_for
from orders import changes, groups, intake, reconciliation
from orders.errors import NothingToExit
from orders.groups import picture_of
from orders.models import Order, OrderCommand
from orders.parents import OrderGroup
from orders.states import CommandState, State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.sandbox_server import wait_for


def read_book(desk: Desk) -> None:
    reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)


def shown_in_book(desk: Desk, order: Order, **values: Any) -> bool:
    """Wait until the book has brought the order so far."""

    def so_far() -> bool:
        read_book(desk)
        order.refresh_from_db()
        return all(getattr(order, name) == value for name, value in values.items())

    return bool(wait_for(so_far, seconds=15, every=0.2))


def row_of(desk: Desk, order: Order) -> dict[str, Any]:
    """Return the exchange's own row of an order."""
    login = login_for(account_id=desk.account.pk, now=datetime.now(UTC))
    rows = desk.sessions.client(login).orders()
    return dict(next(row.raw for row in rows if row.order_id == order.broker_order_id))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"order_type": "MARKET"}, {"variety": "regular", "product": "CNC"}),
        ({"order_type": "LIMIT"}, {"order_type": "LIMIT", "validity": "DAY"}),
        ({"order_type": "LIMIT", "validity": "IOC"}, {"validity": "IOC"}),
        ({"order_type": "LIMIT", "validity": "TTL", "validity_ttl": 5}, {"validity": "TTL", "validity_ttl": 5}),
        ({"order_type": "LIMIT", "quantity": 20, "disclosed_quantity": 5}, {"disclosed_quantity": 5}),
        ({"order_type": "LIMIT", "product": "MIS"}, {"product": "MIS"}),
    ],
)
def test_the_exchange_takes_what_was_meant(desk: Desk, values: dict[str, Any], shown: dict[str, Any]) -> None:
    price: dict[str, Any] = {"price": desk.price(-2)} if values["order_type"] == "LIMIT" else {}

    order = desk.place(**values, **price)
    desk.submit(order)

    assert order.state == State.ACKED, order.reason
    row = row_of(desk, order)
    assert {name: row[name] for name in shown} == shown


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_stop_waits_for_its_trigger(desk: Desk, side: str) -> None:
    sign = 1 if side == "BUY" else -1

    order = desk.place(
        transaction_type=side,
        order_type="SL",
        product="MIS",
        trigger_price=desk.price(2 * sign),
        price=desk.price(3 * sign),
    )
    desk.submit(order)

    assert shown_in_book(desk, order, status="TRIGGER PENDING"), order.reason


def test_a_market_stop_is_protected(desk: Desk) -> None:
    order = desk.place(order_type="SL-M", product="MIS", trigger_price=desk.price(2), market_protection=Decimal(3))

    desk.submit(order)

    assert order.state == State.ACKED, order.reason


def test_an_after_market_order_waits_for_the_session(fresh_desk: Desk) -> None:
    fresh_desk.sandbox.clock(jump="20:00")

    order = fresh_desk.place(order_type="LIMIT", price=fresh_desk.price(-1), variety="amo")
    fresh_desk.submit(order)
    read_book(fresh_desk)

    order.refresh_from_db()
    assert (order.state, order.status) == (State.ACKED, "AMO REQ RECEIVED"), order.reason


def test_an_iceberg_shows_one_leg_after_another_and_their_sum(fresh_desk: Desk) -> None:
    desk = fresh_desk
    order = desk.place(
        order_type="LIMIT", price=desk.price(2), variety="iceberg", quantity=9, iceberg_legs=3, iceberg_quantity=3
    )
    desk.submit(order)
    group = OrderGroup.objects.get()

    for _ in range(40):
        desk.sandbox.step(5)
        read_book(desk)
        if groups.advance(group_id=group.pk, sessions=desk.sessions, now=datetime.now(UTC)):
            break

    picture = picture_of(group)
    group.refresh_from_db()
    assert group.state == OrderGroup.State.COMPLETE
    assert [(each.origin, each.quantity) for each in picture.legs[0].orders] == [
        ("platform", 3),
        ("child", 3),
        ("child", 3),
    ]
    assert picture.legs[0].filled_quantity == 9
    assert not Order.objects.filter(origin="orphan").exists()


def test_the_legs_the_broker_makes_are_counted_once(fresh_desk: Desk) -> None:
    desk = fresh_desk
    order = desk.place(
        order_type="LIMIT", price=desk.price(2), variety="iceberg", quantity=6, iceberg_legs=2, iceberg_quantity=3
    )
    desk.submit(order)
    for _ in range(40):
        desk.sandbox.step(5)
        read_book(desk)
        if Order.objects.filter(origin="child").exists():
            break

    child = Order.objects.get(origin="child")

    assert child.notional == 0
    assert child.parent_order_id == order.broker_order_id
    order.refresh_from_db()
    assert order.notional == (order.price or 0) * 6


def cover(desk: Desk, **values: Any) -> Order:
    fields = {"variety": "co", "product": "MIS", "order_type": "MARKET", "trigger_price": desk.price(-3)}
    order = desk.place(**{**fields, **values})
    desk.submit(order)
    return order


def stop_of(desk: Desk, order: Order) -> Order:
    for _ in range(40):
        desk.sandbox.step(2)
        read_book(desk)
        found = Order.objects.filter(parent_order_id=order.broker_order_id, status="TRIGGER PENDING").first()
        if found is not None:
            return found
    raise AssertionError("no stop came")


def test_a_cover_order_brings_its_stop(fresh_desk: Desk) -> None:
    order = cover(fresh_desk)

    stop = stop_of(fresh_desk, order)

    assert (stop.origin, stop.transaction_type, stop.notional) == ("child", "SELL", 0)


def test_exiting_a_cover_order_ends_its_stop(fresh_desk: Desk) -> None:
    desk = fresh_desk
    order = cover(desk)
    stop = stop_of(desk, order)

    asked = intake.exit_cover(
        principal=desk.principal, order_id=order.pk, idempotency_key="exit", now=datetime.now(UTC)
    )
    assert asked.command is not None
    changes.carry(command_id=asked.command.pk, sessions=desk.sessions, clock=desk.clock)

    command = OrderCommand.objects.get()
    assert (command.order_id, command.state) == (stop.pk, CommandState.DONE)
    sent = desk.sandbox.journal(since=desk.since, route="order.cancel")
    assert len(sent) == 1


@pytest.mark.parametrize(("state", "broker_order_id"), [(State.READY, None), (State.COMPLETE, "2611240001")])
def test_exiting_a_cover_order_without_a_stop_ends_its_entry_or_finds_nothing(
    desk: Desk, state: State, broker_order_id: str | None
) -> None:
    order = OrderFactory(account=desk.account, variety="co", state=state, broker_order_id=broker_order_id)

    def ask() -> intake.Asked:
        return intake.exit_cover(
            principal=desk.principal, order_id=order.pk, idempotency_key="exit", now=datetime.now(UTC)
        )

    if state == State.READY:
        ask()
        order.refresh_from_db()
        assert order.state == State.WITHDRAWN
    else:
        with pytest.raises(NothingToExit, match="neither"):
            ask()


def test_exiting_what_is_no_cover_order_is_refused(desk: Desk) -> None:
    order = desk.place()

    with pytest.raises(NothingToExit):
        intake.exit_cover(principal=desk.principal, order_id=order.pk, idempotency_key="x", now=datetime.now(UTC))


def test_an_auction_takes_what_is_held(fresh_desk: Desk) -> None:
    desk = fresh_desk
    order = desk.place(
        variety="auction",
        transaction_type="SELL",
        order_type="LIMIT",
        price=desk.price(1),
        auction_number="22",
    )

    desk.submit(order)

    (sent,) = desk.sandbox.journal(since=desk.since, route="order.place")
    assert sent["params"]["auction_number"] == "22"
    assert sent["path"] == "/orders/auction"


def test_a_modification_carries_every_value(desk: Desk) -> None:
    order = desk.patient(quantity=10)
    values = {"quantity": 12, "price": desk.price(-4), "disclosed_quantity": 4, "validity": "DAY"}

    asked = intake.modify(
        principal=desk.principal, order_id=order.pk, wanted=values, idempotency_key="m", now=datetime.now(UTC)
    )
    assert asked.command is not None
    changes.carry(command_id=asked.command.pk, sessions=desk.sessions, clock=desk.clock)

    assert shown_in_book(desk, order, quantity=12, price=values["price"])
    assert row_of(desk, order)["disclosed_quantity"] == 4


def test_market_protection_and_algo_id_reach_the_wire(desk: Desk) -> None:
    order = desk.place(order_type="MARKET", market_protection=Decimal(2), algo_id="ALGO7")

    desk.submit(order)

    (sent,) = desk.sandbox.journal(since=desk.since, route="order.place", tag=order.tag)
    assert order.state == State.ACKED
    assert (sent["params"]["market_protection"], sent["params"]["algo_id"]) == ("2.00", "ALGO7")
