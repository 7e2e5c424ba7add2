"""Ingestion beside the broker's own parser: decoding alone, and from the socket on."""

import asyncio
import json
import os
import statistics
from dataclasses import dataclass
from typing import Final

from benchmarks.decoder import cases, measure
from benchmarks.fanout.feeder import Feeder
from benchmarks.fanout.stage import NotStarted, Stage

PACKETS: Final = 100
FRAMES: Final = 30
ROUNDS: Final = 5
PATIENCE_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """Ticks a processor second, in frames of 100 full packets; ratios are medians of interleaved rounds."""

    decode_ours: float
    decode_official: float
    decode_ratio: float
    socket_ours: float
    socket_official: float
    socket_ratio: float


async def measure_ingest(*, stage: Stage, url: str, repeat: int, seconds: float) -> Ingested:
    """Decode the same frames with both, then read the same stream with both."""
    flush = next(case for case in cases(seed=1, packets=PACKETS, batch=FRAMES) if case.name.startswith("full, "))
    decode_official, decode_ours, decode_ratio = measure(flush, rounds=ROUNDS)
    feeder = Feeder(packets=PACKETS, frames=FRAMES, seed=1)
    pairs = [
        (
            await _read(stage, url, "official", feeder.port, seconds),
            await _read(stage, url, "ours", feeder.port, seconds),
        )
        for _ in range(repeat)
    ]
    feeder.close()
    official, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Ingested(
        decode_ours=decode_ours,
        decode_official=decode_official,
        decode_ratio=decode_ratio,
        socket_ours=ours,
        socket_official=official,
        socket_ratio=statistics.median(mine / theirs for theirs, mine in pairs),
    )


async def _read(stage: Stage, url: str, name: str, port: int, seconds: float) -> float:
    words = ("benchmarks.fanout.readers", name, str(port), str(seconds))
    environment = {**os.environ, "REDIS_URL": url}
    process = stage.worker(name=name, words=words, environment=environment)
    await asyncio.to_thread(process.wait, PATIENCE_SECONDS + seconds)
    last = stage.log(name).splitlines()[-1:]
    if not last or not last[0].startswith("{"):
        raise NotStarted(f"the {name} reader ended with {process.returncode}: {stage.log(name)}")
    told = json.loads(last[0])
    return float(told["ticks"]) / float(told["cpu_seconds"])
