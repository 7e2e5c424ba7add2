"""An order's way through the exchange: states, fills, stops, modifications, refusals."""

from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, new_tag, on_tick, option_near, order, place, statuses, wait_status
from tests.sandbox_server import SandboxServer, wait_for

INFY = "NSE:INFY"
ARRIVAL = ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING"]


def test_a_filled_order_passes_every_state(kite: KiteConnect) -> None:
    order_id = place(kite, order_type="MARKET", market_protection=-1)
    wait_status(kite, order_id, "COMPLETE")

    assert statuses(kite, order_id) == [*ARRIVAL, "OPEN", "COMPLETE"]


def test_a_cancelled_order_passes_every_state(kite: KiteConnect, exchange: SandboxServer) -> None:
    order_id = place(kite, price=below(exchange, INFY))
    wait_status(kite, order_id, "OPEN")
    kite.cancel_order("regular", order_id)
    row = wait_status(kite, order_id, "CANCELLED")

    assert statuses(kite, order_id) == [*ARRIVAL, "OPEN", "CANCEL PENDING", "CANCELLED"]
    assert (row["pending_quantity"], row["cancelled_quantity"]) == (1, 1)


def test_a_modified_order_passes_every_state(kite: KiteConnect, exchange: SandboxServer) -> None:
    order_id = place(kite, price=below(exchange, INFY))
    wait_status(kite, order_id, "OPEN")
    kite.modify_order("regular", order_id, price=below(exchange, INFY, 0.96))
    wait_for(lambda: statuses(kite, order_id)[-1] == "OPEN" and len(statuses(kite, order_id)) > 5)

    changed = [*ARRIVAL, "OPEN", "MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN"]
    assert statuses(kite, order_id) == changed
    kite.cancel_order("regular", order_id)


def test_a_crossing_limit_fills_at_the_books_price(kite: KiteConnect, exchange: SandboxServer) -> None:
    limit = on_tick(exchange, INFY, exchange.book(INFY)["last_price"] * 1.02)
    row = wait_status(kite, place(kite, price=limit), "COMPLETE")

    assert row["average_price"] < limit


def test_a_resting_order_fills_at_its_limit_when_the_market_comes(kite: KiteConnect, exchange: SandboxServer) -> None:
    start = exchange.book("NSE:ITC")["last_price"]
    limit = on_tick(exchange, "NSE:ITC", start * 0.98)
    order_id = place(kite, "NSE:ITC", price=limit, quantity=5)
    wait_status(kite, order_id, "OPEN")

    exchange.move("NSE:ITC", start * 0.97)

    assert wait_status(kite, order_id, "COMPLETE")["average_price"] == limit
    exchange.move("NSE:ITC", start)


def test_a_large_order_fills_in_parts(kite: KiteConnect, exchange: SandboxServer) -> None:
    ask = exchange.book("NSE:VRLLOG")["depth"]["sell"][0]["price"]
    order_id = place(kite, "NSE:VRLLOG", price=ask, quantity=9_000)
    row = wait_for(lambda: (row := order(kite, order_id))["filled_quantity"] and row)

    assert row["status"] == "OPEN"
    assert 0 < row["filled_quantity"] < 9_000
    assert row["filled_quantity"] + row["pending_quantity"] == 9_000
    kite.cancel_order("regular", order_id)


def test_a_resting_order_is_seen_in_the_book(kite: KiteConnect, exchange: SandboxServer) -> None:
    bid = exchange.book("NSE:MRF")["depth"]["buy"][0]["price"]
    exchange.clock(pause=True)
    order_id = place(kite, "NSE:MRF", price=bid + 5, quantity=7)
    wait_status(kite, order_id, "OPEN")

    best = exchange.book("NSE:MRF")["depth"]["buy"][0]
    assert (best["price"], best["quantity"], best["orders"]) == (bid + 5, 7, 1)
    kite.cancel_order("regular", order_id)
    wait_for(lambda: exchange.book("NSE:MRF")["depth"]["buy"][0]["price"] == bid)


def test_the_rest_of_an_ioc_is_cancelled(kite: KiteConnect, exchange: SandboxServer) -> None:
    exchange.clock(pause=True)
    ask = exchange.book("NSE:TCIEXP")["depth"]["sell"][0]["price"]
    order_id = place(kite, "NSE:TCIEXP", price=ask, quantity=9_000, validity="IOC")
    row = wait_status(kite, order_id, "CANCELLED")

    assert 0 < row["filled_quantity"] < 9_000
    assert row["cancelled_quantity"] == 9_000 - row["filled_quantity"]


