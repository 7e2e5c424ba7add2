"""The day of the exchange: the pre-open, the opening match, the square-off, settlement and new contracts."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from sandbox.auction import equilibrium
from sandbox.book import Level, Offer
from sandbox.sessions import Sessions
from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, on_tick, option_near, order, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for

REAL = ("--sessions", "real", "--no-limits", "--interval", "0.1")
PROTECTED: dict[str, Any] = {"order_type": "MARKET", "market_protection": -1}


@pytest.fixture(scope="module")
def morning() -> Iterator[SandboxServer]:
    """Return an exchange whose clock each test sets; its days do not come back."""
    with SandboxServer(*REAL, "--clock", "2026-11-25T07:00:00") as server:
        yield server
        assert "Traceback" not in server.errors()


@pytest.fixture
def trader(morning: SandboxServer) -> KiteConnect:
    """Log in at the pre-open of the next day, with the clock standing there."""
    next_workday(morning)
    client = connect(morning)
    morning.clock(jump="pre-open", pause=True)
    return client


def next_workday(server: SandboxServer) -> None:
    """Jump to 06:30 of the next day on which the cash market opens."""
    sessions = Sessions(always=False)
    today = dt.date.fromisoformat(server.clock(jump="06:30")["date"])
    while not sessions.is_trading_day(today):
        today = dt.date.fromisoformat(server.clock(jump="06:30")["date"])


@pytest.mark.parametrize(
    ("bids", "asks", "price"),
    [
        ([(101, 50), (100, 50)], [(99, 60), (102, 40)], 99),
        ([(101, 50)], [(99, 50)], 99),
        ([(105, 10), (100, 90)], [(98, 10), (104, 90)], 98),
        ([(99, 10)], [(101, 10)], None),
        ([], [], None),
    ],
)
def test_the_auction_price_lets_most_trade(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], price: int | None
) -> None:
    assert equilibrium(bids=offers(bids), asks=offers(asks), near=98) == price


def offers(rows: list[tuple[int, int]]) -> list[Offer]:
    return [Offer(price, level=Level(price, quantity, 1)) for price, quantity in rows]


def test_the_pre_open_collects_and_the_match_fills(morning: SandboxServer, trader: KiteConnect) -> None:
    high = on_tick(morning, "NSE:INFY", morning.book("NSE:INFY")["last_price"] * 1.03)
    eager = place(trader, price=high)
    patient = place(trader, price=below(morning, "NSE:INFY", 0.93))
    wait_status(trader, eager, "OPEN")
    wait_status(trader, patient, "OPEN")
    morning.step(20)
    assert order(trader, eager)["filled_quantity"] == 0

    morning.clock(jump="auction")

    filled = wait_status(trader, eager, "COMPLETE")
    assert filled["average_price"] < high
    assert order(trader, patient)["status"] == "OPEN"
    assert morning.book("NSE:INFY")["ohlc"]["open"] > 0


def test_the_pre_open_tells_where_it_would_open(morning: SandboxServer, trader: KiteConnect) -> None:
    morning.step(2)
    calm = morning.book("NSE:TCS")
    asks = sum(level["quantity"] for level in calm["depth"]["sell"])
    eager = place(
        trader, "NSE:TCS", quantity=min(asks, 2_000), price=on_tick(morning, "NSE:TCS", calm["last_price"] * 1.04)
    )
    wait_status(trader, eager, "OPEN")

    morning.step(2)

    pressed = morning.book("NSE:TCS")
    assert pressed["last_price"] > calm["last_price"]
    assert pressed["volume"] == calm["volume"]
    assert order(trader, eager)["filled_quantity"] == 0
    trader.cancel_order("regular", eager)


def test_two_users_meet_at_one_price_in_the_auction(morning: SandboxServer, trader: KiteConnect) -> None:
    other = connect(morning, 1)
    last = morning.book("NSE:SBIN")["last_price"]
    prices = {"high": on_tick(morning, "NSE:SBIN", last * 1.05), "low": on_tick(morning, "NSE:SBIN", last * 0.95)}
    bought = place(trader, "NSE:SBIN", quantity=10_000, price=prices["high"], product="MIS")
    sold = place(other, "NSE:SBIN", "SELL", quantity=10_000, price=prices["low"], product="MIS")
    wait_status(trader, bought, "OPEN")
    wait_status(other, sold, "OPEN")

    morning.clock(jump="auction")

    buy, sell = wait_status(trader, bought, "COMPLETE"), wait_status(other, sold, "COMPLETE")
    assert buy["average_price"] == sell["average_price"]
    assert prices["low"] <= buy["average_price"] <= prices["high"]


def test_only_plain_orders_enter_the_pre_open(morning: SandboxServer, trader: KiteConnect) -> None:
    price = below(morning, "NSE:INFY")
    for changes in (
        {"price": price, "validity": "IOC"},
        {"price": price, "quantity": 10, "disclosed_quantity": 5},
        {"order_type": "SL", "price": price * 2, "trigger_price": price * 2},
    ):
        with pytest.raises(kite_errors.InputException):
            place(trader, **changes)
    with pytest.raises(kite_errors.InputException, match="Markets are closed"):
        place(trader, f"NFO:{option_near(trader)['tradingsymbol']}", price=5, quantity=65)


def test_between_match_and_opening_nothing_can_be_changed(morning: SandboxServer, trader: KiteConnect) -> None:
    waiting = place(trader, price=below(morning, "NSE:INFY"))
    wait_status(trader, waiting, "OPEN")
    trader.modify_order("regular", waiting, quantity=2)
    wait_status(trader, waiting, "OPEN")
    morning.clock(jump="auction")

    with pytest.raises(kite_errors.OrderException, match="being processed"):
        trader.cancel_order("regular", waiting)
    with pytest.raises(kite_errors.InputException, match="Markets are closed"):
        place(trader, price=below(morning, "NSE:INFY"))
    morning.clock(jump="open")
    trader.cancel_order("regular", waiting)
    wait_status(trader, waiting, "CANCELLED")


def test_an_amo_leaves_for_the_auction_and_a_stop_for_the_opening(morning: SandboxServer) -> None:
    next_workday(morning)
    morning.clock(pause=True)
    client = connect(morning)
    price = below(morning, "NSE:INFY")
    limit = place(client, variety="amo", price=price)
    high = on_tick(morning, "NSE:INFY", price * 1.08)
    stop = place(client, variety="amo", order_type="SL", price=high, trigger_price=high)

    morning.clock(jump="pre-open")
    wait_status(client, limit, "OPEN")
    assert order(client, stop)["status"] == "AMO REQ RECEIVED"
    morning.clock(jump="open")
    wait_status(client, stop, "TRIGGER PENDING")


def test_a_jump_over_the_afternoon_squares_off_and_closes(morning: SandboxServer, trader: KiteConnect) -> None:
    morning.clock(jump="open", pause=False)
    bought = place(trader, "NSE:SBIN", quantity=20_000, product="MIS", **PROTECTED)
    wait_for(lambda: order(trader, bought)["filled_quantity"] > 0)
    resting = place(trader, price=below(morning, "NSE:INFY"))
    wait_status(trader, resting, "OPEN")

    morning.clock(jump="16:05")

    assert order(trader, resting)["status"] == "CANCELLED"
    assert [row["quantity"] for row in trader.positions()["net"]] == [0]


def test_a_large_position_is_squared_off_until_nothing_is_left(morning: SandboxServer, trader: KiteConnect) -> None:
    morning.clock(jump="open", pause=False)
    # What other tests of the morning hold takes margin.
    morning.control("POST", f"/users/{morning.user(0).user_id}", {"cash": 50_000_000})
    bought = place(trader, "NSE:ITC", quantity=80_000, product="MIS", **PROTECTED)
    wait_for(lambda: order(trader, bought)["filled_quantity"] > 5_000)

    morning.clock(jump="square-off")

    wait_for(lambda: all(row["quantity"] == 0 for row in trader.positions()["net"]), seconds=20)
    assert any("squareoff" in row.get("tags", ()) for row in trader.orders())


def test_an_expired_option_is_settled_in_cash_and_new_contracts_appear() -> None:
    with SandboxServer(*REAL, "--clock", "2026-12-01T10:00:00") as server:
        client = connect(server)
        spot = server.book("NSE:NIFTY 50")["last_price"]
        strike = int(spot // 500 * 500 - 500)
        symbol = f"NFO:NIFTY26D01{strike}CE"
        dump = {row["tradingsymbol"] for row in client.instruments("NFO")}
        wait_status(client, place(client, symbol, quantity=65, **PROTECTED), "COMPLETE")
        cost = client.positions()["net"][0]["buy_value"]
        before = client.margins("equity")["available"]["cash"]

        server.clock(jump="close")
        closed = client.positions()["net"][0]
        level = closed["sell_price"] + strike
        server.clock(jump="2026-12-02T09:20:00")
        later = connect(server)

        assert (closed["quantity"], closed["sell_quantity"]) == (0, 65)
        assert level == pytest.approx(spot, rel=0.02)
        assert later.margins("equity")["available"]["cash"] == pytest.approx(before - cost + closed["sell_value"])
        assert later.positions()["net"] == []
        fresh = {row["tradingsymbol"]: row for row in later.instruments("NFO")}
        added = sorted(fresh.keys() - dump)
        assert f"NIFTY27105{strike}CE" in added
        quoted = server.book(f"NFO:NIFTY27105{strike}CE")
        assert quoted["last_price"] > 0
        assert quoted["instrument_token"] == fresh[f"NIFTY27105{strike}CE"]["instrument_token"]


def test_the_next_expiry_can_be_jumped_to(morning: SandboxServer) -> None:
    now = dt.datetime.fromisoformat(morning.state()["clock"]["now"])

    reached = dt.datetime.fromisoformat(morning.clock(jump="expiry")["now"])

    assert now < reached <= now + dt.timedelta(days=8)
    names = [row["expiry"] for row in connect(morning).instruments("NFO") + connect(morning).instruments("BFO")]
    assert reached.date() in names


def test_profit_of_a_future_becomes_cash_overnight() -> None:
    with SandboxServer("--no-limits", "--interval", "0.1", "--clock", "2026-11-25T15:00:00") as server:
        client = connect(server)
        symbol = "NFO:NIFTY26DECFUT"
        wait_status(client, place(client, symbol, quantity=65, **PROTECTED), "COMPLETE")
        server.clock(pause=True)
        profit, cash = client.positions()["net"][0]["pnl"], client.margins("equity")["available"]["cash"]

        server.clock(jump="2026-11-26T09:30:00")

        later = connect(server)
        row = later.positions()["net"][0]
        assert later.margins("equity")["available"]["cash"] == pytest.approx(cash + profit, abs=1.0)
        assert (row["overnight_quantity"], row["quantity"]) == (65, 65)


def test_legs_and_slices_count_for_the_day(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.settings(limits=True, orders_per_day=1_000_000, orders_per_second=1_000, other_per_second=1_000)
    day = {"exchange": "NSE", "price": below(exchange, "NSE:INFY")}
    place(kite, quantity=10, variety="iceberg", iceberg_legs=5, iceberg_quantity=2, price=day["price"])
    used = 5
    option = option_near(kite)
    freeze = 1_800 // option["lot_size"] * option["lot_size"]
    exchange.settings(orders_per_day=used + 3)

    kite.place_autoslice_order("regular", "NFO", option["tradingsymbol"], "BUY", freeze * 3, "NRML", "LIMIT", price=5.0)

    with pytest.raises(kite_errors.NetworkException, match="Maximum allowed order requests"):
        place(kite, price=day["price"])


def test_alerts_funds_and_followers_survive_a_restart(tmp_path: Path) -> None:
    arguments = ("--state", str(tmp_path / "state.json"), "--no-limits", "--interval", "0.1")
    with SandboxServer(*arguments, folder=tmp_path) as server:
        client = connect(server)
        server.settings(mutual_fund_orders=True)
        fund = client.mf_instruments()[0]["tradingsymbol"]
        placed = client.place_mf_order(fund, "BUY", amount=5_000)
        sip = client.place_mf_sip(fund, 1_000, 9, "weekly")["sip_id"]
        alert = ask(server, client, "POST")["uuid"]
        price = below(server, "NSE:INFY")
        reached = server.clock(jump="+3600")["now"]
        iceberg = place(client, quantity=4, variety="iceberg", iceberg_legs=2, iceberg_quantity=2, price=price)
        last = server.book("NSE:SBIN")["last_price"]
        cover = place(
            client, "NSE:SBIN", variety="co", product="MIS", price=on_tick(server, "NSE:SBIN", last * 0.96),
            trigger_price=on_tick(server, "NSE:SBIN", last * 0.92),
        )  # fmt: skip
        wait_status(client, iceberg, "OPEN")
        wait_status(client, cover, "OPEN")

    with SandboxServer(*arguments, folder=tmp_path) as again:
        client.root = again.rest_root
        assert again.state()["clock"]["now"] >= reached
        assert {row["order_id"] for row in client.mf_orders()} == {placed["order_id"]}
        assert {row["sip_id"] for row in client.mf_sips()} == {sip}
        assert [row["uuid"] for row in ask(again, client, "GET")] == [alert]
        again.move("NSE:INFY", price * 0.99)
        again.move("NSE:SBIN", last * 0.955)

        legs = wait_for(lambda: len(legs := [row for row in client.orders() if row["meta"]]) == 2 and legs)
        assert sorted(row["meta"]["iceberg"]["leg"] for row in legs) == [1, 2]
        stop = wait_for(lambda: [row for row in client.orders() if row["parent_order_id"] == cover])
        assert (stop[0]["order_type"], stop[0]["transaction_type"]) == ("SL-M", "SELL")


def ask(server: SandboxServer, client: KiteConnect, method: str) -> Any:
    """Call /alerts, which the official client has not; POST creates one that compares two instruments."""
    form = {
        "name": "pair", "type": "simple", "lhs_exchange": "NSE", "lhs_tradingsymbol": "INFY", "operator": ">=",
        "lhs_attribute": "LastTradedPrice", "rhs_type": "instrument", "rhs_exchange": "INDICES",
        "rhs_tradingsymbol": "NIFTY 50", "rhs_attribute": "LastTradedPrice",
    }  # fmt: skip
    answer = requests.request(
        method, f"{server.rest_root}/alerts", data=form if method == "POST" else None, timeout=5,
        headers=server.headers(0, client.access_token),
    )  # fmt: skip
    return answer.json()["data"]
