"""Market columns to Kite's binary packets: big-endian, the body length is the type."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sandbox.market import LEVELS, Market

Ints = NDArray[np.int64]
HEARTBEAT = b"\x00"
MODES = ("ltp", "quote", "full")

LEVEL = np.dtype([("quantity", ">u4"), ("price", ">u4"), ("orders", ">u2"), ("padding", ">u2")])
LTP = np.dtype([("length", ">u2"), ("token", ">u4"), ("last", ">u4")])
QUOTE_FIELDS: list[tuple[str, str]] = [
    ("length", ">u2"), ("token", ">u4"), ("last", ">u4"), ("last_quantity", ">u4"), ("average", ">u4"),
    ("volume", ">u4"), ("buy_total", ">u4"), ("sell_total", ">u4"), ("open", ">u4"), ("high", ">u4"), ("low", ">u4"),
    ("close", ">u4"),
]  # fmt: skip
QUOTE = np.dtype(QUOTE_FIELDS)
FULL = np.dtype(
    [
        *QUOTE_FIELDS, ("last_trade", ">u4"), ("oi", ">u4"), ("oi_high", ">u4"), ("oi_low", ">u4"), ("stamp", ">u4"),
        ("bids", LEVEL, (LEVELS,)), ("asks", LEVEL, (LEVELS,)),
    ]
)  # fmt: skip
INDEX_FIELDS: list[tuple[str, str]] = [
    ("length", ">u2"), ("token", ">u4"), ("last", ">u4"), ("high", ">u4"), ("low", ">u4"), ("open", ">u4"),
    ("close", ">u4"), ("change", ">i4"),
]  # fmt: skip
INDEX_QUOTE = np.dtype(INDEX_FIELDS)
INDEX_FULL = np.dtype([*INDEX_FIELDS, ("stamp", ">u4")])

PLAIN_COLUMNS = ("token", "last", "last_quantity", "volume", "buy_total", "sell_total", "open", "high", "low", "close")
FULL_COLUMNS = ("last_trade", "oi", "oi_high", "oi_low", "stamp")
INDEX_COLUMNS = ("token", "last", "high", "low", "open", "close")


def encode_ltp(market: Market, rows: Ints) -> bytes:
    return _columns(market, rows, LTP, ("token", "last")).tobytes()


def encode_quote(market: Market, rows: Ints) -> bytes:
    packets = _columns(market, rows, QUOTE, PLAIN_COLUMNS)
    packets["average"] = market.average(rows)
    return packets.tobytes()


def encode_full(market: Market, rows: Ints) -> bytes:
    packets = _columns(market, rows, FULL, (*PLAIN_COLUMNS, *FULL_COLUMNS))
    packets["average"] = market.average(rows)
    for side, prices, quantities, orders in (
        ("bids", market.bid_price, market.bid_quantity, market.bid_orders),
        ("asks", market.ask_price, market.ask_quantity, market.ask_orders),
    ):
        packets[side]["price"] = prices[rows]
        packets[side]["quantity"] = quantities[rows]
        packets[side]["orders"] = orders[rows]
    return packets.tobytes()


def encode_index_quote(market: Market, rows: Ints) -> bytes:
    return _index(market, rows, INDEX_QUOTE).tobytes()


def encode_index_full(market: Market, rows: Ints) -> bytes:
    packets = _index(market, rows, INDEX_FULL)
    packets["stamp"] = market.stamp[rows]
    return packets.tobytes()


def _columns(market: Market, rows: Ints, kind: np.dtype[np.void], names: Iterable[str]) -> NDArray[np.void]:
    packets = np.zeros(len(rows), dtype=kind)
    packets["length"] = kind.itemsize - 2
    for name in names:
        packets[name] = getattr(market, name)[rows]
    return packets


def _index(market: Market, rows: Ints, kind: np.dtype[np.void]) -> NDArray[np.void]:
    packets = _columns(market, rows, kind, INDEX_COLUMNS)
    packets["change"] = market.last[rows] - market.close[rows]
    return packets


def encode_frame(market: Market, *, rows: Ints, modes: NDArray[np.int8]) -> bytes:
    """Return one frame with a packet per row; `modes` are positions in MODES."""
    index = market.is_index[rows]
    groups = (
        (encode_ltp, modes == 0),
        (encode_quote, (modes == 1) & ~index),
        (encode_full, (modes == 2) & ~index),
        (encode_index_quote, (modes == 1) & index),
        (encode_index_full, (modes == 2) & index),
    )
    bodies = [encode(market, rows[chosen]) for encode, chosen in groups if chosen.any()]
    return len(rows).to_bytes(2, "big") + b"".join(bodies)
