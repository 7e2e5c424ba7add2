"""The peers: how each is served, what its clients say, and how a round reaches it."""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis.asyncio
from django.utils.module_loading import import_string

from benchmarks.fanout.servers.wiring import BATCH_GROUP, SEED_CHANNEL, channel_layer
from benchmarks.fanout.stage import Ceiling, Served, Stage
from benchmarks.fanout.ticks import Round, tokens
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus

Publish = Callable[[Round], Awaitable[None]]
HUB: Final = "hub"
FAST: Final = "hub+fast"
CEILING: Final = "c-epoll"
NAIVE: Final = "channels-pubsub"
SEED: Final = "seed-shape"
FAST_WS: Final = "ticker_site.fast_websocket:FastWebSocket"
NAMES: Final = (HUB, FAST, CEILING, "channels-batch", SEED, "channels-core", NAIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One system under test; where a delivery is dear, `work` bounds a batch and each size is measured once."""

    name: str
    served: Served
    publish: Publish
    subprotocol: str = ""
    most: int
    work: int | None = None
    repeats: bool = True

    def ticks(self, clients: int) -> int:
        """Return how many ticks a batch has for this many clients."""
        return self.most if self.work is None else max(3, min(self.most, self.work // clients))

    def message(self, ticks: int) -> str:
        """Return what a client says to get these instruments."""
        wanted = tokens(ticks).tolist()
        return json.dumps({"op": "sub", "id": 1, "mode": "quote", "tokens": wanted}, separators=(",", ":"))


class Cast:
    """Starts the peers of a run."""

    def __init__(self, *, stage: Stage, url: str, ticks: int, ceiling: Path | None) -> None:
        self._stage = stage
        self._url = url
        self._ticks = ticks
        self._makers: dict[str, Callable[[str], Peer]] = {
            HUB: lambda name: self._hub(name, url, {}),
            FAST: lambda name: self._hub(name, stage.valkey(name="valkey of the second hub"), {"UVICORN_WS": FAST_WS}),
            "channels-core": lambda name: self._naive(name, "core"),
            NAIVE: lambda name: self._naive(name, "pubsub"),
            "channels-batch": self._batch,
            SEED: self._seed,
        }
        if ceiling is not None:
            self._makers[CEILING] = lambda _: self._broadcaster(stage.ceiling(program=ceiling))

    def start(self, names: tuple[str, ...]) -> list[Peer]:
        """Start these; the C server only where a compiler made it."""
        return [self._makers[name](name) for name in names if name in self._makers]

    def _serve(self, name: str, module: str, layer: str = "") -> Served:
        environment = {**os.environ, "REDIS_URL": self._url, "FANOUT_LAYER": layer, "FANOUT_PREFIX": name}
        return self._stage.serve(name=name, module=module, environment=environment)

    def _hub(self, name: str, url: str, options: Mapping[str, str]) -> Peer:
        served = self._stage.serve(name=name, module="hub", environment={**os.environ, "REDIS_URL": url, **options})
        publish = batches(AsyncBus(url=url))
        return Peer(name=name, served=served, publish=publish, subprotocol="ticker.v1.bin", most=self._ticks)

    def _naive(self, name: str, kind: str) -> Peer:
        layer = open_layer(kind=kind, prefix=name, url=self._url)

        async def publish(batch: Round) -> None:
            for tick in batch.documents():
                await layer.group_send(f"tick.{tick['instrument_token']}", {"type": "tick", "tick": tick})

        served = self._serve(name, "channels_naive", layer=kind)
        return Peer(name=name, served=served, publish=publish, most=min(20, self._ticks), work=2_000, repeats=False)

    def _batch(self, name: str) -> Peer:
        layer = open_layer(kind="pubsub", prefix=name, url=self._url)

        async def publish(batch: Round) -> None:
            await layer.group_send(BATCH_GROUP, {"type": "batch", "frame": batch.frame})

        served = self._serve(name, "channels_batch", "pubsub")
        return Peer(name=name, served=served, publish=publish, most=self._ticks, repeats=False)

    def _seed(self, name: str) -> Peer:
        link = redis.asyncio.Redis.from_url(self._url)

        async def publish(batch: Round) -> None:
            pipe = link.pipeline(transaction=False)
            for tick in batch.documents():
                pipe.publish(SEED_CHANNEL, json.dumps(tick))
            await pipe.execute()

        served = self._serve(name, "seed_shape")
        return Peer(name=name, served=served, publish=publish, most=min(50, self._ticks), work=10_000, repeats=False)

    def _broadcaster(self, server: Ceiling) -> Peer:
        async def publish(batch: Round) -> None:
            server.send(batch.frame)

        return Peer(name=CEILING, served=server.served, publish=publish, most=self._ticks)


def batches(bus: AsyncBus) -> Publish:
    """Return how the feed publishes to the hubs."""

    async def publish(batch: Round) -> None:
        packed = Batch(
            kind=BatchKind.DELTA,
            shard=0,
            epoch=1,
            from_sequence=batch.sequence - 1,
            to_sequence=batch.sequence,
            published_us=batch.published_us,
            rows=batch.rows,
        )
        await bus.publish_batch(batch=packed, raw=None)

    return publish


def open_layer(*, kind: str, prefix: str, url: str) -> Any:
    """Return the publisher's end of a channel layer."""
    entry = channel_layer(kind=kind, prefix=prefix, url=url)
    return import_string(entry["BACKEND"])(**entry["CONFIG"])
