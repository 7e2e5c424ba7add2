"""The book matches by price, then time, and never fills an order beyond its limit."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.accounts import User
from sandbox.clock import Clock
from sandbox.exchange import Change, Exchange
from sandbox.ledger import Account
from sandbox.market import Market
from sandbox.orders import Ids, Order, Status
from sandbox.params import parse_order
from sandbox.prices import Model
from sandbox.sessions import Sessions
from sandbox.settings import Settings
from sandbox.universe import Universe, build_universe

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
START = dt.datetime(2026, 11, 25, 9, 30, tzinfo=IST)
INFY = "NSE:INFY"


class Desk:
    """An exchange without a network, whose delays pass at once, and a book set by hand."""

    def __init__(self, universe: Universe) -> None:
        model = Model(universe=universe, seed=7)
        self.market = Market(universe=universe, model=model, seed=7, epoch=START.timestamp())
        self.exchange = Exchange(
            clock=Clock(start=START), sessions=Sessions(), market=self.market, settings=Settings(), later=_now,
            ids=Ids(),
        )  # fmt: skip
        self.account = Account(User("U1", "One", "k", "s", "p"))
        self.account.cash["equity"] = 1e12
        self.exchange.accounts["U1"] = self.account
        self.row = universe.by_key[INFY]
        self.set_book([(1510.0, 100)] * 1, [(1511.0, 100), (1512.0, 50)])

    def set_book(self, bids: list[tuple[float, int]], asks: list[tuple[float, int]]) -> None:
        for prices, quantities, levels in (
            (self.market.bid_price, self.market.bid_quantity, bids),
            (self.market.ask_price, self.market.ask_quantity, asks),
        ):
            prices[self.row], quantities[self.row] = 0, 0
            for level, (price, quantity) in enumerate(levels):
                prices[self.row, level], quantities[self.row, level] = round(price * 100), quantity

    def trade(self, price: float, quantity: int) -> None:
        """Let the market print a trade and the orders follow."""
        rows = np.array([self.row], dtype=np.int64)
        self.market.record_trades(rows=rows, price=rows * 0 + round(price * 100), quantity=rows * 0 + quantity)
        self.exchange.on_tick({self.row})

    def place(self, side: str, quantity: int, price: float, **changes: str) -> Order:
        form = {
            "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": side, "quantity": str(quantity),
            "order_type": "LIMIT", "product": "MIS", "price": str(price), **changes,
        }  # fmt: skip
        return self.exchange.place(account=self.account, params=parse_order(form, variety="regular"))


def _now(_delay: float, action: Callable[[], None]) -> None:
    action()


@pytest.fixture(scope="module")
def universe() -> Universe:
    return build_universe(today=START.date(), sessions=Sessions())


@pytest.fixture
def desk(universe: Universe) -> Desk:
    return Desk(universe)


def prices(order: Order) -> list[tuple[float, int]]:
    return [(trade.price, trade.quantity) for trade in order.trades]


def test_an_order_walks_up_the_levels_to_its_limit(desk: Desk) -> None:
    order = desk.place("BUY", 200, 1512.0)

    assert prices(order) == [(1511.0, 100), (1512.0, 50)]
    assert (order.status, order.pending) == (Status.OPEN, 50)


def test_a_better_price_goes_first_then_the_older_order(desk: Desk) -> None:
    late = desk.place("SELL", 10, 1510.8)
    first = desk.place("SELL", 10, 1510.5)
    second = desk.place("SELL", 10, 1510.5)

    taker = desk.place("BUY", 15, 1511.0)

    assert (first.filled, second.filled, late.filled) == (10, 5, 0)
    assert prices(taker) == [(1510.5, 10), (1510.5, 5)]


def test_what_was_shown_first_at_a_price_is_filled_first(desk: Desk) -> None:
    waiting = desk.place("SELL", 10, 1511.0)

    desk.place("BUY", 100, 1511.0)

    assert waiting.filled == 0


def test_a_trade_works_through_the_queue_at_the_price(desk: Desk) -> None:
    order = desk.place("BUY", 30, 1510.0)
    assert order.queue_ahead == 100

    desk.trade(1510.0, 80)
    assert (order.filled, order.queue_ahead) == (0, 20)
    desk.trade(1510.0, 35)
    assert order.filled == 15
    desk.trade(1510.0, 100)

    assert (order.filled, order.status) == (30, Status.COMPLETE)


def test_a_trade_through_the_price_ignores_the_queue(desk: Desk) -> None:
    order = desk.place("BUY", 30, 1510.0)

    desk.trade(1509.0, 20)

    assert prices(order) == [(1510.0, 20)]


def test_a_stop_does_not_fire_before_its_trigger(desk: Desk) -> None:
    desk.trade(1510.0, 1)
    stop = desk.place("BUY", 5, 1515.0, order_type="SL", trigger_price="1514")

    desk.trade(1513.9, 1)
    assert stop.status is Status.TRIGGER_PENDING
    desk.trade(1514.0, 1)

    assert (stop.status, stop.average_price) == (Status.COMPLETE, 1511.0)


def test_a_modified_order_loses_its_place(desk: Desk) -> None:
    first, second = desk.place("SELL", 10, 1510.5), desk.place("SELL", 10, 1510.5)
    desk.exchange.modify(account=desk.account, order_id=first.order_id, change=Change(quantity=10))

    desk.place("BUY", 10, 1510.5)

    assert (first.filled, second.filled) == (0, 10)


def test_the_shown_book_includes_the_waiting_orders(desk: Desk) -> None:
    desk.place("BUY", 40, 1510.0)
    desk.place("BUY", 7, 1510.5)

    market, row = desk.market, desk.row
    assert market.bid_price[row, :2].tolist() == [151050, 151000]
    assert market.bid_quantity[row, :2].tolist() == [7, 140]


def test_an_emptied_book_is_the_markets_again(desk: Desk) -> None:
    order = desk.place("BUY", 7, 1510.5)
    desk.exchange.cancel(account=desk.account, order_id=order.order_id)

    assert desk.row not in desk.exchange.matcher.books
    assert desk.market.bid_price[desk.row, 0] == 151000


requests = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 120), st.integers(0, 20), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(requests=requests)
def test_no_fill_is_beyond_a_limit_and_nothing_is_lost(
    universe: Universe, requests: list[tuple[str, int, int, bool]]
) -> None:
    desk = Desk(universe)
    orders = []
    for side, quantity, ticks, ioc in requests:
        limit = 1509.0 + ticks / 5
        orders.append(desk.place(side, quantity, round(limit, 1), validity="IOC" if ioc else "DAY"))
        desk.trade(round(1509.0 + (ticks * 7 % 20) / 5, 1), quantity)

    for order in orders:
        assert order.filled == sum(trade.quantity for trade in order.trades)
        assert order.filled + order.pending == order.quantity
        for trade in order.trades:
            assert trade.price <= order.price if order.is_buy else trade.price >= order.price
        assert order.status in {Status.OPEN, Status.COMPLETE, Status.CANCELLED}
    waiting = sum(order.margin for order in orders)
    assert desk.account.blocked["equity"] == pytest.approx(waiting, abs=1e-6)
    if not desk.exchange.matcher.books:
        assert waiting == pytest.approx(0.0, abs=1e-6)
