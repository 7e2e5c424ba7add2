"""The order management system: carries every order from the request through its states to the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from sandbox.checks import check_freeze, check_holdings, check_order, check_prices, check_quantity, find_instrument
from sandbox.clock import Clock
from sandbox.errors import KiteError, input_error, margin_error, order_error
from sandbox.instruments import Instrument
from sandbox.ledger import Account, spot_of
from sandbox.margins import requirement, segment_of
from sandbox.market import Market
from sandbox.matching import Matcher
from sandbox.orders import AT_EXCHANGE, TERMINAL, Ids, Order, Status, Trade
from sandbox.params import OrderParams
from sandbox.protection import protected_price
from sandbox.sessions import Phase, Sessions
from sandbox.settings import Settings

Later = Callable[[float, Callable[[], None]], object]
Listener = Callable[[Order, Status | None], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A modification; None keeps the old value."""

    order_type: str | None = None
    quantity: int | None = None
    price: float | None = None
    trigger_price: float | None = None
    disclosed_quantity: int | None = None
    validity: str | None = None
    market_protection: float = 0.0


@dataclass(slots=True)
class Holds:
    """Faults that sit inside the order system: stuck states and refused cancels, asked per order."""

    is_stuck: Callable[[Order], bool] = field(default=lambda _order: False)
    refuses_cancel: Callable[[Order], bool] = field(default=lambda _order: False)


