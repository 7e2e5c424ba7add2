"""Batches, snapshots, blobs and events between processes; the only module that speaks to Redis about ticks."""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import orjson
import redis
import redis.asyncio
import structlog
from django.conf import settings
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from kite.wire import TICK, Rows
from market_data.batches import Batch, newest, places_in, snapshot_key, tops_key, tops_of, unpack_tops
from market_data.errors import BadBatch, FeedDown, ShardTaken
from market_data.replies import as_bytes, as_text, entries, order_of
from market_data.scripts import PUBLISH, PUT_BLOBS, SNAPSHOT
from market_data.weaving import Woven

log = structlog.get_logger(__name__)

RAW_ENTRIES: Final = 20_000
EVENT_ENTRIES: Final = 10_000
EVENTS_AT_ONCE: Final = 8
HEALTH_SECONDS: Final = 10
# Whoever writes wishes knocks here, so that the feed looks before its second is over.
PLAN_TOPIC: Final = "plan"
# How often a reader of single rows may look through all of them.
LOOK_SECONDS: Final = 1.0
# What a socket hands over at a time.
READ_BYTES: Final = 262_144
BLOCK_MILLISECONDS: Final = 2_000
IDLE_SECONDS: Final = 1.0
CONFIRM_SECONDS: Final = 3.0
LOST = (RedisConnectionError, RedisTimeoutError)


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """Bytes under a key, and the topic whose listeners hear their sequence."""

    key: str
    blob: bytes
    topic: str
    sequence: int


