"""The alert socket, /ws/v1/alerts: what is wrong now, then every change, resumable by position."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.utils import timezone

from market_data.bus import AsyncBus
from market_data.errors import BadCommand
from market_data.event_streams import EventStream, Waiting, is_position
from market_data.sockets import HEARTBEAT_SECONDS, Door, JsonSocket
from market_data.together import end
from ops.alerts import STREAM, alert_document, open_alerts


class AlertConsumer(JsonSocket):
    """One client of /ws/v1/alerts."""

    required_scope = "ops:read"
    topic = "ops.alerts"

    def __init__(
        self, *, bus: AsyncBus, door: Door | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        super().__init__(door=door, heartbeat_seconds=heartbeat_seconds)
        self._bus = bus
        self._reader: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        """Begin behind the position the address names, else with what is wrong now."""
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"))
        await self.answer({"op": "sub", "id": 0, **({"after": query["after"][0]} if "after" in query else {})})

    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Stop reading."""
        reader, self._reader = self._reader, None
        return [reader] if reader is not None else []

    async def do(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read from a position on, or say that the connection lives."""
        match message.get("op"):
            case "sub":
                after = message.get("after")
                if after is not None and not is_position(after):
                    raise BadCommand("after is a position of ours", code="after_invalid", field="after")
                await self._subscribe(after)
                return {}
            case "ping":
                return {"at": timezone.now().isoformat()}
            case other:
                raise BadCommand(f"op was {other!r}: send sub or ping", code="op_unknown", field="op")

    async def _subscribe(self, after: str | None) -> None:
        await end(self.tasks())
        stream = EventStream(
            bus=self._bus,
            stream=STREAM,
            snapshot=self._tell_snapshot,
            event=self._tell_event,
            waiting=Waiting(),
            retold=False,
        )
        await stream.begin(after)
        self._reader = asyncio.create_task(stream.read(overfull=self.overfull))

    async def _tell_snapshot(self, offset: str) -> None:
        documents = await database_sync_to_async(_documents)()
        await self.tell({"t": "snap", "offset": offset, "alerts": documents})

    async def _tell_event(self, offset: str, event: Mapping[str, Any]) -> None:
        await self.tell({"t": "ev", "offset": offset, **event})


def _documents() -> list[dict[str, Any]]:
    return [alert_document(row) for row in open_alerts().values()]
