"""Minute candles from ticks, in columns: every minute is what its ticks say, however they were batched. Pure."""

from typing import Final

import numpy as np
import numpy.typing as npt

from kite.wire import Rows
from market_data.table import SlotIndex, Slots, Tokens

CANDLE: Final = np.dtype(
    [
        ("instrument_token", "u4"),
        ("minute", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("day_volume_before", "i8"),
        ("day_volume", "i8"),
        ("oi", "i8"),
        ("counted", "?"),
    ]
)
Candles = npt.NDArray[np.void]
FIRST_CAPACITY: Final = 1024
UNKNOWN: Final = -1


class Candlesticks:
    """The open minute of each instrument; `take_changed` hands out what changed since it was last asked."""

    def __init__(self) -> None:
        self.late = 0
        self._index = SlotIndex()
        self._open: Candles = np.zeros(FIRST_CAPACITY, CANDLE)
        self._changed: npt.NDArray[np.bool_] = np.zeros(FIRST_CAPACITY, np.bool_)
        self._finished: list[Candles] = []

    def restore(self, candles: Candles) -> None:
        """Begin with the last minute of each instrument, as it was stored."""
        slots = self._slots(candles["instrument_token"])
        self._open[slots] = candles
        self._open["counted"][slots] = candles["day_volume"] > 0
        totalless = slots[candles["day_volume"] <= 0]
        self._open["day_volume_before"][totalless] = self._open["day_volume"][totalless] = UNKNOWN

    def add(self, rows: Rows) -> None:
        """Count ticks in, in the order they came."""
        rows = rows[rows["last_price"] > 0]
        if not len(rows):
            return
        groups = _grouped(rows)
        slots = self._slots(groups["instrument_token"])
        for wave in _waves(groups["instrument_token"]):
            self._merge(groups[wave], slots[wave])

    def take_changed(self) -> Candles:
        """Return finished and open minutes that changed, and call them unchanged."""
        changed = self._open[: self._index.size][self._changed[: self._index.size]]
        finished, self._finished = self._finished, []
        self._changed[:] = False
        return np.concatenate((*finished, changed))

    def _merge(self, groups: Candles, slots: Slots) -> None:
        """One group per instrument: it opens a minute, adds to the open one, or comes too late."""
        minutes = self._open["minute"][slots]
        newer, same = groups["minute"] > minutes, groups["minute"] == minutes
        self.late += int((groups["minute"] < minutes).sum())
        self._begin(groups[newer], slots[newer])
        self._extend(groups[same], slots[same])
        self._changed[slots[newer | same]] = True

    def _begin(self, groups: Candles, slots: Slots) -> None:
        before = self._open[slots]
        ended = before[self._changed[slots]]
        if len(ended):
            self._finished.append(ended)
        opened = groups.copy()
        opened["day_volume_before"] = np.where(before["minute"] > 0, before["day_volume"], UNKNOWN)
        opened["day_volume"] = opened["day_volume_before"]
        opened["counted"] = False
        self._open[slots] = _with_volume(opened, groups)

    def _extend(self, groups: Candles, slots: Slots) -> None:
        candles = self._open[slots]
        candles["high"] = np.maximum(candles["high"], groups["high"])
        candles["low"] = np.minimum(candles["low"], groups["low"])
        candles["close"] = groups["close"]
        candles["oi"] = np.where(groups["oi"] > 0, groups["oi"], candles["oi"])
        self._open[slots] = _with_volume(candles, groups)

    def _slots(self, tokens: Tokens) -> Slots:
        found, known = self._index.find(tokens)
        if known.all():
            return found
        fresh = np.unique(tokens[~known])
        self._reserve(self._index.size + len(fresh))
        self._open["instrument_token"][self._index.add(fresh)] = fresh
        return self._index.find(tokens)[0]

    def _reserve(self, wanted: int) -> None:
        while len(self._open) < wanted:
            self._open = np.concatenate((self._open, np.zeros(len(self._open), CANDLE)))
            self._changed = np.concatenate((self._changed, np.zeros(len(self._changed), np.bool_)))


def _with_volume(candles: Candles, groups: Candles) -> Candles:
    """Count the groups' totals in; `day_volume_before` of a group is its first total, 0 where no packet had one.

    A day's total that shrinks is a new day's. A total never seen before tells nothing about its minute.
    """
    first, base = groups["day_volume_before"], candles["day_volume_before"]
    has_total = first > 0
    begins = has_total & ~candles["counted"]
    known = np.where(first >= base, base, 0)
    candles["day_volume_before"] = np.where(begins, np.where(base == UNKNOWN, first, known), base)
    kept = np.where(begins, 0, candles["day_volume"])
    candles["day_volume"] = np.where(has_total, np.maximum(kept, groups["day_volume"]), candles["day_volume"])
    candles["counted"] |= has_total
    return candles


def _grouped(rows: Rows) -> Candles:
    """Return one candle per instrument and minute of the rows, by instrument, then time."""
    at = np.where(rows["exchange_at"] > 0, rows["exchange_at"], rows["received_at"])
    minute = at.astype(np.int64) // 60
    order = np.lexsort((minute, rows["instrument_token"]))
    rows, minute = rows[order], minute[order]
    token, price = rows["instrument_token"], rows["last_price"]
    first = np.flatnonzero(np.concatenate(([True], (token[1:] != token[:-1]) | (minute[1:] != minute[:-1]))))
    last = np.append(first[1:], len(rows)) - 1
    groups = np.zeros(len(first), CANDLE)
    groups["instrument_token"], groups["minute"] = token[first], minute[first]
    groups["open"], groups["close"] = price[first], price[last]
    groups["high"], groups["low"] = np.maximum.reduceat(price, first), np.minimum.reduceat(price, first)
    groups["day_volume_before"] = _first_total(rows["volume"], first)
    groups["day_volume"] = np.maximum.reduceat(rows["volume"], first)
    groups["oi"] = rows["oi"][last]
    return groups


def _first_total(volume: npt.NDArray[np.int64], first: Slots) -> npt.NDArray[np.int64]:
    """Return the first total above 0 of each group; packets of some modes carry none."""
    places = np.where(volume > 0, np.arange(len(volume)), len(volume))
    earliest = np.minimum.reduceat(places, first)
    return np.where(earliest < len(volume), volume[np.minimum(earliest, len(volume) - 1)], 0)


def _waves(tokens: Tokens) -> list[Slots]:
    """Split groups so that each instrument appears once per part, its minutes in order."""
    new = np.concatenate(([True], tokens[1:] != tokens[:-1]))
    place = np.arange(len(tokens)) - np.maximum.accumulate(np.where(new, np.arange(len(tokens)), 0))
    return [np.flatnonzero(place == wave) for wave in range(int(place.max()) + 1)]
