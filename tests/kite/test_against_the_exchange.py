"""The client against the whole exchange: what it says, and what it does when it misbehaves."""

import itertools
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from kite import wire
from kite.errors import KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled, Unavailable
from kite.instruments import read_dump
from kite.rest import Rest
from kite.rows import order_update
from kite.socket import Options, Phase
from kite.types import (
    Exchange,
    Login,
    Mode,
    OrderChange,
    OrderRequest,
    OrderStatus,
    OrderType,
    Product,
    TransactionType,
    Variety,
)
from kite.wire import decode
from tests.kite.listening import QUICK, Listener, listening, until
from tests.sandbox_server import SandboxServer, wait_for

NUMBERS = itertools.count(1)
STEADY = replace(QUICK, ping_interval=0.2, pong_timeout=0.5, suspect_after=1, silent_after=2)


def order(*, price: Decimal | None = None) -> OrderRequest:
    return OrderRequest(
        variety=Variety.REGULAR,
        exchange=Exchange.NSE,
        tradingsymbol="INFY",
        transaction_type=TransactionType.BUY,
        quantity=1,
        product=Product.MIS,
        order_type=OrderType.LIMIT if price else OrderType.MARKET,
        tag=f"kite{next(NUMBERS)}",
        price=price,
        market_protection=None if price else Decimal(-1),
    )


def far_price(rest: Rest) -> Decimal:
    """A price that rests: inside the band, below the market, on the tick."""
    return (rest.ltp(["NSE:INFY"])["NSE:INFY"].last_price * Decimal("0.97")).quantize(Decimal(1))


def token_of(rest: Rest, key: str) -> int:
    return rest.ltp([key])[key].instrument_token


def wanting(login: Login) -> Any:
    return listening(login.ws_root, options=STEADY, login=login)


def test_the_login_belongs_to_its_user(rest: Rest, exchange: SandboxServer) -> None:
    assert rest.profile().user_id == exchange.user().user_id


def test_a_market_order_fills_and_is_found_by_its_tag(rest: Rest) -> None:
    placed = order()

    order_id = rest.place_order(placed)

    row = wait_for(lambda: _complete(rest, order_id))
    assert (row.tag, row.filled_quantity, row.pending_quantity) == (placed.tag, 1, 0)
    [trade] = rest.order_trades(order_id)
    assert trade.average_price == row.average_price > 0
    assert datetime.now(UTC) - timedelta(days=400) < row.order_at


def _complete(rest: Rest, order_id: str) -> Any:
    return next((row for row in rest.orders() if row.order_id == order_id and row.status == OrderStatus.COMPLETE), None)


def test_a_resting_order_is_modified_and_cancelled(rest: Rest) -> None:
    price = far_price(rest)
    order_id = rest.place_order(order(price=price))
    wait_for(lambda: rest.order_history(order_id)[-1].status == OrderStatus.OPEN)

    rest.modify_order(Variety.REGULAR, order_id, OrderChange(price=price - 1))
    wait_for(lambda: rest.order_history(order_id)[-1].price == price - 1)
    rest.cancel_order(Variety.REGULAR, order_id)

    last = wait_for(lambda: _last(rest, order_id, OrderStatus.CANCELLED))
    assert last.filled_quantity == 0


def _last(rest: Rest, order_id: str, status: str) -> Any:
    last = rest.order_history(order_id)[-1]
    return last if last.status == status else None


def test_the_dump_is_read_to_its_end(rest: Rest) -> None:
    rows = list(read_dump(rest.instruments()))

    tokens = {row.instrument_token for row in rows}
    assert len(rows) == len(tokens) > 1000
    assert all(row.instrument_token >> 8 == row.exchange_token for row in rows)


def test_quotes_agree_with_each_other(rest: Rest) -> None:
    quote = rest.quote(["NSE:INFY", "NSE:NO SUCH"])
    ohlc = rest.ohlc(["NSE:INFY"])["NSE:INFY"]

    assert set(quote) == {"NSE:INFY"}
    assert quote["NSE:INFY"].ohlc.close == ohlc.ohlc.close
    assert len(quote["NSE:INFY"].bids) == 5


