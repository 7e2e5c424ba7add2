"""One account's money and orders: what is free, what is tied up, what was earned."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.accounts import User
from sandbox.instruments import Instrument
from sandbox.margins import Margin, requirement, segment_of, segment_row
from sandbox.market import Market
from sandbox.orders import Order
from sandbox.portfolio import Portfolio, Position


@dataclass(slots=True)
class Account:
    """A user at the exchange: cash by segment, portfolio, today's orders."""

    user: User
    cash: dict[str, float] = field(default_factory=lambda: {"equity": 10_000_000.0, "commodity": 2_000_000.0})
    portfolio: Portfolio = field(default_factory=Portfolio)
    orders: dict[str, Order] = field(default_factory=dict)
    blocked: dict[str, float] = field(default_factory=lambda: {"equity": 0.0, "commodity": 0.0})

    def block(self, order: Order, instrument: Instrument) -> None:
        self.blocked[segment_of(instrument)] += order.margin

    def release(self, order: Order, instrument: Instrument, *, share: float = 1.0) -> None:
        """Free `share` of what the order still ties up."""
        amount = order.margin * share
        order.margin -= amount
        self.blocked[segment_of(instrument)] -= amount

    def positions_margin(self, *, market: Market, segment: str) -> Margin:
        total = Margin()
        for position in self.portfolio.positions.values():
            instrument = market.universe.instruments[position.row]
            if position.quantity and segment_of(instrument) == segment:
                total += position_margin(position, market=market)
        return total

    def realised(self, *, market: Market, segment: str) -> float:
        """Return profit booked on closed quantities."""
        total = 0.0
        for position in self.portfolio.positions.values():
            instrument = market.universe.instruments[position.row]
            if segment_of(instrument) == segment:
                total += realised_of(position) * instrument.multiplier
        return total

    def available(self, *, market: Market, segment: str) -> float:
        used = self.positions_margin(market=market, segment=segment).total
        return self.cash[segment] - self.blocked[segment] - used + self.realised(market=market, segment=segment)

    def margins_row(self, *, market: Market, segment: str) -> dict[str, object]:
        used = self.positions_margin(market=market, segment=segment) + Margin(span=self.blocked[segment])
        realised = self.realised(market=market, segment=segment)
        unrealised = self._pnl(market=market, segment=segment) - realised
        return segment_row(cash=self.cash[segment], used=used, realised=realised, unrealised=unrealised)

    def _pnl(self, *, market: Market, segment: str) -> float:
        total = 0.0
        for position in self.portfolio.positions.values():
            instrument = market.universe.instruments[position.row]
            if segment_of(instrument) == segment:
                total += profit_of(position, last=market.last_price(position.row)) * instrument.multiplier
        return total

    def opening_quantity(self, *, row: int, product: str, is_buy: bool, quantity: int) -> int:
        """Return how much of an order opens a position rather than closes one."""
        held = self.portfolio.quantity(row=row, product=product)
        closes = max(-held, 0) if is_buy else max(held, 0)
        return max(quantity - closes, 0)


def position_margin(position: Position, *, market: Market) -> Margin:
    instrument = market.universe.instruments[position.row]
    quantity = position.quantity
    average = average_price(position)
    return requirement(
        instrument=instrument,
        product=position.product,
        is_buy=quantity > 0,
        quantity=abs(quantity),
        price=average,
        spot=spot_of(market, position.row),
    )


def spot_of(market: Market, row: int) -> float:
    return float(market.model.level[market.model.spot[row]])


def average_price(position: Position) -> float:
    overnight = position.overnight_quantity
    if position.quantity >= 0:
        bought = position.day_buy_quantity + max(overnight, 0)
        value = position.day_buy_value + max(overnight, 0) * position.overnight_price
        return value / bought if bought else 0.0
    sold = position.day_sell_quantity + max(-overnight, 0)
    return (position.day_sell_value + max(-overnight, 0) * position.overnight_price) / sold if sold else 0.0


def profit_of(position: Position, *, last: float) -> float:
    """Return the day's profit at `last`, booked and open, before the multiplier."""
    value = position.day_sell_value - position.day_buy_value
    return value - position.overnight_quantity * position.overnight_price + position.quantity * last


def realised_of(position: Position) -> float:
    overnight, price = position.overnight_quantity, position.overnight_price
    bought = position.day_buy_quantity + max(overnight, 0)
    sold = position.day_sell_quantity + max(-overnight, 0)
    closed = min(bought, sold)
    if not closed:
        return 0.0
    buy_price = (position.day_buy_value + max(overnight, 0) * price) / bought
    sell_price = (position.day_sell_value + max(-overnight, 0) * price) / sold
    return closed * (sell_price - buy_price)
