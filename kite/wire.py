"""Decode binary tick frames into columns: one structured row per packet, in order of arrival."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, cast

import numpy as np
import numpy.typing as npt

KIND_LTP: Final = 0
KIND_QUOTE: Final = 1
KIND_FULL: Final = 2
KIND_INDEX_QUOTE: Final = 3
KIND_INDEX_FULL: Final = 4

SEGMENT_CDS: Final = 3
SEGMENT_BCD: Final = 6
SEGMENT_INDICES: Final = 9
SEGMENT_NCO: Final = 12

# Fields of one type stand together: the decoder writes each group as one block of columns.
TICK: Final = np.dtype(
    [
        ("instrument_token", "u4"),
        ("exchange_at", "u4"),
        ("last_trade_at", "u4"),
        ("kind", "u1"),
        ("tradable", "?"),
        ("reserved", "u2"),
        ("last_price", "f8"),
        ("average_price", "f8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("last_quantity", "i8"),
        ("volume", "i8"),
        ("buy_quantity", "i8"),
        ("sell_quantity", "i8"),
        ("oi", "i8"),
        ("oi_high", "i8"),
        ("oi_low", "i8"),
        ("received_at", "f8"),
        ("bid_price", "f8", (5,)),
        ("ask_price", "f8", (5,)),
        ("bid_quantity", "u4", (5,)),
        ("ask_quantity", "u4", (5,)),
        ("bid_orders", "u2", (5,)),
        ("ask_orders", "u2", (5,)),
        ("reserved_end", "u4"),
    ]
)

Rows = npt.NDArray[np.void]
_Words = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.intp]

_DIVISORS: Final = np.full(256, 100.0)
_DIVISORS[SEGMENT_CDS] = 1e7
# The documentation says 1e7 for every currency; all four official clients use 1e4 here.
_DIVISORS[[SEGMENT_BCD, SEGMENT_NCO]] = 1e4

# The length of a packet is its type.
_LTP, _INDEX_QUOTE, _INDEX_FULL, _QUOTE, _FULL = 8, 28, 32, 44, 184
_KINDS: Final = {
    _LTP: KIND_LTP,
    _QUOTE: KIND_QUOTE,
    _FULL: KIND_FULL,
    _INDEX_QUOTE: KIND_INDEX_QUOTE,
    _INDEX_FULL: KIND_INDEX_FULL,
}
_PREFIX: Final = 2
_FRAMED: Final = {length: np.dtype([("length", ">u2"), ("words", ">u4", (length // 4,))]) for length in _KINDS}
_PACKET: Final = re.compile(b"|".join(b"\x00%b.{%d}" % (re.escape(bytes([n])), n) for n in _KINDS), re.DOTALL)


def _column(name: str, width: int) -> int:
    """Place of a field, counted in items of `width` bytes."""
    fields = cast("Mapping[str, tuple[np.dtype[np.generic], int]]", TICK.fields)
    return fields[name][1] // width


_HEAD, _PRICE, _OPEN, _LOTS, _OI, _DEPTH = (
    _column(name, 8) for name in ("instrument_token", "last_price", "open", "last_quantity", "oi", "bid_price")
)
_DEPTH_LOTS, _DEPTH_ORDERS = _column("bid_quantity", 4), _column("bid_orders", 2)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of a batch; `skipped` packets had an unknown length, `truncated` frames ended inside a packet."""

    rows: Rows
    skipped: int
    truncated: int


@dataclass(frozen=True, slots=True)
class _Block:
    """Packets of one length, each behind its own length prefix, and where they stand in the batch."""

    length: int
    buffer: bytes
    offset: int
    places: range | _Places

    def words(self) -> _Words:
        packets = np.frombuffer(self.buffer, _FRAMED[self.length], len(self.places), self.offset)
        return packets["words"].astype(np.uint32)


@dataclass(slots=True)
class _Batch:
    """Frames taken apart: whole frames of one length, and the loose packets of mixed ones."""

    total: int = 0
    skipped: int = 0
    truncated: int = 0
    whole: list[_Block] = field(default_factory=list)
    loose: list[bytes] = field(default_factory=list)
    loose_places: list[range] = field(default_factory=list)

    def add(self, frame: bytes) -> None:
        if len(frame) < _PREFIX:
            return
        count = frame[0] << 8 | frame[1]
        if _is_uniform(frame, count):
            self.whole.append(_Block(frame[3], frame, 2, self._places(count)))
            return
        packets = _PACKET.findall(frame, 2)
        # The pattern steps over what it does not know: trust it only when it accounts for every byte.
        if len(packets) != count or sum(map(len, packets)) != len(frame) - 2:
            packets = self._walk(frame, count)
        self.loose += packets
        self.loose_places.append(self._places(len(packets)))

    def blocks(self) -> Iterator[_Block]:
        """Return the whole frames, then the loose packets by length; packets of one length keep their order."""
        yield from self.whole
        if not self.loose:
            return
        lengths = np.fromiter(map(len, self.loose), np.intp, len(self.loose))
        places = np.fromiter(chain.from_iterable(self.loose_places), np.intp, len(self.loose))
        places = places[lengths.argsort(kind="stable")]
        buffer = b"".join(sorted(self.loose, key=lambda packet: len(packet)))
        at = first = 0
        for length, count in sorted((length, int((lengths == length + 2).sum())) for length in _KINDS):
            if count:
                yield _Block(length, buffer, at, places[first : first + count])
            at += count * (length + 2)
            first += count

    def _places(self, count: int) -> range:
        places = range(self.total, self.total + count)
        self.total += count
        return places

    def _walk(self, frame: bytes, count: int) -> list[bytes]:
        packets = []
        at = 2
        for _ in range(count):
            end = at + 2 + int.from_bytes(frame[at : at + 2])
            if at + 2 > len(frame) or end > len(frame):
                self.truncated += 1
                break
            if end - at - 2 in _KINDS:
                packets.append(frame[at:end])
            else:
                self.skipped += 1
            at = end
        return packets


