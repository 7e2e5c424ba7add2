"""The chain socket: a snapshot of each chain asked for, then what changed, as fast as the client reads."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts.authentication import authenticate_socket
from accounts.errors import PlatformError
from greeks.errors import InvalidMessage
from greeks.hub import Board, ChainHub
from greeks.store import Chain, ChainKey, parse_key
from market_data.bus import LOST

log = structlog.get_logger(__name__)

VERSION: Final = 1
SCOPE: Final = "greeks:read"
HEARTBEAT_SECONDS: Final = 5.0
LONGEST_MESSAGE: Final = 64 * 1024
MOST_CHAINS: Final = 64
CLOSE_REVOKED: Final = 3500


class ChainConsumer(AsyncWebsocketConsumer):
    """One client of /ws/v1/chains; a slow one gets fewer, wider updates and never a queue."""

    def __init__(self, *, hub: ChainHub, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        super().__init__()
        self._hub = hub
        self._heartbeat_seconds = heartbeat_seconds
        self._boards: dict[ChainKey, Board] = {}
        self._senders: dict[ChainKey, asyncio.Task[None]] = {}
        self._heart: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def connect(self) -> None:
        """Accept who may read Greeks."""
        try:
            principal = await authenticate_socket(self.scope)
        except PlatformError as error:
            log.info("greeks.socket.refused", code=error.code)
            await self.close()
            return
        if not principal.may(SCOPE):
            log.info("greeks.socket.refused", code="scope_missing", user=principal.label)
            await self.close()
            return
        await self.accept()
        await self._send(
            {"t": "welcome", "v": VERSION, "user": principal.label, "heartbeat_seconds": self._heartbeat_seconds}
        )
        self._heart = asyncio.create_task(self._beat())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what the client asks, or say what is wrong with it."""
        message: Mapping[str, Any] = {}
        try:
            message = _parsed(text_data.encode() if text_data is not None else bytes_data or b"")
            reply = await self._do(message)
        except PlatformError as error:
            await self._send(_error(message.get("id"), error.code, str(error), error.field))
        except LOST as error:
            log.warning("greeks.socket.bus_lost", reason=str(error))
            await self._send(_error(message.get("id"), "bus_unreachable", "live values cannot be read now", None))
        else:
            await self._send({"t": "ok", "id": message.get("id"), **reply})

    async def disconnect(self, code: int) -> None:
        """Stop sending and leave every chain."""
        if self._heart is not None:
            self._heart.cancel()
        for key in list(self._boards):
            await self._leave(key)

    async def _do(self, message: Mapping[str, Any]) -> dict[str, Any]:
        match message.get("op"):
            case "sub":
                for key in _keys(message):
                    await self._watch(key)
            case "unsub":
                for key in _keys(message):
                    await self._leave(key)
            case "list":
                return {"chains": sorted(await self._hub.live())}
            case "ping":
                return {"at": timezone.now().isoformat()}
            case other:
                raise InvalidMessage(f"op was {other!r}: send sub, unsub, list or ping", field="op")
        return {"chains": sorted(str(key) for key in self._boards)}

    async def _watch(self, key: ChainKey) -> None:
        if key not in self._boards and len(self._boards) >= MOST_CHAINS:
            raise InvalidMessage(f"a socket watches at most {MOST_CHAINS} chains", field="chain")
        await self._leave(key)
        board = self._boards[key] = await self._hub.watch(key)
        self._senders[key] = asyncio.create_task(self._follow(board))

    async def _leave(self, key: ChainKey) -> None:
        sender = self._senders.pop(key, None)
        if sender is not None:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        if self._boards.pop(key, None) is not None:
            await self._hub.leave(key)

    async def _follow(self, board: Board) -> None:
        seen: Chain | None = None
        while True:
            chain = await board.beyond(seen.sequence if seen else 0)
            await self._send_bytes(board.message(chain=chain, seen=seen, now=timezone.now()))
            seen = chain

    async def _beat(self) -> None:
        """Tell the client how old its chains are, and end the connection of whoever may not listen any more."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            try:
                principal = await authenticate_socket(self.scope)
            except PlatformError:
                await self.close(code=CLOSE_REVOKED)
                return
            if not principal.may(SCOPE):
                await self.close(code=CLOSE_REVOKED)
                return
            now = timezone.now()
            ages = {
                str(key): {"seq": board.sequence, "age_seconds": max((now - board.chain.as_of).total_seconds(), 0.0)}
                for key, board in self._boards.items()
                if board.chain is not None
            }
            await self._send({"t": "hb", "at": now.isoformat(), "chains": ages})

    async def _send(self, message: Mapping[str, Any]) -> None:
        await self._send_bytes(orjson.dumps(message))

    async def _send_bytes(self, message: bytes) -> None:
        async with self._sending:
            await self.send(text_data=message.decode())


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > LONGEST_MESSAGE:
        raise InvalidMessage(f"a message has at most {LONGEST_MESSAGE} bytes")
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage("a message is one JSON object") from error
    if not isinstance(message, dict):
        raise InvalidMessage("a message is one JSON object")
    return message


def _keys(message: Mapping[str, Any]) -> list[ChainKey]:
    names = [message["chain"]] if "chain" in message else message.get("chains")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidMessage("chain names one chain like NIFTY:2026-11-26, chains a list of them", field="chain")
    return [parse_key(name) for name in names]


def _error(message_id: object, code: str, detail: str, field: str | None) -> dict[str, Any]:
    return {"t": "err", "id": message_id, "code": code, "detail": detail, "field": field}
