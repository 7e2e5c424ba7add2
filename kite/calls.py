"""One HTTP call: its deadline, enforced on every read, and whether a byte of it left."""

import http.client
import io
import logging
import socket
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from kite.errors import Evidence
from kite.verdicts import Expected


@dataclass(slots=True)
class Call:
    """What the caller asked for, and what happened to it so far."""

    expected: Expected
    csv: bool
    connect_by: float
    answer_by: float
    sent: bool = False
    seen: Evidence = field(default_factory=lambda: Evidence(method="", path=""))


# Loggers of the library that write addresses with their query; ending a session puts the access token there.
_LOUD: Final = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")

# The pool hands nothing of ours to its connections, and one call never leaves its thread.
current_call: Final[ContextVar[Call]] = ContextVar("current_call")


def keep_tokens_out_of_logs() -> None:
    """Silence records of the HTTP library that quote an access token, at every level."""
    for name in _LOUD:
        logging.getLogger(name).addFilter(_is_harmless)


def cause_of(error: Exception) -> str:
    """Name the innermost failure without the texts of the libraries, which quote addresses with their secrets."""
    while error.__context__ is not None and isinstance(error.__context__, Exception):
        error = error.__context__
    return type(error).__name__


def _is_harmless(record: logging.LogRecord) -> bool:
    return "access_token" not in record.getMessage()


def remaining(deadline: float) -> float:
    """Return the seconds left, never zero, because zero means non-blocking to a socket."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for the call was over")
    return left


class _BoundedReader(io.RawIOBase):
    """Reads from a socket, giving every read only what is left of the call's time."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._call = current_call.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(remaining(self._call.answer_by))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedAnswer(http.client.HTTPResponse):
    """A server that trickles bytes restarts the clock of every read; this one's clock runs for the whole answer."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock))


class _Bounded(HTTPConnection):
    """Connection that connects and sends within the call's time and records when the first byte leaves."""

    response_class = _BoundedAnswer

    def _new_conn(self) -> socket.socket:
        """Try the addresses of the host within one budget; the library would grant it to each of them.

        Nothing bounds a slow resolver, but what it leaves too late is not connected to.
        """
        deadline = current_call.get().connect_by
        failure = OSError(f"{self.host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.source_address:
                    sock.bind(self.source_address)
                sock.settimeout(remaining(deadline))
                sock.connect(address)
                # The handshake of TLS inherits this timeout.
                sock.settimeout(remaining(deadline))
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure

    def _tunnel(self) -> None:
        """What is said to a proxy is no byte of the request."""
        try:
            super()._tunnel()
        finally:
            current_call.get().sent = False

    def send(self, data: Any) -> None:
        call = current_call.get()
        if self.sock is None:
            self.connect()
        left = remaining(call.answer_by)
        if self.sock is not None:
            self.sock.settimeout(left)
        call.sent = True
        super().send(data)


class _BoundedTLS(_Bounded, HTTPSConnection):
    pass


class PlainPool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class SecurePool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTLS
