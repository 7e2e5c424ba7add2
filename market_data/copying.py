"""Ticks in PostgreSQL's binary COPY format, whole columns at a time. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np

from kite.wire import KIND_FULL, Rows
from market_data.batches import Batch

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
EPOCH_2000: Final = 946_684_800
ABSENT: Final = -1

DEPTH: Final = np.dtype(
    [
        ("bid_price", "<f8", (5,)),
        ("bid_quantity", "<u4", (5,)),
        ("bid_orders", "<u2", (5,)),
        ("ask_price", "<f8", (5,)),
        ("ask_quantity", "<u4", (5,)),
        ("ask_orders", "<u2", (5,)),
    ]
)
COLUMNS: Final = {
    "received_at": ">i8",
    "exchange_at": ">i8",
    "last_trade_at": ">i8",
    "instrument_token": ">i8",
    "kind": ">i2",
    "shard": ">i2",
    "epoch": ">i4",
    "sequence": ">i8",
    "position": ">i4",
    **dict.fromkeys(("last_price", "average_price", "open", "high", "low", "close"), ">f8"),
    **dict.fromkeys(("last_quantity", "volume", "buy_quantity", "sell_quantity", "oi", "oi_high", "oi_low"), ">i8"),
    "depth": f"S{DEPTH.itemsize}",
}
NULLABLE: Final = ("exchange_at", "last_trade_at", "depth")
STATEMENT: Final = f"COPY market_data_tick ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def encode(batches: list[Batch]) -> Iterator[bytes]:
    """Yield a COPY stream of every row of the batches."""
    yield SIGNATURE
    for batch in batches:
        yield from _rows(batch)
    yield TRAILER


def _rows(batch: Batch) -> Iterator[bytes]:
    """A tuple's width depends on which of its values are absent, so each pattern of absence is a block of its own."""
    rows = batch.rows
    present = [rows["exchange_at"] > 0, rows["last_trade_at"] > 0, rows["kind"] == KIND_FULL]
    pattern = sum(np.left_shift(flag.astype(np.uint8), bit) for bit, flag in enumerate(present))
    for found in np.unique(pattern):
        where = np.flatnonzero(pattern == found)
        yield _block(batch, rows[where], where, int(found)).tobytes()


def _block(batch: Batch, rows: Rows, positions: "np.ndarray[tuple[int, ...], np.dtype[np.intp]]", pattern: int) -> Rows:
    block = np.zeros(len(rows), _layout(pattern))
    block["columns"] = len(COLUMNS)
    absent = {name for bit, name in enumerate(NULLABLE) if not pattern >> bit & 1}
    for name in COLUMNS:
        if name in absent:
            block[f"{name}_size"] = ABSENT
        else:
            block[f"{name}_size"] = block.dtype[name].itemsize
            block[name] = _column(name, batch, rows, positions)
    return block


def _column(name: str, batch: Batch, rows: Rows, positions: object) -> object:
    if name in {"shard", "epoch"}:
        return getattr(batch, name)
    if name == "sequence":
        return batch.to_sequence
    if name == "position":
        return positions
    if name == "depth":
        return _depth(rows).view(f"S{DEPTH.itemsize}")
    if name == "received_at":
        return np.rint((rows[name] - EPOCH_2000) * 1e6)
    if name in {"exchange_at", "last_trade_at"}:
        return (rows[name].astype(np.int64) - EPOCH_2000) * 1_000_000
    return rows[name]


def _depth(rows: Rows) -> Rows:
    depth = np.zeros(len(rows), DEPTH)
    for name in DEPTH.names or ():
        depth[name] = rows[name]
    return depth


@cache
def _layout(pattern: int) -> "np.dtype[np.void]":
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for name, kind in COLUMNS.items():
        fields.append((f"{name}_size", ">i4"))
        if name not in NULLABLE or pattern >> NULLABLE.index(name) & 1:
            fields.append((name, kind))
    return np.dtype(fields)
