"""Batches at a fixed rate, whatever becomes of them."""

import asyncio
import time

from benchmarks.fanout.peers import Peer
from benchmarks.fanout.ticks import Source


async def publish_paced(*, peer: Peer, source: Source, count: int, hertz: float, seconds: float) -> int:
    """Publish batches of `count` ticks at this rate and return how many; each is due at its own time."""
    rounds = max(int(hertz * seconds), 1)
    start = time.perf_counter()
    for number in range(rounds):
        await asyncio.sleep(max(start + number / hertz - time.perf_counter(), 0))
        await peer.publish(source.next(count))
    return rounds
