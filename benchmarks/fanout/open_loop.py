"""Honest latency: batches come at a fixed rate, and the clients take them or not."""

import statistics
from dataclasses import dataclass
from typing import Final

from benchmarks.fanout.client import LoadClient
from benchmarks.fanout.closed_loop import LATE_SECONDS, Clock, saturate
from benchmarks.fanout.pace import publish_paced
from benchmarks.fanout.peers import Peer
from benchmarks.fanout.ticks import Source

WINDOWS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many clients, each wanting every tick."""

    name: str
    clients: int
    hertz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """What a steady load costs and how late ticks are: medians of the windows; shares are of one core.

    `waited_share` is the time the server stood in line for its core behind strangers.
    """

    peer: str
    name: str
    clients: int
    ticks_per_second: float
    deliveries_per_second: float
    server_share: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    loss: float
    wrong_clients: int
    client_share: float
    waited_share: float


@dataclass(frozen=True, slots=True)
class _Window:
    rate: float
    share: float
    client_share: float
    waited: float
    p50: float
    p99: float
    worst: float
    loss: float


async def measure_steady(*, peer: Peer, client: LoadClient, load: Load, source: Source, seconds: float) -> Steady:
    """Run the load in windows, and check what the clients hold in the end."""
    count = peer.ticks(load.clients)
    await client.open(
        port=peer.served.port,
        clients=load.clients,
        slow=0,
        subprotocol=peer.subprotocol,
        message=peer.message(count),
    )
    await saturate(peer=peer, client=client, source=source, count=count, seconds=0.0)
    windows = [await _window(peer, client, load, source, seconds / WINDOWS) for _ in range(WINDOWS)]
    wrong = await client.wrong(source.last) + (await client.seen()).lost_clients
    await client.close()
    middle = {name: statistics.median(getattr(window, name) for window in windows) for name in _Window.__slots__}
    return Steady(
        peer=peer.name,
        name=load.name,
        clients=load.clients,
        ticks_per_second=load.hertz * count,
        deliveries_per_second=middle["rate"],
        server_share=middle["share"],
        p50_ms=middle["p50"],
        p99_ms=middle["p99"],
        max_ms=max(window.worst for window in windows),
        loss=max(window.loss for window in windows),
        wrong_clients=wrong,
        client_share=middle["client_share"],
        waited_share=middle["waited"],
    )


async def _window(peer: Peer, client: LoadClient, load: Load, source: Source, seconds: float) -> _Window:
    count = peer.ticks(load.clients)
    await client.reset()
    clock = Clock(peer=peer, client=client)
    rounds = await publish_paced(peer=peer, source=source, count=count, hertz=load.hertz, seconds=seconds)
    await client.wait_sequence(source.sequence, seconds=LATE_SECONDS)
    cost = clock.read()
    seen = await client.seen()
    return _Window(
        rate=seen.ticks / cost.wall,
        share=cost.server / cost.wall,
        client_share=cost.client / cost.wall,
        waited=cost.waited / cost.wall,
        p50=seen.p50_us / 1000,
        p99=seen.p99_us / 1000,
        worst=seen.max_us / 1000,
        loss=1 - seen.ticks / (rounds * count * load.clients),
    )
