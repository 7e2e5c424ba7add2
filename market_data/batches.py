"""A batch of ticks as bytes: a header with shard, epoch and sequence range, then rows as they lie in memory."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from kite.wire import TICK, Rows
from market_data.errors import BadBatch

MAGIC: Final = b"TKB"
VERSION: Final = 1
HEADER: Final = struct.Struct("<3sBBxHHxxIIQQQ")
# What of a tick prices an option, a quarter of its bytes; of five levels of depth the first.
TOP: Final = np.dtype(
    [
        ("instrument_token", "u4"),
        ("last_trade_at", "u4"),
        ("kind", "u8"),
        ("last_price", "f8"),
        ("bid_price", "f8"),
        ("ask_price", "f8"),
        ("close", "f8"),
        ("oi", "i8"),
        ("volume", "i8"),
        ("received_at", "f8"),
    ]
)


def snapshot_key(shard: int) -> str:
    """Name the blob of a shard's last values."""
    return f"lvc:{shard}"


def tops_key(shard: int) -> str:
    """Name the blob of what prices options in a shard's last values."""
    return f"top:{shard}"


class BatchKind(IntEnum):
    """What the rows are."""

    DELTA = 1
    SNAPSHOT = 2
    HEARTBEAT = 3
    RAW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one shard that lead from `from_sequence` to `to_sequence` of one epoch."""

    kind: BatchKind
    shard: int
    epoch: int
    from_sequence: int
    to_sequence: int
    published_us: int
    rows: Rows

    def pack(self) -> bytes:
        """Return the bytes of the batch."""
        header = HEADER.pack(
            MAGIC,
            VERSION,
            self.kind,
            self.shard,
            TICK.itemsize,
            self.epoch,
            len(self.rows),
            self.from_sequence,
            self.to_sequence,
            self.published_us,
        )
        return header + self.rows.tobytes()

    @classmethod
    def unpack(cls, blob: bytes) -> "Batch":
        """Return the batch; its rows are a read-only view of the bytes. Raises BadBatch."""
        if len(blob) < HEADER.size:
            raise BadBatch(f"a batch has at least {HEADER.size} bytes, was {len(blob)}")
        magic, version, kind, shard, width, epoch, count, first, last, published = HEADER.unpack_from(blob)
        if magic != MAGIC or version != VERSION or width != TICK.itemsize:
            raise BadBatch(f"was version {version} of {magic!r} with rows of {width} bytes")
        if len(blob) != HEADER.size + count * width:
            raise BadBatch(f"{count} rows of {width} bytes announced, {len(blob) - HEADER.size} bytes came")
        return cls(
            kind=BatchKind(kind),
            shard=shard,
            epoch=epoch,
            from_sequence=first,
            to_sequence=last,
            published_us=published,
            rows=np.frombuffer(blob, TICK, count, HEADER.size),
        )


def tops_of(rows: Rows) -> Rows:
    """Return what of each tick prices an option, (n,) TOP."""
    tops = np.empty(len(rows), TOP)
    for name in TOP.names or ():
        values = rows[name]
        tops[name] = values if values.ndim == 1 else values[:, 0]
    return tops


def unpack_tops(blob: bytes) -> Rows:
    """Return the rows as a read-only view of the bytes. Raises BadBatch."""
    if len(blob) % TOP.itemsize:
        raise BadBatch(f"tops have {TOP.itemsize} bytes each, was {len(blob)}")
    return np.frombuffer(blob, TOP)


def newest(rows: Rows) -> Rows:
    """Return one row per instrument, the one received last, by token."""
    tokens = np.ascontiguousarray(rows["instrument_token"])
    by_token = np.argsort(tokens)
    if np.all(np.diff(tokens[by_token]) > 0):
        return rows.take(by_token)
    order = np.lexsort((rows["received_at"], tokens))
    ordered = tokens[order]
    last = np.ones(len(ordered), np.bool_)
    last[:-1] = ordered[1:] != ordered[:-1]
    return rows[order[last]]


def places_in(blobs: Iterable[bytes | None]) -> dict[int, tuple[int, int]]:
    """Return (shard, offset in bytes) of each instrument's row in the shards' packed snapshots.

    Of two places the one received last holds.
    """
    places: dict[int, tuple[int, int]] = {}
    received: dict[int, float] = {}
    for shard, blob in enumerate(blobs):
        rows = Batch.unpack(blob).rows if blob else np.zeros(0, TICK)
        columns = zip(rows["instrument_token"].tolist(), rows["received_at"].tolist(), strict=True)
        for number, (token, at) in enumerate(columns):
            if at >= received.get(token, 0.0):
                received[token] = at
                places[token] = (shard, HEADER.size + number * TICK.itemsize)
    return places
