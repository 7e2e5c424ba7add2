"""The load client where no C compiler is present: the line protocol of load.c, told there, in Python."""

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from market_data.frames import HEADER, MAGIC, FrameType

NONCE: Final = "dGhlIHNhbXBsZSBub25jZQ=="
HEAD: Final = struct.Struct("<BBBBHHIQQQ")
PAIR: Final = struct.Struct("<II")
SLOW_RECEIVE_BYTES: Final = 4096
OPEN_SECONDS: Final = 60.0
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Reader:
    """One socket and the last prices it was sent."""

    def __init__(self, link: socket.socket, *, slow: bool) -> None:
        self.link = link
        self.slow = slow
        self.opened = self.ready = self.lost = False
        self.kept = b""
        self.sequence = self.frames = self.bytes = 0
        self.prices: dict[int, int] = {}

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a frame under a mask of zeros."""
        size = len(payload)
        length = struct.pack(">B", 0x80 | size) if size < 126 else struct.pack(">BH", 0x80 | 126, size)
        self.link.sendall(bytes((0x80 | opcode,)) + length + bytes(4) + payload)


class Load:
    """All readers, and what they saw together."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._readers: list[Reader] = []
        self._message = b""
        self._ticks = self._frames = self._bytes = self._gaps = 0
        self._latencies: Counter[int] = Counter()
        self._deeds: dict[str, Callable[[str], str]] = {
            "open": self._open,
            "reset": self._reset,
            "close": self._close,
            "wait": self._wait,
            "until": self._until,
            "stall": self._stall,
            "resume": self._resume,
            "check": self._check,
            "stats": self._stats,
        }

    def serve(self) -> None:
        """Obey until stdin ends; the sockets are read between the commands too."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        line = b""
        while chunk := self._next_chunk():
            line += chunk
            if line.endswith(b"\n"):
                self._selector.unregister(sys.stdin)
                word, _, rest = line.decode().strip().partition(" ")
                line = b""
                print(self._deeds[word](rest), flush=True)
                self._selector.register(sys.stdin, selectors.EVENT_READ)

    def _next_chunk(self) -> bytes:
        while True:
            if self._step(None):
                return os.read(0, 1 << 16)

    def _step(self, timeout: float | None) -> bool:
        """Read what can be read; say whether stdin can."""
        told = False
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                told = True
            else:
                self._read(key.data)
        return told

    def _until_true(self, done: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            self._step(0.02)
        return done()

    def _open(self, rest: str) -> str:
        port, clients, slow, subprotocol, path, message = rest.split(" ", 5)
        self._message = message.encode()
        for number in range(int(clients)):
            self._connect(int(port), subprotocol, path, slow=number >= int(clients) - int(slow))
        self._until_true(lambda: all(reader.ready or reader.lost for reader in self._readers), OPEN_SECONDS)
        return f"opened {sum(reader.ready for reader in self._readers)} {self._lost()}"

    def _connect(self, port: int, subprotocol: str, path: str, *, slow: bool) -> None:
        link = socket.socket()
        if slow:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_RECEIVE_BYTES)
        link.connect(("127.0.0.1", port))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {NONCE}"),
            *([f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol != "-" else []),
        ]
        link.sendall("\r\n".join([*lines, "", ""]).encode())
        reader = Reader(link, slow=slow)
        self._readers.append(reader)
        self._selector.register(link, selectors.EVENT_READ, reader)
        self._step(0)

    def _read(self, reader: Reader) -> None:
        try:
            got = reader.link.recv(1 << 20)
        except ConnectionError:
            got = b""
        if not got:
            self._lose(reader)
            return
        self._bytes += len(got)
        data = reader.kept + got
        if not reader.opened:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                reader.kept = head
                return
            reader.opened = True
            reader.send(TEXT, self._message)
        self._parse(reader, data)

    def _lose(self, reader: Reader) -> None:
        self._selector.unregister(reader.link)
        reader.link.close()
        reader.lost = True

    def _parse(self, reader: Reader, data: bytes) -> None:
        at, now = 0, time.time_ns() // 1000
        while (found := _frame_at(data, at)) is not None and not reader.lost:
            opcode, start, end = found
            self._take(reader, opcode, data[start:end], now)
            reader.bytes += end - at
            at = end
        reader.kept = data[at:]

    def _take(self, reader: Reader, opcode: int, payload: bytes, now: int) -> None:
        if opcode == CLOSE:
            self._lose(reader)
        elif opcode == PING:
            reader.send(PONG, payload)
        else:
            self._frames += 1
            reader.frames += 1
            (self._take_binary if opcode == BINARY else self._take_text)(reader, payload, now)

    def _take_binary(self, reader: Reader, payload: bytes, now: int) -> None:
        magic, _, kind, _, _, rows, _, first, last, published = HEAD.unpack_from(payload)
        if magic != MAGIC:
            return
        width = (len(payload) - HEADER.itemsize) // rows if rows else 0
        for row in range(rows):
            token, price = PAIR.unpack_from(payload, HEADER.itemsize + row * width)
            reader.prices[(token >> 8) - 1] = price
        is_snapshot = kind == FrameType.SNAPSHOT
        self._gaps += not is_snapshot and reader.sequence not in {0, first}
        reader.sequence = last
        if not is_snapshot:
            self._count(reader, rows, now - published)

    def _take_text(self, reader: Reader, payload: bytes, now: int) -> None:
        document = json.loads(payload)
        if document.get("t") == "ok":
            reader.ready = True
        elif "instrument_token" in document:
            reader.prices[(document["instrument_token"] >> 8) - 1] = round(document["last_price"] * 100)
            self._count(reader, 1, now - document["published_us"])

    def _count(self, reader: Reader, ticks: int, microseconds: int) -> None:
        if not reader.slow:
            self._ticks += ticks
            self._latencies[max(microseconds, 0)] += 1

    def _reset(self, _: str) -> str:
        self._ticks = self._frames = self._bytes = self._gaps = 0
        self._latencies.clear()
        for reader in self._readers:
            reader.frames = reader.bytes = 0
        return "ok"

    def _close(self, _: str) -> str:
        for reader in self._readers:
            if not reader.lost:
                self._lose(reader)
        self._readers = []
        return "ok"

    def _wait(self, rest: str) -> str:
        each, milliseconds = map(int, rest.split())
        goal = each * sum(not reader.slow and not reader.lost for reader in self._readers)
        return "ok" if self._until_true(lambda: self._ticks >= goal, milliseconds / 1000) else "late"

    def _until(self, rest: str) -> str:
        return self._follow(rest, slow=False)

    def _follow(self, rest: str, *, slow: bool) -> str:
        sequence, milliseconds = map(int, rest.split())
        chosen = [reader for reader in self._readers if reader.slow is slow and not reader.lost]
        done = self._until_true(lambda: all(reader.sequence >= sequence for reader in chosen), milliseconds / 1000)
        frames, size = max(((reader.frames, reader.bytes) for reader in chosen if slow), default=(0, 0))
        return f"{'ok' if done else 'late'} {frames} {size}"

    def _stall(self, _: str) -> str:
        for reader in self._readers:
            if reader.slow and not reader.lost:
                self._selector.unregister(reader.link)
        return "ok"

    def _resume(self, rest: str) -> str:
        for reader in self._readers:
            if reader.slow and not reader.lost:
                self._selector.register(reader.link, selectors.EVENT_READ, reader)
        return self._follow(rest, slow=True)

    def _check(self, rest: str) -> str:
        wanted = dict(enumerate(map(int, rest.split())))
        return f"wrong {sum(any(reader.prices.get(k) != v for k, v in wanted.items()) for reader in self._readers)}"

    def _stats(self, _: str) -> str:
        times = sorted(self._latencies.elements()) or [0]
        seen = {
            "ticks": self._ticks,
            "frames": self._frames,
            "bytes": self._bytes,
            "gaps": self._gaps,
            "lost_clients": self._lost(),
            "p50_us": times[len(times) // 2],
            "p99_us": times[len(times) * 99 // 100],
            "max_us": times[-1],
        }
        return json.dumps(seen)

    def _lost(self) -> int:
        return sum(reader.lost for reader in self._readers)


def _frame_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return opcode, start and end of the payload of the frame that starts here, None while it is not complete."""
    if len(data) - at < 2:
        return None
    size, start = data[at + 1] & 127, at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        size, start = int.from_bytes(data[start : start + width]), start + width
    end = start + size
    return (data[at] & 15, start, end) if end <= len(data) else None


if __name__ == "__main__":
    Load().serve()
