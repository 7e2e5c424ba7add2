"""What the exchange shows: last prices, five levels a side, volumes and open interest, in wire units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sandbox.clock import ist_from_epoch
from sandbox.noise import hashed, uniform
from sandbox.prices import OPTION, Model, activity_of
from sandbox.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEVELS = 5
U32_MAX = 2**32 - 1
COLUMNS = (
    "last", "open", "high", "low", "close", "last_quantity", "volume", "turnover", "oi", "oi_high", "oi_low",
    "last_trade", "stamp", "buy_total", "sell_total", "bid_price", "bid_quantity", "bid_orders", "ask_price",
    "ask_quantity", "ask_orders",
)  # fmt: skip


class Market:
    """Columns over all instruments; prices are integers in wire units (rupees times divisor)."""

    def __init__(self, *, universe: Universe, model: Model, seed: int, epoch: float) -> None:
        self.universe = universe
        self.model = model
        self.step_number = 0
        self.epoch = epoch
        self._seed = seed
        count = len(universe)
        self._describe()
        self.pinned = np.zeros(count, dtype=bool)
        self.trading = np.ones(count, dtype=bool)
        self._declare(count)
        self._open_day()

    def _describe(self) -> None:
        """Set the columns that follow from the instruments alone."""
        rows, universe, model, seed = self.universe.instruments, self.universe, self.model, self._seed
        self.token = np.array([row.token for row in rows], dtype=np.int64)
        self.keys = self.token.astype(np.uint64) + np.uint64(seed * 7_919)
        self.divisor = np.array([row.divisor for row in rows], dtype=np.int64)
        self.is_index = np.array([row.is_index for row in rows])
        self.tick = np.maximum(np.rint([row.tick_size * row.divisor for row in rows]).astype(np.int64), 1)
        self.lot = np.array([max(row.lot_size, 1) for row in rows], dtype=np.int64)
        self.has_oi = np.array([row.expiry is not None for row in rows])
        self.activity = activity_of(model=model, universe=universe)

    def extend(self) -> None:
        """Make room for the instruments that the universe has gained, and open them at their fair price."""
        before, count = len(self.token), len(self.universe)
        self._describe()
        for name in (*COLUMNS, "pinned", "trading"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros((count - before, *old.shape[1:]), dtype=old.dtype)]))
        rows = np.arange(before, count, dtype=np.int64)
        self.trading[rows] = True
        self.close[rows] = self._fair_units(rows)
        self.oi[rows] = np.where(self.has_oi[rows], self.lot[rows] * 10, 0)
        self._begin(rows)

    def open_session(self, exchange: str) -> None:
        """Begin an exchange's session: the day's open, high and low are the fair price now."""
        names = np.array([one.exchange == exchange for one in self.universe.instruments])
        self._begin(np.flatnonzero(names).astype(np.int64))

    def indicate(self, exchange: str) -> Ints:
        """Quote the shares of an exchange in its pre-open: the last price is where it would open; nothing trades."""
        chosen = [one.exchange == exchange and one.is_equity for one in self.universe.instruments]
        rows = np.flatnonzero(chosen).astype(np.int64)
        self._quote(rows)
        self.last[rows] = self._fair_units(rows)
        return rows

    def _begin(self, rows: Ints) -> None:
        fair = self._fair_units(rows)
        for column in (self.open, self.last, self.high, self.low):
            column[rows] = fair
        self.volume[rows] = 0
        self.turnover[rows] = 0.0
        self.oi_high[rows], self.oi_low[rows] = self.oi[rows], self.oi[rows]
        self._quote(rows)

    def _declare(self, count: int) -> None:
        self.last: Ints = np.zeros(count, dtype=np.int64)
        self.open: Ints = np.zeros(count, dtype=np.int64)
        self.high: Ints = np.zeros(count, dtype=np.int64)
        self.low: Ints = np.zeros(count, dtype=np.int64)
        self.close: Ints = np.zeros(count, dtype=np.int64)
        self.last_quantity: Ints = np.zeros(count, dtype=np.int64)
        self.volume: Ints = np.zeros(count, dtype=np.int64)
        self.turnover: Floats = np.zeros(count)
        self.oi: Ints = np.zeros(count, dtype=np.int64)
        self.oi_high: Ints = np.zeros(count, dtype=np.int64)
        self.oi_low: Ints = np.zeros(count, dtype=np.int64)
        self.last_trade: Ints = np.zeros(count, dtype=np.int64)
        self.stamp: Ints = np.zeros(count, dtype=np.int64)
        self.buy_total: Ints = np.zeros(count, dtype=np.int64)
        self.sell_total: Ints = np.zeros(count, dtype=np.int64)
        shape = (count, LEVELS)
        self.bid_price: Ints = np.zeros(shape, dtype=np.int64)
        self.bid_quantity: Ints = np.zeros(shape, dtype=np.int64)
        self.bid_orders: Ints = np.zeros(shape, dtype=np.int64)
        self.ask_price: Ints = np.zeros(shape, dtype=np.int64)
        self.ask_quantity: Ints = np.zeros(shape, dtype=np.int64)
        self.ask_orders: Ints = np.zeros(shape, dtype=np.int64)

    def _open_day(self) -> None:
        """Set yesterday's close, today's open and the first book."""
        rows = np.arange(len(self.token), dtype=np.int64)
        level = self.model.level.copy()
        self.close = self._fair_units(rows)
        self.model.open_gap(seconds=3_600.0)
        self.open = self._fair_units(rows)
        self.last = self.open.copy()
        self.model.level = 0.5 * (level + self.model.level)
        self.high = self.open.copy()
        self.low = self.open.copy()
        traded = uniform(hashed(keys=self.keys, step=0, salt=3))
        self.volume = np.where(self.is_index, 0, self.lot * (1 + (traded * self.activity * 40_000).astype(np.int64)))
        self.turnover = self.volume.astype(np.float64) * self.open.astype(np.float64)
        base_oi = self.lot * (10 + (uniform(hashed(keys=self.keys, step=0, salt=5)) * 60_000).astype(np.int64))
        self.oi = np.where(self.has_oi, base_oi, 0)
        self.oi_high, self.oi_low = self.oi.copy(), self.oi.copy()
        self._quote(rows)
        self._trade(rows)

    def roll_day(self, *, opens: bool) -> None:
        """Close the day: last prices become closes; with `opens` the next session begins at once."""
        rows = np.arange(len(self.token), dtype=np.int64)
        self.close = self.last.copy()
        self.model.open_gap(seconds=3_600.0)
        if opens:
            self._begin(rows)
            self._trade(rows)

    def step(self, *, epoch: float, seconds: float) -> Ints:
        """Advance by one interval and return the rows that ticked."""
        self.step_number += 1
        self.epoch = epoch
        self.model.walk(seconds=seconds)
        draw = uniform(hashed(keys=self.keys, step=self.step_number, salt=1))
        rows = np.flatnonzero(((draw < self.activity) | self.pinned) & self.trading).astype(np.int64)
        self._quote(rows)
        self._trade(rows)
        return rows

    def open_only(self, exchanges: set[str]) -> None:
        """Let only instruments of these exchanges tick."""
        self.trading = np.array([one.exchange in exchanges for one in self.universe.instruments])

    def requote(self, rows: Ints) -> None:
        """Quote and trade instruments now, after their fair price was moved by hand."""
        self._quote(rows)
        self._trade(rows)

    def move_to(self, *, row: int, price: float) -> None:
        """Shift an instrument's fair price to `price` rupees; a spot takes its derivatives along."""
        rows = np.array([row], dtype=np.int64)
        if self.universe.instruments[row].is_equity or self.is_index[row]:
            self.model.shift[row] = 0.0
            self.model.level[self.model.spot[row]] = price
        else:
            self.model.shift[row] += price - float(self.model.fair(epoch=self.epoch, rows=rows)[0])

    def _fair_units(self, rows: Ints) -> Ints:
        fair = self.model.fair(epoch=self.epoch, rows=rows) * self.divisor[rows]
        tick = self.tick[rows]
        return np.clip(np.rint(fair / tick).astype(np.int64) * tick, tick, U32_MAX)

    def _quote(self, rows: Ints) -> None:
        """Lay five levels a side around the fair price."""
        fair = self.model.fair(epoch=self.epoch, rows=rows) * self.divisor[rows]
        tick = self.tick[rows].astype(np.float64)
        half = self._half_spread(rows, fair, tick)
        best_bid = np.floor((fair - half) / tick)
        best_ask = np.maximum(np.ceil((fair + half) / tick), best_bid + 1)
        best_ask = np.maximum(best_ask, 1)
        noise = hashed(keys=self.keys[rows], step=self.step_number, salt=2)
        steps = np.stack([(noise >> np.uint64(shift * 2)) & np.uint64(1) for shift in range(LEVELS)], axis=1)
        gaps = np.cumsum(steps.astype(np.int64) + 1, axis=1) - (steps[:, :1].astype(np.int64) + 1)
        ticks = self.tick[rows][:, None]
        bids = np.maximum(best_bid.astype(np.int64)[:, None] - gaps, 0) * ticks
        asks = np.minimum((best_ask.astype(np.int64)[:, None] + gaps) * ticks, U32_MAX)
        self.bid_price[rows], self.ask_price[rows] = bids, asks
        self._fill_levels(rows)
        self.stamp[rows] = int(self.epoch)

    def _half_spread(self, rows: Ints, fair: Floats, tick: Floats) -> Floats:
        share = np.where(self.model.kind[rows] == OPTION, 0.0006 + 0.004 * (1 - self.activity[rows]), 0.00004)
        return np.maximum(fair * share, 0.35 * tick)

    def _fill_levels(self, rows: Ints) -> None:
        """Set quantities and order counts of every level, as multiples of the lot."""
        size = np.where(self.has_oi[rows], 1.0 + 30.0 * self.activity[rows], 100.0 + 2_500.0 * self.activity[rows])
        for side, (prices, quantities, orders) in enumerate(self._sides()):
            for level in range(LEVELS):
                draw = uniform(hashed(keys=self.keys[rows], step=self.step_number, salt=100 + side * 10 + level))
                count = 1 + (draw * size * (1 + 0.4 * level)).astype(np.int64)
                quantity = np.where(prices[rows, level] > 0, count * self.lot[rows], 0)
                quantities[rows, level] = np.where(self.is_index[rows], 0, quantity)
                orders[rows, level] = np.where(quantities[rows, level] > 0, 1 + (draw * 40).astype(np.int64), 0)
        index_rows = rows[self.is_index[rows]]
        self.bid_price[index_rows], self.ask_price[index_rows] = 0, 0
        self.sum_sides(rows)

    def sum_sides(self, rows: Ints) -> None:
        self.buy_total[rows] = np.minimum(self.bid_quantity[rows].sum(axis=1) * 40, U32_MAX)
        self.sell_total[rows] = np.minimum(self.ask_quantity[rows].sum(axis=1) * 40, U32_MAX)

    def _sides(self) -> tuple[tuple[Ints, Ints, Ints], tuple[Ints, Ints, Ints]]:
        return (
            (self.bid_price, self.bid_quantity, self.bid_orders),
            (self.ask_price, self.ask_quantity, self.ask_orders),
        )

    def _trade(self, rows: Ints) -> None:
        """Print one trade a row at the touch: the bid or the ask, by a coin."""
        noise = hashed(keys=self.keys[rows], step=self.step_number, salt=4)
        buyer = (noise & np.uint64(1)).astype(bool)
        touch = np.where(buyer | (self.bid_price[rows, 0] == 0), self.ask_price[rows, 0], self.bid_price[rows, 0])
        price = np.where(self.is_index[rows], self._fair_units(rows), touch)
        quantity = self.lot[rows] * (1 + (uniform(mixable(noise)) ** 3 * 20).astype(np.int64))
        self.record_trades(rows=rows, price=price, quantity=np.where(self.is_index[rows], 0, quantity))
        drift = ((noise >> np.uint64(8)) % np.uint64(7)).astype(np.int64) - 3
        self.oi[rows] = np.where(self.has_oi[rows], np.maximum(self.oi[rows] + drift * self.lot[rows], 0), 0)
        self.oi_high[rows] = np.maximum(self.oi_high[rows], self.oi[rows])
        self.oi_low[rows] = np.minimum(self.oi_low[rows], self.oi[rows])

    def record_trades(self, *, rows: Ints, price: Ints, quantity: Ints) -> None:
        self.last[rows] = price
        self.high[rows] = np.maximum(self.high[rows], price)
        self.low[rows] = np.minimum(self.low[rows], price)
        self.last_quantity[rows] = quantity
        self.volume[rows] = np.minimum(self.volume[rows] + quantity, U32_MAX)
        self.turnover[rows] += quantity * price.astype(np.float64)
        self.last_trade[rows] = int(self.epoch)

    def average(self, rows: Ints) -> Ints:
        volume = np.maximum(self.volume[rows], 1)
        return np.where(self.volume[rows] > 0, np.rint(self.turnover[rows] / volume), 0).astype(np.int64)

    def has_expired(self, row: int) -> bool:
        expiry = self.universe.instruments[row].expiry
        return expiry is not None and expiry < ist_from_epoch(self.epoch).date()

    def rupees(self, *, row: int, units: int) -> float:
        return units / int(self.divisor[row])

    def last_price(self, row: int) -> float:
        return int(self.last[row]) / int(self.divisor[row])

    def circuit(self, row: int) -> tuple[int, int]:
        """Return the day's price band in wire units; (0, 0) for an index."""
        instrument = self.universe.instruments[row]
        close, tick = int(self.close[row]), int(self.tick[row])
        if instrument.is_index:
            return 0, 0
        if instrument.is_option:
            spot = float(self.model.level[self.model.spot[row]]) * instrument.divisor
            return tick, (close + int(0.2 * spot)) // tick * tick
        return -(-int(close * 0.9) // tick) * tick, int(close * 1.1) // tick * tick


def mixable(noise: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return noise << np.uint64(7)
