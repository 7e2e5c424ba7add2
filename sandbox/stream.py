"""The market-data socket: subscriptions, frames, heartbeats and order updates, one writer a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field

import numpy as np
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from sandbox.accounts import User
from sandbox.encoder import HEARTBEAT, MODES, encode_frame
from sandbox.faults import Fault, Faults
from sandbox.market import Market
from sandbox.settings import Settings

UNSUBSCRIBED = -1
DEFAULT_MODE = MODES.index("quote")
IDLE_SECONDS = 0.25
CLOSE_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket: what it wants, what has ticked since its last frame, what text waits."""

    socket: web.WebSocketResponse
    user: User
    access_token: str
    transport: asyncio.Transport | None
    modes: NDArray[np.int8]
    dirty: NDArray[np.bool_]
    pending_mode: dict[int, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    wanted: set[int] = field(default_factory=set)
    recorded: list[bytes] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    last_sent: float = 0.0
    frames: int = 0
    packets: int = 0
    opened: float = field(default_factory=time.time)
    ending: bool = False

    @property
    def subscribed(self) -> int:
        return int((self.modes != UNSUBSCRIBED).sum())

    def say(self, text: str) -> None:
        self.texts.append(text)
        self.wake.set()


class Streamer:
    """All open sockets of the exchange."""

    def __init__(self, *, market: Market, faults: Faults, settings: Settings) -> None:
        self.market = market
        self.faults = faults
        self.settings = settings
        self.connections: list[Connection] = []
        self.replaying = False
        self.asked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def extend(self) -> None:
        """Give every open socket room for the instruments listed since it was opened."""
        for connection in self.connections:
            new = len(self.market.token) - len(connection.modes)
            connection.modes = np.concatenate([connection.modes, np.full(new, UNSUBSCRIBED, dtype=np.int8)])
            connection.dirty = np.concatenate([connection.dirty, np.zeros(new, dtype=bool)])

    def of_user(self, user_id: str) -> list[Connection]:
        return [connection for connection in self.connections if connection.user.user_id == user_id]

    def broadcast(self, rows: NDArray[np.int64]) -> None:
        """Mark what ticked; each connection's writer sends the newest state when it can."""
        for connection in self.connections:
            connection.dirty[rows] = True
            connection.wake.set()

    async def serve(self, *, request: web.Request, user: User, access_token: str) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            timeout=CLOSE_SECONDS, autoping=False, autoclose=False, compress=False, max_msg_size=1 << 20
        )
        await socket.prepare(request)
        count = len(self.market.token)
        connection = Connection(
            socket, user, access_token, request.transport,
            np.full(count, UNSUBSCRIBED, dtype=np.int8), np.zeros(count, dtype=bool),
        )  # fmt: skip
        self.connections.append(connection)
        writer = asyncio.create_task(self._write(connection))
        try:
            await self._read(connection)
        finally:
            self.connections.remove(connection)
            writer.cancel()
        await self._stay_mute(connection)
        await socket.close()
        return socket

    async def _stay_mute(self, connection: Connection) -> None:
        """While the link is half open, not even a close is answered."""
        while self._fault("socket_half_open", connection):
            connection.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.wake.wait(), IDLE_SECONDS)

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if self._fault("socket_half_open", connection):
                continue
            if message.type is WSMsgType.PING:
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self.hear(connection, message.data)

    def hear(self, connection: Connection, text: str) -> None:
        """Carry out one client message; answer what cannot be understood with an error text."""
        try:
            message = json.loads(text)
            action, value = message["a"], message["v"]
            if action == "mode":
                self._set_mode(connection, str(value[0]), _tokens(value[1]))
            elif action == "subscribe":
                self._subscribe(connection, _tokens(value))
            elif action == "unsubscribe":
                self._unsubscribe(connection, _tokens(value))
            else:
                connection.say(error_text("Invalid message"))
        except (ValueError, KeyError, TypeError, IndexError):
            connection.say(error_text("Invalid message"))

    def _subscribe(self, connection: Connection, tokens: list[int]) -> None:
        room = self.settings.tokens_per_socket - connection.subscribed
        if self.replaying:
            connection.wanted |= set(tokens)
            self.asked.set()
        for token in tokens:
            row = self.market.universe.by_token.get(token)
            if row is None or connection.modes[row] != UNSUBSCRIBED:
                continue
            if room <= 0:
                limit = self.settings.tokens_per_socket
                connection.say(error_text(f"Too many tokens requested. Max permitted is {limit}."))
                break
            connection.modes[row] = connection.pending_mode.pop(row, DEFAULT_MODE)
            connection.dirty[row] = True
            room -= 1
        connection.wake.set()

    def _unsubscribe(self, connection: Connection, tokens: list[int]) -> None:
        connection.wanted -= set(tokens)
        for token in tokens:
            row = self.market.universe.by_token.get(token)
            if row is not None:
                connection.modes[row] = UNSUBSCRIBED
                connection.dirty[row] = False

    def _set_mode(self, connection: Connection, mode: str, tokens: list[int]) -> None:
        number = MODES.index(mode)
        for token in tokens:
            row = self.market.universe.by_token.get(token)
            if row is None:
                continue
            if connection.modes[row] == UNSUBSCRIBED:
                connection.pending_mode[row] = number
            else:
                connection.modes[row] = number
                connection.dirty[row] = True
        connection.wake.set()

    async def _write(self, connection: Connection) -> None:
        connection.last_sent = time.monotonic()
        while not connection.socket.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.wake.wait(), IDLE_SECONDS)
            connection.wake.clear()
            try:
                await self._flush(connection)
            except (ConnectionError, RuntimeError):
                return

    async def _flush(self, connection: Connection) -> None:
        if self._fault("socket_half_open", connection):
            connection.dirty[:] = False
            connection.recorded.clear()
            return
        silent = self._fault("socket_silent", connection)
        if silent is None:
            await self._send_texts(connection)
            await (self._send_recorded if self.replaying else self._send_ticks)(connection)
        else:
            connection.recorded.clear()
            connection.dirty[:] = False
            if not silent.params.get("heartbeat", False):
                return
        if time.monotonic() - connection.last_sent >= self.settings.heartbeat_seconds:
            await self._send(connection, HEARTBEAT)

    async def _send_texts(self, connection: Connection) -> None:
        texts, connection.texts = connection.texts, []
        for text in texts:
            await connection.socket.send_str(text)
            connection.last_sent = time.monotonic()

    async def _send_recorded(self, connection: Connection) -> None:
        """Send what a recording has for this socket, every frame, in place of the market's newest state."""
        frames, connection.recorded = connection.recorded, []
        for frame in filter(None, frames):
            for one in await self._spoil(connection, frame):
                await self._send(connection, one)

    async def _send_ticks(self, connection: Connection) -> None:
        rows = np.flatnonzero(connection.dirty & (connection.modes != UNSUBSCRIBED)).astype(np.int64)
        if not len(rows):
            return
        connection.dirty[rows] = False
        frame = encode_frame(self.market, rows=rows, modes=connection.modes[rows])
        for one in await self._spoil(connection, frame):
            await self._send(connection, one)
        connection.packets += len(rows)

    async def _spoil(self, connection: Connection, frame: bytes) -> list[bytes]:
        """Return the frames to send in place of `frame`, as the wire faults want it."""
        if self.faults.is_quiet:
            return [frame]
        user = connection.user.user_id
        if slow := self.faults.take("socket_slow", user=user, route="ws"):
            await asyncio.sleep(slow.seconds())
        if self.faults.take("frame_empty", user=user, route="ws"):
            return [b"\x00\x00", frame]
        if self.faults.take("frame_unknown", user=user, route="ws"):
            return [b"\x00\x01\x00\x0b" + b"\x01" * 11, frame]
        if self.faults.take("frame_truncated", user=user, route="ws"):
            return [frame[: max(len(frame) // 2, 5)]]
        burst = self.faults.take("socket_burst", user=user, route="ws")
        return [frame] * (burst.number_of("times", 50) if burst else 1)

    async def _send(self, connection: Connection, payload: bytes) -> None:
        await connection.socket.send_bytes(payload)
        connection.last_sent = time.monotonic()
        connection.frames += 1

    def _fault(self, kind: str, connection: Connection) -> Fault | None:
        return None if self.faults.is_quiet else self.faults.holds(kind, user=connection.user.user_id, route="ws")

    def tell_order(self, *, user_id: str, row: dict[str, object]) -> None:
        """Send an order update to every socket of its user."""
        text = json.dumps({"type": "order", "data": row}, separators=(",", ":"))
        if self.faults.take("update_lost", user=user_id, route="ws"):
            return
        copies = 2 if self.faults.take("update_duplicated", user=user_id, route="ws") else 1
        late = self.faults.take("update_late", user=user_id, route="ws")
        for connection in self.of_user(user_id):
            for _ in range(copies):
                if late is None:
                    connection.say(text)
                else:
                    self._say_later(connection, text, late)

    def _say_later(self, connection: Connection, text: str, fault: Fault) -> None:
        """Send a text after the fault's seconds, or as soon as the fault is cleared."""

        async def wait() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(fault.cleared.wait(), timeout=fault.seconds())
            connection.say(text)

        self._start(wait())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, connection: Connection, *, code: int, reason: bytes = b"") -> None:
        """Close one socket politely without waiting for its client's answer."""

        async def close() -> None:
            await connection.socket.close(code=code, message=reason)

        if not connection.ending:
            connection.ending = True
            self._start(close())

    def drop(self, *, user_id: str | None, code: int | None = None) -> int:
        """End open sockets: with a close code, or with none (the client sees 1006)."""
        chosen = [one for one in self.connections if user_id is None or one.user.user_id == user_id]
        for connection in chosen:
            if code is None and connection.transport is not None:
                connection.transport.abort()
            else:
                self.end(connection, code=code or 1000)
        return len(chosen)


def error_text(message: str) -> str:
    return json.dumps({"type": "error", "data": message})


def _tokens(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(token) is int for token in value):
        raise TypeError("tokens are a list of numbers")
    return value
