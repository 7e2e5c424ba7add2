"""What the strictly typed official clients (Go, Java, .NET) send and can decode, from their published sources."""

import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from tests.sandbox.mock_table import COSTED, TABLE, Request
from tests.sandbox.orders import below, place, wait_status
from tests.sandbox.story import PATIENCE, Story
from tests.sandbox.typed import refusals
from tests.sandbox.typed_table import ANSWERS, BRIEF, ELSEWHERE, FUND_TRADE, INDEX_QUOTE, ORDER, QUOTE, keyed, rows
from tests.sandbox_server import SandboxServer, wait_for

CANDLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0530")


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with SandboxServer("--no-limits", "--interval", "0.2") as server:
        yield Story(server)
        assert "Traceback" not in server.errors()


def data(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_every_answer_has_its_types() -> None:
    assert set(TABLE) == ANSWERS.keys() | ELSEWHERE


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_typed_client_decodes_the_answer(story: Story, name: str) -> None:
    assert refusals(data(story.ask(TABLE[name])), ANSWERS[name]) == []


@pytest.mark.parametrize(
    "symbol",
    [
        "NSE:INFY",
        "BSE:RELIANCE",
    ],
)
def test_a_typed_client_decodes_quotes_of_cash_instruments(story: Story, symbol: str) -> None:
    assert refusals(data(story.ask(Request(f"GET /quote?i={symbol}"))), keyed(QUOTE)) == []


@pytest.mark.parametrize("exchange", ["NFO", "BFO", "CDS", "MCX"])
def test_a_typed_client_decodes_quotes_of_derivatives(story: Story, exchange: str) -> None:
    keys = [f"i={exchange}:{row['tradingsymbol']}" for row in story.kites[0].instruments(exchange)[:40]]

    found = data(story.ask(Request(f"GET /quote?{'&'.join(keys)}")))

    assert len(found) == len(keys)
    assert refusals(found, keyed(QUOTE)) == []


def test_an_index_quote_says_nothing_of_trades(story: Story) -> None:
    """.NET takes a quote with `last_quantity` for one of a tradable instrument and then needs its depth."""
    found = data(story.ask(Request("GET /quote?i=NSE:NIFTY 50&i=BSE:SENSEX")))

    assert refusals(found, keyed(INDEX_QUOTE)) == []
    for quote in found.values():
        assert "last_quantity" not in quote or refusals(quote, QUOTE) == []
    assert refusals(data(story.ask(Request("GET /quote/ohlc?i=NSE:NIFTY 50"))), keyed(BRIEF)) == []


def test_a_token_stands_for_a_symbol(story: Story) -> None:
    assert data(story.ask(Request("GET /quote/ltp?i=408065")))["408065"]["instrument_token"] == 408065


@pytest.mark.parametrize("interval", ["minute", "day"])
@pytest.mark.parametrize("oi", [0, 1])
def test_candles_have_a_zone_and_numbers_and_counts(story: Story, interval: str, oi: int) -> None:
    """As the Go client asks: with the token and the interval again in the query."""
    query = f"from=2026-11-19 09:15:00&to=2026-11-23 15:30:00&continuous=0&oi={oi}"
    path = f"/instruments/historical/408065/{interval}?{query}&instrument_token=408065&interval={interval}"

    candles = data(story.ask(Request(f"GET {path}")))["candles"]

    assert candles
    for stamp, *prices, volume in [row[:6] for row in candles]:
        assert CANDLE.fullmatch(stamp)
        assert all(isinstance(price, int | float) for price in prices)
        assert isinstance(volume, int)
    assert {len(row) for row in candles} == {6 + oi}


def test_the_instruments_are_whole_where_java_parses_a_whole_number(story: Story) -> None:
    for row in csv.DictReader(io.StringIO(story.ask(TABLE["instruments_all.csv"]).text)):
        assert all(row[name].isdigit() for name in ("instrument_token", "exchange_token", "lot_size")), row
        assert all(float(row[name]) >= 0 for name in ("last_price", "tick_size", "strike")), row
        assert row["expiry"] == "" or re.fullmatch(r"\d{4}-\d\d-\d\d", row["expiry"]), row
        assert all(row[name] for name in ("tradingsymbol", "instrument_type", "segment", "exchange")), row


def test_the_funds_allow_purchases_in_the_words_all_clients_read(story: Story) -> None:
    for row in csv.DictReader(io.StringIO(story.ask(TABLE["mf_instruments.csv"]).text)):
        assert {row["purchase_allowed"], row["redemption_allowed"]} <= {"0", "1"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["last_price_date"])


def test_gos_fund_calls_beyond_the_documented_ones_are_answered(story: Story) -> None:
    isins = data(story.ask(Request("GET /mf/allotments")))

    assert refusals(isins, rows("text")) == []
    assert isins == [row["tradingsymbol"] for row in story.kites[0].mf_holdings()]
    trades = data(story.ask(Request(f"GET /mf/holdings/{isins[0]}")))
    assert trades
    assert refusals(trades, rows(FUND_TRADE)) == []
    assert story.ask(Request("GET /mf/holdings/INF000000000")).status_code == 404
    assert isinstance(data(story.ask(Request("GET /mf/orders?from=2026-11-01&to=2026-11-30"))), list)


def test_a_sip_with_a_first_amount_says_which_order_pays_it(story: Story) -> None:
    """Java reads `order_id` of the answer and fails without it; it always sends a first amount."""
    form = {
        "tradingsymbol": story.names["fund"], "frequency": "monthly", "instalment_day": "5", "instalments": "10",
        "initial_amount": "5000", "amount": "1000.0",
    }  # fmt: skip

    placed = data(story.ask(Request("POST /mf/sips", form)))

    assert data(story.ask(Request(f"GET /mf/orders/{placed['order_id']}")))["amount"] == 5000
    assert data(story.ask(Request(f"GET /mf/sips/{placed['sip_id']}")))["instalment_amount"] == 1000


def test_java_asks_for_its_session_with_an_unfinished_header(story: Story) -> None:
    user = story.server.users[2]
    token = story.server.login(user)
    checksum = hashlib.sha256(f"{user.api_key}{token}{user.api_secret}".encode()).hexdigest()

    answer = requests.post(
        f"{story.server.rest_root}/session/token",
        data={"api_key": user.api_key, "request_token": token, "checksum": checksum},
        headers={"X-Kite-Version": "3", "Authorization": f"token {user.api_key}:null"},
        timeout=10,
    )

    assert refusals(data(answer), ANSWERS["generate_session.json"]) == []


def test_java_names_a_character_set_with_its_json(story: Story) -> None:
    headers = {
        **story.server.headers(0, story.kites[0].access_token),
        "Content-Type": "application/json; charset=utf-8",
    }
    url = f"{story.server.rest_root}/margins/basket?consider_positions=true&mode=compact"

    answer = requests.post(url, data=json.dumps(COSTED), headers=headers, timeout=10)

    found = data(answer)
    assert refusals(found["initial"], {"type": "text", "total": "number"}) == []
    assert refusals(found["orders"], rows({"total": "number"})) == []


def test_gos_margin_request_leaves_out_what_is_zero(story: Story) -> None:
    lean = [{name: value for name, value in COSTED[0].items() if value != 0}]

    found = data(story.ask(Request("POST /margins/orders?mode=compact", json=lean)))

    assert [sorted(row) for row in found] == [sorted(found[0])]
    assert refusals(found, rows({"type": "text", "exchange": "text", "tradingsymbol": "text", "total": "number"})) == []


def test_java_sends_every_parameter_of_an_order_again_when_it_modifies(story: Story) -> None:
    low = float(story.names["low"])
    order_id = place(story.kites[0], price=low)
    wait_status(story.kites[0], order_id, "OPEN", seconds=PATIENCE)
    form = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "2", "price": f"{low:.1f}",
        "product": "CNC", "order_type": "LIMIT", "validity": "DAY", "disclosed_quantity": "0", "trigger_price": "0.0",
        "variety": "regular", "order_id": order_id,
    }  # fmt: skip

    assert data(story.ask(Request(f"PUT /orders/regular/{order_id}", form))) == {"order_id": order_id}

    wait_for(lambda: story.kites[0].order_history(order_id)[-1]["quantity"] == 2, seconds=PATIENCE)
    cancelled = story.ask(Request(f"DELETE /orders/regular/{order_id}?order_id={order_id}&variety=regular"))
    assert data(cancelled) == {"order_id": order_id}


