"""The end of a web process: clients are told first, and only then does the server close what is left."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any, Final

import structlog

from market_data.sockets import Door

log = structlog.get_logger(__name__)

READINESS: Final = "/readyz"
BODY: Final = b'{"status": "draining"}'

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Drain:
    """Stands before the application and, from the first socket on, between SIGTERM and the server."""

    def __init__(self, application: Application, *, door: Door, seconds: float) -> None:
        self._application = application
        self._door = door
        self._seconds = seconds
        self._armed = False
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; while the process drains it is not ready."""
        if scope["type"] == "websocket" and not self._armed:
            self._arm(asyncio.get_running_loop())
        if self._door.draining and scope["type"] == "http" and scope["path"] == READINESS:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": BODY})
            return
        await self._application(scope, receive, send)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Only the main thread hears signals, and only a server's own handler is there to be delayed."""
        self._armed = True
        served = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(served):
            return

        def heard(number: int, frame: FrameType | None) -> None:
            if self._ending is not None:
                served(number, frame)
                return
            loop.call_soon_threadsafe(self._begin, lambda: served(number, frame))

        signal.signal(signal.SIGTERM, heard)

    def _begin(self, end: Callable[[], Any]) -> None:
        if self._ending is None:
            log.info("web.draining", sockets=len(self._door), seconds=self._seconds)
            self._door.drain(within_seconds=self._seconds)
            self._ending = asyncio.ensure_future(self._wait(end))

    async def _wait(self, end: Callable[[], Any]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._door.emptied()
        end()
