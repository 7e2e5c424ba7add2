"""Frames of the tick socket, protocol v1: rows as JSON arrays or as fixed binary records. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from kite.types import Mode
from kite.wire import Rows, divisor
from market_data.freshness import Flags, ages

MAGIC: Final = 0x54
VERSION: Final = 1
MODE_NUMBER: Final[Mapping[Mode, int]] = {Mode.LTP: 1, Mode.QUOTE: 2, Mode.FULL: 3}

HEADER: Final = np.dtype(
    [
        ("magic", "u1"),
        ("version", "u1"),
        ("type", "u1"),
        ("mode", "u1"),
        ("shard", "<u2"),
        ("count", "<u2"),
        ("epoch", "<u4"),
        ("from_sequence", "<u8"),
        ("to_sequence", "<u8"),
        ("published_us", "<u8"),
    ]
)
# Prices are integers: rupees times the divisor of the segment, as on the exchange's own wire. The time of receipt is 48
# bits of milliseconds; with the header's time of publication it gives the age.
HEAD: Final = (
    ("instrument_token", "<u4"),
    ("last_price", "<u4"),
    ("received_low", "<u4"),
    ("received_high", "<u2"),
    ("flags", "u1"),
    ("reserved_head", "u1"),
)
STALE_FLAG: Final = 1
LTP: Final = np.dtype(list(HEAD))
QUOTE: Final = np.dtype(
    [
        *HEAD,
        ("average_price", "<u4"),
        ("open", "<u4"),
        ("high", "<u4"),
        ("low", "<u4"),
        ("close", "<u4"),
        ("last_quantity", "<u4"),
        ("volume", "<u4"),
        ("buy_quantity", "<u4"),
        ("sell_quantity", "<u4"),
        ("exchange_at", "<u4"),
        ("oi", "<u4"),
        ("kind", "u1"),
        ("reserved", "u1", (3,)),
    ]
)
LEVEL: Final = np.dtype([("price", "<u4"), ("quantity", "<u4"), ("orders", "<u2"), ("reserved", "<u2")])
FULL: Final = np.dtype(
    [
        *((name, QUOTE.fields[name][0]) for name in QUOTE.names or () if QUOTE.fields),
        ("last_trade_at", "<u4"),
        ("oi_high", "<u4"),
        ("oi_low", "<u4"),
        ("reserved_full", "<u4"),
        ("bids", LEVEL, (5,)),
        ("asks", LEVEL, (5,)),
    ]
)
RECORDS: Final[Mapping[Mode, np.dtype[np.void]]] = {Mode.LTP: LTP, Mode.QUOTE: QUOTE, Mode.FULL: FULL}
PRICES: Final = frozenset({"last_price", "average_price", "open", "high", "low", "close"})

# What the hub says of a row when it builds the frame: how old it is, and whether that is too old.
TRUTH: Final = ("age_ms", "stale")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    Mode.LTP.value: ("instrument_token", "last_price", "received_at", *TRUTH),
    Mode.QUOTE.value: (
        *("instrument_token", "last_price", "received_at", "kind", "exchange_at", "average_price"),
        *("open", "high", "low", "close", "last_quantity", "volume", "buy_quantity", "sell_quantity", "oi"),
        *TRUTH,
    ),
    Mode.FULL.value: (
        *("instrument_token", "last_price", "received_at", "kind", "exchange_at", "average_price"),
        *("open", "high", "low", "close", "last_quantity", "volume", "buy_quantity", "sell_quantity", "oi"),
        *("oi_high", "oi_low", "last_trade_at"),
        *("bid_price", "bid_quantity", "bid_orders", "ask_price", "ask_quantity", "ask_orders"),
        *TRUTH,
    ),
}


class Format(IntEnum):
    """How a client wants its ticks."""

    JSON = 1
    BINARY = 2


class FrameType(IntEnum):
    """What a data frame's rows are to the client."""

    SNAPSHOT = 1
    DELTA = 2
    REPLAY = 3


NAMES: Final[Mapping[FrameType, str]] = {FrameType.SNAPSHOT: "snap", FrameType.DELTA: "d", FrameType.REPLAY: "replay"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which stretch of a shard's sequence a frame covers, and when it is built, in epoch seconds."""

    shard: int
    epoch: int
    from_sequence: int
    to_sequence: int
    published_us: int
    built_at: float


def encode(*, rows: Rows, stale: Flags, mode: Mode, form: Format, kind: FrameType, span: Span) -> bytes:
    """Return one data frame; `stale` has a flag per row."""
    if form is Format.BINARY:
        return _header(len(rows), mode, kind, span) + _records(rows, stale, mode).tobytes()
    truth = {"age_ms": (ages(rows, at=span.built_at) * 1000).astype(np.int64).tolist(), "stale": stale.tolist()}
    document = {
        "t": NAMES[kind],
        "m": mode.value,
        "s": [span.shard, span.epoch, span.from_sequence, span.to_sequence],
        "ts": span.published_us // 1000,
        "d": list(zip(*(truth.get(name) or rows[name].tolist() for name in FIELDS[mode]), strict=True)),
    }
    return orjson.dumps(document)


def text(document: Mapping[str, object]) -> bytes:
    """Return a control message."""
    return orjson.dumps(document)


def _header(count: int, mode: Mode, kind: FrameType, span: Span) -> bytes:
    header = np.zeros(1, HEADER)
    header["magic"], header["version"] = MAGIC, VERSION
    header["type"], header["mode"] = kind, MODE_NUMBER[mode]
    header["count"], header["shard"], header["epoch"] = count, span.shard, span.epoch
    header["from_sequence"], header["to_sequence"] = span.from_sequence, span.to_sequence
    header["published_us"] = span.published_us
    return header.tobytes()


def _records(rows: Rows, stale: Flags, mode: Mode) -> Rows:
    records = np.zeros(len(rows), RECORDS[mode])
    scale = _scales(rows["instrument_token"])
    received = (rows["received_at"] * 1000).astype(np.uint64)
    records["received_low"], records["received_high"] = received & 0xFFFFFFFF, received >> 32
    records["flags"] = stale * STALE_FLAG
    for name in records.dtype.names or ():
        if name in PRICES:
            records[name] = np.rint(rows[name] * scale)
        elif name in {"bids", "asks"}:
            _fill_levels(records[name], rows, name[:3], scale)
        elif not name.startswith(("reserved", "received", "flags")):
            records[name] = rows[name]
    return records


def _fill_levels(levels: Rows, rows: Rows, side: str, scale: npt.NDArray[np.float64]) -> None:
    levels["price"] = np.rint(rows[f"{side}_price"] * scale[:, None])
    levels["quantity"] = rows[f"{side}_quantity"]
    levels["orders"] = rows[f"{side}_orders"]


def _scales(tokens: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    segments, places = np.unique(tokens & 0xFF, return_inverse=True)
    return np.array([divisor(int(segment)) for segment in segments], np.float64)[places]
