"""Ticks as they come over the socket: binary records or JSON arrays, decoded to the same values."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Mode(StrEnum):
    """How much of an instrument a tick carries."""

    LTP = "ltp"
    QUOTE = "quote"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the order book; price in rupees."""

    price: float
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Tick:
    """One instrument's last value; prices in rupees, times in epoch seconds, None where the mode does not carry it.

    `stale` says that the value is too old while its exchange trades. `replayed` is the run a recorded tick belongs to,
    None for a live one.
    """

    instrument_token: int
    last_price: float
    received_at: float
    stale: bool
    mode: Mode
    snapshot: bool
    replayed: int | None = None
    exchange_at: int | None = None
    average_price: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    last_quantity: int | None = None
    volume: int | None = None
    buy_quantity: int | None = None
    sell_quantity: int | None = None
    oi: int | None = None
    oi_high: int | None = None
    oi_low: int | None = None
    last_trade_at: int | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """What one message holds: its stretch of the shard's sequence, and its ticks."""

    mode: Mode
    snapshot: bool
    replay: bool
    shard: int
    epoch: int
    from_sequence: int
    to_sequence: int
    ticks: list[Tick]


MAGIC: Final = 0x54
VERSION: Final = 1
SNAPSHOT, REPLAY = 1, 3
MODES: Final = {1: Mode.LTP, 2: Mode.QUOTE, 3: Mode.FULL}
HEADER: Final = struct.Struct("<BBBBHHIQQQ")
LTP: Final = struct.Struct("<IIIHBx")
QUOTE: Final = struct.Struct("<IIIHBx11IB3x")
FULL: Final = struct.Struct("<IIIHBx11IB3xIII4x" + "IIH2x" * 10)
RECORDS: Final = {Mode.LTP: LTP, Mode.QUOTE: QUOTE, Mode.FULL: FULL}
STALE: Final = 1
# Prices on the wire are rupees times this, by the token's last byte: the segment.
DIVISORS: Final = {3: 1e7, 6: 1e4, 12: 1e4}
LEVELS: Final = 5


def decode_binary(message: bytes) -> Frame:
    """Return a binary frame; raises ValueError for another version."""
    magic, version, kind, mode, shard, count, epoch, first, last, _ = HEADER.unpack_from(message)
    if magic != MAGIC or version != VERSION or mode not in MODES:
        raise ValueError(f"no frame of version {VERSION}: {message[:4]!r}")
    named = MODES[mode]
    replayed = epoch if kind == REPLAY else None
    records = RECORDS[named].iter_unpack(memoryview(message)[HEADER.size :])
    ticks = [_tick(named, values, snapshot=kind == SNAPSHOT, run=replayed) for values in records]
    if len(ticks) != count:
        raise ValueError(f"{count} rows announced, {len(ticks)} came")
    return Frame(named, kind == SNAPSHOT, kind == REPLAY, shard, epoch, first, last, ticks)


def decode_json(message: Mapping[str, Any], fields: Mapping[str, Sequence[str]]) -> Frame:
    """Return a JSON frame; `fields` are the names the welcome gave for each mode."""
    mode = Mode(message["m"])
    names = fields[mode.value]
    shard, epoch, first, last = message["s"]
    snapshot, replay = message["t"] == "snap", message["t"] == "replay"
    run = epoch if replay else None
    ticks = [_named(mode, dict(zip(names, row, strict=True)), snapshot=snapshot, run=run) for row in message["d"]]
    return Frame(mode, snapshot, replay, shard, epoch, first, last, ticks)


def _tick(mode: Mode, values: Sequence[int], *, snapshot: bool, run: int | None) -> Tick:
    token, price, low, high, flags = values[:5]
    divisor = DIVISORS.get(token & 0xFF, 100.0)
    head = (token, price / divisor, (high << 32 | low) / 1000, bool(flags & STALE), mode, snapshot, run)
    if mode is Mode.LTP:
        return Tick(*head)
    average, opened, top, bottom, close, last, volume, buy, sell, at, oi = values[5:16]
    more: dict[str, Any] = {
        "exchange_at": at or None,
        "average_price": average / divisor,
        "open": opened / divisor,
        "high": top / divisor,
        "low": bottom / divisor,
        "close": close / divisor,
        "last_quantity": last,
        "volume": volume,
        "buy_quantity": buy,
        "sell_quantity": sell,
        "oi": oi,
    }
    if mode is Mode.QUOTE:
        return Tick(*head, **more)
    levels = list(_levels(values[20:], divisor))
    more |= {"last_trade_at": values[17] or None, "oi_high": values[18], "oi_low": values[19]}
    return Tick(*head, **more, bids=tuple(levels[:LEVELS]), asks=tuple(levels[LEVELS:]))


def _levels(values: Sequence[int], divisor: float) -> Iterator[Level]:
    for place in range(0, len(values), 3):
        yield Level(values[place] / divisor, values[place + 1], values[place + 2])


def _named(mode: Mode, row: dict[str, Any], *, snapshot: bool, run: int | None) -> Tick:
    sides: dict[str, Any] = {
        f"{side}s": tuple(map(Level, row[f"{side}_price"], row[f"{side}_quantity"], row[f"{side}_orders"]))
        for side in ("bid", "ask")
        if f"{side}_price" in row
    }
    known = {name: row[name] for name in PLAIN if name in row}
    for name in ("exchange_at", "last_trade_at"):
        if name in known:
            known[name] = known[name] or None
    return Tick(**known, stale=bool(row.get("stale", False)), mode=mode, snapshot=snapshot, replayed=run, **sides)


PLAIN: Final = (
    *("instrument_token", "last_price", "received_at", "exchange_at", "average_price", "open", "high", "low", "close"),
    *("last_quantity", "volume", "buy_quantity", "sell_quantity", "oi", "oi_high", "oi_low", "last_trade_at"),
)