class Exchange:
    """Accepts, checks, books, fills, modifies and cancels."""

    def __init__(
        self, *, clock: Clock, sessions: Sessions, market: Market, settings: Settings, later: Later, ids: Ids
    ) -> None:
        self.clock = clock
        self.sessions = sessions
        self.market = market
        self.settings = settings
        self.later = later
        self.ids = ids
        self.accounts: dict[str, Account] = {}
        self.matcher = Matcher(market=market, on_fill=self._on_fill)
        self.listeners: list[Listener] = []
        self.holds = Holds()
        self.followers: dict[str, Callable[[Order], None]] = {}
        self.touched: set[int] = set()
        self.accepted = 0
        self.changes = 0
        self._sequence = itertools.count(1)

    def instrument(self, order: Order) -> Instrument:
        return self.market.universe.instruments[order.row]

    def place(self, *, account: Account, params: OrderParams) -> Order:
        """Check an order and enter it; raise the refusal that never reaches the book."""
        row = self.check(account=account, params=params)
        check_freeze(quantity=params.quantity, instrument=self.market.universe.instruments[row])
        return self.enter(account=account, params=params, row=row)

    def check(self, *, account: Account, params: OrderParams) -> int:
        row = find_instrument(market=self.market, exchange=params.exchange, tradingsymbol=params.tradingsymbol)
        check_order(
            params=params, row=row, market=self.market, sessions=self.sessions, settings=self.settings,
            moment=self.clock.now(),
        )  # fmt: skip
        check_holdings(params=params, row=row, account=account, settings=self.settings)
        return row

    def enter(
        self, *, account: Account, params: OrderParams, row: int, parent: str | None = None, tags: tuple[str, ...] = ()
    ) -> Order:
        """Reserve margin and put a checked order on its way."""
        order = self.new_order(account=account, params=params, row=row)
        order.parent_order_id = parent
        order.tags.extend(tags)
        order.margin = self.required(account=account, order=order)
        shortage = self._shortage(account, order)
        if shortage is not None and self.settings.margin_check == "before":
            raise margin_error(shortage)
        if shortage is None:
            account.block(order, self.instrument(order))
        account.orders[order.order_id] = order
        self.accepted += 1
        if params.variety == "amo":
            order.enter(Status.AMO_RECEIVED)
        else:
            self.submit(order, shortage=shortage)
        return order

    def new_order(self, *, account: Account, params: OrderParams, row: int) -> Order:
        now = self.clock.now()
        instrument = self.market.universe.instruments[row]
        order = Order(
            user_id=account.user.user_id, order_id=self.ids.order(now), row=row, exchange=params.exchange,
            tradingsymbol=params.tradingsymbol, instrument_token=instrument.token,
            transaction_type=params.transaction_type, order_type=params.order_type, variety=params.variety,
            product=params.product, quantity=params.quantity, validity=params.validity, status=Status.RECEIVED,
            ordered_at=now, price=params.price, trigger_price=params.trigger_price,
            disclosed_quantity=params.disclosed_quantity, validity_ttl=params.validity_ttl,
            market_protection=params.market_protection, pending=params.quantity, tag=params.tag,
            auction_number=params.auction_number, algo_id=params.algo_id,
            sequence=next(self._sequence),
        )  # fmt: skip
        order.tags.extend([params.tag] if params.tag else [])
        return order

    def submit(self, order: Order, *, shortage: str | None = None) -> None:
        """Send an order towards the exchange; the answer to the client does not wait for it."""
        order.enter(Status.RECEIVED)
        self.later(self.settings.exchange_latency, lambda: self._validate(order, shortage))

    def modify(self, *, account: Account, order_id: str, change: Change) -> Order:
        order = self._changeable(account, order_id, "modified")
        if order.modifications >= self.settings.modifications_per_order:
            raise order_error("Maximum allowed order modifications exceeded.")
        self._check_change(order, change)
        order.modifications += 1
        if order.status is Status.AMO_RECEIVED:
            self._apply(order, change)
            return order
        order.enter(Status.MODIFY_VALIDATION_PENDING, ordered_at=self.clock.now())
        self.later(self.settings.exchange_latency, lambda: self._modified(order, change))
        return order

    def cancel(self, *, account: Account, order_id: str) -> Order:
        order = self._changeable(account, order_id, "cancelled")
        if self.holds.refuses_cancel(order):
            raise order_error("Order cannot be cancelled as it is being processed. Try later.")
        if order.status is Status.AMO_RECEIVED:
            self.end(order, Status.CANCELLED)
            return order
        order.enter(Status.CANCEL_PENDING)
        self.later(self.settings.exchange_latency, lambda: self.end(order, Status.CANCELLED))
        return order

    def on_tick(self, rows: set[int]) -> None:
        """Let the users' orders meet the market that has just moved."""
        for row in rows & self.matcher.books.keys():
            if not self.market.trading[row]:
                continue
            self.matcher.sweep(row)
            if row in self.matcher.books:
                for order in self.matcher.due_stops(row):
                    self._trigger(order)

    def indicate(self, exchange: str) -> None:
        """Tell the pre-open's indicative prices of an exchange."""
        rows = set(self.market.indicate(exchange).tolist())
        for row in rows & self.matcher.books.keys():
            self.matcher.indicate(row)
        self.touched |= rows

    def open_auction(self, exchange: str) -> None:
        """Match what the pre-open of an exchange has collected."""
        for row in list(self.matcher.books):
            if self.market.universe.instruments[row].exchange == exchange:
                self.matcher.auction(row)
                self.touched.add(row)

    def expire(self, now: datetime) -> None:
        """Cancel TTL orders whose minutes have passed."""
        for book in list(self.matcher.books.values()):
            for order in book.waiting():
                age = (now - order.history[0].ordered_at).total_seconds()
                if order.validity == "TTL" and age >= order.validity_ttl * 60:
                    self.end(order, Status.CANCELLED)

    def end(self, order: Order, status: Status, *, message: str | None = None, raw: str | None = None) -> None:
        """Finish an order and free what it tied up."""
        if not order.is_open:
            return
        order.status_message, order.status_message_raw = message, raw
        if status is Status.CANCELLED:
            order.cancelled = order.pending
            order.updated_at = self.clock.now()
        order.enter(status)
        self.matcher.remove(order)
        self.touched.add(order.row)
        if order.margin and self.accounts[order.user_id].blocked:
            self.accounts[order.user_id].release(order, self.instrument(order))
        self.notify(order, None)

    def notify(self, order: Order, status: Status | None) -> None:
        self.changes += 1
        for listener in self.listeners:
            listener(order, status)
        if not order.is_open and (follow := self.followers.pop(order.order_id, None)):
            self.later(0.0, lambda: follow(order))

    def required(self, *, account: Account, order: Order) -> float:
        """Return the margin an order needs beyond what it closes."""
        instrument = self.instrument(order)
        opening = account.opening_quantity(
            row=order.row, product=order.product, is_buy=order.is_buy, quantity=order.pending
        )
        return requirement(
            instrument=instrument,
            product=order.product,
            is_buy=order.is_buy,
            quantity=opening,
            price=order.price or self.market.last_price(order.row),
            spot=spot_of(self.market, order.row),
        ).total

    def _shortage(self, account: Account, order: Order) -> str | None:
        available = account.available(market=self.market, segment=segment_of(self.instrument(order)))
        if order.margin <= available:
            return None
        return f"Insufficient funds. Required margin is {order.margin:.2f} but available margin is {available:.2f}."

    def _validate(self, order: Order, shortage: str | None) -> None:
        if not order.is_open:
            return
        order.enter(Status.VALIDATION_PENDING)
        if self.holds.is_stuck(order):
            self.later(0.2, lambda: self._validate_again(order, shortage))
            return
        self._accept(order, shortage)

    def _validate_again(self, order: Order, shortage: str | None) -> None:
        if self.holds.is_stuck(order):
            self.later(0.2, lambda: self._validate_again(order, shortage))
        else:
            self._accept(order, shortage)

    def _accept(self, order: Order, shortage: str | None) -> None:
        if shortage is not None:
            self._reject_for_margin(order, shortage)
            return
        now = self.clock.now()
        order.enter(Status.OPEN_PENDING)
        order.exchange_order_id = self.ids.exchange()
        order.exchanged_at = order.updated_at = now
        if order.order_type in {"SL", "SL-M"}:
            order.enter(Status.TRIGGER_PENDING)
            self.matcher.add_stop(order)
            self.notify(order, None)
            return
        if order.order_type == "MARKET":
            self._protect(order)
        self._work(order)

    def _work(self, order: Order) -> None:
        """Show an order to the market and match it."""
        order.enter(Status.OPEN)
        self.notify(order, None)
        self.touched.add(order.row)
        if self.sessions.phase(exchange=order.exchange, moment=self.clock.now()) is not Phase.OPEN:
            self.matcher.collect(order)
            return
        self.matcher.place(order, rest=order.validity != "IOC")
        if order.validity == "IOC" and order.is_open:
            self.end(order, Status.CANCELLED)

    def _reject_for_margin(self, order: Order, shortage: str) -> None:
        account = self.accounts[order.user_id]
        available = account.available(market=self.market, segment=segment_of(self.instrument(order)))
        raw = (
            f"RMS:Margin Exceeds,Required:{order.margin:.2f}, Available:{available:.2f} "
            f"for entity account-{order.user_id} across exchange across segment across product "
        )
        order.margin = 0.0
        order.pending = 0
        self.end(order, Status.REJECTED, message=f"{shortage} Check the orderbook for open orders.", raw=raw)

    def _protect(self, order: Order) -> None:
        """Turn a market order into the limit order that the broker sends in its place."""
        percent, order.price = protected_price(
            instrument=self.instrument(order), last=self.market.last_price(order.row), is_buy=order.is_buy,
            protection=order.market_protection, tick=int(self.market.tick[order.row]),
            band=self.market.circuit(order.row),
        )  # fmt: skip
        order.order_type = "LIMIT"
        order.market_protection = 0.0
        order.tags.extend(["mktp", f"mktp:{percent:.2f}"])

    def _trigger(self, order: Order) -> None:
        order.triggered = True
        if order.order_type == "SL-M":
            self._protect(order)
        self._work(order)

    def _on_fill(self, order: Order, quantity: int, price_units: int) -> None:
        now = self.clock.now()
        price = self.market.rupees(row=order.row, units=price_units)
        account = self.accounts[order.user_id]
        account.release(order, self.instrument(order), share=quantity / order.pending)
        order.filled += quantity
        order.pending -= quantity
        order.spent += price * quantity
        order.updated_at = order.exchanged_at = now
        order.trades.append(Trade(self.ids.trade(), price, quantity, now))
        account.portfolio.position(row=order.row, product=order.product).trade(
            is_buy=order.is_buy, quantity=quantity, value=price * quantity
        )
        self._print(order.row, price_units, quantity)
        if order.pending:
            order.enter(order.status)
            self.notify(order, Status.UPDATE)
        else:
            order.enter(Status.COMPLETE)
            self.notify(order, None)

    def _print(self, row: int, price_units: int, quantity: int) -> None:
        rows = np.array([row], dtype=np.int64)
        one = np.array([1], dtype=np.int64)
        self.market.record_trades(rows=rows, price=one * price_units, quantity=one * quantity)
        self.touched.add(row)

    def _changeable(self, account: Account, order_id: str, verb: str) -> Order:
        order = account.orders.get(order_id)
        if order is None:
            raise KiteError(400, "OrderException", "Couldn't find that `order_id`.")
        if order.status in TERMINAL:
            raise order_error(f"Order cannot be {verb} as it is already {order.status.value.lower()}.")
        phase = self.sessions.phase(exchange=order.exchange, moment=self.clock.now())
        busy = order.status not in AT_EXCHANGE or phase is Phase.MATCHED
        if busy and order.status is not Status.AMO_RECEIVED:
            raise order_error(f"Order cannot be {verb} as it is being processed. Try later.")
        return order

    def _check_change(self, order: Order, change: Change) -> None:
        instrument = self.instrument(order)
        if change.quantity is not None:
            check_quantity(quantity=change.quantity, instrument=instrument)
            check_freeze(quantity=change.quantity, instrument=instrument)
            if self._total_quantity(order, change.quantity) <= order.filled:
                raise order_error("Quantity cannot be lower than what is already filled.")
        check_prices(market=self.market, row=order.row, price=change.price or 0.0, trigger=change.trigger_price or 0.0)
        if change.order_type in {"LIMIT", "SL"} and not (change.price or order.price):
            raise input_error("Invalid `price`.")
        unprotected = change.order_type in {"MARKET", "SL-M"} and change.market_protection == 0
        if unprotected and self.settings.require_protection:
            raise input_error("Market orders without market protection are not allowed via API.")

    def _total_quantity(self, order: Order, quantity: int) -> int:
        return quantity if self.settings.modify_quantity == "total" else order.filled + quantity

    def _modified(self, order: Order, change: Change) -> None:
        if not order.is_open:
            return
        order.enter(Status.MODIFY_PENDING)
        self.matcher.remove(order)
        self._apply(order, change)
        order.modified = True
        order.updated_at = order.exchanged_at = self.clock.now()
        order.enter(Status.MODIFIED)
        self.notify(order, Status.UPDATE)
        if order.order_type in {"SL", "SL-M"} and not order.triggered:
            order.enter(Status.TRIGGER_PENDING)
            self.matcher.add_stop(order)
            return
        if order.order_type in {"MARKET", "SL-M"}:
            self._protect(order)
        order.sequence = next(self._sequence)
        self._work(order)

    def _apply(self, order: Order, change: Change) -> None:
        account, instrument = self.accounts[order.user_id], self.instrument(order)
        account.release(order, instrument)
        for name in ("order_type", "price", "trigger_price", "disclosed_quantity", "validity"):
            value = getattr(change, name)
            if value is not None:
                setattr(order, name, value)
        order.market_protection = change.market_protection
        if change.quantity is not None:
            order.quantity = max(self._total_quantity(order, change.quantity), order.filled + 1)
            order.pending = order.quantity - order.filled
        order.margin = self.required(account=account, order=order)
        account.block(order, instrument)
