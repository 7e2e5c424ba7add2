"""A tick stream at full speed: one reader, the same frames over and over, never waiting for anything but the socket."""

import base64
import contextlib
import hashlib
import random
import socket
import struct
import threading
from typing import Final

FULL: Final = 184
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Feeder:
    """Listens at once; each reader that connects is fed until it goes."""

    def __init__(self, *, packets: int, frames: int, seed: int) -> None:
        self._block = b"".join(_framed(_ticks(random.Random(seed + n), packets, n)) for n in range(frames))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more readers."""
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._feed(self._listener.accept()[0])

    def _feed(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            link.sendall(_accepted(link.recv(65536)))
            while True:
                link.sendall(self._block)


def _ticks(source: random.Random, packets: int, number: int) -> bytes:
    body = b"".join(
        struct.pack(">HI", FULL, (number * packets + packet + 1) << 8 | 1) + source.randbytes(FULL - 4)
        for packet in range(packets)
    )
    return struct.pack(">H", packets) + body


def _framed(payload: bytes) -> bytes:
    return struct.pack(">BBH", 0x82, 126, len(payload)) + payload


def _accepted(request: bytes) -> bytes:
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    answer = base64.b64encode(hashlib.sha1(key.partition(b":")[2].strip() + GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return head + answer + b"\r\n\r\n"
