"""A streaming server that behaves as badly as a test asks it to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Behaviour = Callable[[ServerConnection], Awaitable[None]]


async def polite(connection: ServerConnection) -> None:
    """Speak a heartbeat often and take what comes."""
    with suppress(ConnectionClosed):
        while True:
            await connection.send(b"\x00")
            await asyncio.sleep(0.02)


@dataclass
class StreamServer:
    """Records every handshake and message; `behaviour` runs beside the reading of each connection."""

    behaviour: Behaviour = polite
    status: HTTPStatus | None = None
    context: ssl.SSLContext | None = None
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    said: list[list[dict[str, Any]]] = field(default_factory=list)
    live: set[ServerConnection] = field(default_factory=set)
    port: int = 0

    @property
    def root(self) -> str:
        return f"{'wss' if self.context else 'ws'}://127.0.0.1:{self.port}"

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()})
        self.peers.append(connection.remote_address[0])
        return connection.respond(self.status, "no") if self.status else None

    async def handle(self, connection: ServerConnection) -> None:
        said: list[dict[str, Any]] = []
        self.said.append(said)
        self.live.add(connection)
        acting = asyncio.ensure_future(self.behaviour(connection))
        try:
            with suppress(ConnectionClosed):
                async for message in connection:
                    said.append(json.loads(message))  # noqa: PERF401 - tests read it as it grows
        finally:
            self.live.discard(connection)
            acting.cancel()


@asynccontextmanager
async def streaming(server: StreamServer) -> AsyncIterator[StreamServer]:
    """Serve until the block ends, then cut whatever is left."""
    running: Server = await serve(
        server.handle, "127.0.0.1", server.port, process_request=server.answer, ssl=server.context, ping_interval=None
    )
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        for connection in list(server.live):
            connection.transport.abort()
        running.close()
        await running.wait_closed()
