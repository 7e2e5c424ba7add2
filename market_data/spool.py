"""Blobs on disk while the bus is away: appended in order, read back in order, bounded.

What was appended survives a killed process at once and a failure of power after FSYNC_SECONDS. A segment that is read
to its end is deleted; after a crash within one it is read again from its beginning: readers must know doubles.
"""

import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

FSYNC_SECONDS: Final = 0.2
MOST_BYTES: Final = 2 << 30
SEGMENT_BYTES: Final = 32 << 20
RECORD: Final = struct.Struct("<II")
SUFFIX: Final = ".spool"
# Far from 0: what goes before the oldest gets a lower number.
FIRST_NUMBER: Final = 1_000_000


@dataclass(slots=True)
class Segment:
    """One file: how many records it has, how many were taken back and where the next one begins."""

    path: Path
    records: int = 0
    size: int = 0
    taken: int = 0
    at: int = 0

    @property
    def left(self) -> int:
        """Return how many records wait in it."""
        return self.records - self.taken


class Spool:
    """Written and read by one thread, counted by any; another process must not open the same folder."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_BYTES, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._segment_bytes = segment_bytes
        self._writing: BinaryIO | None = None
        self._synced_at = 0.0
        self.lost = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._segments = deque(_scanned(path) for path in sorted(folder.glob(f"*{SUFFIX}")))
        self._number = int(self._segments[-1].path.stem) + 1 if self._segments else FIRST_NUMBER
        self._waiting = sum(segment.left for segment in self._segments)
        self.used_bytes = sum(segment.size for segment in self._segments)

    def __len__(self) -> int:
        return self._waiting

    def append(self, blob: bytes) -> None:
        """Keep a blob; beyond the bound the oldest segment goes and its blobs are counted as lost. Raises OSError."""
        segment, file = self._last()
        file.write(RECORD.pack(len(blob), zlib.crc32(blob)) + blob)
        segment.size += RECORD.size + len(blob)
        segment.records += 1
        self.used_bytes += RECORD.size + len(blob)
        self._waiting += 1
        self._sync()
        while self.used_bytes > self._most_bytes and len(self._segments) > 1:
            self.lost += self._drop_oldest()

    def prepend(self, blobs: Sequence[bytes]) -> None:
        """Keep blobs before the oldest, whatever the bound. Raises OSError."""
        number = int(self._segments[0].path.stem) if self._segments else self._number
        segment = Segment(self._folder / f"{number - 1:012d}{SUFFIX}", records=len(blobs))
        with segment.path.open("wb") as file:
            for blob in blobs:
                segment.size += file.write(RECORD.pack(len(blob), zlib.crc32(blob)) + blob)
            file.flush()
            os.fsync(file.fileno())
        self._segments.appendleft(segment)
        self.used_bytes += segment.size
        self._waiting += len(blobs)

    def oldest(self, *, most_bytes: int) -> list[bytes]:
        """Return the next blobs, at least one if any waits, without taking them."""
        self._drop_finished()
        if not self._segments:
            return []
        segment = self._segments[0]
        blobs: list[bytes] = []
        size = 0
        with segment.path.open("rb") as file:
            file.seek(segment.at)
            for _ in range(segment.left):
                length, _ = RECORD.unpack(file.read(RECORD.size))
                size += length
                if blobs and size > most_bytes:
                    break
                blobs.append(file.read(length))
        return blobs

    def take(self, blob: bytes) -> None:
        """Forget the oldest blob, which is this one."""
        segment = self._segments[0]
        segment.taken += 1
        segment.at += RECORD.size + len(blob)
        self._waiting -= 1
        self._drop_finished()

    def close(self) -> None:
        """Bring everything to the disk."""
        if self._writing is not None:
            os.fsync(self._writing.fileno())
            self._writing.close()
            self._writing = None

    def _last(self) -> tuple[Segment, BinaryIO]:
        if self._writing is None or self._segments[-1].size >= self._segment_bytes:
            self.close()
            self._segments.append(Segment(self._folder / f"{self._number:012d}{SUFFIX}"))
            self._number += 1
            # Unbuffered: what is written is the kernel's, whatever becomes of this process.
            self._writing = self._segments[-1].path.open("ab", buffering=0)
        return self._segments[-1], self._writing

    def _sync(self) -> None:
        if self._writing is not None and time.monotonic() - self._synced_at >= FSYNC_SECONDS:
            os.fsync(self._writing.fileno())
            self._synced_at = time.monotonic()

    def _drop_finished(self) -> None:
        while self._segments and not self._segments[0].left:
            if len(self._segments) == 1:
                self.close()
            self._drop_oldest()

    def _drop_oldest(self) -> int:
        """Return how many records went with it."""
        gone = self._segments.popleft()
        self._waiting -= gone.left
        self.used_bytes -= gone.size
        gone.path.unlink(missing_ok=True)
        return gone.left


def _scanned(path: Path) -> Segment:
    """A record that a crash tore off ends its segment."""
    segment = Segment(path)
    for length in _whole_records(path):
        segment.records += 1
        segment.size += RECORD.size + length
    return segment


def _whole_records(path: Path) -> Iterator[int]:
    with path.open("rb") as file:
        while len(head := file.read(RECORD.size)) == RECORD.size:
            length, checksum = RECORD.unpack(head)
            blob = file.read(length)
            if len(blob) < length or zlib.crc32(blob) != checksum:
                return
            yield length
