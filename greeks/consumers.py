"""The chain socket: a snapshot of each chain asked for, then what changed, as fast as the client reads."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from greeks.errors import InvalidMessage
from greeks.hub import Board, ChainHub
from greeks.store import Chain, ChainKey, parse_key
from market_data.sockets import HEARTBEAT_SECONDS, Door, JsonSocket

SCOPE: Final = "greeks:read"
MOST_CHAINS: Final = 64


class ChainConsumer(JsonSocket):
    """One client of /ws/v1/chains; a slow one gets fewer, wider updates and never a queue."""

    required_scope = SCOPE
    topic = "greeks"
    unreadable = InvalidMessage.code

    def __init__(
        self, *, hub: ChainHub, door: Door | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        super().__init__(door=door, heartbeat_seconds=heartbeat_seconds)
        self._hub = hub
        self._boards: dict[ChainKey, Board] = {}
        self._senders: dict[ChainKey, asyncio.Task[None]] = {}

    async def disconnect(self, code: int) -> None:
        """Stop sending and leave every chain."""
        await super().disconnect(code)
        for key in list(self._boards):
            await self._leave(key)

    async def do(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Watch, leave or list chains."""
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

    def pulse(self, *, now: datetime) -> Mapping[str, Any]:
        """Tell the client how old its chains are."""
        ages = {
            str(key): {"seq": board.sequence, "age_seconds": max((now - board.chain.as_of).total_seconds(), 0.0)}
            for key, board in self._boards.items()
            if board.chain is not None
        }
        return {"chains": ages}

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
            await self.tell_bytes(board.message(chain=chain, seen=seen, now=timezone.now()))
            seen = chain


def _keys(message: Mapping[str, Any]) -> list[ChainKey]:
    names = [message["chain"]] if "chain" in message else message.get("chains")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InvalidMessage("chain names one chain like NIFTY:2026-11-26, chains a list of them", field="chain")
    return [parse_key(name) for name in names]
