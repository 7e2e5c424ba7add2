"""Measure the hub beside its peers in one run and check what it promises.

python -m benchmarks.fanout --clients 50,200,1000 --ticks 200 --repeat 3 --peers all --out FILE

Ends with 0 when every promise was kept, 1 when one was broken, 2 when the machine was too busy to tell.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.fanout.client import LoadClient
from benchmarks.fanout.closed_loop import Measured, measure
from benchmarks.fanout.ingest import Ingested, measure_ingest
from benchmarks.fanout.judge import Judged, Outcome, Verdict, judge
from benchmarks.fanout.machine import Cores, Watch, pin
from benchmarks.fanout.native import build
from benchmarks.fanout.open_loop import Load, Steady, measure_steady
from benchmarks.fanout.peers import CEILING, FAST, HUB, NAMES, SEED, Cast, Peer
from benchmarks.fanout.report import tell_saturated, tell_sections, tell_verdicts, write
from benchmarks.fanout.stage import Stage
from benchmarks.fanout.stall import Stalled, measure_stall
from benchmarks.fanout.ticks import Source

SATURATED_SECONDS: Final = 0.5
STALL_SECONDS: Final = 1.5
STALL_HERTZ: Final = {HUB: 150.0, FAST: 150.0, SEED: 10.0}
LOADS: Final = (
    Load(name="a million a second", clients=1000, hertz=5.0),
    Load(name="the seed's load", clients=100, hertz=50.0),
)
STEADY_SECONDS: Final = 4.5
INGEST_SECONDS: Final = 1.5
SECTIONS: Final = ("saturation", "stall", "open", "ingest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The command line."""

    clients: tuple[int, ...]
    ticks: int
    repeat: int
    peers: tuple[str, ...]
    sections: tuple[str, ...]
    out: Path | None


class Run:
    """One run: its processes, and a source of rounds per peer."""

    def __init__(self, *, given: Given, stage: Stage, cores: Cores, folder: Path) -> None:
        self._given = given
        self._stage = stage
        self._cores = cores
        self._load = build(name="load", folder=folder)
        self._ceiling = build(name="ceiling", folder=folder)
        self._sources: dict[str, Source] = {}
        self.skipped = [] if self._ceiling else [f"{CEILING}: no C compiler; the load client is Python"]

    async def go(self) -> Outcome:
        """Measure everything that was asked for."""
        url = self._stage.valkey()
        peers = Cast(stage=self._stage, url=url, ticks=self._given.ticks, ceiling=self._ceiling).start(
            self._given.peers
        )
        client = await LoadClient.start(program=self._load, cores=self._cores)
        self._sources = {peer.name: Source(seed=1) for peer in peers}
        outcome = Outcome(
            saturated=await self._saturate(peers, client) if self._asked("saturation") else [],
            stalled=await self._stall(peers, client) if self._asked("stall") else [],
            steady=await self._steady(peers, client) if self._asked("open") else [],
            ingested=await self._ingest(url) if self._asked("ingest") else None,
        )
        await client.stop()
        return outcome

    def _asked(self, section: str) -> bool:
        return section in self._given.sections

    async def _saturate(self, peers: Sequence[Peer], client: LoadClient) -> list[Measured]:
        """Peers take turns, so that noise strikes all of them."""
        return [
            await measure(
                peer=peer, client=client, clients=size, source=self._sources[peer.name], seconds=SATURATED_SECONDS
            )
            for repeat in range(self._given.repeat)
            for size in self._given.clients
            for peer in peers
            if peer.repeats or not repeat
        ]

    async def _stall(self, peers: Sequence[Peer], client: LoadClient) -> list[Stalled]:
        return [
            await measure_stall(
                peer=peer,
                client=client,
                source=self._sources[peer.name],
                hertz=STALL_HERTZ[peer.name],
                seconds=STALL_SECONDS,
            )
            for peer in peers
            if peer.name in STALL_HERTZ
        ]

    async def _steady(self, peers: Sequence[Peer], client: LoadClient) -> list[Steady]:
        hubs = [peer for peer in peers if peer.name in {HUB, FAST}]
        return [
            await measure_steady(
                peer=peer, client=client, load=load, source=self._sources[peer.name], seconds=STEADY_SECONDS
            )
            for peer in hubs
            for load in LOADS
        ]

    async def _ingest(self, url: str) -> Ingested:
        return await measure_ingest(stage=self._stage, url=url, repeat=self._given.repeat, seconds=INGEST_SECONDS)


def main() -> int:
    """Run, print, write, judge."""
    given = _given()
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        cores = Cores.choose()
        pin(0, cores.others)
        stage = Stage(folder=Path(folder), cores=cores)
        try:
            run = Run(given=given, stage=stage, cores=cores, folder=Path(folder))
            outcome = asyncio.run(run.go())
        finally:
            stage.close()
    judged = judge(outcome)
    tell_saturated(outcome.saturated)
    tell_sections(outcome)
    tell_verdicts(judged)
    print("\n".join(f"skipped {reason}" for reason in run.skipped))
    noise = watch.read()
    print(f"cores busy, ours included: {noise.busy_share}")
    if given.out is not None:
        write(path=given.out, outcome=outcome, judged=judged, noise=noise, skipped=run.skipped)
    return exit_code(judged)


def exit_code(judged: Sequence[Judged]) -> int:
    """Return 1 for a broken promise, 2 where one could not be judged, 0 for none of these."""
    verdicts = {each.verdict for each in judged}
    return 1 if Verdict.BROKEN in verdicts else 2 if Verdict.VOID in verdicts else 0


def _given() -> Given:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=_numbers, default=(50, 200, 1000))
    parser.add_argument("--ticks", type=int, default=200, help="instruments a batch")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", type=_peers, default=NAMES, help=f"all, or some of {','.join(NAMES)}")
    parser.add_argument("--sections", type=_sections, default=SECTIONS, help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, help="JSON file")
    return Given(**vars(parser.parse_args()))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _peers(text: str) -> tuple[str, ...]:
    return NAMES if text == "all" else _some(text, NAMES)


def _sections(text: str) -> tuple[str, ...]:
    return _some(text, SECTIONS)


def _some(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
