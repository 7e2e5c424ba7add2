"""Every endpoint: what is sent, and what its published answer becomes."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from kite.answers import GttLeg, GttRequest
from kite.errors import OutcomeUnknown, Unavailable
from kite.rest import Rest, open_session
from kite.types import Exchange, OrderChange, OrderRequest, OrderType, Product, TransactionType, Validity, Variety
from tests.kite.published import answer, needs_published
from tests.kite.test_verdicts import login, order
from tests.kite.wire_server import Heard, WireServer, http

ALL_OF_IT = OrderRequest(
    variety=Variety.ICEBERG,
    exchange=Exchange.NFO,
    tradingsymbol="NIFTY26NOV24500CE",
    transaction_type=TransactionType.SELL,
    quantity=650,
    product=Product.NRML,
    order_type=OrderType.SL_M,
    tag="T1",
    price=Decimal("1E+2"),
    trigger_price=Decimal("99.95"),
    validity=Validity.TTL,
    validity_ttl=2,
    disclosed_quantity=65,
    iceberg_legs=10,
    iceberg_quantity=65,
    auction_number="20",
    market_protection=Decimal(-1),
    algo_id="7",
)
TRIGGER = GttRequest(
    type="single",
    exchange="NSE",
    tradingsymbol="INFY",
    trigger_values=(Decimal("702.5"),),
    last_price=Decimal(798),
    legs=(GttLeg(transaction_type="BUY", quantity=1, product="CNC", order_type="LIMIT", price=Decimal("702.5")),),
)


def asked(call: Callable[[Rest], object], said: bytes) -> tuple[Any, Heard]:
    """What the call returned and the request it made."""
    with WireServer([said]) as server:
        value = call(Rest(login(server.root)))
    return value, server.heard[0]


def published(name: str, call: Callable[[Rest], object]) -> Any:
    return asked(call, http(200, answer(name)))[0]


def form(heard: Heard) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(heard.body.decode(), keep_blank_values=True).items()}


def acknowledged(field: str = "order_id", value: object = "77") -> bytes:
    return http(200, json.dumps({"status": "success", "data": {field: value}}).encode())


def test_placing_sends_every_parameter_in_the_words_of_kite() -> None:
    order_id, heard = asked(lambda rest: rest.place_order(ALL_OF_IT), acknowledged())

    assert order_id == "77"
    assert (heard.method, heard.target) == ("POST", "/orders/iceberg")
    assert form(heard) == {
        "variety": "iceberg",
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26NOV24500CE",
        "transaction_type": "SELL",
        "quantity": "650",
        "product": "NRML",
        "order_type": "SL-M",
        "tag": "T1",
        "price": "100",
        "trigger_price": "99.95",
        "validity": "TTL",
        "validity_ttl": "2",
        "disclosed_quantity": "65",
        "iceberg_legs": "10",
        "iceberg_quantity": "65",
        "auction_number": "20",
        "market_protection": "-1",
        "algo_id": "7",
    }


def test_placing_leaves_out_what_is_not_set() -> None:
    _, heard = asked(lambda rest: rest.place_order(order()), acknowledged())

    assert set(form(heard)) == {
        "variety",
        "exchange",
        "tradingsymbol",
        "transaction_type",
        "quantity",
        "product",
        "order_type",
        "validity",
        "tag",
    }


def test_modifying_sends_what_changes() -> None:
    change = OrderChange(order_type=OrderType.LIMIT, price=Decimal("100.05"), quantity=5)

    order_id, heard = asked(lambda rest: rest.modify_order(Variety.REGULAR, "77", change), acknowledged())

    assert order_id == "77"
    assert (heard.method, heard.target) == ("PUT", "/orders/regular/77")
    sent = form(heard)
    assert {name: sent[name] for name in ("order_type", "price", "quantity")} == {
        "order_type": "LIMIT",
        "price": "100.05",
        "quantity": "5",
    }
    assert "trigger_price" not in sent


def test_cancelling_names_the_order_and_its_parent() -> None:
    order_id, heard = asked(lambda rest: rest.cancel_order("co", "77", parent_order_id="70"), acknowledged())

    assert order_id == "77"
    assert (heard.method, heard.target) == ("DELETE", "/orders/co/77?parent_order_id=70")


def test_ending_a_session_names_its_token() -> None:
    _, heard = asked(lambda rest: rest.close_session(), http(200, b'{"status":"success","data":true}'))

    assert heard.method == "DELETE"
    assert parse_qs(urlsplit(heard.target).query) == {"api_key": ["key"], "access_token": ["secret-access"]}


def test_quotes_repeat_the_key() -> None:
    _, heard = asked(lambda rest: rest.ltp(["NSE:INFY", "NSE:M&M"]), http(200, b'{"status":"success","data":{}}'))

    assert heard.target == "/quote/ltp?i=NSE%3AINFY&i=NSE%3AM%26M"


def test_history_is_asked_in_indian_time() -> None:
    start, end = datetime(2019, 12, 4, 3, 45, tzinfo=UTC), datetime(2019, 12, 4, 10, tzinfo=UTC)
    empty = http(200, b'{"status":"success","data":{"candles":[]}}')

    candles, heard = asked(lambda rest: rest.historical(5633, "minute", start, end, oi=True), empty)

    query = parse_qs(urlsplit(heard.target).query)
    assert candles == []
    assert urlsplit(heard.target).path == "/instruments/historical/5633/minute"
    assert (query["from"], query["to"]) == (["2019-12-04 09:15:00"], ["2019-12-04 15:30:00"])
    assert (query["oi"], query["continuous"]) == (["1"], ["0"])


@pytest.mark.parametrize(("exchange", "path"), [(None, "/instruments"), ("NFO", "/instruments/NFO")])
def test_the_dump_comes_as_it_is(exchange: str | None, path: str) -> None:
    text, heard = asked(lambda rest: rest.instruments(exchange), http(200, b"a,b\r\n1,2\r\n", content_type="text/csv"))

    assert text == b"a,b\r\n1,2\r\n"
    assert heard.target == path


def test_margins_are_asked_with_numbers() -> None:
    asked_order = {"exchange": "NSE", "tradingsymbol": "INFY", "quantity": 1, "price": Decimal("1500.5")}
    empty = http(200, b'{"status":"success","data":[]}')

    _, heard = asked(lambda rest: rest.order_margins([asked_order]), empty)

    assert (heard.method, heard.target) == ("POST", "/margins/orders")
    assert json.loads(heard.body) == [{**asked_order, "price": 1500.5}]


def test_a_trigger_sends_its_condition_and_legs() -> None:
    trigger_id, heard = asked(lambda rest: rest.place_gtt(TRIGGER), acknowledged("trigger_id", 123))

    sent = form(heard)
    assert trigger_id == 123
    assert sent["type"] == "single"
    assert json.loads(sent["condition"])["trigger_values"] == [702.5]
    assert json.loads(sent["orders"])[0] == {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "quantity": 1,
        "order_type": "LIMIT",
        "product": "CNC",
        "price": 702.5,
    }


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (lambda rest: rest.modify_gtt(9, TRIGGER), "PUT", "/gtt/triggers/9"),
        (lambda rest: rest.delete_gtt(9), "DELETE", "/gtt/triggers/9"),
    ],
    ids=["modify", "delete"],
)
def test_a_trigger_is_changed_by_its_id(call: Callable[[Rest], object], method: str, target: str) -> None:
    trigger_id, heard = asked(call, acknowledged("trigger_id", 9))

    assert (trigger_id, heard.method, heard.target) == (9, method, target)


def test_a_trigger_answered_without_its_id_is_in_doubt() -> None:
    with pytest.raises(OutcomeUnknown):
        asked(lambda rest: rest.place_gtt(TRIGGER), acknowledged("order_id"))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda rest: rest.orders(), b'{"order_id":"1"}'),
        (lambda rest: rest.orders(), b"[1]"),
        (lambda rest: rest.orders(), b'[{"status":"OPEN"}]'),
        (lambda rest: rest.trades(), b'[{"trade_id":"1"}]'),
        (lambda rest: rest.positions(), b"[]"),
        (lambda rest: rest.positions(), b'{"net":{}}'),
        (lambda rest: rest.quote(["NSE:INFY"]), b'{"NSE:INFY":{"last_price":1}}'),
        (lambda rest: rest.ltp(["NSE:INFY"]), b'{"NSE:INFY":null}'),
        (lambda rest: rest.margins(), b'{"equity":{}}'),
        (lambda rest: rest.historical(1, "day", datetime.now(UTC), datetime.now(UTC)), b'{"candles":[[1]]}'),
        (lambda rest: rest.historical(1, "day", datetime.now(UTC), datetime.now(UTC)), b"{}"),
        (lambda rest: rest.gtts(), b'[{"id":1}]'),
    ],
)
def test_a_read_that_cannot_be_understood_is_no_answer(call: Callable[[Rest], object], said: bytes) -> None:
    with pytest.raises(Unavailable) as caught:
        asked(call, http(200, b'{"status":"success","data":%b}' % said))

    assert caught.value.evidence.status == 200
    assert said.decode() in caught.value.evidence.body


@needs_published
def test_the_published_session_is_read() -> None:
    with WireServer([http(200, answer("generate_session.json"))]) as server:
        session = open_session(rest_root=server.root, api_key="k", api_secret="s", request_token="r")

    assert session.login_at == datetime(2021, 1, 1, 10, 45, 14, tzinfo=UTC)
    assert form(server.heard[0])["request_token"] == "r"
    assert "authorization" not in server.heard[0].headers


@needs_published
def test_the_published_profile_is_read() -> None:
    profile = published("profile.json", lambda rest: rest.profile())

    assert (profile.user_id, profile.broker) == ("AB1234", "ZERODHA")
    assert "NFO" in profile.exchanges


@needs_published
def test_the_published_margins_are_read() -> None:
    margins = published("margins.json", lambda rest: rest.margins())

    assert set(margins) == {"equity", "commodity"}
    assert margins["equity"].net == Decimal("99725.05000000002")
    assert margins["equity"].utilised.span == Decimal(101989)


@needs_published
def test_the_published_positions_are_read() -> None:
    positions = published("positions.json", lambda rest: rest.positions())

    first = positions.net[0]
    assert (first.tradingsymbol, first.quantity, first.value) == ("LEADMINI17DECFUT", 1, Decimal(-161050))
    assert positions.day


@needs_published
def test_the_published_holdings_are_read() -> None:
    first = published("holdings.json", lambda rest: rest.holdings())[0]

    assert (first.isin, first.last_price, first.discrepancy) == ("INE721Z01010", Decimal("352.95"), False)


@needs_published
def test_the_published_quotes_are_read() -> None:
    quote = published("quote.json", lambda rest: rest.quote(["NSE:INFY"]))["NSE:INFY"]

    assert quote.timestamp == datetime(2021, 6, 8, 10, 15, 56, tzinfo=UTC)
    assert (quote.ohlc.high, quote.upper_circuit_limit) == (Decimal("1421.75"), Decimal("1528.6"))
    assert (len(quote.bids), len(quote.asks)) == (5, 5)


@needs_published
def test_the_published_short_quotes_are_read() -> None:
    ohlc = published("ohlc.json", lambda rest: rest.ohlc(["NSE:INFY"]))["NSE:INFY"]
    ltp = published("ltp.json", lambda rest: rest.ltp(["NSE:INFY"]))["NSE:INFY"]

    assert (ohlc.last_price, ohlc.ohlc.open) == (Decimal(1075), Decimal("1085.8"))
    assert ltp.last_price == Decimal("1074.35")


@needs_published
def test_the_published_margins_of_orders_are_read() -> None:
    [margin] = published("order_margins.json", lambda rest: rest.order_margins([]))
    basket = published("basket_margins.json", lambda rest: rest.basket_margins([]))

    assert margin.total == Decimal(1498)
    assert basket.final.total < basket.initial.total == Decimal("96504.975")


@needs_published
def test_the_published_triggers_are_read() -> None:
    first = published("gtt_get_orders.json", lambda rest: rest.gtts())[0]
    one = published("gtt_get_order.json", lambda rest: rest.gtt(1))

    assert (first.trigger_id, first.status, first.trigger_values) == (112127, "active", (Decimal(702),))
    assert first.legs[0].transaction_type == "BUY"
    assert one.trigger_id > 0


@needs_published
def test_the_published_history_is_read() -> None:
    now = datetime.now(UTC)
    candles = published("historical_oi.json", lambda rest: rest.historical(1, "minute", now, now, oi=True))

    assert candles[0].oi == 13667775
    assert candles[0].start_at == datetime(2019, 12, 4, 3, 45, tzinfo=UTC)


@needs_published
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("order_info.json", lambda rest: rest.order_history("1")),
        ("order_trades.json", lambda rest: rest.order_trades("1")),
        ("orders.json", lambda rest: rest.orders()),
        ("trades.json", lambda rest: rest.trades()),
        ("virtual_contract_note.json", lambda rest: rest.charges([])),
        ("mf_orders.json", lambda rest: rest.funds.orders()),
        ("mf_sips.json", lambda rest: rest.funds.sips()),
        ("mf_holdings.json", lambda rest: rest.funds.holdings()),
    ],
)
def test_a_published_list_is_read_whole(name: str, call: Callable[[Rest], object]) -> None:
    assert len(published(name, call)) == len(json.loads(answer(name))["data"]) > 0


@needs_published
def test_a_position_is_converted_in_its_own_words() -> None:
    position = published("positions.json", lambda rest: rest.positions()).net[0]
    done = http(200, answer("convert_position.json"))

    _, heard = asked(lambda rest: rest.convert_position(position, quantity=1, new_product="MIS", day=True), done)

    assert (heard.method, heard.target) == ("PUT", "/portfolio/positions")
    assert form(heard) == {
        "exchange": "MCX",
        "tradingsymbol": "LEADMINI17DECFUT",
        "transaction_type": "BUY",
        "position_type": "day",
        "quantity": "1",
        "old_product": "NRML",
        "new_product": "MIS",
    }


@needs_published
def test_a_short_position_is_converted_as_a_sale() -> None:
    position = published("positions.json", lambda rest: rest.positions()).net[0]
    done = http(200, answer("convert_position.json"))

    _, heard = asked(
        lambda rest: rest.convert_position(replace(position, quantity=-2), quantity=2, new_product="MIS", day=False),
        done,
    )

    assert (form(heard)["transaction_type"], form(heard)["position_type"]) == ("SELL", "overnight")