def test_an_order_may_carry_what_only_old_varieties_use(story: Story) -> None:
    form = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1",
        "price": story.names["low"], "product": "CNC", "order_type": "LIMIT", "validity": "DAY", "variety": "regular",
        "squareoff": "0", "stoploss": "0", "trailing_stoploss": "0", "market_protection": "0", "disclosed_quantity": "",
        "trigger_price": "", "validity_ttl": "", "autoslice": "False",
    }  # fmt: skip

    assert refusals(data(story.ask(Request("POST /orders/regular", form))), {"order_id": "text"}) == []


def test_gos_gtt_carries_whole_empty_orders(story: Story) -> None:
    low = float(story.names["low"])
    leg = {
        "account_id": "", "placed_by": "", "order_id": "", "exchange_order_id": "", "status": "", "meta": None,
        "order_timestamp": "0001-01-01T00:00:00Z", "exchange_timestamp": "0001-01-01T00:00:00Z", "tags": None,
        "instrument_token": 0, "validity_ttl": 0, "exchange": "NSE", "tradingsymbol": "INFY", "product": "CNC",
        "transaction_type": "BUY", "order_type": "LIMIT", "quantity": 1, "price": low, "trigger_price": 0,
    }  # fmt: skip
    condition = {"exchange": "NSE", "tradingsymbol": "INFY", "last_price": low * 1.05, "trigger_values": [low]}
    form = {"type": "single", "condition": json.dumps(condition), "orders": json.dumps([leg])}

    placed = data(story.ask(Request("POST /gtt/triggers", form)))

    shown = data(story.ask(Request(f"GET /gtt/triggers/{placed['trigger_id']}")))
    assert refusals(shown, ANSWERS["gtt_get_order.json"]) == []


