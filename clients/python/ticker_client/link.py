"""One stream's connection: opened again for as long as its owner listens, with growing pauses."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from ticker_client.errors import ApiError, StreamClosed

FIRST_DELAY: Final = 0.5
LAST_DELAY: Final = 15.0
# From 3500 on a close is for good; below it the client comes back.
FOR_GOOD: Final = range(3500, 4000)
REFUSED: Final = range(400, 500)
TOO_MANY: Final = 429


class Link:
    """Messages of one route, whatever happens to the connection."""

    def __init__(self, url: str, api_key: str, *, subprotocol: str | None, silence_seconds: float) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._subprotocols = [Subprotocol(subprotocol)] if subprotocol else None
        self._silence = silence_seconds
        self._socket: ClientConnection | None = None
        self._leave_at: float | None = None
        self._closed = False
        self.connections = 0

    async def messages(self) -> AsyncIterator[Mapping[str, Any] | bytes]:
        """Yield what comes, the welcome of every new connection included; raises StreamClosed, ApiError."""
        attempt = 0
        while not self.is_closed():
            try:
                async for message in self._connection():
                    attempt = 0
                    yield message
            except InvalidStatus as error:
                _raise_refusal(error)
            except (ConnectionClosed, OSError, TimeoutError, InvalidHandshake) as error:
                _raise_for_good(error)
            if self.is_closed():
                return
            await asyncio.sleep(delay_of(attempt))
            attempt += 1

    async def send(self, command: Mapping[str, Any]) -> None:
        """Send a command; while there is no connection it is dropped, for the next welcome sends everything again."""
        if self._socket is None:
            return
        try:
            await self._socket.send(json.dumps(command))
        except ConnectionClosed:
            self._socket = None

    def leave_soon(self, seconds: float) -> None:
        """Leave this connection for another after a while: its process is about to end."""
        self._leave_at = asyncio.get_running_loop().time() + seconds

    def is_closed(self) -> bool:
        """Say whether the stream was ended by its owner."""
        return self._closed

    async def close(self) -> None:
        """End the stream."""
        self._closed = True
        if self._socket is not None:
            await self._socket.close()

    async def _connection(self) -> AsyncIterator[Mapping[str, Any] | bytes]:
        opening = connect(
            self._url,
            additional_headers=self._headers,
            subprotocols=self._subprotocols,
            compression=None,
            max_size=None,
            open_timeout=10,
            close_timeout=2,
        )
        async with opening as socket:
            self._socket, self._leave_at = socket, None
            self.connections += 1
            try:
                while not self._is_leaving():
                    async with asyncio.timeout(self._silence):
                        message = await socket.recv()
                    yield json.loads(message) if isinstance(message, str) else message
            finally:
                self._socket = None

    def _is_leaving(self) -> bool:
        return self._leave_at is not None and asyncio.get_running_loop().time() >= self._leave_at


def delay_of(attempt: int) -> float:
    """Return the pause before an attempt: half of it is drawn, so that a crowd does not come back as one."""
    longest: float = min(FIRST_DELAY * 2 ** min(attempt, 10), LAST_DELAY)
    return longest / 2 + longest / 2 * random.random()  # noqa: S311 (spreads a crowd, guards nothing)


def _raise_refusal(error: InvalidStatus) -> None:
    """A refusal of the handshake is the caller's to mend, unless it says to come again."""
    status, body = error.response.status_code, bytes(error.response.body or b"")
    if status not in REFUSED or status == TOO_MANY:
        return
    try:
        problem = json.loads(body)
    except ValueError:
        problem = {"code": "refused", "detail": body.decode(errors="replace")[:200]}
    raise ApiError(status, problem) from error


def _raise_for_good(error: Exception) -> None:
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in FOR_GOOD:
        raise StreamClosed(error.rcvd.code, error.rcvd.reason) from error
