"""A web process with a hub, a feed and a client, each on its own event loop, for tests that look from outside."""

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import uvicorn
from channels.routing import URLRouter
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import path
from websockets.sync.client import ClientConnection, connect

from accounts.authentication import issue_api_key
from accounts.models import User
from kite.wire import TICK, Rows
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from market_data.commands import Limits
from market_data.consumers import TickConsumer
from market_data.hub import Hub
from market_data.hub_watch import ReadStandards, ordinary_week
from market_data.sockets import Door
from tests.factories import UserFactory
from tests.market_data.factories import ticks

NO_ROWS: Rows = np.zeros(0, TICK)


class Loop:
    """An event loop in a thread; `run` gives it a coroutine and waits for the answer."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], *, seconds: float = 10.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def start(self, work: Coroutine[Any, Any, Any]) -> "Any":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, act: Callable[[], object]) -> None:
        """Do something in the loop's own thread, soon."""
        self._loop.call_soon_threadsafe(act)

    async def finish_threads(self) -> None:
        """Wait for what runs in the loop's threads."""
        await self._loop.shutdown_default_executor()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def tick_router(consumer: Any) -> URLRouter:
    """Return a router with the tick socket alone; Django's and Channels' types do not meet."""
    route: Any = path("ws/v1/ticks", consumer)
    return URLRouter([route])


class WebProcess:
    """uvicorn with nothing but the tick socket, or another consumer in its place."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        shards: int = 1,
        read_standards: ReadStandards = ordinary_week,
        door: Door | None = None,
        consumer: Any = None,
    ) -> None:
        self.hub = Hub(bus=AsyncBus(url=settings.REDIS_URL), shards=shards, read_standards=read_standards)
        self.door = Door() if door is None else door
        ticks = TickConsumer.as_asgi(hub=self.hub, door=self.door, limits=limits)
        application = tick_router(ticks if consumer is None else consumer)
        config = uvicorn.Config(
            application, port=0, log_level="warning", ws_per_message_deflate=False, lifespan="off", ws_max_size=1 << 20
        )
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.loop = Loop()
        self._running = self.loop.start(self._server.serve(sockets=[self._listener]))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/v1/ticks"

    def __enter__(self) -> "WebProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._running.result(10)
        self.loop.run(self.hub.stop())
        self.loop.close()


class Publisher:
    """A feed's voice without a feed: batches with a sequence."""

    def __init__(self, *, shard: int = 0, epoch: int = 1) -> None:
        self.shard, self.epoch, self.sequence = shard, epoch, 0
        self._loop = Loop()
        self._bus = AsyncBus(url=settings.REDIS_URL)

    def publish(self, rows: Rows, *, lost: bool = False) -> None:
        """Publish rows as the next batch; a lost one only counts."""
        self.sequence += 1
        if not lost:
            batch = self._batch(BatchKind.DELTA, rows, self.sequence - 1)
            self._loop.run(self._bus.publish_batch(batch=batch, raw=None))

    def snapshot(self, rows: Rows) -> None:
        self._loop.run(self._bus.put_snapshot(self._batch(BatchKind.SNAPSHOT, rows, self.sequence)))

    def heartbeat(self) -> None:
        batch = self._batch(BatchKind.HEARTBEAT, NO_ROWS, self.sequence)
        self._loop.run(self._bus.publish_batch(batch=batch, raw=None))

    def close(self) -> None:
        self._loop.run(self._bus.close())
        self._loop.close()

    def _batch(self, kind: BatchKind, rows: Rows, first: int) -> Batch:
        return Batch(
            kind=kind,
            shard=self.shard,
            epoch=self.epoch,
            from_sequence=first,
            to_sequence=self.sequence,
            published_us=time.time_ns() // 1000,
            rows=rows,
        )


def store_prices(prices: dict[int, float], *, received_at: float | None = None) -> None:
    """Store last values as a feed does, without a feed."""

    async def put() -> None:
        bus = AsyncBus(url=settings.REDIS_URL)
        rows = ticks(prices, received_at=time.time() if received_at is None else received_at)
        snapshot = Batch(
            kind=BatchKind.SNAPSHOT, shard=0, epoch=1, from_sequence=1, to_sequence=1, published_us=0, rows=rows
        )
        await bus.put_snapshot(snapshot)
        await bus.close()

    asyncio.run(put())


class TickClient:
    """A program on the socket, with a table it builds from what it is sent."""

    def __init__(self, url: str, key: str, *, subprotocol: str | None = "ticker.v1.json", **options: Any) -> None:
        offered: Any = [subprotocol] if subprotocol else None
        opening = connect(
            url,
            additional_headers={"Authorization": f"Bearer {key}"} if key else {},
            compression=None,
            close_timeout=1,
            **{"subprotocols": offered, **options},
        )
        self.socket: ClientConnection = opening.__enter__()
        self.welcome = self.receive()
        self.prices: dict[int, float] = {}
        self.frames: list[dict[str, Any]] = []

    def send(self, **command: object) -> None:
        self.socket.send(json.dumps(command))

    def receive(self, *, seconds: float = 20.0) -> Any:
        message = self.socket.recv(timeout=seconds)
        return json.loads(message) if isinstance(message, str) else message

    def until(self, wanted: Callable[[Mapping[str, Any]], bool], *, seconds: float = 20.0) -> dict[str, Any]:
        """Return the first message that is wanted; data frames on the way go into the table."""
        end = time.monotonic() + seconds
        while True:
            message: dict[str, Any] = self.receive(seconds=max(end - time.monotonic(), 0.001))
            if message["t"] in {"d", "snap"}:
                self.frames.append(message)
                self.prices |= {row[0]: row[1] for row in message["d"]}
            if wanted(message):
                return message

    def expect(self, kind: str, *, seconds: float = 20.0) -> dict[str, Any]:
        return self.until(lambda message: message["t"] == kind, seconds=seconds)

    def subscribe(self, *, seconds: float = 20.0, **command: object) -> dict[str, Any]:
        self.send(op="sub", id="s", **command)
        return self.until(lambda message: message.get("id") == "s", seconds=seconds)

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def client(web: WebProcess, key: str, **options: Any) -> Iterator[TickClient]:
    opened = TickClient(web.url, key, **options)
    try:
        yield opened
    finally:
        opened.close()


def database_url(connection: BaseDatabaseWrapper) -> str:
    """Return the address of the test's own database, for a process that is started beside it."""
    head, _, tail = os.environ["DATABASE_URL"].partition("?")
    return f"{head.rpartition('/')[0]}/{connection.settings_dict['NAME']}" + (f"?{tail}" if tail else "")


def api_key(*, scopes: tuple[str, ...] = ("market:read",), user: User | None = None) -> str:
    """Return the full text of a fresh key."""
    now = datetime.now(UTC)
    owner = user or UserFactory(administrator=True)
    return issue_api_key(
        user=owner, name="test", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now
    )[1]
