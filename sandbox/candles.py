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


@dataclass(frozen=True, slots=True)
class Interval:
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


def candles(
    *, site_market: Market, sessions: Sessions, row: int, interval: str, start: datetime, end: datetime, with_oi: bool
) -> list[list[object]]:
    """Return Kite's candle rows between two moments, oldest first."""
    market = site_market
    minutes = INTERVALS[interval].minutes
    answer: list[list[object]] = []
    today = datetime.fromtimestamp(market.epoch, tz=IST).date()
    for day in _days(market, sessions, row, start.date(), min(end.date(), today)):
        rows = _day_candle(market, row, day) if minutes == 0 else _intraday(market, row, day, minutes, end)
        answer += [candle for candle in rows if start <= candle[0] <= end]
    return [_row(market, row, candle, with_oi=with_oi) for candle in answer]


def _days(market: Market, sessions: Sessions, row: int, start: date, end: date) -> list[Day]:
    """Walk back from yesterday's close over the trading days, seeded by instrument and date."""
    today = datetime.fromtimestamp(market.epoch, tz=IST).date()
    days: list[Day] = []
    if end >= today:
        days.append(Day(today, float(market.open[row]), float(market.last[row])))
    close = float(market.close[row])
    sigma = min(float(market.model.volatility[market.model.spot[row]]), 0.6) / 16
    day = today - timedelta(days=1)
    while day >= start:
        if sessions.is_trading_day(day):
            move, gap = (
                normal(
                    keys=np.array([int(market.keys[row]), int(market.keys[row]) + 1], dtype=np.uint64),
                    salt=day.toordinal(),
                )
                * sigma
            )
            opened = close * float(np.exp(-move + 0.3 * gap))
            if day <= end:
                days.append(Day(day, opened, close))
            close = opened * float(np.exp(-0.3 * gap))
        day -= timedelta(days=1)
    return days[::-1]


def _path(market: Market, row: int, day: Day, count: int) -> Floats:
    """Return `count` + 1 prices from the day's open to its close: a bridge of seeded noise."""
    keys = np.arange(count, dtype=np.uint64) + market.keys[row] * np.uint64(1_000)
    sigma = min(float(market.model.volatility[market.model.spot[row]]), 0.6) / 16 / np.sqrt(375)
    walk = np.concatenate([[0.0], np.cumsum(normal(keys=keys, salt=day.date.toordinal() + 7) * sigma)])
    share = np.arange(count + 1) / count
    bridge = walk - share * walk[-1]
    return np.exp(np.log(day.open) + share * np.log(max(day.close, 1.0) / max(day.open, 1.0)) + bridge)


def _intraday(market: Market, row: int, day: Day, minutes: int, end: datetime) -> list[list[object]]:
    opens, closes = HOURS.get(market.universe.instruments[row].exchange, EQUITY_HOURS)
    first = datetime.combine(day.date, opens, tzinfo=IST)
    session = int((datetime.combine(day.date, closes, tzinfo=IST) - first).total_seconds() // 60)
    count = min(session, int((end - first).total_seconds() // 60) + 1) if end.date() == day.date else session
    if count < 1:
        return []
    path = _path(market, row, day, count)
    noise = uniform(
        hashed(keys=np.arange(count, dtype=np.uint64) + market.keys[row], step=day.date.toordinal(), salt=9)
    )
    stretch = path[:-1] * 0.0002 * noise
    high, low = np.maximum(path[:-1], path[1:]) + stretch, np.minimum(path[:-1], path[1:]) - stretch
    volume = _volume(market, row, noise)
    return [
        [
            first + timedelta(minutes=begin),
            float(path[begin]),
            float(high[begin : begin + minutes].max()),
            float(low[begin : begin + minutes].min()),
            float(path[min(begin + minutes, count)]),
            int(volume[begin : begin + minutes].sum()),
        ]
        for begin in range(0, count, minutes)
    ]


def _volume(market: Market, row: int, noise: Floats) -> NDArray[np.int64]:
    if market.is_index[row]:
        return np.zeros(len(noise), dtype=np.int64)
    typical = max(int(market.volume[row]) // 375, int(market.lot[row]))
    return (noise * 2 * typical).astype(np.int64) // int(market.lot[row]) * int(market.lot[row])


def _day_candle(market: Market, row: int, day: Day) -> list[list[object]]:
    moment = datetime.combine(day.date, time(0), tzinfo=IST)
    if day.date == datetime.fromtimestamp(market.epoch, tz=IST).date():
        high, low, volume = float(market.high[row]), float(market.low[row]), int(market.volume[row])
    else:
        path = _path(market, row, day, 375)
        high, low = float(path.max()), float(path.min())
        volume = int(
            _volume(
                market,
                row,
                uniform(
                    hashed(keys=np.arange(375, dtype=np.uint64) + market.keys[row], step=day.date.toordinal(), salt=9)
                ),
            ).sum()
        )
    return [[moment, day.open, high, low, day.close, volume]]


def _row(market: Market, row: int, candle: list[object], *, with_oi: bool) -> list[object]:
    moment, *prices, volume = candle
    tick, divisor = int(market.tick[row]), int(market.divisor[row])
    rounded = [number(round(float(str(price)) / tick) * tick / divisor) for price in prices]
    values: list[object] = [f"{moment:%Y-%m-%dT%H:%M:%S%z}", *rounded, volume]
    return [*values, int(market.oi[row])] if with_oi else values
