"""One client stops reading: what the others notice, what the server keeps for it, what it reads when it goes on."""

import statistics
from dataclasses import dataclass
from typing import Final

from benchmarks.fanout.client import Caught, LoadClient, Seen
from benchmarks.fanout.closed_loop import LATE_SECONDS, saturate
from benchmarks.fanout.machine import resident_bytes
from benchmarks.fanout.pace import publish_paced
from benchmarks.fanout.peers import Peer
from benchmarks.fanout.ticks import Source

CLIENTS: Final = 10
OTHERS: Final = CLIENTS - 1
CYCLES: Final = 3
FRESH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled:
    """Medians of the cycles; growth and what the slow client read are the worst of them."""

    peer: str
    clients: int
    hertz: float
    others_share: float
    p99_before_ms: float
    p99_during_ms: float
    p99_ratio: float
    grown_bytes: int
    stale_frames: int
    stale_bytes: int
    late: bool
    wrong_clients: int


@dataclass(frozen=True, slots=True)
class _Cycle:
    before: Seen
    during: Seen
    share: float
    grown: int
    caught: Caught


async def measure_stall(
    *, peer: Peer, client: LoadClient, source: Source, hertz: float, seconds: float, cycles: int = CYCLES
) -> Stalled:
    """Let one of ten clients stop and go on again, a few times over."""
    count = peer.ticks(CLIENTS)
    await client.open(
        port=peer.served.port, clients=CLIENTS, slow=1, subprotocol=peer.subprotocol, message=peer.message(count)
    )
    await saturate(peer=peer, client=client, source=source, count=count, seconds=0.0)
    seen = [await _cycle(peer, client, source, hertz, seconds) for _ in range(cycles)]
    wrong = await client.wrong(source.last)
    await client.close()
    return Stalled(
        peer=peer.name,
        clients=CLIENTS,
        hertz=hertz,
        others_share=statistics.median(cycle.share for cycle in seen),
        p99_before_ms=statistics.median(cycle.before.p99_us for cycle in seen) / 1000,
        p99_during_ms=statistics.median(cycle.during.p99_us for cycle in seen) / 1000,
        p99_ratio=statistics.median(cycle.during.p99_us / max(cycle.before.p99_us, 1) for cycle in seen),
        grown_bytes=max(cycle.grown for cycle in seen),
        stale_frames=max(cycle.caught.frames for cycle in seen),
        stale_bytes=max(cycle.caught.bytes for cycle in seen),
        late=any(cycle.caught.late for cycle in seen),
        wrong_clients=wrong,
    )


async def _cycle(peer: Peer, client: LoadClient, source: Source, hertz: float, seconds: float) -> _Cycle:
    before, _ = await _window(peer, client, source, hertz, seconds)
    memory = resident_bytes(peer.served.pid)
    await client.stall()
    during, share = await _window(peer, client, source, hertz, seconds)
    grown = resident_bytes(peer.served.pid) - memory
    await client.reset()
    caught = await client.resume(source.sequence if peer.subprotocol else 0, seconds=FRESH_SECONDS)
    return _Cycle(before, during, share, grown, caught)


async def _window(peer: Peer, client: LoadClient, source: Source, hertz: float, seconds: float) -> tuple[Seen, float]:
    count = peer.ticks(CLIENTS)
    await client.reset()
    rounds = await publish_paced(peer=peer, source=source, count=count, hertz=hertz, seconds=seconds)
    await client.wait_ticks(rounds * count, seconds=min(LATE_SECONDS, seconds))
    seen = await client.seen()
    return seen, seen.ticks / (rounds * count * OTHERS)
