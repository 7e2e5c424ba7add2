"""The run as tables on the screen and as JSON in a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.fanout.closed_loop import Measured
from benchmarks.fanout.judge import Judged, Outcome, middle, ratio
from benchmarks.fanout.machine import Noise, describe
from benchmarks.fanout.peers import CEILING, NAIVE
from benchmarks.fanout.stall import Stalled

HEAD = ("peer", "clients", "ticks", "n", "deliveries/CPU s", "us/frame", "p50 ms", "p99 ms", "loss %", "KiB/client")
COLUMNS = ("per_cpu_second", "us_per_frame", "p50_ms", "p99_ms", "loss")


def tell_saturated(rows: Sequence[Measured]) -> None:
    """Print medians by size and peer."""
    print("| " + " | ".join((*HEAD, f"of {CEILING}", f"x {NAIVE}")) + " |")
    print("|---|" + "--:|" * (len(HEAD) + 1))
    for clients, peer in dict.fromkeys((row.clients, row.peer) for row in sorted(rows, key=lambda row: row.clients)):
        same = [row for row in rows if row.peer == peer and row.clients == clients]
        # Memory once taken is used again: the first time a size is reached shows what a client costs.
        memory = max(row.rss_per_client for row in same)
        speed, each, p50, p99, loss = (middle(rows, peer, clients, name) or 0.0 for name in COLUMNS)
        numbers = f"{speed:,.0f} | {each:.1f} | {p50:.1f} | {p99:.1f} | {100 * loss:.1f} | {memory / 1024:.0f}"
        ratios = (_times(ratio(rows, peer, other, clients)) for other in (CEILING, NAIVE))
        print(f"| {peer} | {clients} | {same[0].ticks} | {len(same)} | {numbers} | " + " | ".join(ratios) + " |")


def tell_sections(outcome: Outcome) -> None:
    """Print what the other sections found."""
    for row in outcome.stalled:
        print(f"\none of {row.clients} clients stops, {row.peer} at {row.hertz:g} batches/s: {_stalled(row)}")
    for load in outcome.steady:
        print(
            f"\n{load.peer}, {load.name}: {load.clients} clients, {load.ticks_per_second:,.0f} ticks/s each, "
            f"{load.deliveries_per_second:,.0f} deliveries/s at {load.server_share:.1%} of a core, "
            f"p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms, worst {load.max_ms:.0f} ms, loss {load.loss:.2%}; "
            f"the server stood in line for its core {load.waited_share:.0%} of the time"
        )
    if (found := outcome.ingested) is not None:
        print(
            f"\ningest, 100 full packets a frame: decode {found.decode_ours:,.0f} ticks/s against "
            f"{found.decode_official:,.0f} ({found.decode_ratio:.0f}x); socket to bus {found.socket_ours:,.0f} "
            f"ticks/CPU s against {found.socket_official:,.0f} without a bus ({found.socket_ratio:.1f}x)"
        )


def tell_verdicts(judged: Sequence[Judged]) -> None:
    """Print every promise."""
    print()
    for each in judged:
        print(f"{each.verdict:<7} {each.value:>12,.3f}  {each.promise}")


def write(*, path: Path, outcome: Outcome, judged: Sequence[Judged], noise: Noise, skipped: Sequence[str]) -> None:
    """Write all of it."""
    document = {
        "machine": describe(),
        "noise": noise.busy_share,
        "skipped": list(skipped),
        "saturated": [row.document() for row in outcome.saturated],
        "stalled": [asdict(row) for row in outcome.stalled],
        "steady": [asdict(row) for row in outcome.steady],
        "ingested": asdict(outcome.ingested) if outcome.ingested else None,
        "promises": [asdict(each) for each in judged],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 10 else f"{value:,.0f}"


def _stalled(row: Stalled) -> str:
    return (
        f"the others get {row.others_share:.0%}, their p99 {row.p99_before_ms:.1f} -> {row.p99_during_ms:.1f} ms, "
        f"the server grows {row.grown_bytes / 1024:.0f} KiB, "
        f"the stopped one reads {row.stale_frames} frames, {row.stale_bytes / 1024:.0f} KiB, before the newest"
    )
