"""The unmodified official client's whole public REST surface against the exchange."""

import datetime as dt
from typing import Any

import pytest
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, option_near, order, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for


def test_the_login_gives_a_session_with_a_user(exchange: SandboxServer) -> None:
    user = exchange.users[0]
    client = KiteConnect(user.api_key, root=exchange.rest_root)

    session = client.generate_session(exchange.login(user), user.api_secret)

    assert session["user_id"] == user.user_id
    assert session["api_key"] == user.api_key
    assert session["refresh_token"] == ""
    assert isinstance(session["login_time"], dt.datetime)


def test_a_request_token_works_once(exchange: SandboxServer) -> None:
    user = exchange.users[0]
    client = KiteConnect(user.api_key, root=exchange.rest_root)
    request_token = exchange.login(user)
    client.generate_session(request_token, user.api_secret)

    with pytest.raises(kite_errors.TokenException, match="invalid or has expired"):
        client.generate_session(request_token, user.api_secret)


def test_a_wrong_secret_is_refused(exchange: SandboxServer) -> None:
    client = KiteConnect(exchange.users[0].api_key, root=exchange.rest_root)

    with pytest.raises(kite_errors.TokenException, match="checksum"):
        client.generate_session(exchange.login(0), "wrong")


def test_a_second_login_kills_the_first_token(exchange: SandboxServer) -> None:
    first, second = connect(exchange), connect(exchange)

    with pytest.raises(kite_errors.TokenException, match="Incorrect `api_key` or `access_token`"):
        first.profile()
    assert second.profile()["user_id"] == exchange.users[0].user_id


def test_logout_ends_the_session_and_calls_the_hook(exchange: SandboxServer, kite: KiteConnect) -> None:
    called: list[bool] = []
    kite.set_session_expiry_hook(lambda: called.append(True))

    assert kite.invalidate_access_token() is True

    with pytest.raises(kite_errors.TokenException):
        kite.margins()
    assert called == [True]


def test_refresh_tokens_are_for_platforms(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.TokenException):
        kite.renew_access_token("nothing", "secret")
    with pytest.raises(kite_errors.InputException):
        kite.invalidate_refresh_token("nothing")


def test_margins_come_whole_and_by_segment(kite: KiteConnect) -> None:
    both = kite.margins()

    assert set(both) == {"equity", "commodity"}
    assert kite.margins("commodity")["available"]["cash"] == both["commodity"]["available"]["cash"]
    assert kite.margins(kite.MARGIN_EQUITY)["enabled"] is True


def test_the_dump_has_whole_chains_and_every_segment(kite: KiteConnect) -> None:
    rows = kite.instruments()

    segments = {row["segment"] for row in rows}
    chains = {row["name"] for row in rows if row["instrument_type"] == "CE"}
    expiries = {row["expiry"] for row in rows if row["name"] == "NIFTY" and row["instrument_type"] == "PE"}
    assert {"INDICES", "NSE", "BSE", "NFO-FUT", "NFO-OPT", "BFO-OPT", "CDS-FUT", "BCD-FUT", "MCX-FUT"} <= segments
    assert {"NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX"} <= chains
    assert len(expiries) >= 5
    assert sum(row["segment"] == "NSE" for row in rows) >= 300


def test_published_index_tokens_are_kept(kite: KiteConnect) -> None:
    names = {row["instrument_token"]: row["tradingsymbol"] for row in kite.instruments() if row["segment"] == "INDICES"}

    assert names[256265] == "NIFTY 50"
    assert names[260105] == "NIFTY BANK"
    assert names[257801] == "NIFTY FIN SERVICE"
    assert names[265] == "SENSEX"
    assert names[264969] == "INDIA VIX"


def test_one_exchange_can_be_fetched_alone(kite: KiteConnect) -> None:
    assert {row["exchange"] for row in kite.instruments("BFO")} == {"BFO"}


def test_quotes_are_keyed_by_what_was_asked_and_skip_the_unknown(kite: KiteConnect) -> None:
    quotes = kite.quote("NSE:INFY", "NSE:NIFTY 50", "NSE:NOSUCH")

    assert set(quotes) == {"NSE:INFY", "NSE:NIFTY 50"}
    assert len(quotes["NSE:INFY"]["depth"]["buy"]) == 5
    assert "depth" not in quotes["NSE:NIFTY 50"]
    assert kite.ohlc(["NSE:INFY"])["NSE:INFY"]["instrument_token"] == 408065
    assert kite.ltp("408065")["408065"]["last_price"] > 0


