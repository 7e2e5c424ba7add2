"""The tick socket, /ws/v1/ticks: authenticate, receive commands, answer; the hub sends the ticks."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.errors import Forbidden, PlatformError
from accounts.evidence import Evidence, spoken
from accounts.queries import Principal
from market_data.asking import Asked, Unknown, resolve
from market_data.commands import Allowance, Command, Limits, id_of, parse
from market_data.errors import BadCommand
from market_data.frames import FIELDS, Format
from market_data.hub import Hub
from market_data.hub_clients import Client
from market_data.replay_lane import ReplayLane
from market_data.sockets import CLOSE_REVOKED, Door, close_code, last_word, refreshed
from market_data.subscriptions import Room, renew, wish_for_socket

log = structlog.get_logger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

SUBPROTOCOLS: Final[Mapping[str, Format]] = {"ticker.v1.json": Format.JSON, "ticker.v1.bin": Format.BINARY}
SCOPE: Final = "market:read"
LOAD_SECONDS: Final = 2.0
RENEW_SECONDS: Final = 900.0
REFUSALS: Final = 200
CLOSE_TOO_FAST: Final = 3504


class TickConsumer:
    """One client of the tick socket; a plain receive loop, because a dispatch per message costs ten times as much."""

    def __init__(self, *, hub: Hub, door: Door, limits: Limits, scope: Scope, receive: Receive, send: Send) -> None:
        self._hub = hub
        self._door = door
        self._limits = limits
        self._scope = scope
        self._evidence = Evidence(scope, memory=door.memory)
        self._receive = receive
        self._send = send
        self._allowance = Allowance(limits)
        self._refusals = 0
        self._renewed_at = time.monotonic()

    @classmethod
    def as_asgi(cls, *, hub: Hub, door: Door | None = None, limits: Limits | None = None) -> Application:
        """Return the ASGI application."""
        chosen, entered = limits or Limits(), Door() if door is None else door

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await cls(hub=hub, door=entered, limits=chosen, scope=scope, receive=receive, send=send).serve()

        return application

    async def serve(self) -> None:
        """Carry the connection from its first message to its last."""
        await self._receive()
        try:
            self._principal = await self._authenticate()
            subprotocol, form = self._negotiate()
        except PlatformError as error:
            await self._refuse(error)
            return
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
        self._client = Client(send=self._send, form=form, label=self._principal.label)
        self._client.task = asyncio.current_task()
        self._lane = ReplayLane(bus=self._hub.bus, send=self._send, form=form)
        self._hub.join(self._client)
        self._door.enter(self._tell)
        try:
            await self._converse()
        except asyncio.CancelledError:
            if self._client.close_code is None:
                raise
            self._hub.leave(self._client)
            await last_word(self._close(self._client.close_code))
        finally:
            await self._lane.stop()
            self._door.leave(self._tell)
            self._hub.leave(self._client)

    async def _authenticate(self) -> Principal:
        self._door.check()
        principal = await self._evidence.principal(now=timezone.now())
        _check(principal)
        return principal

    def _negotiate(self) -> tuple[str | None, Format]:
        offered = spoken(self._scope.get("subprotocols") or [])
        if not offered:
            return None, Format.JSON
        for name in offered:
            if name in SUBPROTOCOLS:
                return name, SUBPROTOCOLS[name]
        raise BadCommand(f"known subprotocols: {', '.join(SUBPROTOCOLS)}", code="subprotocol_unknown")

    async def _refuse(self, error: PlatformError) -> None:
        """Answer the handshake with a problem where the server can, else with its plain 403."""
        code = error.fault if isinstance(error, BadCommand) else error.code
        log.info("market_data.socket.refused", code=code)
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": CLOSE_REVOKED})
            return
        body = orjson.dumps({"code": code, "status": error.status, "detail": str(error)})
        headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
        await self._send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def _converse(self) -> None:
        await self._wait_for_values()
        await self._tell(
            {
                "t": "welcome",
                "v": 1,
                "conn": uuid.uuid4().hex,
                "user": self._principal.label,
                "ttl": self._evidence.seconds_left(now=timezone.now()),
                "limits": self._limits.public(),
                "f": FIELDS,
                "s": self._hub.positions(),
            }
        )
        while True:
            message = await self._next()
            if message is not None and message["type"] == "websocket.disconnect":
                return
            if not await self._stay(message):
                return

    async def _next(self) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(self._limits.check_seconds):
                return await self._receive()
        except TimeoutError:
            return None

    async def _stay(self, message: Mapping[str, Any] | None) -> bool:
        if time.monotonic() - self._checked_at >= self._limits.check_seconds and not await self._still_allowed():
            return False
        return message is None or await self._obey(message)

    async def _wait_for_values(self) -> None:
        self._checked_at = time.monotonic()
        try:
            await asyncio.wait_for(self._hub.loaded.wait(), LOAD_SECONDS)
        except TimeoutError:
            log.warning("market_data.socket.unloaded")

    async def _still_allowed(self) -> bool:
        """A key that was revoked or has expired ends its sockets within five seconds; the living renew their wishes."""
        self._checked_at = time.monotonic()
        code = await close_code(self._evidence, _check, now=timezone.now())
        if code is not None:
            await self._close(code)
            return False
        if self._checked_at - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = self._checked_at
            await database_sync_to_async(renew)(
                user_id=self._principal.user_id, modes=self._client.tokens(), now=timezone.now()
            )
        return True

    async def _obey(self, message: Mapping[str, Any]) -> bool:
        """Answer one message; say whether the client may stay."""
        try:
            await self._do(self._read(message))
        except BadCommand as error:
            return await self._fault(message, error.fault, error)
        except PlatformError as error:
            return await self._fault(message, error.code, error)
        return True

    def _read(self, message: Mapping[str, Any]) -> Command:
        """Every command counts but the acknowledgement of a frame that was sent."""
        try:
            command = parse(message, limits=self._limits)
        except BadCommand:
            self._admit()
            raise
        if command.op != "ack" or not self._client.unacked:
            self._admit()
        return command

    def _admit(self) -> None:
        if not self._allowance.take(now=time.monotonic()):
            raise BadCommand(f"at most {self._limits.commands_per_second:g} commands a second", code="rate_limited")

    async def _fault(self, message: Mapping[str, Any], code: str, error: PlatformError) -> bool:
        self._refusals += code == "rate_limited"
        if self._refusals > REFUSALS:
            await self._close(CLOSE_TOO_FAST)
            return False
        await self._tell({"t": "err", "id": id_of(message), "code": code, "detail": str(error), "field": error.field})
        return True

    async def _do(self, command: Command) -> None:
        if command.op == "sub":
            await self._subscribe(command)
        elif command.op == "unsub":
            await self._unsubscribe(command)
        elif command.op == "resume":
            await self._tell({"t": "ok", "id": command.id, "op": "resume"})
            self._hub.resume(self._client, since=command.since)
        elif command.op == "refresh":
            await self._tell({"t": "ok", "id": command.id, **await refreshed(self._evidence, command.ticket, _check)})
        elif command.op == "replay":
            await self._replay(command)
        elif command.op == "ack":
            self._hub.acknowledge(self._client, frames=command.frames)
        else:
            await self._tell({"t": "pong", "id": command.id, "ts": time.time_ns() // 1_000_000})

    async def _subscribe(self, command: Command) -> None:
        done = await database_sync_to_async(wish_for_socket)(
            asked=_asked(command),
            mode=command.mode,
            user_id=self._principal.user_id,
            room=Room(held=frozenset(self._client.tokens()), most=self._limits.instruments),
            now=timezone.now(),
        )
        if not done.accepted:
            raise _nothing(done.unknown)
        self._tune(command)
        await self._tell(
            {
                "t": "ok",
                "id": command.id,
                "op": "sub",
                "mode": command.mode,
                "accepted": [[token, key] for token, key in done.accepted.items()],
                "rejected": [{"instrument": one.name, "code": one.error.code} for one in done.unknown],
            }
        )
        self._hub.subscribe(self._client, mode=command.mode, tokens=done.accepted, since=command.since)

    async def _replay(self, command: Command) -> None:
        """Send recorded ticks too, of these instruments or of all, while somebody replays them."""
        asked = _asked(command)
        answer = await database_sync_to_async(resolve)(asked)
        if asked != Asked() and not answer.instruments:
            raise _nothing(answer.unknown)
        tokens = {row.instrument_token for row in answer.instruments.values()}
        await self._lane.stop()
        if command.on:
            self._lane.start(tokens=tokens, mode=command.mode)
        await self._tell({"t": "ok", "id": command.id, "op": "replay", "on": command.on, "tokens": sorted(tokens)})

    def _tune(self, command: Command) -> None:
        if command.max_hz is not None:
            self._client.interval = 1 / command.max_hz
        if command.window is not None:
            self._client.window = command.window

    async def _unsubscribe(self, command: Command) -> None:
        tokens = set(command.tokens)
        if command.symbols or command.lists or command.chains:
            tokens |= await database_sync_to_async(_tokens_of)(_asked(command))
        held = self._client.tokens().keys() & tokens
        self._hub.unsubscribe(self._client, tokens=held)
        await self._tell({"t": "ok", "id": command.id, "op": "unsub", "removed": sorted(held)})

    async def _tell(self, document: Mapping[str, object]) -> None:
        await self._send({"type": "websocket.send", "text": orjson.dumps(document).decode()})

    async def _close(self, code: int) -> None:
        await self._send({"type": "websocket.close", "code": code})


def _check(principal: Principal) -> None:
    if not principal.may(SCOPE):
        raise Forbidden(f"the scope {SCOPE} is missing")


def _asked(command: Command) -> Asked:
    return Asked(tokens=command.tokens, keys=command.symbols, lists=command.lists, chains=command.chains)


def _nothing(unknown: Sequence[Unknown]) -> BadCommand:
    """Name the first fault of a wish that means nothing at all; an empty list has none."""
    if not unknown:
        return BadCommand("the list holds no listed instrument", code="instrument_unknown", field="lists")
    return BadCommand(str(unknown[0].error), code=unknown[0].error.code, field=unknown[0].field)


def _tokens_of(asked: Asked) -> set[int]:
    return {row.instrument_token for row in resolve(asked).instruments.values()}
