"""One instrument's book: the market's shown levels and the users' waiting orders, kept apart."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np

from sandbox.market import LEVELS, Market
from sandbox.orders import Order


@dataclass(slots=True)
class Level:
    """One price level of the generated market."""

    price: int
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to trade against: a level of the market, or a waiting order."""

    price: int
    level: Level | None = None
    order: Order | None = None

    @property
    def quantity(self) -> int:
        if self.order is not None:
            return self.order.pending
        return self.level.quantity if self.level is not None else 0


@dataclass(slots=True)
class Side:
    """Bids or asks: `sign` makes the best price the smallest key."""

    sign: int
    levels: list[Level] = field(default_factory=list)
    waiting: list[tuple[int, int, Order]] = field(default_factory=list)

    def add(self, order: Order, *, price: int) -> None:
        bisect.insort(self.waiting, (self.sign * price, order.sequence, order))

    def remove(self, order: Order) -> None:
        self.waiting = [entry for entry in self.waiting if entry[2] is not order]

    def drop_done(self) -> None:
        self.waiting = [entry for entry in self.waiting if entry[2].pending > 0 and entry[2].is_open]

    def quantity_at(self, price: int) -> int:
        return sum(level.quantity for level in self.levels if level.price == price)

    def offers(self) -> list[Offer]:
        """Return offers best first; at one price the market's level stood there first."""
        ranked = [(self.sign * level.price, -1, Offer(level.price, level=level)) for level in self.levels]
        ranked += [(key, sequence, Offer(self.sign * key, order=order)) for key, sequence, order in self.waiting]
        return [offer for _, _, offer in sorted(ranked, key=lambda entry: entry[:2])]

    def shown(self) -> list[tuple[int, int, int]]:
        """Return the best five prices with everything that stands there."""
        merged: dict[int, tuple[int, int]] = {}
        for level in self.levels:
            if level.quantity > 0:
                merged[level.price] = (level.quantity, level.orders)
        for key, _, order in self.waiting:
            quantity, count = merged.get(self.sign * key, (0, 0))
            merged[self.sign * key] = (quantity + order.pending, count + 1)
        best = sorted(merged.items(), key=lambda entry: self.sign * entry[0])[:LEVELS]
        return [(price, quantity, min(count, 65_535)) for price, (quantity, count) in best]


@dataclass(slots=True)
class Book:
    """Both sides of one instrument and its waiting stop orders."""

    row: int
    bids: Side = field(default_factory=lambda: Side(sign=-1))
    asks: Side = field(default_factory=lambda: Side(sign=1))
    stops: list[Order] = field(default_factory=list)

    def own(self, order: Order) -> Side:
        return self.bids if order.is_buy else self.asks

    def opposite(self, order: Order) -> Side:
        return self.asks if order.is_buy else self.bids

    def is_empty(self) -> bool:
        return not (self.bids.waiting or self.asks.waiting or self.stops)

    def waiting(self) -> list[Order]:
        return [entry[2] for side in (self.bids, self.asks) for entry in side.waiting]

    def load(self, market: Market) -> None:
        """Take over the levels the market has just quoted."""
        self.bids.levels = _levels(market.bid_price, market.bid_quantity, market.bid_orders, self.row)
        self.asks.levels = _levels(market.ask_price, market.ask_quantity, market.ask_orders, self.row)

    def show(self, market: Market) -> None:
        """Write the merged five levels back to the market's columns."""
        for side, prices, quantities, orders in (
            (self.bids, market.bid_price, market.bid_quantity, market.bid_orders),
            (self.asks, market.ask_price, market.ask_quantity, market.ask_orders),
        ):
            shown = side.shown()
            padded = shown + [(0, 0, 0)] * (LEVELS - len(shown))
            prices[self.row] = [price for price, _, _ in padded]
            quantities[self.row] = [quantity for _, quantity, _ in padded]
            orders[self.row] = [count for _, _, count in padded]
        market.sum_sides(np.array([self.row], dtype=np.int64))


def _levels(
    prices: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    quantities: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    orders: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    row: int,
) -> list[Level]:
    columns = zip(prices[row].tolist(), quantities[row].tolist(), orders[row].tolist(), strict=True)
    return [Level(price, quantity, count) for price, quantity, count in columns if price > 0]
