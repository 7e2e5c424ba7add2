"""What the hub promises beside its peers, and whether a run kept it."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.fanout.closed_loop import Measured
from benchmarks.fanout.ingest import Ingested
from benchmarks.fanout.open_loop import Steady
from benchmarks.fanout.peers import CEILING, FAST, HUB, NAIVE
from benchmarks.fanout.stall import Stalled

# Above this the load client, or strangers on the server's core, are what a latency shows.
CLIENT_SHARE: Final = 0.9
WAITED_SHARE: Final = 0.1
LEAST_OF_CEILING: Final = {HUB: 0.20, FAST: 0.30}
# With fewer, a batch's own cost (read, decode, encode), which the ceiling has not, outweighs what is sent.
CEILING_FROM_CLIENTS: Final = 200
LEAST_OVER_NAIVE: Final = 500.0
MEBIBYTE: Final = 1 << 20


class Verdict(StrEnum):
    """How a promise fared; void is: this machine was too busy to tell."""

    KEPT = "kept"
    BROKEN = "BROKEN"
    VOID = "VOID"


@dataclass(frozen=True, slots=True)
class Judged:
    """One promise, what was measured, and the verdict."""

    promise: str
    value: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything a run measured."""

    saturated: Sequence[Measured]
    stalled: Sequence[Stalled]
    steady: Sequence[Steady]
    ingested: Ingested | None


def judge(outcome: Outcome) -> list[Judged]:
    """Return every promise that this run could test."""
    parts: tuple[Callable[[Outcome], Iterator[Judged]], ...] = (_correct, _ratios, _stall, _loads, _ingest)
    return [judged for part in parts for judged in part(outcome)]


def middle(saturated: Sequence[Measured], peer: str, clients: int, name: str = "per_cpu_second") -> float | None:
    """Return the median of a column over the repeats; nothing where the peer was not measured."""
    values = [getattr(row, name) for row in saturated if row.peer == peer and row.clients == clients]
    return statistics.median(values) if values else None


def ratio(saturated: Sequence[Measured], peer: str, base: str, clients: int) -> float | None:
    """Return how many times as much the peer delivers as the base, a processor second.

    Each repeat is compared with its own neighbour in time, because the machine's speed drifts; the median is returned.
    """
    ours, theirs = (
        [row.per_cpu_second for row in saturated if row.peer == name and row.clients == clients]
        for name in (peer, base)
    )
    if not ours or not theirs:
        return None
    if len(ours) != len(theirs):
        return statistics.median(ours) / statistics.median(theirs)
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def _at_least(promise: str, value: float, bound: float, *, void: bool = False) -> Judged:
    return Judged(promise, value, Verdict.VOID if void else Verdict.KEPT if value >= bound else Verdict.BROKEN)


def _at_most(promise: str, value: float, bound: float, *, void: bool = False) -> Judged:
    return Judged(promise, value, Verdict.VOID if void else Verdict.KEPT if value <= bound else Verdict.BROKEN)


def _correct(outcome: Outcome) -> Iterator[Judged]:
    hubs = [row for row in outcome.saturated if row.peer.startswith(HUB)]
    if hubs:
        yield _at_most("clients with a wrong last value", sum(row.wrong_clients for row in hubs), 0)
        yield _at_most("holes in the sequence", sum(row.gaps for row in hubs), 0)
        yield _at_most("loss without a stall", max(abs(row.loss) for row in hubs), 0)


def _ratios(outcome: Outcome) -> Iterator[Judged]:
    rows = outcome.saturated
    for clients in sorted({row.clients for row in rows}):
        for peer, least in LEAST_OF_CEILING.items():
            share = ratio(rows, peer, CEILING, clients)
            if share is not None and clients >= CEILING_FROM_CLIENTS:
                yield _at_least(f"{peer}, {clients} clients: of {CEILING} >= {least}", share, least)
        times = ratio(rows, HUB, NAIVE, clients)
        if times is not None:
            yield _at_least(f"hub, {clients} clients: times {NAIVE} >= 500", times, LEAST_OVER_NAIVE)


def _stall(outcome: Outcome) -> Iterator[Judged]:
    for row in outcome.stalled:
        if row.peer.startswith(HUB):
            yield _at_most(f"{row.peer}, one stalled: others' p99 <= 2x", row.p99_ratio, 2)
            yield _at_least(f"{row.peer}, one stalled: others get all", row.others_share, 1)
            yield _at_most(f"{row.peer}, one stalled: growth <= 5 MiB", row.grown_bytes / MEBIBYTE, 5)
            yield _at_most(f"{row.peer}, one stalled: stale KiB <= 256", row.stale_bytes / 1024, 256)
            yield _at_most(f"{row.peer}, one stalled: wrong at the end", row.wrong_clients + row.late, 0)


def _loads(outcome: Outcome) -> Iterator[Judged]:
    for row in outcome.steady:
        name = f"{row.peer}, {row.name}"
        busy = row.waited_share > WAITED_SHARE or row.client_share > CLIENT_SHARE
        yield _at_most(f"{name}: clients with a wrong last value", row.wrong_clients, 0)
        if row.clients == 1000:
            yield _at_least(f"{name}: M deliveries/s >= 1", row.deliveries_per_second / 1e6, 1.0)
            yield _at_most(f"{name}: share of a core <= 0.20", row.server_share, 0.20)
            yield _at_most(f"{name}: p99 ms <= 40", row.p99_ms, 40, void=busy and row.p99_ms > 40)
        else:
            yield _at_most(f"{name}: p50 ms < 50", row.p50_ms, 50, void=busy and row.p50_ms > 50)
            yield _at_most(f"{name}: p99 ms < 100", row.p99_ms, 100, void=busy and row.p99_ms > 100)


def _ingest(outcome: Outcome) -> Iterator[Judged]:
    if outcome.ingested is not None:
        found = outcome.ingested
        yield _at_least("ingest: decode, times official >= 40", found.decode_ratio, 40)
        yield _at_least("ingest: socket to bus, M ticks/CPU s >= 1", found.socket_ours / 1e6, 1.0)
