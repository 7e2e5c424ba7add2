"""Batches on their way to the bus; packets that Redis did not take wait here, bounded, and go first when it returns."""

from collections import deque
from typing import Final

import structlog

from market_data.batches import Batch
from market_data.bus import AsyncBus
from market_data.errors import FeedDown
from market_data.ingest import Flushed

log = structlog.get_logger(__name__)

BACKLOG_BYTES: Final = 256 * 1024 * 1024
CATCH_UP: Final = 20


class Outbox:
    """Publishes in order; the hubs mend a lost batch from the snapshot, the recorder must get every packet."""

    def __init__(self, *, bus: AsyncBus) -> None:
        self._bus = bus
        self._waiting: deque[Batch] = deque()
        self._bytes = 0
        self._failure: BaseException | None = None
        self.lost = 0

    @property
    def backlog(self) -> int:
        """Return how many batches wait."""
        return len(self._waiting)

    def fail(self, error: BaseException | None) -> None:
        """Let the next call raise an error that was seen where nobody could."""
        self._failure = error

    async def publish(self, flushed: Flushed) -> None:
        """Publish, or keep what the recorder needs; raises ShardTaken for a deposed owner."""
        self._raise()
        try:
            if self._waiting:
                await self._catch_up()
            if self._waiting:
                await self._bus.publish_batch(batch=flushed.batch, raw=None)
                self._keep(flushed.raw)
            else:
                await self._bus.publish_batch(batch=flushed.batch, raw=flushed.raw)
        except FeedDown as error:
            if not self._waiting:
                log.warning("market_data.feed.bus_lost", reason=str(error))
            self._keep(flushed.raw)

    async def beat(self, heartbeat: Batch) -> None:
        """Publish a heartbeat and what still waits."""
        self._raise()
        try:
            await self._bus.publish_batch(batch=heartbeat, raw=None)
            await self._catch_up()
        except FeedDown as error:
            log.warning("market_data.feed.bus_lost", reason=str(error))

    async def _catch_up(self) -> None:
        for _ in range(min(CATCH_UP, len(self._waiting))):
            batch = self._waiting[0]
            await self._bus.publish_batch(batch=None, raw=batch)
            self._waiting.popleft()
            self._bytes -= batch.rows.nbytes

    def _keep(self, raw: Batch) -> None:
        self._waiting.append(raw)
        self._bytes += raw.rows.nbytes
        while self._bytes > BACKLOG_BYTES:
            self._bytes -= self._waiting.popleft().rows.nbytes
            self.lost += 1

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
