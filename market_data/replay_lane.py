"""One client's recorded ticks: heard apart from live ones, and marked as what they are."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import numpy as np
import orjson
import structlog

from kite.types import Mode
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from market_data.errors import BadBatch, FeedDown
from market_data.frames import Format, FrameType, Span, encode
from market_data.replay import TOPIC, key_of

log = structlog.get_logger(__name__)

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class ReplayLane:
    """Reads the replay's channel while the client wants it."""

    def __init__(self, *, bus: AsyncBus, send: Send, form: Format) -> None:
        self._bus = bus
        self._send = send
        self._form = form
        self._task: asyncio.Task[None] | None = None

    def start(self, *, tokens: Collection[int], mode: Mode) -> None:
        """Send what is replayed of these instruments, of all where none is named."""
        self._task = asyncio.create_task(self._follow(np.array(sorted(tokens), np.uint32), mode), name="replay lane")

    async def stop(self) -> None:
        """Send no more of it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, tokens: "np.ndarray[tuple[int, ...], np.dtype[np.uint32]]", mode: Mode) -> None:
        async for number in self._bus.notices(TOPIC):
            batch = await self._read(number) if number else None
            if batch is None:
                continue
            if batch.kind is BatchKind.HEARTBEAT:
                await self._send(_text({"t": "replay_end", "run": batch.epoch}))
                continue
            rows = batch.rows[np.isin(batch.rows["instrument_token"], tokens)] if len(tokens) else batch.rows
            if len(rows):
                await self._send(self._message(batch, rows, mode))

    async def _read(self, number: int) -> Batch | None:
        """A message nobody fetched in time is gone: a replay does not wait for a slow client."""
        try:
            blob = await self._bus.get_blob(key_of(number))
            return Batch.unpack(blob) if blob else None
        except (FeedDown, BadBatch) as error:
            log.warning("market_data.replay.unread", reason=str(error))
            return None

    def _message(self, batch: Batch, rows: Any, mode: Mode) -> Mapping[str, Any]:
        payload = encode(
            rows=rows,
            stale=np.zeros(len(rows), np.bool_),
            mode=mode,
            form=self._form,
            kind=FrameType.REPLAY,
            span=Span(
                shard=batch.shard,
                epoch=batch.epoch,
                from_sequence=batch.from_sequence,
                to_sequence=batch.to_sequence,
                published_us=batch.published_us,
                built_at=batch.published_us / 1e6,
            ),
        )
        if self._form is Format.BINARY:
            return {"type": "websocket.send", "bytes": payload}
        return {"type": "websocket.send", "text": payload.decode()}


def _text(document: Mapping[str, object]) -> Mapping[str, Any]:
    return {"type": "websocket.send", "text": orjson.dumps(document).decode()}
