"""Many blobs kept as lanes: all their first parts in one piece, all their second parts in another. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

# Blobs written at a time: the server stores them while the next ones are woven.
AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Lane:
    """One buffer with one part of every blob; blob i has `sizes[i]` bytes of it from `starts[i]` on."""

    buffer: memoryview
    starts: npt.NDArray[np.intp]
    sizes: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Woven:
    """The blobs at these places of the lanes, the keys they get, and the sequence that each key's listeners hear."""

    keys: Sequence[str]
    sequences: Sequence[int]
    lanes: Sequence[Lane]
    places: Sequence[int]
    seconds: int

    def commands(self) -> Iterator[bytes]:
        """Yield SET and PUBLISH of every blob as they stand on the wire, many blobs in each piece.

        A client library's packer takes three times as long: it copies each blob twice more.
        """
        for start in range(0, len(self.keys), AT_ONCE):
            chosen = slice(start, start + AT_ONCE)
            spans = [_spans(lane, list(self.places[chosen])) for lane in self.lanes]
            parts: list[bytes | memoryview] = []
            for key, sequence, *pieces in zip(self.keys[chosen], self.sequences[chosen], *spans, strict=True):
                size = sum(piece.nbytes for piece in pieces)
                name, lived, told = (_bulk(text) for text in (key, self.seconds, sequence))
                parts += [b"*5\r\n$3\r\nSET\r\n", name, b"$%d\r\n" % size, *pieces, b"\r\n$2\r\nEX\r\n", lived]
                parts += [b"*3\r\n$7\r\nPUBLISH\r\n", name, told]
            yield b"".join(parts)


def _spans(lane: Lane, places: list[int]) -> list[memoryview]:
    starts, sizes = lane.starts[places], lane.sizes[places]
    return [lane.buffer[start:end] for start, end in zip(starts.tolist(), (starts + sizes).tolist(), strict=True)]


def _bulk(value: object) -> bytes:
    text = str(value).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)
