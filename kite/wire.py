"""Decode binary tick frames into columns: one structured row per packet, in order of arrival."""

from collections.abc import Iterable, Mapping
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
_Cells = npt.NDArray[np.float64]
_Words = npt.NDArray[np.uint32]
_Places = npt.NDArray[np.intp]

_DIVISORS: Final = np.full(256, 100.0)
_DIVISORS[SEGMENT_CDS] = 1e7
# The documentation says 1e7 for every currency; all four official clients use 1e4 here.
_DIVISORS[[SEGMENT_BCD, SEGMENT_NCO]] = 1e4

# The length of a packet is its type.
_PREFIX: Final = 2
_LTP, _INDEX_QUOTE, _INDEX_FULL, _QUOTE, _FULL = 8, 28, 32, 44, 184
_KINDS: Final = {
    _LTP: KIND_LTP,
    _INDEX_QUOTE: KIND_INDEX_QUOTE,
    _INDEX_FULL: KIND_INDEX_FULL,
    _QUOTE: KIND_QUOTE,
    _FULL: KIND_FULL,
}
_EDGES: Final = [edge for length in _KINDS for edge in (length, length + 1)]
_FRAMED: Final = {length: np.dtype([("length", ">u2"), ("words", ">u4", (length // 4,))]) for length in _KINDS}


def _column(name: str, width: int) -> int:
    """Place of a field, counted in items of `width` bytes."""
    fields = cast("Mapping[str, tuple[np.dtype[np.generic], int]]", TICK.fields)
    return fields[name][1] // width


_CELLS: Final = TICK.itemsize // 8
_TOKEN, _EXCHANGE_AT, _TRADE_AT = (_column(name, 4) for name in ("instrument_token", "exchange_at", "last_trade_at"))
_KIND, _TRADABLE = _column("kind", 1), _column("tradable", 1)
_PRICE, _OPEN, _LOTS = (_column(name, 8) for name in ("last_price", "open", "last_quantity"))
_OI, _DEPTH = _column("oi", 8), _column("bid_price", 8)
_DEPTH_LOTS, _DEPTH_ORDERS = _column("bid_quantity", 4), _column("bid_orders", 2)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of a batch; `skipped` packets had an unknown length, `truncated` frames ended inside a packet."""

    rows: Rows
    skipped: int
    truncated: int


@dataclass(slots=True)
class _Run:
    """Frames one after another whose packets all have one length, and the rows they fill."""

    length: int
    first: int
    end: int
    frames: list[tuple[bytes, int]] = field(default_factory=list)

    def words(self) -> _Words:
        framed = _FRAMED[self.length]
        bodies = [np.frombuffer(frame, framed, count, _PREFIX)["words"] for frame, count in self.frames]
        return (bodies[0] if len(bodies) == 1 else np.concatenate(bodies)).astype(np.uint32)


@dataclass(slots=True)
class _Parts:
    """Frames taken apart: those of one packet length as they are, the packets of all others by their offset."""

    total: int = 0
    truncated: int = 0
    runs: list[_Run] = field(default_factory=list)
    mixed: list[bytes] = field(default_factory=list)
    mixed_size: int = 0
    offsets: list[int] = field(default_factory=list)
    places: list[range] = field(default_factory=list)

    def add(self, frame: bytes) -> None:
        if len(frame) < _PREFIX:
            return
        count = frame[0] << 8 | frame[1]
        if _is_uniform(frame, count):
            self._extend(frame, count)
            return
        found = self._walk(frame, count)
        self.places.append(range(self.total, self.total + found))
        self.total += found
        self.mixed.append(frame)
        self.mixed_size += len(frame)

    def _extend(self, frame: bytes, count: int) -> None:
        run = self.runs[-1] if self.runs else None
        if run is None or run.length != frame[3] or run.end != self.total:
            run = _Run(frame[3], self.total, self.total)
            self.runs.append(run)
        run.frames.append((frame, count))
        self.total = run.end = run.end + count

    def _walk(self, frame: bytes, count: int) -> int:
        """Note where every whole packet of a frame starts in the joined mixed frames; return how many there are."""
        offsets = []
        base = self.mixed_size
        at = _PREFIX
        try:
            for _ in range(count):
                offsets.append(base + at)
                at += 2 + (frame[at] << 8 | frame[at + 1])
        except IndexError:
            offsets.pop()
            self.truncated += at <= len(frame)
        if at > len(frame):
            offsets.pop()
            self.truncated += 1
        self.offsets += offsets
        return len(offsets)


def divisor(instrument_token: int) -> float:
    """Return what a wire price of this instrument is divided by to give rupees."""
    return float(_DIVISORS[instrument_token & 0xFF])


def decode(frames: Iterable[bytes]) -> Decoded:
    """Return every whole, known packet of the frames as rows of `TICK`, in order of arrival.

    Never raises: a heartbeat gives nothing, an unknown packet is skipped and counted, a frame that ends early gives
    what was complete and is counted. Absent fields are 0; `kind` says which are present.
    """
    parts = _Parts()
    for frame in frames:
        parts.add(frame)
    # Written as columns of eight bytes and viewed as rows: a few wide copies instead of one per field.
    cells = np.zeros((parts.total, _CELLS))
    for run in parts.runs:
        _fill(cells[run.first : run.end], run.length, run.words())
    skipped = 0
    if parts.offsets:
        unknown = _fill_mixed(cells, parts)
        skipped = len(unknown)
        if skipped:
            cells = np.delete(cells, unknown, axis=0)
    return Decoded(cells.view(TICK).reshape(len(cells)), skipped, parts.truncated)


def _is_uniform(frame: bytes, count: int) -> bool:
    """Whether the frame is exactly `count` packets of one known length: the common case, and cheap to see."""
    if not count or frame[2:3] != b"\x00" or len(frame) <= _PREFIX + 1 or frame[3] not in _KINDS:
        return False
    stride = frame[3] + 2
    if len(frame) != _PREFIX + count * stride:
        return False
    return frame[2::stride] == bytes(count) and frame[3::stride] == frame[3:4] * count


def _fill_mixed(cells: _Cells, parts: _Parts) -> _Places:
    """Fill the rows of the mixed frames, one packet length at a time; return the places of unknown packets."""
    buffer = b"".join(parts.mixed)
    stream = np.frombuffer(buffer, np.uint8)
    offsets = np.array(parts.offsets, np.intp)
    lengths = stream[offsets].astype(np.intp) << 8 | stream[offsets + 1]
    order = lengths.argsort(kind="stable")
    offsets += _PREFIX
    offsets = offsets[order]
    edges = lengths[order].searchsorted(_EDGES)
    sorted_cells = np.zeros((len(offsets), _CELLS))
    known = np.zeros(len(offsets), np.bool_)
    for length, first, end in zip(_KINDS, edges[0::2], edges[1::2], strict=True):
        if first < end:
            # One window over the stream per byte: picking windows copies the bodies without a step per packet.
            windows = np.ndarray((len(buffer) - length + 1, length), np.uint8, buffer, 0, (1, 1))
            _fill(sorted_cells[first:end], length, windows[offsets[first:end]].view(">u4").astype(np.uint32))
            known[first:end] = True
    places = np.fromiter(chain.from_iterable(parts.places), np.intp, len(offsets))[order]
    cells[places] = sorted_cells
    return places[~known]


def _fill(cells: _Cells, length: int, words: _Words) -> None:
    segments = words[:, 0] & 0xFF
    divisors = _DIVISORS[segments][:, None]
    cells.view(np.uint32)[:, _TOKEN] = words[:, 0]
    flags = cells.view(np.uint8)
    flags[:, _KIND] = _KINDS[length]
    flags[:, _TRADABLE] = segments != SEGMENT_INDICES
    if length == _LTP:
        cells[:, _PRICE] = words[:, 1] / divisors[:, 0]
    elif length < _QUOTE:
        _fill_index(cells, words, divisors)
    else:
        _fill_quote(cells, words, divisors)
    if length == _INDEX_FULL:
        cells.view(np.uint32)[:, _EXCHANGE_AT] = words[:, 7]
    elif length == _FULL:
        _fill_full(cells, words, divisors)


def _fill_index(cells: _Cells, words: _Words, divisors: _Cells) -> None:
    prices = words[:, 1:6] / divisors
    cells[:, _PRICE] = prices[:, 0]
    # Index packets come as high, low, open, close; all others as open, high, low, close.
    cells[:, _OPEN + 1 : _OPEN + 3] = prices[:, 1:3]
    cells[:, _OPEN : _OPEN + 4 : 3] = prices[:, 3:]


def _fill_quote(cells: _Cells, words: _Words, divisors: _Cells) -> None:
    # After the token: last price, last quantity, average price, volume, two totals, open, high, low, close.
    cells[:, _PRICE:_OPEN] = words[:, 1:4:2] / divisors
    cells[:, _OPEN : _OPEN + 4] = words[:, 7:11] / divisors
    lots = cells.view(np.int64)
    lots[:, _LOTS] = words[:, 2]
    lots[:, _LOTS + 1 : _LOTS + 4] = words[:, 4:7]


def _fill_full(cells: _Cells, words: _Words, divisors: _Cells) -> None:
    # After the close: last trade, oi, its high and low, exchange time, ten entries of quantity, price, orders.
    times = cells.view(np.uint32)
    times[:, _TRADE_AT] = words[:, 11]
    times[:, _EXCHANGE_AT] = words[:, 15]
    cells.view(np.int64)[:, _OI : _OI + 3] = words[:, 12:15]
    cells[:, _DEPTH : _DEPTH + 10] = words[:, 17::3] / divisors
    times[:, _DEPTH_LOTS : _DEPTH_LOTS + 10] = words[:, 16::3]
    cells.view(np.uint16)[:, _DEPTH_ORDERS : _DEPTH_ORDERS + 10] = words[:, 18::3] >> 16