def test_a_triggered_gtt_is_decoded_with_its_result(story: Story) -> None:
    server, last = story.server, story.server.book("NSE:TCS")["last_price"]
    trigger = below(server, "NSE:TCS", 0.99)
    leg = {
        "exchange": "NSE", "tradingsymbol": "TCS", "product": "CNC", "transaction_type": "BUY", "order_type": "LIMIT",
        "quantity": 1, "price": trigger,
    }  # fmt: skip
    condition = {"exchange": "NSE", "tradingsymbol": "TCS", "last_price": last, "trigger_values": [trigger]}
    form = {"type": "single", "condition": json.dumps(condition), "orders": json.dumps([leg])}
    number = data(story.ask(Request("POST /gtt/triggers", form)))["trigger_id"]

    server.move("NSE:TCS", trigger * 0.995)

    shown = wait_for(
        lambda: (row := data(story.ask(Request(f"GET /gtt/triggers/{number}"))))["status"] == "triggered" and row,
        seconds=PATIENCE,
    )
    assert shown["orders"][0]["result"]["order_result"]["order_id"]
    assert refusals(shown, ANSWERS["gtt_get_order.json"]) == []


def texts(link: ClientConnection, wanted: set[str]) -> dict[str, Any]:
    """Return the data of text messages by their type, once there is one of each."""
    seen: dict[str, Any] = {}
    end = time.monotonic() + PATIENCE
    while not wanted <= seen.keys():
        assert time.monotonic() < end, seen.keys()
        message = link.recv(timeout=PATIENCE)
        if isinstance(message, str):
            document = json.loads(message)
            seen[document["type"]] = document["data"]
    return seen


def test_go_decodes_order_updates_and_error_texts(story: Story) -> None:
    """The Go ticker panics when the data of an `error` is not text."""
    with open_socket(story.server.ws_url(0, story.kites[0].access_token)) as link:
        link.send(json.dumps({"v": "everything", "a": "subscribe"}))
        place(story.kites[0], price=float(story.names["low"]))
        seen = texts(link, {"error", "order"})

    assert isinstance(seen["error"], str)
    assert refusals(seen["order"], ORDER) == []


def test_go_filters_its_alerts(story: Story) -> None:
    rows = data(story.ask(Request("GET /alerts")))
    enabled = data(story.ask(Request("GET /alerts?status=enabled&page=1")))

    assert {row["status"] for row in rows} == {"enabled", "disabled"}
    assert enabled == [row for row in rows if row["status"] == "enabled"]
    assert data(story.ask(Request("GET /alerts?name=nowhere"))) == []


def test_an_error_has_a_type_and_a_message_for_every_client(story: Story) -> None:
    for text in ("GET /orders/1", "GET /gtt/triggers/1", "GET /alerts/none", "GET /nowhere", "POST /orders/bo"):
        answer = story.ask(Request(text))
        document = answer.json()

        assert answer.status_code >= 400
        assert document["status"] == "error"
        assert document["error_type"].endswith("Exception")
        assert document["message"]
        assert "data" in document
