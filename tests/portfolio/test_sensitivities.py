"""Greeks of what accounts hold."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AccountGroup
from greeks.book import NEVER
from orders.models import Order, Trade
from portfolio.readings import Part
from portfolio.sensitivities import positions_of
from tests.factories import BrokerAccountFactory
from tests.greeks.market import WEEKLY, option_maker
from tests.orders.conftest import Desk

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, tzinfo=UTC)
URL = "/api/v1/greeks/positions"


def part(*rows: dict[str, Any], group: str | None = None) -> Part:
    made = AccountGroup.objects.create(name=group) if group else None
    return Part(BrokerAccountFactory(label="main", group=made), {"net": list(rows), "day": []}, NOW)


def row(symbol: str, quantity: float, **more: Any) -> dict[str, Any]:
    return {
        "exchange": "NFO",
        "tradingsymbol": symbol,
        "quantity": quantity,
        "last_price": 100.0,
        "multiplier": 1,
        **more,
    }


def test_a_quantity_is_taken_in_units_as_the_broker_gives_it() -> None:
    make = option_maker()
    option, future = make("CE", WEEKLY, 24_000), make("FUT", WEEKLY, 0)
    option.save()
    future.save()

    held = positions_of(
        parts=[part(row(option.tradingsymbol, 75), row(future.tradingsymbol, -150), group="g")], shares={}
    )

    first, second = held.positions
    assert (first.quantity, first.linear, first.key.underlying, first.key.expiry) == (75, False, "NIFTY", WEEKLY)
    assert (second.quantity, second.linear, second.price, second.lot_size) == (-150, True, 100.0, 75)
    assert {(each.account, each.group) for each in held.positions} == {("main", "g")}


def test_a_multiplier_turns_a_commodity_into_units() -> None:
    gold = option_maker()("FUT", WEEKLY, 0)
    gold.exchange, gold.tradingsymbol, gold.name = "MCX", "GOLDM37NOVFUT", "GOLDM"
    gold.save()

    held = positions_of(parts=[part(row("GOLDM37NOVFUT", 2, exchange="MCX", multiplier=10))], shares={})

    assert [each.quantity for each in held.positions] == [20]


def test_an_unknown_instrument_is_told_and_not_skipped() -> None:
    held = positions_of(parts=[part(row("NOBODY", 5))], shares={})

    assert held.positions == []
    assert held.unknown == [{"account": "main", "instrument": "NFO:NOBODY", "quantity": 5.0}]


def test_a_closed_position_is_no_position() -> None:
    assert positions_of(parts=[part(row("NOBODY", 0))], shares={}).unknown == []


def test_a_position_is_split_by_strategy_and_the_rest_has_none() -> None:
    option = option_maker()("CE", WEEKLY, 24_000)
    option.save()
    shares = {("main", option.instrument_token): {"wheel": 150.0, "hedge": -75.0}}

    held = positions_of(parts=[part(row(option.tradingsymbol, 225))], shares=shares)

    assert {each.strategy: each.quantity for each in held.positions} == {"hedge": -75.0, "wheel": 150.0, "": 150.0}


def test_one_underlying_alone_can_be_asked_for() -> None:
    make = option_maker()
    option, other = make("CE", WEEKLY, 24_000), make("FUT", WEEKLY, 0)
    other.name = "SENSEX"
    option.save()
    other.save()

    rows = [row(option.tradingsymbol, 75), row(other.tradingsymbol, 75)]
    held = positions_of(parts=[part(*rows)], shares={}, underlying="SENSEX")

    assert [each.key.underlying for each in held.positions] == ["SENSEX"]


def test_shares_held_count_as_delta_one(api: APIClient, desk: Desk, held: dict[str, Any]) -> None:
    answer = api.get(f"{URL}?max_age=0&spot_moves=0.0&spot_moves=0.01").json()

    found = {each["underlying"]: each for each in answer["results"]}
    infy = found["INFY"]
    assert infy["delta_units"] == units_of_infosys(api)
    assert infy["profit"][1][0][0] == pytest.approx(0.01 * infy["delta_rupees"], abs=0.02)
    assert answer["accounts"][0]["account"] == desk.account.label
    assert str(NEVER) not in str(answer)


def units_of_infosys(api: APIClient) -> float:
    """Return what the broker shows of the share, whatever other tests bought before."""
    answer = api.get("/api/v1/positions", {"max_age": 0}).json()
    return float(sum(row["quantity"] for row in answer["net"] if row["tradingsymbol"] == "INFY"))


def trade(desk: Desk, order: Order, *, number: str, quantity: int, side: str = "BUY") -> None:
    Trade.objects.create(
        account=desk.account,
        order=order,
        trade_id=number,
        broker_order_id="1",
        exchange="NSE",
        tradingsymbol="INFY",
        instrument_token=order.instrument_token,
        transaction_type=side,
        product="MIS",
        quantity=quantity,
        average_price=Decimal(1_500),
        heard_at=NOW,
        trading_day=NOW.date(),
    )


def test_a_strategys_trades_are_its_positions(api: APIClient, desk: Desk, held: dict[str, Any]) -> None:
    desk.place(product="MIS", quantity=3, strategy="wheel")
    order = Order.objects.get(strategy="wheel")
    trade(desk, order, number="1", quantity=3)
    trade(desk, order, number="2", quantity=1, side="SELL")

    answer = api.get(f"{URL}?max_age=0&by=strategy&underlying=INFY").json()

    found = {each["strategy"]: each["delta_units"] for each in answer["results"]}
    assert found["wheel"] == 2
    assert sum(found.values()) == units_of_infosys(api)


def test_the_book_asks_for_a_known_grouping(api: APIClient) -> None:
    assert api.get(URL, {"by": "colour"}).status_code == 400
