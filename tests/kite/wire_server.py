"""A server that says on the wire exactly what a test tells it to, byte by byte."""

import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Self


class Act(Enum):
    """What a server can do besides sending bytes."""

    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True)
class Trickle:
    """Send the bytes one at a time, each after a pause, for as long as the peer listens."""

    text: bytes
    pause: float = 0.05


Step = bytes | Act | Trickle


@dataclass(frozen=True)
class Heard:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass
class WireServer:
    """Answers every request with the same steps, then closes, unless told to keep the connection."""

    steps: Sequence[Step] = ()
    keep: bool = False
    context: ssl.SSLContext | None = None
    greets: bool = True
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def root(self) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                peer, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(5)
        try:
            if not self.greets:
                self._stopping.wait()
                return
            if self.context:
                peer = self.context.wrap_socket(peer, server_side=True)
            while self._hear(peer):
                for step in self.steps:
                    self._play(peer, step)
                if not self.keep:
                    break
        except OSError:
            pass
        finally:
            peer.close()
            self.closed += 1

    def _hear(self, peer: socket.socket) -> bool:
        text = b""
        while b"\r\n\r\n" not in text:
            piece = peer.recv(65536)
            if not piece:
                return False
            text += piece
        head, _, body = text.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += peer.recv(65536)
        method, target, _ = first.split(" ")
        self.heard.append(Heard(method, target, headers, body, peer.getpeername()))
        return True

    def _play(self, peer: socket.socket, step: Step) -> None:
        if isinstance(step, bytes):
            peer.sendall(step)
        elif isinstance(step, Trickle):
            for byte in step.text:
                if self._stopping.wait(step.pause):
                    return
                peer.sendall(bytes([byte]))
        elif step is Act.HANG:
            self._stopping.wait()
        else:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()


def http(status: int, body: bytes = b"", *, content_type: str = "application/json", extra: str = "") -> bytes:
    """A whole answer with an honest length."""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status} Said\r\n{kind}{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body
