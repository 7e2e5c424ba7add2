"""The recorder: raw batches from the bus into the database, exactly once, however often it is killed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

from market_data.bus import AsyncBus
from market_data.errors import BadBatch, FeedDown, ShardTaken
from market_data.replies import order_of
from market_data.storage import Entry, Storage
from market_data.together import together

log = structlog.get_logger(__name__)

CYCLE_SECONDS: Final = 0.5
CANDLE_SECONDS: Final = 2.0
REPORT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
ENTRIES: Final = 200
DATABASE_LOST = (OperationalError, InterfaceError)
T = TypeVar("T")


class Recorder:
    """Stores every shard; one recorder at a time, others stand by."""

    def __init__(self, *, shards: int, bus: AsyncBus) -> None:
        self._bus = bus
        self._storages = [Storage(shard=shard) for shard in range(shards)]
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        self._behind_seconds: dict[int, float] = {}
        self._owned: set[int] = set()

    async def run(self) -> None:
        """Store until cancelled."""
        try:
            await together(self._tell(), *(self._keep(storage) for storage in self._storages))
        finally:
            await self._end()

    async def _end(self) -> None:
        for storage in self._storages:
            await self._in_thread(lambda storage=storage: self._finish(storage))  # type: ignore[misc]
        self._thread.shutdown(wait=True)

    def _finish(self, storage: Storage) -> None:
        try:
            if storage.shard in self._owned:
                storage.store_candles()
        except DATABASE_LOST as error:
            log.warning("market_data.recorder.candles_unstored", reason=str(error))
        storage.close()

    async def _keep(self, storage: Storage) -> None:
        """A lost database or bus ends one attempt; what was not committed is still in the stream."""
        while True:
            try:
                await self._follow(storage)
            except (FeedDown, BadBatch, ShardTaken, *DATABASE_LOST) as error:
                log.warning("market_data.recorder.interrupted", shard=storage.shard, reason=str(error))
                self._owned.discard(storage.shard)
                if isinstance(error, DATABASE_LOST):
                    await self._in_thread(connection.close)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, storage: Storage) -> None:
        position = await self._in_thread(storage.open)
        self._owned.add(storage.shard)
        log.info("market_data.recorder.following", shard=storage.shard, position=position)
        candles_due = time.monotonic() + CANDLE_SECONDS
        while True:
            began = time.monotonic()
            entries = await self._bus.raw(shard=storage.shard, after=position, count=ENTRIES)
            if entries:
                await self._in_thread(lambda entries=entries: storage.store(entries))  # type: ignore[misc]
                position = entries[-1][0]
            elif await self._is_another_stream(storage.shard, position):
                log.warning("market_data.recorder.stream_replaced", shard=storage.shard, position=position)
                await self._in_thread(storage.rewind)
                return
            self._note_lag(storage.shard, entries)
            if time.monotonic() >= candles_due:
                candles_due = time.monotonic() + CANDLE_SECONDS
                await self._in_thread(storage.store_candles)
            if len(entries) < ENTRIES:
                await asyncio.sleep(max(CYCLE_SECONDS - (time.monotonic() - began), 0))

    async def _is_another_stream(self, shard: int, position: str) -> bool:
        """A stream that ends before our position is not the one we read: Redis lost its data."""
        end = await self._bus.raw_end(shard)
        return order_of(end) < order_of(position)

    def _note_lag(self, shard: int, entries: Sequence[Entry]) -> None:
        self._behind_seconds[shard] = time.time() - entries[-1][1].published_us / 1e6 if entries else 0.0

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            report = {
                "at": time.time(),
                "owned": sorted(self._owned),
                "behind_seconds": round(max(self._behind_seconds.values(), default=0.0), 3),
                "shards": {str(storage.shard): asdict(storage.tally) for storage in self._storages},
            }
            try:
                await self._bus.put_health(name="recorder", report=report)
            except FeedDown as error:
                log.warning("market_data.recorder.untold", reason=str(error))
