"""Widths of candles: which there are, how far one question may reach, and wider ones made of minutes. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final

from kite.limits import HISTORICAL_DAYS

DAY: Final = "day"
MINUTE: Final = "minute"
NAMES: Final = tuple(HISTORICAL_DAYS)
MINUTES: Final = {name: int(name.removesuffix("minute") or 1) for name in NAMES if name != DAY}


@dataclass(frozen=True, slots=True)
class Bar:
    """One candle; prices in rupees. `source` is ticks, broker, or mixed where a wider one is made of both."""

    start_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    oi: int | None
    source: str


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """Time from `start` on, up to `end`, which does not belong to it."""

    start: datetime
    end: datetime


def longest(interval: str) -> timedelta:
    """Return how much one question to the broker may span."""
    return timedelta(days=HISTORICAL_DAYS[interval])


def without(whole: Stretch, parts: Iterable[Stretch]) -> list[Stretch]:
    """Return what is left of a stretch when parts are taken out."""
    left = []
    start = whole.start
    for part in sorted(parts):
        if part.start > start:
            left.append(Stretch(start, min(part.start, whole.end)))
        start = max(start, part.end)
        if start >= whole.end:
            return left
    return [*left, Stretch(start, whole.end)]


def common(ones: Iterable[Stretch], others: Iterable[Stretch]) -> list[Stretch]:
    """Return the stretches that lie in one of each."""
    second = list(others)
    found = [
        Stretch(max(one.start, other.start), min(one.end, other.end))
        for one in ones
        for other in second
        if one.start < other.end and other.start < one.end
    ]
    return sorted(found)


def widened(bars: Iterable[Bar], *, interval: str, opens: Callable[[datetime], datetime]) -> Iterator[Bar]:
    """Yield candles of an interval made of minutes, which come by time; they begin at the session's opening."""
    width = MINUTES[interval]
    if width == 1:
        yield from bars
        return

    def begin(bar: Bar) -> datetime:
        opening = opens(bar.start_at)
        return opening + (bar.start_at - opening) // timedelta(minutes=width) * timedelta(minutes=width)

    for start, group in groupby(bars, key=begin):
        yield _merged(start, list(group))


def _merged(start: datetime, minutes: list[Bar]) -> Bar:
    sources = {bar.source for bar in minutes}
    return Bar(
        start_at=start,
        open=minutes[0].open,
        high=max(bar.high for bar in minutes),
        low=min(bar.low for bar in minutes),
        close=minutes[-1].close,
        volume=sum(bar.volume for bar in minutes),
        oi=minutes[-1].oi,
        source=sources.pop() if len(sources) == 1 else "mixed",
    )