def test_a_protected_market_order_is_shown_as_a_limit(kite: KiteConnect) -> None:
    row = wait_status(kite, place(kite, order_type="MARKET", market_protection=2, tag=new_tag()), "COMPLETE")

    assert row["order_type"] == "LIMIT"
    assert row["price"] > 0
    assert row["market_protection"] == 0
    assert row["tags"] == [row["tag"], "mktp", "mktp:2.00"]


def test_a_market_order_without_protection_is_refused(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.InputException, match="without market protection"):
        place(kite, order_type="MARKET")


@pytest.mark.parametrize("order_type", ["SL", "SL-M"])
def test_a_stop_waits_for_its_trigger(kite: KiteConnect, exchange: SandboxServer, order_type: str) -> None:
    last = exchange.book("NSE:CIPLA")["last_price"]
    trigger = on_tick(exchange, "NSE:CIPLA", last * 1.01)
    extra = {"price": trigger + 5} if order_type == "SL" else {"market_protection": -1}
    order_id = place(kite, "NSE:CIPLA", order_type=order_type, trigger_price=trigger, **extra)
    wait_status(kite, order_id, "TRIGGER PENDING")

    exchange.move("NSE:CIPLA", trigger + 2)

    wait_status(kite, order_id, "COMPLETE")
    assert statuses(kite, order_id) == [*ARRIVAL, "TRIGGER PENDING", "OPEN", "COMPLETE"]
    exchange.move("NSE:CIPLA", last)


def test_a_ttl_order_ends_after_its_minutes(kite: KiteConnect, exchange: SandboxServer) -> None:
    order_id = place(kite, price=below(exchange, INFY), validity="TTL", validity_ttl=1)
    wait_status(kite, order_id, "OPEN")

    exchange.clock(jump="+61")

    wait_status(kite, order_id, "CANCELLED")


def test_two_users_trade_with_each_other(kite: KiteConnect, exchange: SandboxServer) -> None:
    other = connect(exchange, 1)
    exchange.clock(pause=True)
    symbol, price = _inside_a_wide_spread(kite)
    resting = place(kite, symbol, price=price, quantity=65)
    wait_status(kite, resting, "OPEN")

    taking = place(other, symbol, "SELL", price=price, quantity=65)

    assert wait_status(other, taking, "COMPLETE")["average_price"] == price
    assert wait_status(kite, resting, "COMPLETE")["average_price"] == price