def test_candles_come_in_order(rest: Rest) -> None:
    end = datetime.now(UTC)

    candles = rest.historical(token_of(rest, "NSE:INFY"), "day", end - timedelta(days=30), end)

    assert candles == sorted(candles, key=lambda candle: candle.start_at)
    assert all(candle.low <= candle.open <= candle.high for candle in candles)


def test_margins_are_read(rest: Rest) -> None:
    asked: dict[str, object] = {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "variety": "regular",
        "product": "CNC",
        "order_type": "LIMIT",
        "quantity": 1,
        "price": Decimal(1500),
    }

    [margin] = rest.order_margins([asked])

    assert margin.total > 0
    assert rest.margins()["equity"].net > 0


def test_a_fill_becomes_a_position(rest: Rest) -> None:
    before = intraday(rest)

    order_id = rest.place_order(order())

    wait_for(lambda: _complete(rest, order_id))
    assert intraday(rest) == before + 1


def intraday(rest: Rest) -> int:
    rows = rest.positions().day
    return sum(row.quantity for row in rows if (row.tradingsymbol, row.product) == ("INFY", "MIS"))


@pytest.mark.parametrize("fault", ["lost_answer", "accepted_then_5xx", "truncated_json", "null_data", "no_data"])
def test_an_accepted_order_without_a_clear_answer_is_in_doubt(rest: Rest, exchange: SandboxServer, fault: str) -> None:
    placed = order(price=far_price(rest))
    exchange.fault(fault, route="order.place", count=1)

    with pytest.raises(OutcomeUnknown):
        rest.place_order(placed)

    assert len(exchange.placed(tag=placed.tag)) == 1
    assert [row.tag for row in rest.orders() if row.tag == placed.tag] == [placed.tag]


def test_an_answer_without_content_type_still_acknowledges(rest: Rest, exchange: SandboxServer) -> None:
    placed = order(price=far_price(rest))
    exchange.fault("no_content_type", route="order.place", count=1)

    order_id = rest.place_order(placed)

    assert exchange.placed(tag=placed.tag) == [order_id]


@pytest.mark.parametrize(
    ("fault", "options", "verdict"),
    [
        ("http_429", {"body": "json"}, Throttled),
        ("http_429", {"body": "html"}, Throttled),
        ("http_429", {"body": "untyped"}, Throttled),
        ("http_5xx", {"status": 503, "body": "html"}, OutcomeUnknown),
        ("http_403", {"error_type": "UserException", "message": "No."}, Refused),
        ("http_403", {"error_type": "TokenException", "message": "No."}, SessionExpired),
        ("ip_not_registered", {}, Refused),
        ("hang", {"seconds": 5}, OutcomeUnknown),
    ],
)
def test_an_order_that_was_not_handled_has_its_verdict(
    broker_login: Login, exchange: SandboxServer, fault: str, options: dict[str, Any], verdict: type[KiteError]
) -> None:
    placed = order()
    exchange.fault(fault, route="order.place", count=1, **options)

    with pytest.raises(KiteError) as caught:
        Rest(broker_login, total_timeout=0.5).place_order(placed)

    assert type(caught.value) is verdict
    assert exchange.placed(tag=placed.tag) == []


def test_an_order_the_exchange_checks_and_refuses_is_refused(rest: Rest) -> None:
    with pytest.raises(Refused) as caught:
        rest.place_order(replace(order(), market_protection=None))

    assert caught.value.evidence.status == 400
    assert "protection" in caught.value.message


def test_a_killed_token_expires_reads_and_orders(exchange: SandboxServer, rest: Rest) -> None:
    exchange.fault("token_killed", user=exchange.user().user_id)

    for call in (rest.orders, lambda: rest.place_order(order())):
        with pytest.raises(SessionExpired):
            call()


def test_a_closed_session_is_expired(rest: Rest) -> None:
    rest.close_session()

    with pytest.raises(SessionExpired):
        rest.orders()


def test_a_closed_listener_means_nothing_was_sent(rest: Rest, exchange: SandboxServer) -> None:
    exchange.fault("connection_refused", duration=1.0)

    with pytest.raises(Unavailable) as caught:
        wait_for(lambda: rest.place_order(order()) is None, seconds=0.5)

    assert "was not sent" in caught.value.message
    wait_for(lambda: _answers(rest))


def _answers(rest: Rest) -> bool:
    try:
        rest.profile()
    except Unavailable:
        return False
    return True


