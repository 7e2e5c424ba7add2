"""Candles that agree with the market: yesterday's close is where history ends, and the seed decides the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
from numpy.typing import NDArray

from sandbox.clock import IST
from sandbox.market import Market
from sandbox.noise import hashed, normal, uniform
from sandbox.orders import number
from sandbox.sessions import EQUITY_HOURS, HOURS, Sessions

Floats = NDArray[np.float64]
SESSION_MINUTES = 375
GAP_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Interval:
    """Candle width in minutes (0 = day) and the longest range of one request in days."""

    minutes: int
    max_days: int


INTERVALS = {
    "minute": Interval(1, 60), "2minute": Interval(2, 60), "3minute": Interval(3, 100), "4minute": Interval(4, 100),
    "5minute": Interval(5, 100), "10minute": Interval(10, 100), "15minute": Interval(15, 200),
    "30minute": Interval(30, 200), "60minute": Interval(60, 400), "2hour": Interval(120, 400),
    "3hour": Interval(180, 400), "day": Interval(0, 2_000),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """One session of one instrument in wire units."""

    date: date
    open: float
    close: float


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices in wire units."""

    at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


class History:
    """Makes the past of one instrument, always the same one."""

    def __init__(self, *, market: Market, sessions: Sessions, row: int) -> None:
        self._market = market
        self._sessions = sessions
        self._row = row
        self._key = market.keys[row]
        self._today = datetime.fromtimestamp(market.epoch, tz=IST).date()
        self._daily_sigma = min(float(market.model.volatility[market.model.spot[row]]), 0.6) / 16

    def candles(self, *, interval: str, start: datetime, end: datetime) -> list[Candle]:
        """Return the candles that begin between two moments, oldest first."""
        minutes = INTERVALS[interval].minutes
        found: list[Candle] = []
        for day in self._days(start.date(), min(end.date(), self._today)):
            found += [self._day_candle(day)] if minutes == 0 else self._intraday(day, minutes, end)
        return [candle for candle in found if start <= candle.at <= end]

    def row(self, candle: Candle, *, with_oi: bool) -> list[object]:
        """Write a candle as Kite does."""
        prices = [self._rupees(price) for price in (candle.open, candle.high, candle.low, candle.close)]
        values: list[object] = [f"{candle.at:%Y-%m-%dT%H:%M:%S%z}", *prices, candle.volume]
        return [*values, int(self._market.oi[self._row])] if with_oi else values

    def _rupees(self, units: float) -> float | int:
        tick, divisor = int(self._market.tick[self._row]), int(self._market.divisor[self._row])
        return number(max(round(units / tick), 1) * tick / divisor)

    def _days(self, start: date, end: date) -> list[Day]:
        """Walk back from yesterday's close over the trading days, seeded by instrument and date."""
        days: list[Day] = []
        if end >= self._today:
            days.append(Day(self._today, float(self._market.open[self._row]), float(self._market.last[self._row])))
        close = float(self._market.close[self._row])
        day = self._today - timedelta(days=1)
        while day >= start:
            if self._sessions.is_trading_day(day):
                opened, before = self._walk_back(day, close)
                if day <= end:
                    days.append(Day(day, opened, close))
                close = before
            day -= timedelta(days=1)
        return days[::-1]

    def _walk_back(self, day: date, close: float) -> tuple[float, float]:
        """Return (the day's open, the close before it)."""
        keys = np.array([int(self._key), int(self._key) + 1], dtype=np.uint64)
        move, gap = (normal(keys=keys, salt=day.toordinal()) * self._daily_sigma).tolist()
        opened = close * float(np.exp(-move))
        return opened, opened * float(np.exp(-GAP_SHARE * gap))

    def _path(self, day: Day, count: int) -> Floats:
        """Return `count` + 1 prices from the day's open to its close: a bridge of seeded noise."""
        keys = np.arange(count, dtype=np.uint64) + self._key * np.uint64(1_000)
        steps = normal(keys=keys, salt=day.date.toordinal() + 7) * self._daily_sigma / np.sqrt(SESSION_MINUTES)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        share = np.arange(count + 1) / count
        trend = share * np.log(max(day.close, 1.0) / max(day.open, 1.0))
        return np.asarray(max(day.open, 1.0) * np.exp(trend + walk - share * walk[-1]), dtype=np.float64)

    def _noise(self, day: Day, count: int) -> Floats:
        keys = np.arange(count, dtype=np.uint64) + self._key
        return uniform(hashed(keys=keys, step=day.date.toordinal(), salt=9))

    def _volume(self, noise: Floats) -> NDArray[np.int64]:
        if self._market.is_index[self._row]:
            return np.zeros(len(noise), dtype=np.int64)
        lot = int(self._market.lot[self._row])
        typical = max(int(self._market.volume[self._row]) // SESSION_MINUTES, lot)
        return (noise * 2 * typical).astype(np.int64) // lot * lot

    def _intraday(self, day: Day, minutes: int, end: datetime) -> list[Candle]:
        opens, closes = HOURS.get(self._market.universe.instruments[self._row].exchange, EQUITY_HOURS)
        first = datetime.combine(day.date, opens, tzinfo=IST)
        session = int((datetime.combine(day.date, closes, tzinfo=IST) - first).total_seconds() // 60)
        elapsed = int((end - first).total_seconds() // 60) + 1
        count = min(session, elapsed) if day.date == self._today else session
        if count < 1:
            return []
        path, noise = self._path(day, count), self._noise(day, count)
        stretch = path[:-1] * 0.0002 * noise
        high, low = np.maximum(path[:-1], path[1:]) + stretch, np.minimum(path[:-1], path[1:]) - stretch
        volume = self._volume(noise)
        return [
            Candle(
                at=first + timedelta(minutes=begin),
                open=float(path[begin]),
                high=float(high[begin : begin + minutes].max()),
                low=float(low[begin : begin + minutes].min()),
                close=float(path[min(begin + minutes, count)]),
                volume=int(volume[begin : begin + minutes].sum()),
            )
            for begin in range(0, count, minutes)
        ]

    def _day_candle(self, day: Day) -> Candle:
        moment = datetime.combine(day.date, time(0), tzinfo=IST)
        market, row = self._market, self._row
        if day.date == self._today:
            high, low = float(market.high[row]), float(market.low[row])
            return Candle(moment, day.open, high, low, day.close, int(market.volume[row]))
        path = self._path(day, SESSION_MINUTES)
        volume = int(self._volume(self._noise(day, SESSION_MINUTES)).sum())
        return Candle(moment, day.open, float(path.max()), float(path.min()), day.close, volume)
