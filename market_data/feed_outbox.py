"""Batches on their way to the bus; packets that Redis did not take wait on disk and go first when it returns."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog

from market_data.batches import Batch
from market_data.bus import AsyncBus
from market_data.errors import FeedDown
from market_data.ingest import Flushed
from market_data.spool import Spool

log = structlog.get_logger(__name__)

# The recorder stores 40,000 rows a second and more: at 20 flushes a second a replay does not outrun it.
REPLAY_BYTES: Final = 512 * 1024
RETRY_SECONDS: Final = 0.5
# Redis answers before it writes while the disk is slow, by two seconds at most, and syncs once a second: a killed one
# forgets what it took since.
FORGETS_SECONDS: Final = 4.0
FORGETS_BYTES: Final = 64 << 20
T = TypeVar("T")


class Outbox:
    """Publishes in order; the hubs mend a lost batch from the snapshot, the recorder must get every packet."""

    def __init__(self, *, bus: AsyncBus, spool: Spool) -> None:
        self._bus = bus
        self._spool = spool
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._failure: BaseException | None = None
        self._recent: deque[tuple[float, Batch | bytes]] = deque()
        self._recent_bytes = 0
        self._down_until = 0.0
        self._unwritten = 0

    @property
    def backlog(self) -> int:
        """Return how many batches wait."""
        return len(self._spool)

    @property
    def backlog_bytes(self) -> int:
        """Return how much of the disk they take."""
        return self._spool.used_bytes

    @property
    def lost(self) -> int:
        """Return how many batches neither the bus nor the disk took."""
        return self._spool.lost + self._unwritten

    def fail(self, error: BaseException | None) -> None:
        """Let the next call raise an error that was seen where nobody could."""
        self._failure = error

    async def publish(self, flushed: Flushed) -> bool:
        """Publish, or keep what the recorder needs; say whether the bus took it. Raises ShardTaken when deposed."""
        self._raise()
        await self._catch_up(flushed.batch)
        behind = self.backlog > 0
        taken = await self._send(flushed.batch, None if behind else flushed.raw)
        if behind or not taken:
            await self._keep(flushed.raw)
        return taken

    async def beat(self, heartbeat: Batch) -> None:
        """Publish a heartbeat and what still waits; raises ShardTaken for a deposed owner."""
        self._raise()
        await self._send(heartbeat, None)
        await self._catch_up(heartbeat)

    async def catch_up(self, owner: Batch) -> None:
        """Publish some of what waits, in the name of the owner of this batch; raises ShardTaken."""
        self._raise()
        await self._catch_up(owner)

    async def close(self) -> None:
        """Bring what waits to the disk."""
        await self._in_thread(self._spool.close)
        self._thread.shutdown(wait=True)

    async def _send(self, batch: Batch, raw: Batch | None) -> bool:
        """Say whether the bus took it; one that is away is not asked again at once, for every attempt may hang."""
        if time.monotonic() < self._down_until:
            return False
        try:
            await self._bus.publish_batch(batch=batch, raw=raw)
        except FeedDown as error:
            await self._note_down(error)
            return False
        if raw is not None:
            self._remember(raw)
        return True

    async def _catch_up(self, owner: Batch) -> None:
        if not self.backlog or time.monotonic() < self._down_until:
            return
        blobs = await self._in_thread(lambda: self._spool.oldest(most_bytes=REPLAY_BYTES))
        for blob in blobs:
            try:
                await self._bus.append_raw(shard=owner.shard, epoch=owner.epoch, blob=blob)
            except FeedDown as error:
                await self._note_down(error)
                return
            self._remember(blob)
            await self._in_thread(lambda blob=blob: self._spool.take(blob))  # type: ignore[misc]
        if not self.backlog:
            log.info("market_data.feed.spool_replayed")

    async def _keep(self, raw: Batch) -> None:
        try:
            await self._in_thread(lambda: self._spool.append(raw.pack()))
        except OSError as error:
            self._unwritten += 1
            log.exception("market_data.feed.spool_failed", reason=str(error))

    async def _note_down(self, error: FeedDown) -> None:
        if not self.backlog:
            log.warning("market_data.feed.bus_lost", reason=str(error))
        self._down_until = time.monotonic() + RETRY_SECONDS
        await self._take_back()

    def _remember(self, sent: Batch | bytes) -> None:
        now = time.monotonic()
        self._recent.append((now, sent))
        self._recent_bytes += _size(sent)
        while self._recent_bytes > FORGETS_BYTES or (self._recent and now - self._recent[0][0] > FORGETS_SECONDS):
            self._recent_bytes -= _size(self._recent.popleft()[1])

    async def _take_back(self) -> None:
        """Let what was sent last go first again: the recorder knows doubles, a killed Redis may not have them."""
        if not self._recent:
            return
        blobs = [sent if isinstance(sent, bytes) else sent.pack() for _, sent in self._recent]
        self._recent.clear()
        self._recent_bytes = 0
        try:
            await self._in_thread(lambda: self._spool.prepend(blobs))
        except OSError as error:
            log.exception("market_data.feed.spool_failed", reason=str(error))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


def _size(sent: Batch | bytes) -> int:
    return len(sent) if isinstance(sent, bytes) else sent.rows.nbytes
