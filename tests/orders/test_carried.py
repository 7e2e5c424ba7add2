"""What an account carried overnight counts in its limits, and an order does not leave before it is known."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.queries import login_for
from kite.answers import PositionRow
from kite.instruments import read_dump as listed
from orders import carried, claims, reconciliation
from orders.clock import trading_day
from orders.models import RiskLimit
from orders.parameters import request_of
from orders.queries import stake_of
from orders.readings import BookReading, CarriedPosition
from orders.states import State
from tests.factories import BrokerAccountFactory
from tests.market_data.factories import InstrumentFactory
from tests.orders.conftest import Desk, log_in
from tests.orders.factories import OrderFactory
from tests.sandbox_server import wait_for

POSITIONS = "portfolio.positions"
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def position(quantity: int, **values: Any) -> PositionRow:
    """Return a net position of which this quantity was carried."""
    zeros: dict[str, Any] = {field.name: Decimal(0) for field in fields(PositionRow)}
    named = {"exchange": "NFO", "tradingsymbol": "INFY26NOVFUT", "product": "NRML", "instrument_token": 1, "raw": {}}
    return PositionRow(
        **{**zeros, **named, "quantity": 0, "overnight_quantity": quantity, "close_price": Decimal(100), **values}
    )


def read(desk: Desk) -> None:
    reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)


def missing(account: Any, *, minutes: int = 0) -> bool:
    now, reading = NOW + timedelta(minutes=minutes), carried.reading_of(account.pk)
    return carried.missing(account_id=account.pk, reading=reading, now=now)


def held(account_id: Any) -> list[tuple[str, int]]:
    return list(CarriedPosition.objects.filter(account_id=account_id).values_list("tradingsymbol", "quantity"))


def kept(rows: Sequence[PositionRow], *, at: datetime = NOW) -> Any:
    account = BrokerAccountFactory()
    carried.keep(account_id=account.pk, rows=rows, at=at)
    return account


def test_a_position_of_yesterday_counts_against_the_limit(fresh_desk: Desk) -> None:
    desk = fresh_desk
    client = desk.sessions.client(login_for(account_id=desk.account.pk, now=desk.clock.now()))
    future = next(
        row for row in listed(client.instruments("NFO")) if (row.name, row.instrument_type) == ("RELIANCE", "FUT")
    )
    place = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "product": "NRML", "quantity": future.lot_size}
    market = {"order_type": "MARKET", "price": None, "market_protection": Decimal(-1)}
    client.place_order(request_of(OrderFactory.build(account=desk.account, **place, **market)))
    wait_for(lambda: client.positions().net)
    desk.sandbox.clock(jump=f"{trading_day(datetime.now(UTC)) + timedelta(days=1)}T10:00:00")
    log_in(desk.account, desk.sandbox, 0)
    BookReading.objects.update(carried_at=None)
    read(desk)
    InstrumentFactory(exchange="NFO", tradingsymbol=future.tradingsymbol, lot_size=future.lot_size)
    RiskLimit.objects.create(account=desk.account, max_position=2 * future.lot_size, max_order_notional=10**9)

    waiting = {"account": desk.account, **place, "notional": 1}
    inside, outside = OrderFactory(**waiting), OrderFactory(**waiting)
    claimed = claims.claim(order_id=inside.pk, clock=desk.clock)
    claims.claim(order_id=outside.pk, clock=desk.clock)

    outside.refresh_from_db()
    assert isinstance(claimed, claims.Claim)
    assert (outside.state, outside.reason_code) == (State.DENIED, "POSITION_LIMIT")


def test_the_products_of_a_symbol_count_together(db: None) -> None:
    account = kept([position(50), position(-20, product="MIS"), position(0, tradingsymbol="TCS26NOVFUT")])

    assert held(account.pk) == [("INFY26NOVFUT", 30)]


def test_what_cancels_out_over_the_products_is_not_held(db: None) -> None:
    account = kept([position(50), position(-50, product="MIS")])

    assert held(account.pk) == []


def test_the_average_price_stands_in_for_a_close_nobody_told(db: None) -> None:
    account = kept([position(50, close_price=Decimal(0), average_price=Decimal(90))])

    assert CarriedPosition.objects.get(account=account).price == 90


def test_a_newer_answer_replaces_what_was_known(db: None) -> None:
    account = kept([position(50)])

    carried.keep(account_id=account.pk, rows=[position(10, tradingsymbol="TCS26NOVFUT")], at=NOW + timedelta(seconds=1))

    assert held(account.pk) == [("TCS26NOVFUT", 10)]


def test_an_answer_that_comes_too_late_changes_nothing(db: None) -> None:
    account = kept([position(50)])

    carried.keep(account_id=account.pk, rows=[], at=NOW)

    assert held(account.pk) == [("INFY26NOVFUT", 50)]
    assert BookReading.objects.get(account=account).carried_at == NOW


@pytest.mark.parametrize(("minutes", "due"), [(14, False), (15, True)])
def test_the_broker_is_asked_again_after_a_quarter_of_an_hour(db: None, minutes: int, due: bool) -> None:
    account = kept([])

    assert carried.due(account_id=account.pk, now=NOW + timedelta(minutes=minutes)) is due


def test_what_was_carried_into_yesterday_says_nothing_of_today(db: None) -> None:
    midnight = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
    account = kept([position(50)], at=midnight - timedelta(minutes=5))
    order = OrderFactory(account=account, exchange="NFO", tradingsymbol="INFY26NOVFUT", created_at=midnight)

    assert carried.due(account_id=account.pk, now=midnight)
    assert stake_of(order=order, day=trading_day(midnight)).net_quantity == 0
    assert stake_of(order=order, day=trading_day(NOW)).net_quantity == 50


def test_a_carried_future_counts_for_its_underlying_beside_the_days_orders(db: None) -> None:
    InstrumentFactory(
        exchange="NFO", tradingsymbol="INFY26NOVFUT", name="INFY", instrument_type="FUT", segment="NFO-FUT"
    )
    account = kept([position(-50)])
    bought = {"at_broker": True, "state": State.COMPLETE, "filled_quantity": 10, "average_price": 110}
    place = {"account": account, "exchange": "NFO", "tradingsymbol": "INFY26NOVFUT", "created_at": NOW}
    OrderFactory(**place, **bought)

    found = stake_of(order=OrderFactory(**place), day=trading_day(NOW))

    assert (found.net_quantity, found.underlying, found.underlying_value) == (-40, "INFY", 50 * 100 - 10 * 110)


@pytest.mark.parametrize(
    ("bound", "needed"),
    [({}, False), ({"max_quantity": 5}, False), ({"max_position": 5}, True), ({"max_exposure": 5}, True)],
)
def test_only_a_limit_on_positions_needs_what_was_carried(db: None, bound: dict[str, int], needed: bool) -> None:
    account = BrokerAccountFactory()
    RiskLimit.objects.create(account=account, **bound)

    assert missing(account) is needed


def test_a_limit_of_another_account_asks_nothing(db: None) -> None:
    RiskLimit.objects.create(account=BrokerAccountFactory(), max_position=5)

    assert not missing(BrokerAccountFactory())


@pytest.mark.parametrize(("minutes", "needed"), [(59, False), (60, True)])
def test_what_was_carried_is_known_for_an_hour(db: None, minutes: int, needed: bool) -> None:
    account = kept([])
    RiskLimit.objects.create(max_position=5)

    assert missing(account, minutes=minutes) is needed


def test_a_bounded_order_waits_while_the_positions_cannot_be_read(desk: Desk) -> None:
    BookReading.objects.update(carried_at=None)
    RiskLimit.objects.create(account=desk.account, max_position=100)
    desk.sandbox.fault("http_5xx", route=POSITIONS, status=503, body="json")
    order = desk.place()

    again = desk.submit(order)

    assert again is not None
    assert (order.state, order.reason_code) == (State.READY, "POSITIONS_UNREAD")
    assert desk.placed == []


def test_an_unbounded_order_does_not_wait_for_positions(desk: Desk) -> None:
    BookReading.objects.update(carried_at=None)
    desk.sandbox.fault("http_5xx", route=POSITIONS, status=503, body="json")
    read(desk)
    order = desk.place()

    desk.submit(order)

    assert order.state == State.ACKED
    assert BookReading.objects.get(account=desk.account).carried_at is None
