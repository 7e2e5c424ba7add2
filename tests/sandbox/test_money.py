"""Postbacks are signed, charges follow the dated table, positions add up."""

import datetime as dt
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.charges import charges
from sandbox.instruments import Instrument
from sandbox.ledger import realised_of
from sandbox.portfolio import Position, net_row
from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, place, wait_status
from tests.sandbox.receiver import Receiver
from tests.sandbox_server import SandboxServer, wait_for


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def posting(receiver: Receiver) -> Iterator[SandboxServer]:
    with SandboxServer("--no-limits", "--postback", receiver.url) as server:
        yield server


def fill(server: SandboxServer) -> str:
    kite = connect(server)
    order_id = place(kite, order_type="MARKET", market_protection=-1)
    wait_status(kite, order_id, "COMPLETE")
    return order_id


def of(receiver: Receiver, order_id: str) -> list[dict[str, Any]]:
    return [body for body in receiver.bodies if body["order_id"] == order_id]


def test_a_postback_is_signed(posting: SandboxServer, receiver: Receiver) -> None:
    order_id = fill(posting)

    body = wait_for(lambda: of(receiver, order_id))[0]

    text = f"{order_id}{body['order_timestamp']}{posting.users[0].api_secret}"
    assert body["checksum"] == sha256(text.encode()).hexdigest()
    assert (body["status"], body["unfilled_quantity"]) == ("COMPLETE", 0)


def test_a_postback_can_carry_a_wrong_checksum(posting: SandboxServer, receiver: Receiver) -> None:
    posting.settings(postback_bad_checksum=True)
    order_id = fill(posting)
    posting.settings(postback_bad_checksum=False)

    body = wait_for(lambda: of(receiver, order_id))[0]

    text = f"{order_id}{body['order_timestamp']}{posting.users[0].api_secret}"
    assert body["checksum"] != sha256(text.encode()).hexdigest()


def test_postbacks_can_be_doubled(posting: SandboxServer, receiver: Receiver) -> None:
    posting.settings(postback_duplicate=1)
    order_id = fill(posting)
    posting.settings(postback_duplicate=0)

    wait_for(lambda: len(of(receiver, order_id)) == 2)


def test_a_postback_can_come_late_and_be_overtaken(posting: SandboxServer, receiver: Receiver) -> None:
    posting.settings(postback_delay_seconds=2.0)
    kite = connect(posting)
    late = place(kite, price=below(posting, "NSE:INFY"))
    wait_status(kite, late, "OPEN", seconds=20)
    begun = time.monotonic()
    kite.cancel_order("regular", late)
    wait_status(kite, late, "CANCELLED", seconds=20)
    posting.settings(postback_delay_seconds=0.0)
    at_once = fill(posting)

    wait_for(lambda: of(receiver, late) and of(receiver, at_once), seconds=20)

    arrived = [body["order_id"] for body in receiver.bodies]
    assert receiver.times[arrived.index(late)] - begun >= 2.0
    assert arrived.count(late) == arrived.count(at_once) == 1


def test_postbacks_can_be_dropped(posting: SandboxServer, receiver: Receiver) -> None:
    posting.settings(postback_drop=1.0)
    dropped = fill(posting)
    posting.settings(postback_drop=0.0)
    sent = fill(posting)

    wait_for(lambda: of(receiver, sent))
    assert of(receiver, dropped) == []


def test_postbacks_can_arrive_in_the_wrong_order(posting: SandboxServer, receiver: Receiver) -> None:
    posting.settings(postback_reorder=True)
    first, second = fill(posting), fill(posting)
    wait_for(lambda: of(receiver, first) and of(receiver, second))
    posting.settings(postback_reorder=False)

    order = [body["order_id"] for body in receiver.bodies if body["order_id"] in {first, second}]
    assert order == [second, first]


def test_a_cancel_is_posted_and_an_open_order_is_not(posting: SandboxServer, receiver: Receiver) -> None:
    kite = connect(posting)
    order_id = place(kite, price=below(posting, "NSE:INFY"))
    wait_status(kite, order_id, "OPEN")
    kite.cancel_order("regular", order_id)

    wait_for(lambda: of(receiver, order_id))
    assert [body["status"] for body in of(receiver, order_id)] == ["CANCELLED"]


EQUITY = Instrument(408065, "INFY", "INFOSYS", "NSE", "NSE", "EQ", 0.05, 1, 1500.0, "INFY")
OPTION = Instrument(2, "X26DEC100CE", "X", "NFO", "NFO-OPT", "CE", 0.05, 50, 0.0, "X", dt.date(2026, 12, 29), 100.0)


def cost(instrument: Instrument, day: dt.date, *, is_buy: bool, product: str = "NRML") -> dict[str, Any]:
    return charges(instrument=instrument, product=product, is_buy=is_buy, quantity=100, price=100.0, day=day)


def test_option_sellers_pay_more_tax_since_april_2026() -> None:
    before, after = (cost(OPTION, day, is_buy=False) for day in (dt.date(2026, 3, 31), dt.date(2026, 4, 1)))

    assert before["transaction_tax"] == pytest.approx(10.0)
    assert after["transaction_tax"] == pytest.approx(15.0)


def test_delivery_has_no_brokerage_and_taxes_both_sides() -> None:
    row = cost(EQUITY, dt.date(2026, 11, 24), is_buy=True, product="CNC")

    assert row["brokerage"] == 0
    assert row["transaction_tax"] == pytest.approx(10.0)
    assert row["stamp_duty"] == pytest.approx(1.5)
    assert row["total"] == pytest.approx(sum(row[name] for name in PARTS) + row["gst"]["total"])


PARTS = ("transaction_tax", "exchange_turnover_charge", "sebi_turnover_charge", "brokerage", "stamp_duty")

trades = st.lists(st.tuples(st.booleans(), st.integers(1, 500), st.integers(50, 150)), max_size=12)


@given(trades=trades, last=st.integers(50, 150))
def test_profit_is_what_selling_everything_now_would_leave(trades: list[tuple[bool, int, int]], last: int) -> None:
    position = Position(0, "MIS")
    cash = 0
    for is_buy, quantity, price in trades:
        position.trade(is_buy=is_buy, quantity=quantity, value=float(quantity * price))
        cash += -quantity * price if is_buy else quantity * price

    row = net_row(position, instrument=EQUITY, last=float(last), close=100.0)

    assert row["pnl"] == pytest.approx(cash + position.quantity * last)
    assert row["quantity"] == position.quantity


@given(trades=trades)
def test_realised_and_open_profit_add_up(trades: list[tuple[bool, int, int]]) -> None:
    position = Position(0, "MIS")
    for is_buy, quantity, price in trades:
        position.trade(is_buy=is_buy, quantity=quantity, value=float(quantity * price))

    row = net_row(position, instrument=EQUITY, last=100.0, close=100.0)
    opened = position.quantity * (100.0 - float(str(row["average_price"])))

    assert float(str(row["pnl"])) == pytest.approx(realised_of(position) + opened, abs=1e-2)
