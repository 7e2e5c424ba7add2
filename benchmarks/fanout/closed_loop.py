"""Saturation: the next batch goes out when every client has all of the last. Processor time is what counts."""

import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.fanout.client import LoadClient, Seen
from benchmarks.fanout.machine import cpu_seconds, resident_bytes, waited_seconds
from benchmarks.fanout.peers import Peer
from benchmarks.fanout.ticks import Source

LATE_SECONDS: Final = 15.0
LEAST_ROUNDS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One peer with so many clients; `deliveries` are ticks that reached a client."""

    peer: str
    clients: int
    ticks: int
    rounds: int
    deliveries: int
    per_cpu_second: float
    per_second: float
    us_per_frame: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    loss: float
    gaps: int
    wrong_clients: int
    client_share: float
    rss_per_client: int

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent between two looks."""

    wall: float
    server: float
    client: float
    waited: float


class Clock:
    """Looks at the wall, at both processes' time, and at how long the server stood in line for its core."""

    def __init__(self, *, peer: Peer, client: LoadClient) -> None:
        self._pids = (peer.served.pid, client.pid)
        self._start = self._look()

    def read(self) -> Cost:
        """Return what was spent since the making."""
        return Cost(*(now - before for now, before in zip(self._look(), self._start, strict=True)))

    def _look(self) -> tuple[float, float, float, float]:
        server, client = map(cpu_seconds, self._pids)
        return time.perf_counter(), server, client, waited_seconds(self._pids[0])


async def measure(*, peer: Peer, client: LoadClient, clients: int, source: Source, seconds: float) -> Measured:
    """Connect the clients, saturate the peer for a while, and check what they hold in the end."""
    count = peer.ticks(clients)
    before = resident_bytes(peer.served.pid)
    await client.open(
        port=peer.served.port, clients=clients, slow=0, subprotocol=peer.subprotocol, message=peer.message(count)
    )
    grown = resident_bytes(peer.served.pid) - before
    await saturate(peer=peer, client=client, source=source, count=count, seconds=0.0)
    clock = Clock(peer=peer, client=client)
    rounds = await saturate(peer=peer, client=client, source=source, count=count, seconds=seconds)
    cost = clock.read()
    seen = await client.seen()
    wrong = await client.wrong(source.last)
    await client.close()
    return Measured(
        peer=peer.name,
        clients=clients,
        ticks=count,
        rounds=rounds,
        loss=1 - seen.ticks / (rounds * count * clients),
        wrong_clients=wrong + seen.lost_clients,
        rss_per_client=max(grown, 0) // clients,
        **_rates(seen, cost),
    )


async def saturate(*, peer: Peer, client: LoadClient, source: Source, count: int, seconds: float) -> int:
    """Send rounds one after another and return how many; end early when one is not delivered."""
    await client.reset()
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        await peer.publish(source.next(count))
        rounds += 1
        if not await client.wait_ticks(count * rounds, seconds=LATE_SECONDS):
            break
    return rounds


def _rates(seen: Seen, cost: Cost) -> dict[str, Any]:
    return {
        "deliveries": seen.ticks,
        "per_cpu_second": seen.ticks / cost.server,
        "per_second": seen.ticks / cost.wall,
        "us_per_frame": 1e6 * cost.server / max(seen.frames, 1),
        "p50_ms": seen.p50_us / 1000,
        "p99_ms": seen.p99_us / 1000,
        "max_ms": seen.max_us / 1000,
        "gaps": seen.gaps,
        "client_share": cost.client / cost.wall,
    }
