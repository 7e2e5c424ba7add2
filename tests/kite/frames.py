"""Packets and frames built by hand from the published layout, apart from the decoder and the sandbox's encoder."""

import struct
from collections.abc import Sequence

SEGMENTS = {
    "NSE": 1,
    "NFO": 2,
    "CDS": 3,
    "BSE": 4,
    "BFO": 5,
    "BCD": 6,
    "MCX": 7,
    "MCXSX": 8,
    "INDICES": 9,
    "NCO": 12,
}


def token(segment: str, number: int = 1234) -> int:
    return number << 8 | SEGMENTS[segment]


def ltp(instrument_token: int, last_price: int) -> bytes:
    return struct.pack(">II", instrument_token, last_price)


def quote(instrument_token: int, values: Sequence[int] = tuple(range(1, 11))) -> bytes:
    return struct.pack(">I10I", instrument_token, *values)


def full(instrument_token: int, *, head: Sequence[int] = tuple(range(1, 11)), tail: Sequence[int] = (0,) * 5) -> bytes:
    depth = b"".join(struct.pack(">IIHxx", 100 + level, 2000 + level, 1 + level) for level in range(10))
    return quote(instrument_token, head) + struct.pack(">5I", *tail) + depth


def index_quote(instrument_token: int, values: Sequence[int] = tuple(range(1, 7))) -> bytes:
    return struct.pack(">I6I", instrument_token, *values)


def index_full(instrument_token: int, exchange_at: int) -> bytes:
    return index_quote(instrument_token) + struct.pack(">I", exchange_at)


def frame(*packets: bytes) -> bytes:
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