def _inside_a_wide_spread(kite: KiteConnect) -> tuple[str, float]:
    """Return an option and a price between its best bid and ask."""
    options = [row for row in kite.instruments("NFO") if row["name"] == "NIFTY" and row["instrument_type"] == "CE"]
    for key, quote in kite.quote([f"NFO:{row['tradingsymbol']}" for row in options[:300]]).items():
        bid, ask = quote["depth"]["buy"][0]["price"], quote["depth"]["sell"][0]["price"]
        if ask - bid >= 0.2:
            return key, round(bid + 0.1, 2)
    raise AssertionError("no option has a wide spread")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantity": 0}, "Invalid `quantity`"),
        ({"price": 0}, "Invalid `price`"),
        ({"price": 1500.03}, "Tick size"),
        ({"price": 9000}, "upper circuit limit"),
        ({"price": 10}, "lower circuit limit"),
        ({"product": "NRML"}, "NRML"),
        ({"tag": "no spaces"}, "`tag`"),
        ({"tag": "x" * 21}, "`tag`"),
        ({"order_type": "SL", "trigger_price": 0}, "Trigger price"),
        ({"order_type": "SL", "trigger_price": 1400}, "higher than the last traded price"),
        ({"validity": "TTL"}, "validity_ttl"),
        ({"disclosed_quantity": 5}, "Disclosed quantity"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
    ],
    ids=str,
)
def test_a_wrong_order_is_refused_with_its_reason(kite: KiteConnect, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(kite_errors.InputException, match=text):
        place(kite, **{"price": 1500.0, **changes})


def test_an_unknown_instrument_is_refused(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.InputException, match="does not exist"):
        place(kite, "NSE:NOSUCH", price=10)
    with pytest.raises(kite_errors.InputException, match="does not exist"):
        place(kite, "NSE:NIFTY 50", price=10)


def test_lots_and_freeze_quantities_hold(kite: KiteConnect) -> None:
    symbol = option_near(kite)["tradingsymbol"]

    with pytest.raises(kite_errors.InputException, match="multiple of 65"):
        place(kite, f"NFO:{symbol}", price=5, quantity=64)
    with pytest.raises(kite_errors.InputException, match="freeze quantity"):
        place(kite, f"NFO:{symbol}", price=5, quantity=65 * 40)


def test_an_order_beyond_the_money_is_refused_before_the_book(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.GeneralException, match=r"Insufficient funds. Required margin is .* but available"):
        place(kite, "NSE:MRF", price=150_000, quantity=5_000)


def test_an_order_beyond_the_money_can_be_rejected_in_the_book(kite: KiteConnect, exchange: SandboxServer) -> None:
    exchange.settings(margin_check="after")

    row = wait_status(kite, place(kite, "NSE:MRF", price=150_000, quantity=5_000), "REJECTED")

    assert row["status_message"].startswith("Insufficient funds.")
    assert row["status_message_raw"].startswith("RMS:Margin Exceeds,Required:")
    assert row["exchange_order_id"] is None


def test_shares_that_are_not_held_cannot_be_sold(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.GeneralException, match="Insufficient holding quantity"):
        place(kite, "NSE:ABB", "SELL", price=5_000)


def test_open_orders_tie_up_money_until_they_end(kite: KiteConnect, exchange: SandboxServer) -> None:
    before = kite.margins("equity")["net"]
    price = below(exchange, INFY)
    order_id = place(kite, price=price, quantity=10)
    wait_status(kite, order_id, "OPEN")
    during = kite.margins("equity")["net"]
    kite.cancel_order("regular", order_id)
    wait_status(kite, order_id, "CANCELLED")

    assert before - during == pytest.approx(price * 10, abs=1)
    assert kite.margins("equity")["net"] == pytest.approx(before, abs=1)


def test_the_twenty_sixth_modification_is_refused(kite: KiteConnect, exchange: SandboxServer) -> None:
    exchange.settings(modifications_per_order=2, exchange_latency=0.0)
    order_id = place(kite, price=below(exchange, INFY))
    for share in (0.96, 0.95):
        wait_status(kite, order_id, "OPEN")
        kite.modify_order("regular", order_id, price=below(exchange, INFY, share))

    wait_status(kite, order_id, "OPEN")
    with pytest.raises(kite_errors.OrderException, match="Maximum allowed order modifications exceeded"):
        kite.modify_order("regular", order_id, price=below(exchange, INFY, 0.94))
    kite.cancel_order("regular", order_id)


def test_an_ended_order_cannot_be_touched(kite: KiteConnect) -> None:
    order_id = place(kite, order_type="MARKET", market_protection=-1)
    wait_status(kite, order_id, "COMPLETE")

    with pytest.raises(kite_errors.OrderException, match="already complete"):
        kite.cancel_order("regular", order_id)
    with pytest.raises(kite_errors.OrderException, match="Couldn't find that `order_id`"):
        kite.cancel_order("regular", "123")


def test_an_order_in_flight_cannot_be_cancelled(kite: KiteConnect, exchange: SandboxServer) -> None:
    exchange.settings(exchange_latency=0.5)
    order_id = place(kite, price=below(exchange, INFY))

    with pytest.raises(kite_errors.OrderException, match=r"being processed\. Try later"):
        kite.cancel_order("regular", order_id)
    wait_status(kite, order_id, "OPEN")


def test_an_iceberg_works_leg_by_leg(kite: KiteConnect, exchange: SandboxServer) -> None:
    tag = new_tag()
    price = on_tick(exchange, "NSE:HDFCBANK", exchange.book("NSE:HDFCBANK")["last_price"] * 1.01)
    place(
        kite, "NSE:HDFCBANK", variety="iceberg", price=price, quantity=10, iceberg_legs=3, iceberg_quantity=4, tag=tag
    )

    legs = wait_for(lambda: (rows := _tagged(kite, tag)) and len(rows) == 3 and _all_complete(rows) and rows)

    assert [row["quantity"] for row in legs] == [4, 4, 2]
    assert [row["meta"]["iceberg"]["leg"] for row in legs] == [1, 2, 3]
    assert [row["meta"]["iceberg"]["remaining_quantity"] for row in legs] == [6, 2, 0]


def _tagged(kite: KiteConnect, tag: str) -> list[dict[str, object]]:
    return [row for row in kite.orders() if row["tag"] == tag]


def _all_complete(rows: list[dict[str, object]]) -> bool:
    return all(row["status"] == "COMPLETE" for row in rows)


def test_a_cover_order_brings_its_stop(kite: KiteConnect, exchange: SandboxServer) -> None:
    tag = new_tag()
    trigger = below(exchange, "NSE:LT", 0.98)
    parent = place(
        kite, "NSE:LT", variety="co", product="MIS", order_type="MARKET", market_protection=-1, trigger_price=trigger,
        tag=tag,
    )  # fmt: skip
    wait_status(kite, parent, "COMPLETE")

    stop = wait_for(lambda: next((row for row in _tagged(kite, tag) if row["parent_order_id"] == parent), None))

    assert (stop["transaction_type"], stop["trigger_price"], stop["product"]) == ("SELL", trigger, "CO")
    wait_status(kite, str(stop["order_id"]), "TRIGGER PENDING")
    kite.exit_order("co", stop["order_id"], parent_order_id=parent)


def test_an_amo_waits_for_the_session(kite: KiteConnect, exchange: SandboxServer) -> None:
    order_id = place(kite, variety="amo", price=below(exchange, INFY))

    assert order(kite, order_id)["status"] == "AMO REQ RECEIVED"
    kite.cancel_order("amo", order_id)
    assert order(kite, order_id)["status"] == "CANCELLED"


def test_a_gtt_fires_once_and_names_its_order(kite: KiteConnect, exchange: SandboxServer) -> None:
    last = exchange.book("NSE:GAIL")["last_price"]
    trigger = on_tick(exchange, "NSE:GAIL", last * 0.98)
    leg = {"transaction_type": "BUY", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": trigger}
    number = kite.place_gtt("single", "GAIL", "NSE", [trigger], last, [leg])["trigger_id"]

    exchange.move("NSE:GAIL", last * 0.97)
    gtt = wait_for(lambda: (row := kite.get_gtt(number))["status"] == "triggered" and row)

    result = gtt["orders"][0]["result"]["order_result"]
    assert result["status"] == "success"
    assert order(kite, result["order_id"])["tradingsymbol"] == "GAIL"
    exchange.move("NSE:GAIL", last)


def test_a_triggered_gtt_may_fail_at_the_exchange(kite: KiteConnect, exchange: SandboxServer) -> None:
    last = exchange.book("NSE:OIL")["last_price"]
    trigger = on_tick(exchange, "NSE:OIL", last * 0.98)
    leg = {"transaction_type": "SELL", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 1.0}
    number = kite.place_gtt("single", "OIL", "NSE", [trigger], last, [leg])["trigger_id"]

    exchange.move("NSE:OIL", last * 0.97)
    gtt = wait_for(lambda: (row := kite.get_gtt(number))["status"] == "triggered" and row)

    assert gtt["orders"][0]["result"]["order_result"]["status"] == "failed"
    exchange.move("NSE:OIL", last)


def test_a_two_leg_gtt_fires_the_leg_that_was_reached(kite: KiteConnect, exchange: SandboxServer) -> None:
    last = exchange.book("NSE:VEDL")["last_price"]
    low, high = on_tick(exchange, "NSE:VEDL", last * 0.97), on_tick(exchange, "NSE:VEDL", last * 1.03)
    legs = [
        {"transaction_type": "BUY", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": price}
        for price in (low, high)
    ]
    number = kite.place_gtt("two-leg", "VEDL", "NSE", [low, high], last, legs)["trigger_id"]

    exchange.move("NSE:VEDL", last * 1.04)
    gtt = wait_for(lambda: (row := kite.get_gtt(number))["status"] == "triggered" and row)

    assert gtt["orders"][0]["result"] is None
    assert gtt["orders"][1]["result"]["order_result"]["status"] == "success"
    exchange.move("NSE:VEDL", last)


def test_an_alert_fires_and_keeps_its_history(exchange: SandboxServer, kite: KiteConnect) -> None:
    headers = exchange.headers(0, kite.access_token)
    form = {
        "name": "nifty", "type": "simple", "lhs_exchange": "INDICES", "lhs_tradingsymbol": "NIFTY 50",
        "lhs_attribute": "LastTradedPrice", "operator": ">=", "rhs_type": "constant", "rhs_constant": "1000",
    }  # fmt: skip
    url = f"{exchange.rest_root}/alerts"
    name = requests.post(url, headers=headers, data=form, timeout=5).json()["data"]["uuid"]

    history = wait_for(lambda: requests.get(f"{url}/{name}/history", headers=headers, timeout=5).json()["data"])

    assert history[0]["condition"] == 'LastTradedPrice("INDICES:NIFTY 50") >= 1000'
    assert requests.get(f"{url}/{name}", headers=headers, timeout=5).json()["data"]["alert_count"] == 1
    assert requests.delete(url, headers=headers, params={"uuid": name}, timeout=5).json()["data"] is None
    assert requests.get(f"{url}/{name}", headers=headers, timeout=5).status_code == 404