async def test_ticks_arrive_in_the_modes_asked_for(broker_login: Login, rest: Rest) -> None:
    infy, tcs, index = (token_of(rest, key) for key in ("NSE:INFY", "NSE:TCS", "NSE:NIFTY 50"))

    async with wanting(broker_login) as listener:
        await listener.connection.set_wanted({infy: Mode.FULL, tcs: Mode.LTP, index: Mode.QUOTE})
        first = {(infy, wire.KIND_FULL), (tcs, wire.KIND_LTP), (index, wire.KIND_INDEX_QUOTE)}
        await until(lambda: kinds(listener) >= first, patience=10)
        await listener.connection.set_wanted({infy: Mode.QUOTE, index: Mode.FULL})
        listener.frames.clear()
        await until(lambda: kinds(listener) >= {(infy, wire.KIND_QUOTE), (index, wire.KIND_INDEX_FULL)}, patience=10)
        listener.frames.clear()
        await until(lambda: len(listener.frames) > 3, patience=10)

    assert tcs not in {instrument for instrument, _ in kinds(listener)}


def kinds(listener: Listener) -> set[tuple[int, int]]:
    rows = decode(frame for frame, _ in listener.frames).rows
    return {(int(row["instrument_token"]), int(row["kind"])) for row in rows}


async def test_an_order_is_heard_over_the_stream(broker_login: Login, rest: Rest) -> None:
    placed = order()

    async with wanting(broker_login) as listener:
        await until(lambda: Phase.OPEN in listener.phases)
        rest.place_order(placed)
        await until(lambda: OrderStatus.COMPLETE in statuses(listener, placed.tag))


def statuses(listener: Listener, tag: str) -> list[str]:
    updates = [order_update(text["data"]) for text in listener.texts if text["type"] == "order"]
    return [update.status for update in updates if update.tag == tag]


async def test_a_dead_token_is_rejected_at_the_handshake(broker_login: Login) -> None:
    dead = replace(broker_login, access_token=string.ascii_letters)

    async with wanting(dead) as listener:
        await until(lambda: Phase.REJECTED in listener.phases)


@pytest.mark.parametrize(
    ("fault", "cause"), [("socket_half_open", "no pong"), ("socket_silent", "no message"), ("socket_drop", "")]
)
async def test_a_broken_stream_comes_back_with_all_it_held(
    broker_login: Login, rest: Rest, exchange: SandboxServer, fault: str, cause: str
) -> None:
    infy = token_of(rest, "NSE:INFY")

    async with wanting(broker_login) as listener:
        await listener.connection.set_wanted({infy: Mode.FULL})
        await until(lambda: listener.frames, patience=10)
        exchange.fault(fault, duration=3)
        await until(listener.lost, patience=10)
        exchange.clear_faults()
        listener.frames.clear()
        await until(lambda: (infy, wire.KIND_FULL) in kinds(listener), patience=10)

    assert cause in listener.lost()[0]


@pytest.mark.parametrize("fault", ["frame_truncated", "frame_empty", "frame_unknown"])
async def test_a_broken_frame_costs_neither_the_link_nor_the_rest(
    broker_login: Login, rest: Rest, exchange: SandboxServer, fault: str
) -> None:
    infy = token_of(rest, "NSE:INFY")

    async with wanting(broker_login) as listener:
        await listener.connection.set_wanted({infy: Mode.FULL})
        await until(lambda: listener.frames, patience=10)
        exchange.fault(fault, count=2)
        seen = len(listener.frames)
        await until(lambda: len(listener.frames) > seen + 5, patience=10)

    decoded = decode(frame for frame, _ in listener.frames)
    assert listener.lost() == []
    assert len(decoded.rows) > 0
    assert decoded.truncated == (2 if fault == "frame_truncated" else 0)
    assert decoded.skipped == (2 if fault == "frame_unknown" else 0)


@pytest.mark.long
async def test_with_the_times_of_the_product_a_half_open_link_is_found_in_eight_seconds(
    broker_login: Login, exchange: SandboxServer
) -> None:
    async with listening(broker_login.ws_root, options=Options(), login=broker_login) as listener:
        await until(lambda: Phase.OPEN in listener.phases)
        exchange.fault("socket_half_open", duration=20)
        await until(listener.lost, patience=8.5)