class SyncBus:
    """The bus for views, tasks and commands."""

    def __init__(self, *, url: str, shards: int) -> None:
        self._shards = shards
        self._places: dict[int, tuple[int, int]] = {}
        self._looked_at = float("-inf")
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            socket_read_size=READ_BYTES,
            max_connections=16,
            health_check_interval=15,
            retry=Retry(NoBackoff(), 1),
        )
        self._put_blobs = self._redis.register_script(PUT_BLOBS)

    def latest(self) -> Rows:
        """Return the last values of every shard, one row per instrument; raises FeedDown without Redis."""
        parts = [Batch.unpack(blob).rows for blob in self._of_shards(snapshot_key) if blob]
        if len(parts) == 1:
            return newest(parts[0])
        return newest(np.concatenate(parts)) if parts else np.zeros(0, TICK)

    def tops(self) -> list[Rows]:
        """Return TOP rows of each shard that has any, as they lie; raises FeedDown without Redis."""
        return [unpack_tops(blob) for blob in self._of_shards(tops_key) if blob]

    def _of_shards(self, key: Callable[[int], str]) -> list[bytes | None]:
        with _translated():
            return list(map(as_bytes, self._redis.mget([key(shard) for shard in range(self._shards)])))

    def row_of(self, token: int, *, newer_than: float) -> np.void | None:
        """Return an instrument's last row by reading its own bytes alone; raises FeedDown without Redis.

        Where the row is not in its place, or was received before `newer_than`, the snapshots are looked through, once a
        second at most.
        """
        row = self._row_in_place(token)
        if row is not None and row["received_at"] >= newer_than:
            return row
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._learn_places()
            return self._row_in_place(token)
        return row

    def _row_in_place(self, token: int) -> np.void | None:
        place = self._places.get(token)
        if place is None:
            return None
        shard, offset = place
        with _translated():
            found = as_bytes(self._redis.getrange(snapshot_key(shard), offset, offset + TICK.itemsize - 1))
        if found is None or len(found) != TICK.itemsize:
            return None
        row: np.void = np.frombuffer(found, TICK, 1)[0]
        return row if row["instrument_token"] == token else None

    def _learn_places(self) -> None:
        """Note where each instrument lies."""
        self._places, self._looked_at = places_in(self._of_shards(snapshot_key)), time.monotonic()

    def knock(self, topic: str) -> None:
        """Tell the topic's listeners that there is something to look at."""
        with _translated():
            self._redis.publish(topic, "0")

    def put_blobs(self, *, blobs: Sequence[NamedBlob], seconds: int) -> None:
        """Store many blobs, each for so many seconds, and tell their topics' listeners, in one round trip."""
        if not blobs:
            return
        whole = b"".join([blob.blob for blob in blobs])
        told = [part for blob in blobs for part in (blob.topic, blob.sequence, len(blob.blob))]
        with _translated():
            self._put_blobs(keys=[blob.key for blob in blobs], args=[seconds, whole, *told])

    def put_woven(self, woven: Woven) -> None:
        """Store the blobs and tell their keys' listeners, in order, in one round trip; each blob appears whole."""
        with _translated():
            connection = self._redis.connection_pool.get_connection()
            try:
                connection.retry.call_with_retry(lambda: _carry(woven, connection), lambda _: _cut(connection))
            except BaseException:
                # Whatever ended it, a cancellation too: answers may still be on their way.
                _cut(connection)
                raise
            finally:
                self._redis.connection_pool.release(connection)

    def get_blob(self, key: str) -> bytes | None:
        """Return the stored blob."""
        with _translated():
            return as_bytes(self._redis.get(key))

    def append_event(self, *, stream: str, event: Mapping[str, object], marks: Sequence[str] = ()) -> str:
        """Append to the capped event stream and return the event's offset; keep the marks as told in the same step."""
        with _translated():
            step = self._redis.pipeline()
            step.set(f"epoch:{stream}", _new_epoch(), nx=True)
            step.xadd(f"events:{stream}", {"e": orjson.dumps(event, default=str)}, maxlen=EVENT_ENTRIES)
            if marks:
                step.zadd(f"told:{stream}", dict.fromkeys(marks, time.time()))
                step.zremrangebyrank(f"told:{stream}", 0, -2 * EVENT_ENTRIES)
            return as_text(step.execute()[1])

    def told(self, *, stream: str, marks: Sequence[str]) -> set[str]:
        """Return those of the marks that were kept as told; asks for one at least."""
        with _translated():
            scores = self._redis.zmscore(f"told:{stream}", list(marks))
        return {mark for mark, score in zip(marks, scores, strict=True) if score is not None}

    def put_health(self, *, name: str, report: Mapping[str, object]) -> None:
        """Publish what a process says about itself; it vanishes when the process stops saying it."""
        with _translated():
            self._redis.set(f"health:{name}", orjson.dumps(report, default=str), ex=HEALTH_SECONDS)

    def read_health(self) -> dict[str, dict[str, object]]:
        """Return every living report by name."""
        with _translated():
            keys = sorted(as_text(key) for key in self._redis.scan_iter("health:*", count=200))
            blobs = self._redis.mget(keys) if keys else []
        return {key.removeprefix("health:"): orjson.loads(blob) for key, blob in zip(keys, blobs, strict=True) if blob}

    def queue_lengths(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each of Celery's queues."""
        with _translated():
            return {name: int(self._redis.llen(name)) for name in names}

    def ping(self) -> None:
        """Raise FeedDown unless Redis answers."""
        with _translated():
            self._redis.ping()


@cache
def sync_bus() -> SyncBus:
    """Return this process's bus; redis-py opens new connections after a fork."""
    return SyncBus(url=settings.REDIS_URL, shards=settings.FEED_SHARDS)


def _carry(woven: Woven, connection: AbstractConnection) -> None:
    for commands in woven.commands():
        connection.send_packed_command([commands])  # type: ignore[no-untyped-call]
    for _ in range(2 * len(woven.keys)):
        connection.read_response()


def _cut(connection: AbstractConnection) -> None:
    """Close the connection: the answers that nobody read must not reach who uses it next."""
    connection.disconnect()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise FeedDown(f"the bus cannot be reached: {error}") from error


class AsyncBus:
    """The bus for the feed, the recorder, the hub and the consumers; its connections open on first use."""

    def __init__(self, *, url: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            max_connections=64,
            health_check_interval=15,
            retry=AsyncRetry(NoBackoff(), 0),
        )
        # Readers that wait: a blocking read must outlast its own block, and each reader holds one connection.
        # RESP 2, because redis-py writes every pushed message of RESP 3 out for its debug log: 0.2 ms a batch.
        self._waiting = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=BLOCK_MILLISECONDS / 1000 + 3,
            socket_connect_timeout=1.0,
            max_connections=4096,
            protocol=2,
            retry=AsyncRetry(NoBackoff(), 0),
        )
        self._publish = self._redis.register_script(PUBLISH)
        self._snapshot = self._redis.register_script(SNAPSHOT)

    async def publish_batch(self, *, batch: Batch | None, raw: Batch | None) -> None:
        """Tell the hubs `batch` and keep `raw` for the recorder; raises ShardTaken for a deposed owner."""
        either = batch or raw
        if either is None:
            return
        told, kept = (part.pack() if part is not None else b"" for part in (batch, raw))
        await self._publish_as(shard=either.shard, epoch=either.epoch, told=told, kept=kept)

    async def append_raw(self, *, shard: int, epoch: int, blob: bytes) -> None:
        """Keep a packed raw batch of whatever epoch in the name of the present owner; raises ShardTaken."""
        await self._publish_as(shard=shard, epoch=epoch, told=b"", kept=blob)

    async def fence(self, shard: int) -> int:
        """Return the newest epoch that ever published the shard, 0 for none."""
        return int(await self.get_blob(f"fence:{shard}") or 0)

    async def put_snapshot(self, snapshot: Batch) -> None:
        """Store a shard's last values and their tops; raises ShardTaken for a deposed owner."""
        shard, tops = snapshot.shard, tops_of(snapshot.rows).tobytes()
        keys = [f"fence:{shard}", snapshot_key(shard), tops_key(shard)]
        with _translated():
            owned = await self._snapshot(keys=keys, args=[snapshot.epoch, snapshot.pack(), tops])
        if not owned:
            raise ShardTaken(f"a newer owner publishes shard {snapshot.shard}")

    async def get_snapshot(self, shard: int) -> Batch | None:
        """Return a shard's last values, if any were ever stored."""
        blob = await self.get_blob(snapshot_key(shard))
        return Batch.unpack(blob) if blob else None

    async def get_blob(self, key: str) -> bytes | None:
        """Return the stored blob."""
        with _translated():
            return as_bytes(await self._redis.get(key))

    async def put_health(self, *, name: str, report: Mapping[str, object]) -> None:
        """Publish what a process says about itself; it vanishes when the process stops saying it."""
        with _translated():
            await self._redis.set(f"health:{name}", orjson.dumps(report, default=str), ex=HEALTH_SECONDS)

    async def batches(self, shards: Sequence[int]) -> AsyncIterator[Batch | None]:
        """Yield batches for ever; None says that the subscription is new or that a second went by in silence."""
        async for message in self._listen([f"ticks:{shard}" for shard in shards]):
            if message is None:
                yield None
                continue
            try:
                yield Batch.unpack(message)
            except BadBatch as error:
                log.warning("market_data.bus.bad_batch", reason=str(error))

    async def notices(self, topic: str) -> AsyncIterator[int]:
        """Yield the sequence of each blob put under the topic, for ever; 0 for a knock and a new subscription."""
        async for message in self._listen([topic], idle=False):
            yield int(message) if message is not None else 0

    async def raw(self, *, shard: int, after: str, count: int) -> list[tuple[str, Batch]]:
        """Return the raw batches that follow a position, waiting up to two seconds for the first."""
        with _translated():
            answer = await self._waiting.xread({f"raw:{shard}": after}, count=count, block=BLOCK_MILLISECONDS)
        return [(as_text(offset), Batch.unpack(fields[b"b"])) for offset, fields in entries(answer)]

    async def raw_end(self, shard: int) -> str:
        """Return the position of the newest raw batch."""
        with _translated():
            return await self._last_offset(f"raw:{shard}")

    async def event_epoch(self, *, stream: str) -> str:
        """Return what names this life of a stream: with another epoch its past is gone."""
        key = f"epoch:{stream}"
        with _translated():
            await self._redis.set(key, _new_epoch(), nx=True)
            return as_text(await self._redis.get(key))

    async def events_after(self, *, stream: str, after: str) -> list[tuple[str, bytes]]:
        """Return (offset, event) of the next few behind an offset, waiting up to two seconds for the first."""
        with _translated():
            answer = await self._waiting.xread(
                {f"events:{stream}": after}, count=EVENTS_AT_ONCE, block=BLOCK_MILLISECONDS
            )
        return [(as_text(offset), fields[b"e"]) for offset, fields in entries(answer)]

    async def may_have_dropped(self, *, stream: str, after: str) -> bool:
        """Say whether the stream's cap may have taken events behind an offset."""
        with _translated():
            if not await self._redis.exists(f"events:{stream}"):
                return False
            state = await self._redis.xinfo_stream(f"events:{stream}")
        capped = state["entries-added"] > state["length"]
        return capped and order_of(as_text(state["first-entry"][0])) > order_of(after)

    async def first_event(self, *, stream: str) -> str | None:
        """Return the oldest offset kept; events before it are gone."""
        with _translated():
            answer = await self._redis.xrange(f"events:{stream}", count=1)
        return as_text(answer[0][0]) if answer else None

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()
        await self._waiting.aclose()

    async def _publish_as(self, *, shard: int, epoch: int, told: bytes, kept: bytes) -> None:
        keys = [f"fence:{shard}", f"ticks:{shard}", f"raw:{shard}"]
        with _translated():
            owned = await self._publish(keys=keys, args=[epoch, told, kept, RAW_ENTRIES])
        if not owned:
            raise ShardTaken(f"a newer owner publishes shard {shard}")

    async def _last_offset(self, key: str) -> str:
        answer = await self._redis.xrevrange(key, count=1)
        return as_text(answer[0][0]) if answer else "0-0"

    async def _listen(self, channels: Sequence[str], *, idle: bool = True) -> AsyncIterator[bytes | None]:
        delay = 0.1
        while True:
            pubsub = self._waiting.pubsub()
            try:
                await _subscribe(pubsub, channels)
                yield None
                delay = 0.1
                while True:
                    message = await pubsub.get_message(timeout=IDLE_SECONDS)
                    if message is not None:
                        yield message["data"]
                    elif idle:
                        yield None
            except LOST as error:
                log.warning("market_data.bus.lost", channels=list(channels), reason=str(error))
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            delay = await _pause(delay)


async def _subscribe(pubsub: PubSub, channels: Sequence[str]) -> None:
    """Return when the server has confirmed every channel: from then on nothing is missed."""
    await pubsub.subscribe(*channels)
    for _ in channels:
        if await pubsub.get_message(timeout=CONFIRM_SECONDS) is None:
            raise RedisTimeoutError("the subscription was not confirmed")


def _new_epoch() -> str:
    return secrets.token_hex(4)


async def _pause(delay: float) -> float:
    await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (spreads the crowd, guards nothing)
    return min(delay * 2, 2.0)
