"""The trading day: sessions open and close, AMOs leave, intraday positions are squared off, the date rolls."""

from __future__ import annotations

import zlib
from datetime import datetime

from sandbox.errors import KiteError
from sandbox.exchange import Exchange
from sandbox.instruments import Instrument
from sandbox.ledger import Account
from sandbox.orders import Order, Status
from sandbox.params import OrderParams, parse_order
from sandbox.portfolio import Holding

INTRADAY = ("MIS", "CO")


def all_orders(exchange: Exchange) -> list[Order]:
    return [order for account in exchange.accounts.values() for order in account.orders.values()]


class TradingDay:
    """Watches the clock and does what falls due."""

    def __init__(self, *, exchange: Exchange) -> None:
        self._exchange = exchange
        self._open = self._open_now(exchange.clock.now())
        self._squared: set[str] = set()

    def _open_now(self, now: datetime) -> set[str]:
        names = {instrument.exchange for instrument in self._exchange.market.universe.instruments}
        return {name for name in names if self._exchange.sessions.is_open(exchange=name, moment=now)}

    @property
    def open_exchanges(self) -> set[str]:
        return self._open

    def watch(self, now: datetime) -> None:
        """Compare with the last look: open, close, square off."""
        open_now = self._open_now(now)
        for name in sorted(open_now - self._open):
            self.release_amo(name)
        for name in sorted(self._open - open_now):
            self.expire_day_orders(name)
        self._open = open_now
        for name in sorted(open_now - self._squared):
            if self._exchange.sessions.past_mis_cutoff(exchange=name, moment=now):
                self._squared.add(name)
                self.square_off(name)

    def release_amo(self, exchange_name: str | None = None) -> None:
        for order in all_orders(self._exchange):
            if order.status is Status.AMO_RECEIVED and exchange_name in {None, order.exchange}:
                self._exchange.submit(order)

    def expire_day_orders(self, exchange_name: str | None = None) -> None:
        for order in all_orders(self._exchange):
            waiting = order.is_open and order.status is not Status.AMO_RECEIVED
            if waiting and exchange_name in {None, order.exchange}:
                self._exchange.end(order, Status.CANCELLED)

    def square_off(self, exchange_name: str | None = None) -> None:
        """Cancel open intraday orders and close intraday positions at the market."""
        for order in all_orders(self._exchange):
            if order.is_open and order.product in INTRADAY and exchange_name in {None, order.exchange}:
                self._exchange.end(order, Status.CANCELLED)
        for account in self._exchange.accounts.values():
            for (row, product), position in list(account.portfolio.positions.items()):
                instrument = self._exchange.market.universe.instruments[row]
                due = product in INTRADAY and exchange_name in {None, instrument.exchange}
                if due and position.quantity:
                    self._close(account, instrument, row, product, position.quantity)

    def _close(self, account: Account, instrument: Instrument, row: int, product: str, quantity: int) -> None:
        params = closing_params(instrument=instrument, product=product, quantity=quantity)
        self._exchange.enter(account=account, params=params, row=row, tags=("squareoff",))

    def roll(self) -> None:
        """Start a new date: yesterday's orders leave the book, positions become overnight, shares become holdings."""
        self.expire_day_orders()
        self._squared.clear()
        for account in self._exchange.accounts.values():
            account.orders = {
                name: order for name, order in account.orders.items() if order.status is Status.AMO_RECEIVED
            }
            self._carry(account)
        if self._exchange.sessions.always:
            self.release_amo()

    def _carry(self, account: Account) -> None:
        market = self._exchange.market
        for key, position in list(account.portfolio.positions.items()):
            row, product = key
            if product == "CNC" and position.quantity:
                settle_delivery(account=account, row=row, quantity=position.quantity, price=market.last_price(row))
            if product in {"CNC", *INTRADAY} or not position.quantity or market.has_expired(row):
                del account.portfolio.positions[key]
            else:
                position.carry_over(price=market.rupees(row=row, units=int(market.close[row])))


def closing_params(*, instrument: Instrument, product: str, quantity: int) -> OrderParams:
    form = {
        "exchange": instrument.exchange,
        "tradingsymbol": instrument.tradingsymbol,
        "transaction_type": "SELL" if quantity > 0 else "BUY",
        "order_type": "MARKET",
        "product": product,
        "quantity": str(abs(quantity)),
        "market_protection": "-1",
    }
    return parse_order(form, variety="regular")


def settle_delivery(*, account: Account, row: int, quantity: int, price: float) -> None:
    holding = account.portfolio.holdings.get(row)
    if holding is None:
        if quantity > 0:
            account.portfolio.holdings[row] = Holding(row, isin_of(str(row)), quantity, price)
        return
    total = holding.quantity + quantity
    if quantity > 0:
        holding.average_price = (holding.average_price * holding.quantity + price * quantity) / total
    holding.quantity = max(total, 0)
    if holding.quantity == 0:
        del account.portfolio.holdings[row]


def isin_of(symbol: str) -> str:
    number = zlib.crc32(symbol.encode())
    return f"INE{number % 1_000:03d}{chr(65 + number % 26)}01{number // 1_000 % 1_000:03d}"


def seed_holdings(*, account: Account, instruments: list[Instrument], position: int) -> None:
    """Give an account a few shares to start with, the same ones at every start."""
    shares = [(row, one) for row, one in enumerate(instruments) if one.is_equity and one.exchange == "NSE"]
    for step in range(5):
        if not shares:
            return
        row, instrument = shares[(position * 11 + step * 17) % len(shares)]
        quantity = 10 * (1 + (position + step) % 7)
        account.portfolio.holdings[row] = Holding(
            row, isin_of(instrument.tradingsymbol), quantity, round(instrument.price * (0.85 + 0.05 * step), 2)
        )


def place_quietly(*, exchange: Exchange, account: Account, form: dict[str, str]) -> str:
    """Place a regular order from inside, as a GTT or an alert does; the refusal is the caller's."""
    variety = form.get("variety", "regular")
    if variety != "regular":
        raise KiteError(400, "InputException", "Invalid `variety`.")
    return exchange.place(account=account, params=parse_order(form, variety=variety)).order_id
