"""The listener, which a fault can close for a while so that connects are truly refused."""

from __future__ import annotations

import asyncio

from aiohttp import web


class Door:
    """Owns the listening socket; while it is closed, connections already open are cut as well."""

    def __init__(self, *, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self._host = host
        self.port = port
        self.closed = False
        self._listener: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        factory = self._runner.server
        if factory is None:
            raise RuntimeError("the runner is not set up")
        self._listener = await asyncio.get_running_loop().create_server(factory, self._host, self.port, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]
        self.closed = False

    def shut(self) -> None:
        self.closed = True
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close_for(self, seconds: float) -> None:
        """Refuse connections for a while; a second call lengthens or shortens it."""
        self.shut()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(seconds))

    def reopen_now(self) -> None:
        if self.closed:
            self.close_for(0.0)

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.open()
