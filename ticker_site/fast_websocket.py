"""uvicorn's WebSocket protocol with a short way for data frames: UVICORN_WS=ticker_site.fast_websocket:FastWebSocket.

A server's frames carry no mask, so all clients that are sent the same payload are sent the same bytes: they are framed
once. Where nothing waits in the transport, they go to the socket at once instead of through the loop's queue of writes.
Handshake, pings, closing, and every frame of a connection that is compressed, encrypted or closing stay uvicorn's.
"""

import os
from typing import Any, ClassVar

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

TEXT = b"\x81"
BINARY = b"\x82"
SHORT, MEDIUM = 126, 1 << 16


class Framed:
    """The payload framed last, and its frame."""

    __slots__ = ("frame", "payload")

    def __init__(self) -> None:
        self.payload: object = None
        self.frame = b""

    def of(self, payload: bytes | str) -> bytes:
        """Return the frame; the very same payload object as last time is not framed again."""
        if payload is not self.payload:
            body = payload.encode() if isinstance(payload, str) else payload
            self.frame = framed(TEXT if isinstance(payload, str) else BINARY, body)
            self.payload = payload
        return self.frame


class FastWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    last: ClassVar = Framed()
    descriptor = -1

    async def send(self, message: ASGISendEvent) -> None:
        """Send an ASGI event; wait while the client does not take what it was sent."""
        if not self.writable.is_set():
            await self.writable.wait()
        if message["type"] != "websocket.send" or not self._is_plain():
            await super().send(message)
            return
        payload: Any = message.get("bytes")
        self._write(self.last.of(message.get("text") or "" if payload is None else payload))

    def _is_plain(self) -> bool:
        """Say whether the connection is open, nobody has begun to close, and nothing changes frames on their way."""
        conn = self.conn
        return (
            self.handshake_complete
            and not self.disconnected
            and not self.close_sent
            and conn.state is State.OPEN
            and not conn.extensions
            and self.scheme == "ws"
        )

    def _write(self, frame: bytes) -> None:
        # The descriptor is closed only after connection_lost, and from then on `disconnected` keeps us away.
        transport = self.transport
        if transport.is_closing() or transport.get_write_buffer_size():
            transport.write(frame)
            return
        if self.descriptor < 0:
            self.descriptor = transport.get_extra_info("socket").fileno()
        try:
            written = os.write(self.descriptor, frame)
        except OSError:
            # Full or broken: the transport waits for the one and reports the other.
            written = 0
        if written < len(frame):
            transport.write(frame[written:])


def framed(first: bytes, payload: bytes) -> bytes:
    """Return one final, unmasked frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < SHORT:
        return first + size.to_bytes(1) + payload
    if size < MEDIUM:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload
