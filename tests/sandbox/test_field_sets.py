"""Rows of the exchange have exactly the fields and types of the broker's published mocks."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect

from tests.sandbox.orders import below, option_near, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for

MOCKS = Path(__file__).resolve().parents[3] / "shared" / "kite-mocks"
pytestmark = pytest.mark.skipif(not MOCKS.exists(), reason="the broker's published mocks are not here")

OPTIONAL = {"tags", "auction_number", "validity_ttl", "account_id", "terminal_id", "basket", "fund_source", "mtf"}
OLD_ORDER_FIELDS = {
    "status_message_raw", "exchange_update_timestamp", "market_protection", "meta", "guid", "account_id",
    "validity_ttl",
}  # fmt: skip


def mock(name: str) -> Any:
    return json.loads((MOCKS / f"{name}.json").read_text())["data"]


def kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"


def differences(ours: Any, theirs: Any, *, path: str = "", free: frozenset[str] = frozenset()) -> list[str]:
    """Return where two answers differ in fields or types; null stands for any type."""
    if kind(ours) != kind(theirs) and "null" not in {kind(ours), kind(theirs)}:
        return [f"{path}: {kind(ours)} is not {kind(theirs)}"]
    if isinstance(theirs, list) and isinstance(ours, list):
        return differences(ours[0], theirs[0], path=f"{path}[]", free=free) if ours and theirs else []
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        return []
    found = [f"{path}.{name} is missing" for name in theirs.keys() - ours.keys() - free - OPTIONAL]
    found += [f"{path}.{name} is extra" for name in ours.keys() - theirs.keys() - free - OPTIONAL]
    for name in ours.keys() & theirs.keys():
        found += differences(ours[name], theirs[name], path=f"{path}.{name}", free=free)
    return found


@pytest.fixture
def ask(exchange: SandboxServer, kite: KiteConnect) -> Callable[..., Any]:
    headers = exchange.headers(0, kite.access_token)

    def call(method: str, path: str, **options: Any) -> Any:
        answer = requests.request(method, exchange.rest_root + path, headers=headers, timeout=5, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return call


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("profile", "/user/profile"),
        ("full_profile", "/user/profile/full"),
        ("margins", "/user/margins"),
        ("margins_equity", "/user/margins/equity"),
        ("margin_commodity", "/user/margins/commodity"),
        ("quote", "/quote?i=NSE:INFY"),
        ("ohlc", "/quote/ohlc?i=NSE:INFY"),
        ("ltp", "/quote/ltp?i=NSE:INFY"),
        ("holdings", "/portfolio/holdings"),
        ("holdings_compact", "/portfolio/holdings/compact"),
        ("holdings_summary", "/portfolio/holdings/summary"),
        ("auctions_list", "/portfolio/holdings/auctions"),
        ("mf_holdings", "/mf/holdings"),
        ("trigger_range", "/instruments/trigger_range/buy?i=NSE:INFY&i=NSE:RELIANCE"),
        ("historical_minute", "/instruments/historical/408065/minute?from=2026-11-20&to=2026-11-23"),
        ("historical_oi", "/instruments/historical/408065/minute?from=2026-11-20&to=2026-11-23&oi=1"),
    ],
    ids=lambda value: value if "/" not in value else "",
)
def test_a_read_has_the_published_fields(ask: Callable[..., Any], name: str, path: str) -> None:
    ours, theirs = ask("GET", path), mock(name)

    assert differences(ours, theirs) == []
    if name.startswith("historical"):
        assert [kind(value) for value in ours["candles"][0]] == [kind(value) for value in theirs["candles"][0]]


def test_the_session_has_the_published_fields(exchange: SandboxServer) -> None:
    user = exchange.users[0]
    request_token = exchange.login(user)
    checksum = hashlib.sha256(f"{user.api_key}{request_token}{user.api_secret}".encode()).hexdigest()
    form = {"api_key": user.api_key, "request_token": request_token, "checksum": checksum}

    ours = requests.post(f"{exchange.rest_root}/session/token", data=form, timeout=5).json()["data"]

    assert differences(ours, mock("generate_session")) == []


def test_order_rows_have_the_published_fields(ask: Callable[..., Any], kite: KiteConnect) -> None:
    order_id = place(kite, order_type="MARKET", market_protection=-1)
    wait_status(kite, order_id, "COMPLETE")
    newest = next(row for row in mock("orders") if row["order_id"] == "1953341975595868160")

    assert differences(ask("GET", "/orders")[-1], newest) == []
    history = ask("GET", f"/orders/{order_id}")
    assert differences(history[0], mock("order_info")[0], free=frozenset(OLD_ORDER_FIELDS)) == []
    assert differences(ask("GET", "/trades"), mock("trades")) == []
    assert differences(ask("GET", f"/orders/{order_id}/trades"), mock("order_trades")) == []


def test_a_position_has_twenty_nine_fields(ask: Callable[..., Any], kite: KiteConnect) -> None:
    wait_status(kite, place(kite, order_type="MARKET", market_protection=-1), "COMPLETE")
    ours = ask("GET", "/portfolio/positions")

    assert differences(ours, mock("positions")) == []
    assert len(ours["net"][0]) == 29


def test_order_answers_have_the_published_fields(
    ask: Callable[..., Any], kite: KiteConnect, exchange: SandboxServer
) -> None:
    form = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT",
        "product": "CNC", "quantity": 1, "price": below(exchange, "NSE:INFY"),
    }  # fmt: skip
    placed = ask("POST", "/orders/regular", data=form)
    wait_status(kite, placed["order_id"], "OPEN")
    changed = ask("PUT", f"/orders/regular/{placed['order_id']}", data={"quantity": 2})
    wait_status(kite, placed["order_id"], "OPEN")
    cancelled = ask("DELETE", f"/orders/regular/{placed['order_id']}")

    for ours, name in ((placed, "order_response"), (changed, "order_modify"), (cancelled, "order_cancel")):
        assert differences(ours, mock(name)) == []


def test_autoslice_has_the_published_shape(ask: Callable[..., Any], kite: KiteConnect) -> None:
    option = option_near(kite)
    form = {
        "exchange": "NFO", "tradingsymbol": option["tradingsymbol"], "transaction_type": "BUY", "autoslice": "true",
        "order_type": "LIMIT", "product": "NRML", "quantity": option["lot_size"] * 40, "price": 5,
    }  # fmt: skip

    assert differences(ask("POST", "/orders/regular", data=form), mock("autoslice_response")) == []


def test_calculations_have_the_published_fields(ask: Callable[..., Any]) -> None:
    order = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular",
        "product": "CNC", "order_type": "MARKET", "quantity": 1, "price": 0, "trigger_price": 0,
        "average_price": 1500,
    }  # fmt: skip

    assert differences(ask("POST", "/margins/orders", json=[order]), mock("order_margins")) == []
    assert differences(ask("POST", "/margins/basket", json=[order]), mock("basket_margins")) == []
    assert differences(ask("POST", "/charges/orders", json=[order]), mock("virtual_contract_note")) == []


def test_triggers_have_the_published_fields(ask: Callable[..., Any], exchange: SandboxServer) -> None:
    last = exchange.book("NSE:INFY")["last_price"]
    leg = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 1, "order_type": "LIMIT",
        "product": "CNC", "price": 1400,
    }  # fmt: skip
    condition = {"exchange": "NSE", "tradingsymbol": "INFY", "trigger_values": [1400], "last_price": last}
    form = {"type": "single", "condition": json.dumps(condition), "orders": json.dumps([leg])}
    placed = ask("POST", "/gtt/triggers", data=form)

    assert differences(placed, mock("gtt_place_order")) == []
    assert differences(ask("GET", "/gtt/triggers"), mock("gtt_get_orders")) == []
    assert differences(ask("GET", f"/gtt/triggers/{placed['trigger_id']}"), mock("gtt_get_order")) == []
    changed = ask("PUT", f"/gtt/triggers/{placed['trigger_id']}", data=form)
    assert differences(changed, mock("gtt_modify_order")) == []
    assert differences(ask("DELETE", f"/gtt/triggers/{placed['trigger_id']}"), mock("gtt_delete_order")) == []


def test_alerts_have_the_published_fields(ask: Callable[..., Any]) -> None:
    form = {
        "name": "NIFTY 50", "type": "simple", "lhs_exchange": "INDICES", "lhs_tradingsymbol": "NIFTY 50",
        "lhs_attribute": "LastTradedPrice", "operator": ">=", "rhs_type": "constant", "rhs_constant": "99999",
    }  # fmt: skip
    created = ask("POST", "/alerts", data=form)
    changed = ask("PUT", f"/alerts/{created['uuid']}", data={**form, "rhs_constant": "88888"})

    assert differences(created, mock("alerts_create")) == []
    assert differences(changed, mock("alerts_modify")) == []
    assert differences(ask("GET", "/alerts"), mock("alerts_get")) == []
    assert differences(ask("GET", f"/alerts/{created['uuid']}"), mock("alerts_get_one")) == []
    assert ask("DELETE", "/alerts", params={"uuid": created["uuid"]}) is mock("alerts_delete")


def test_fired_alerts_have_the_published_fields(ask: Callable[..., Any]) -> None:
    params = {
        "validity": "DAY", "variety": "regular", "product": "CNC", "order_type": "LIMIT", "transaction_type": "BUY",
        "quantity": 1, "price": 1400,
    }  # fmt: skip
    basket = {"items": [{"exchange": "NSE", "tradingsymbol": "INFY", "params": params}]}
    form = {
        "name": "NIFTY 50", "type": "ato", "lhs_exchange": "NSE", "lhs_tradingsymbol": "INFY",
        "lhs_attribute": "LastTradedPrice", "operator": ">=", "rhs_type": "constant", "rhs_constant": "1",
        "basket": json.dumps(basket),
    }  # fmt: skip
    created = ask("POST", "/alerts", data=form)
    fired = wait_for(lambda: ask("GET", f"/alerts/{created['uuid']}/history"))

    assert differences(created, mock("alerts_create_ato")) == []
    assert differences(fired, mock("alerts_history")) == []


def test_fund_rows_have_the_published_fields(ask: Callable[..., Any], exchange: SandboxServer) -> None:
    exchange.settings(mutual_fund_orders=True)
    fund = requests.get(f"{exchange.rest_root}/mf/instruments", timeout=5).text.splitlines()[1].split(",")[0]
    order = {"tradingsymbol": fund, "transaction_type": "BUY", "amount": 5000}
    placed = ask("POST", "/mf/orders", data=order)
    sip = ask("POST", "/mf/sips", data={"tradingsymbol": fund, "amount": 1, "instalments": 9, "frequency": "weekly"})

    assert differences(placed, mock("mf_order_response")) == []
    assert differences(ask("GET", "/mf/orders"), mock("mf_orders")) == []
    assert differences(ask("GET", f"/mf/orders/{placed['order_id']}"), mock("mf_orders_info")) == []
    assert differences(sip, mock("mf_sip_place")) == []
    assert differences(ask("GET", "/mf/sips"), mock("mf_sips"), free=frozenset({"05-05"})) == []
    path = f"/mf/sips/{sip['sip_id']}"
    assert differences(ask("GET", path), mock("mf_sip_info"), free=frozenset({"15-02"})) == []
    assert differences(ask("PUT", path, data={"amount": 2_000}), mock("mf_sip_modify")) == []
    assert differences(ask("DELETE", path), mock("mf_sip_cancel")) == []
    cancelled = ask("DELETE", f"/mf/orders/{placed['order_id']}")
    assert differences(cancelled, mock("mf_order_cancel")) == []


def test_the_dumps_have_the_published_columns(exchange: SandboxServer) -> None:
    for path, name in (
        ("/instruments", "instruments_all"),
        ("/instruments/NSE", "instruments_nse"),
        ("/mf/instruments", "mf_instruments"),
    ):
        answer = requests.get(exchange.rest_root + path, timeout=5)
        assert answer.headers["Content-Type"] == "text/csv"
        assert answer.text.splitlines()[0] == (MOCKS / f"{name}.csv").read_text().splitlines()[0]


def test_the_remaining_answers_are_as_published(ask: Callable[..., Any], kite: KiteConnect) -> None:
    wait_status(kite, place(kite, order_type="MARKET", market_protection=-1, product="MIS"), "COMPLETE")
    conversion = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "position_type": "day", "quantity": 1,
        "old_product": "MIS", "new_product": "CNC",
    }  # fmt: skip

    assert ask("PUT", "/portfolio/positions", data=conversion) is mock("convert_position")
    assert differences(ask("POST", "/portfolio/holdings/authorise"), mock("holdings_auth")) == []
    query = {"api_key": kite.api_key, "access_token": kite.access_token}
    assert ask("DELETE", "/session/token", params=query) is mock("session_logout")