def test_the_book_is_ordered_and_not_crossed(kite: KiteConnect) -> None:
    depth = kite.quote("NSE:RELIANCE")["NSE:RELIANCE"]["depth"]

    bids = [level["price"] for level in depth["buy"]]
    asks = [level["price"] for level in depth["sell"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


@pytest.mark.parametrize("interval", ["minute", "5minute", "60minute", "day"])
def test_history_has_candles_that_hold_together(kite: KiteConnect, exchange: SandboxServer, interval: str) -> None:
    today = dt.date.fromisoformat(exchange.state()["clock"]["date"])

    rows = kite.historical_data(408065, today - dt.timedelta(days=9), today, interval, oi=True)

    assert len(rows) >= 4
    assert all(row["low"] <= min(row["open"], row["close"]) for row in rows)
    assert all(row["high"] >= max(row["open"], row["close"]) for row in rows)
    assert all("oi" in row for row in rows)
    assert [row["date"] for row in rows] == sorted(row["date"] for row in rows)


def test_history_is_the_same_each_time(kite: KiteConnect, exchange: SandboxServer) -> None:
    today = dt.date.fromisoformat(exchange.state()["clock"]["date"])
    start, end = today - dt.timedelta(days=30), today - dt.timedelta(days=1)

    assert kite.historical_data(256265, start, end, "15minute") == kite.historical_data(256265, start, end, "15minute")


def test_a_range_that_is_too_long_is_named(kite: KiteConnect) -> None:
    with pytest.raises(kite_errors.InputException, match="interval exceeds max limit: 60 days"):
        kite.historical_data(408065, "2026-01-01", "2026-06-01", "minute")


def test_an_order_is_placed_changed_and_cancelled(kite: KiteConnect, exchange: SandboxServer) -> None:
    order_id = place(kite, price=below(exchange, "NSE:INFY"), tag="official")
    wait_status(kite, order_id, "OPEN")

    assert kite.modify_order("regular", order_id, price=below(exchange, "NSE:INFY", 0.96), quantity=2) == order_id
    changed = wait_for(lambda: (row := order(kite, order_id))["modified"] and row["status"] == "OPEN" and row)
    assert kite.cancel_order("regular", order_id) == order_id
    ended = wait_status(kite, order_id, "CANCELLED")

    assert changed["quantity"] == 2
    assert ended["cancelled_quantity"] == 2
    assert ended["tag"] == "official"


def test_a_filled_order_shows_in_trades_and_positions(kite: KiteConnect) -> None:
    order_id = place(kite, "NSE:TCS", order_type="MARKET", market_protection=-1, quantity=3)
    wait_status(kite, order_id, "COMPLETE")

    trades = kite.order_trades(order_id)
    positions = kite.positions()

    assert sum(row["quantity"] for row in trades) == 3
    assert {row["trade_id"] for row in trades} <= {row["trade_id"] for row in kite.trades()}
    assert any(row["tradingsymbol"] == "TCS" and row["quantity"] >= 3 for row in positions["net"])
    assert any(row["tradingsymbol"] == "TCS" for row in positions["day"])


def test_a_position_can_be_converted(kite: KiteConnect) -> None:
    order_id = place(kite, "NSE:WIPRO", order_type="MARKET", market_protection=-1, quantity=4, product="MIS")
    wait_status(kite, order_id, "COMPLETE")
    before = _net(kite, "WIPRO", "CNC")

    assert kite.convert_position("NSE", "WIPRO", "BUY", "day", 4, "MIS", "CNC") is True

    assert _net(kite, "WIPRO", "CNC") == before + 4


def _net(kite: KiteConnect, symbol: str, product: str) -> int:
    rows = kite.positions()["net"]
    return sum(row["quantity"] for row in rows if (row["tradingsymbol"], row["product"]) == (symbol, product))


def test_holdings_and_auctions_are_listed(kite: KiteConnect) -> None:
    holdings = kite.holdings()

    assert holdings
    assert all(row["quantity"] > 0 for row in holdings)
    assert all(isinstance(row["auction_number"], str) for row in kite.get_auction_instruments())


def test_margins_and_charges_are_calculated(kite: KiteConnect) -> None:
    option = option_near(kite)
    sell = _basket_item(option["tradingsymbol"], "SELL", option["lot_size"])
    buy = _basket_item(option["tradingsymbol"], "BUY", option["lot_size"])

    single = kite.order_margins([sell, buy])
    basket = kite.basket_order_margins([sell, buy], consider_positions=True)
    compact = kite.basket_order_margins([sell, buy], mode="compact")
    note = kite.get_virtual_contract_note([{**sell, "order_id": "1", "average_price": 100.0}])

    assert single[0]["span"] > 0
    assert single[1]["option_premium"] > 0
    assert single[1]["total"] < single[0]["total"]
    assert basket["final"]["total"] <= basket["initial"]["total"]
    assert compact["orders"] == []
    assert note[0]["charges"]["total"] > 20


def _basket_item(symbol: str, side: str, quantity: int) -> dict[str, Any]:
    return {
        "exchange": "NFO",
        "tradingsymbol": symbol,
        "transaction_type": side,
        "variety": "regular",
        "product": "NRML",
        "order_type": "MARKET",
        "quantity": quantity,
        "price": 0,
    }


def test_a_gtt_lives_and_dies(kite: KiteConnect, exchange: SandboxServer) -> None:
    last = exchange.book("NSE:SBIN")["last_price"]
    legs = [{"transaction_type": "BUY", "quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": 800.0}]

    placed = kite.place_gtt(kite.GTT_TYPE_SINGLE, "SBIN", "NSE", [800.0], last, legs)
    number = placed["trigger_id"]
    kite.modify_gtt(number, kite.GTT_TYPE_SINGLE, "SBIN", "NSE", [790.0], last, legs)

    assert kite.get_gtt(number)["condition"]["trigger_values"] == [790]
    assert number in {row["id"] for row in kite.get_gtts()}
    assert kite.delete_gtt(number)["trigger_id"] == number
    assert number not in {row["id"] for row in kite.get_gtts()}


def test_an_autosliced_order_has_a_parent_and_children(kite: KiteConnect, exchange: SandboxServer) -> None:
    option = option_near(kite)

    answer = kite.place_autoslice_order(
        "regular", "NFO", option["tradingsymbol"], "BUY", option["lot_size"] * 70, "NRML", "LIMIT", price=5.0
    )

    children = [child["order_id"] for child in answer["children"]]
    assert len(children) == 3
    row = wait_status(kite, children[0], "OPEN")
    assert row["tags"] == ["autoslice", f"autoslice:{answer['order_id']}"]
    for child in children:
        wait_status(kite, child, "OPEN")
        kite.cancel_order("regular", child)


def test_mutual_funds_are_read_only(exchange: SandboxServer) -> None:
    kite = connect(exchange, 2)

    assert kite.mf_holdings()
    assert len(kite.mf_instruments()) == 25
    assert kite.mf_orders() == []
    assert kite.mf_sips() == []
    with pytest.raises(kite_errors.PermissionException):
        kite.place_mf_order("INF000000000", "BUY", amount=1000)


def test_mutual_fund_writes_can_be_opened(kite: KiteConnect, exchange: SandboxServer) -> None:
    exchange.settings(mutual_fund_orders=True)
    fund = kite.mf_instruments()[0]["tradingsymbol"]

    order_id = kite.place_mf_order(fund, "BUY", amount=5000)["order_id"]
    sip_id = kite.place_mf_sip(fund, 1000, 12, "monthly")["sip_id"]
    kite.modify_mf_sip(sip_id, amount=2000)

    assert kite.mf_orders(order_id)["amount"] == 5000
    assert kite.mf_sips(sip_id)["instalment_amount"] == 2000
    assert kite.cancel_mf_order(order_id)["order_id"] == order_id
    assert kite.cancel_mf_sip(sip_id)["sip_id"] == sip_id


def test_the_trigger_range_is_around_the_price(kite: KiteConnect) -> None:
    answer = kite.trigger_range("BUY", "NSE:INFY")["NSE:INFY"]

    assert answer["lower"] < answer["upper"]
