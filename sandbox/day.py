"""The trading day: the pre-open, opening and close, AMOs, the square-off, settlement, and the roll of the date."""

from __future__ import annotations

import zlib
from datetime import date, datetime, timedelta

from sandbox.errors import KiteError
from sandbox.exchange import Exchange
from sandbox.instruments import Instrument
from sandbox.ledger import Account, average_price, profit_of, spot_of
from sandbox.margins import segment_of
from sandbox.orders import Order, Status
from sandbox.params import OrderParams, parse_order
from sandbox.portfolio import Holding, Position
from sandbox.sessions import Phase

INTRADAY = ("MIS", "CO")
SQUARE_AGAIN = timedelta(seconds=5)


def all_orders(exchange: Exchange) -> list[Order]:
    return [order for account in exchange.accounts.values() for order in account.orders.values()]


class TradingDay:
    """Watches the clock and does what falls due."""

    def __init__(self, *, exchange: Exchange) -> None:
        self._exchange = exchange
        self._names = sorted({instrument.exchange for instrument in exchange.market.universe.instruments})
        self.phases = self._phases_now(exchange.clock.now())
        self._squared: dict[str, datetime] = {}

    def _phases_now(self, now: datetime) -> dict[str, Phase]:
        return {name: self._exchange.sessions.phase(exchange=name, moment=now) for name in self._names}

    @property
    def open_exchanges(self) -> set[str]:
        return {name for name, phase in self.phases.items() if phase is Phase.OPEN}

    def watch(self, now: datetime) -> None:
        """Compare with the last look: collect, match, open, close, square off."""
        before, self.phases = self.phases, self._phases_now(now)
        for name, phase in self.phases.items():
            if phase is not before[name]:
                self._turn(name, before[name], phase, now)
        for name in [name for name, phase in self.phases.items() if phase is Phase.COLLECTING]:
            self._exchange.indicate(name)
        for name in sorted(self.open_exchanges):
            if self._exchange.sessions.past_mis_cutoff(exchange=name, moment=now):
                self._keep_squared(name, now)

    def _turn(self, name: str, before: Phase, phase: Phase, now: datetime) -> None:
        """Do what falls due when an exchange passes from one phase to another."""
        if phase is Phase.COLLECTING:
            self.release_amo(name, auction=True)
        if before is Phase.COLLECTING:
            self._exchange.market.open_session(name)
            self._exchange.open_auction(name)
        if phase is Phase.OPEN:
            if before is Phase.CLOSED:
                self._exchange.market.open_session(name)
            self.release_amo(name)
        if phase is Phase.CLOSED:
            self.expire_day_orders(name)
            self.settle_expired(now.date(), exchange_name=name)

    def _keep_squared(self, name: str, now: datetime) -> None:
        """Square off at the cut-off, and again with new prices while something is left."""
        last = self._squared.get(name)
        if last is None or (now - last >= SQUARE_AGAIN and self.is_squaring(name)):
            self._squared[name] = now
            self.square_off(name)

    def is_squaring(self, name: str | None = None) -> bool:
        """Say whether an intraday position is left on an open exchange that has begun to square off."""
        begun = {one for one in self._squared if one in self.open_exchanges and name in {None, one}}
        return any(
            position.quantity and position.product in INTRADAY and self._instrument(position.row).exchange in begun
            for account in self._exchange.accounts.values()
            for position in account.portfolio.positions.values()
        )

    def _instrument(self, row: int) -> Instrument:
        return self._exchange.market.universe.instruments[row]

    def release_amo(self, exchange_name: str | None = None, *, auction: bool = False) -> None:
        """Send waiting AMOs to the exchange; into the opening auction only those that may take part."""
        for order in all_orders(self._exchange):
            fits = not auction or (order.order_type in {"LIMIT", "MARKET"} and order.validity == "DAY")
            if order.status is Status.AMO_RECEIVED and exchange_name in {None, order.exchange} and fits:
                self._exchange.submit(order)

    def settle_expired(self, last_day: date, *, exchange_name: str | None = None) -> None:
        """Close every position in contracts that have expired by `last_day` at the underlying's level, in cash."""
        market = self._exchange.market
        for account in self._exchange.accounts.values():
            for position in account.portfolio.positions.values():
                instrument = self._instrument(position.row)
                due = instrument.expiry is not None and instrument.expiry <= last_day
                if due and position.quantity and exchange_name in {None, instrument.exchange}:
                    price = settlement_price(instrument, spot=spot_of(market, position.row))
                    quantity = abs(position.quantity)
                    position.trade(is_buy=position.quantity < 0, quantity=quantity, value=price * quantity)

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
        self.settle_expired(self._exchange.clock.today() - timedelta(days=1))
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
            last = market.last_price(row)
            book_cash(account=account, position=position, instrument=self._instrument(row), last=last)
            if product == "CNC" and position.quantity:
                settle_delivery(account=account, row=row, quantity=position.quantity, price=average_price(position))
            if product in {"CNC", *INTRADAY} or not position.quantity:
                del account.portfolio.positions[key]
            else:
                position.carry_over(price=last)


def settlement_price(instrument: Instrument, *, spot: float) -> float:
    """Return what a contract is worth at its end: its spot, or the option's intrinsic value."""
    if instrument.is_future:
        return round(spot, 2)
    distance = spot - instrument.strike if instrument.instrument_type == "CE" else instrument.strike - spot
    return round(max(distance, 0.0), 2)


def book_cash(*, account: Account, position: Position, instrument: Instrument, last: float) -> None:
    """Move the day's money: delivery at its cost, everything else its profit up to `last`."""
    if position.product == "CNC":
        amount = position.day_sell_value - position.day_buy_value
    else:
        amount = profit_of(position, last=last) * instrument.multiplier
    account.cash[segment_of(instrument)] += amount


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