def divisor(instrument_token: int) -> float:
    """Return what a wire price of this instrument is divided by to give rupees."""
    return float(_DIVISORS[instrument_token & 0xFF])


def decode(frames: Iterable[bytes]) -> Decoded:
    """Return every whole, known packet of the frames as rows of `TICK`, in order of arrival.

    Never raises: a heartbeat gives nothing, an unknown packet is skipped and counted, a frame that ends early gives
    what was complete and is counted. Absent fields are 0; `kind` says which are present.
    """
    batch = _Batch()
    for frame in frames:
        batch.add(frame)
    # Written as columns of eight bytes and viewed as rows: a few wide copies instead of one per field.
    cells = np.zeros((batch.total, TICK.itemsize // 8))
    rows = cells.view(TICK).reshape(batch.total)
    order: list[range | _Places] = []
    at = 0
    for block in batch.blocks():
        upto = at + len(block.places)
        _fill(rows[at:upto], cells[at:upto], block)
        order.append(block.places)
        at = upto
    if len(order) > 1:
        rows = _in_order(cells, np.concatenate(order))
    return Decoded(rows, batch.skipped, batch.truncated)


def _is_uniform(frame: bytes, count: int) -> bool:
    """Whether the frame is exactly `count` packets of one known length: the common case, and cheap to see."""
    if not count or frame[2:3] != b"\x00" or frame[3] not in _KINDS:
        return False
    stride = frame[3] + 2
    if len(frame) != 2 + count * stride:
        return False
    return frame[2::stride] == bytes(count) and frame[3::stride] == frame[3:4] * count


def _in_order(cells: npt.NDArray[np.float64], places: _Places) -> Rows:
    ordered = np.empty_like(cells)
    ordered[places] = cells
    return ordered.view(TICK).reshape(len(cells))


def _fill(rows: Rows, cells: npt.NDArray[np.float64], block: _Block) -> None:
    words = block.words()
    tokens = words[:, 0]
    segments = tokens & 0xFF
    divisors = _DIVISORS[segments][:, None]
    rows["instrument_token"] = tokens
    rows["kind"] = _KINDS[block.length]
    rows["tradable"] = segments != SEGMENT_INDICES
    if block.length == _LTP:
        cells[:, _PRICE] = words[:, 1] / divisors[:, 0]
    elif block.length < _QUOTE:
        _fill_index(cells, words, divisors)
    else:
        _fill_quote(cells, words, divisors)
    if block.length == _INDEX_FULL:
        rows["exchange_at"] = words[:, 7]
    elif block.length == _FULL:
        _fill_full(rows, cells, words, divisors)


def _fill_index(cells: npt.NDArray[np.float64], words: _Words, divisors: npt.NDArray[np.float64]) -> None:
    prices = words[:, 1:6] / divisors
    cells[:, _PRICE] = prices[:, 0]
    # Index packets come as high, low, open, close; all others as open, high, low, close.
    cells[:, _OPEN + 1 : _OPEN + 3] = prices[:, 1:3]
    cells[:, _OPEN] = prices[:, 3]
    cells[:, _OPEN + 3] = prices[:, 4]


def _fill_quote(cells: npt.NDArray[np.float64], words: _Words, divisors: npt.NDArray[np.float64]) -> None:
    # Columns of the packet: last price, last quantity, average price, volume, two totals, open, high, low, close.
    prices = words[:, 1:11] / divisors
    cells[:, _PRICE:_OPEN] = prices[:, 0:3:2]
    cells[:, _OPEN : _OPEN + 4] = prices[:, 6:]
    lots = cells.view(np.int64)
    lots[:, _LOTS] = words[:, 2]
    lots[:, _LOTS + 1 : _LOTS + 4] = words[:, 4:7]


def _fill_full(rows: Rows, cells: npt.NDArray[np.float64], words: _Words, divisors: npt.NDArray[np.float64]) -> None:
    rows["last_trade_at"] = words[:, 11]
    rows["exchange_at"] = words[:, 15]
    cells.view(np.int64)[:, _OI : _OI + 3] = words[:, 12:15]
    cells[:, _DEPTH : _DEPTH + 10] = words[:, 17::3] / divisors
    cells.view(np.uint32)[:, _DEPTH_LOTS : _DEPTH_LOTS + 10] = words[:, 16::3]
    cells.view(np.uint16)[:, _DEPTH_ORDERS : _DEPTH_ORDERS + 10] = words[:, 18::3] >> 16
