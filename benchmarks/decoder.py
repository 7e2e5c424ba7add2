"""Ticks decoded a second: ours against the broker's own parser, in the same run (`python -m benchmarks.decoder`)."""

import argparse
import random
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kiteconnect import KiteTicker

from kite.wire import decode

SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
LENGTHS = (8, 28, 32, 44, 184)
LOOP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """Frames of one batch, all of `packets` packets."""

    name: str
    packets: int
    frames: list[bytes]


def _packet(source: random.Random, length: int) -> bytes:
    token = source.randrange(1, 1 << 20) << 8 | source.choice(SEGMENTS)
    return struct.pack(">HI", length, token) + source.randbytes(length - 4)


def _frame(source: random.Random, lengths: Sequence[int]) -> bytes:
    return struct.pack(">H", len(lengths)) + b"".join(_packet(source, length) for length in lengths)


def cases(*, seed: int, packets: int, batch: int) -> list[Case]:
    """Return the frames to decode: of one kind, as a desk streams them, and all five kinds shuffled."""
    source = random.Random(seed)
    shuffled = [LENGTHS[number % len(LENGTHS)] for number in range(packets)]
    source.shuffle(shuffled)
    kinds = {
        "full": [184] * packets,
        "quote": [44] * packets,
        "ltp": [8] * packets,
        "full + 5 indices": [184] * (packets - 5) + [32] * 5,
        "five kinds shuffled": shuffled,
    }
    single = [Case(name, packets, [_frame(source, lengths)]) for name, lengths in kinds.items()]
    return single + [Case(f"{case.name}, {batch} frames at once", packets, case.frames * batch) for case in single]


def ticks_per_second(decoder: Callable[[], object], ticks: int) -> float:
    """Run for a while and return the rate."""
    runs = 0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < LOOP_SECONDS:
        decoder()
        runs += 1
    return runs * ticks / took


def measure(case: Case, *, rounds: int) -> tuple[float, float, float]:
    """Return the median rates of both and the median ratio; rounds are interleaved, so that noise strikes both."""
    ticker = KiteTicker("key", "token")
    ticks = case.packets * len(case.frames)
    pairs = [
        (
            ticks_per_second(lambda: [ticker._parse_binary(frame) for frame in case.frames], ticks),  # noqa: SLF001
            ticks_per_second(lambda: decode(case.frames), ticks),
        )
        for _ in range(rounds)
    ]
    official, ours = zip(*pairs, strict=True)
    ratios = [mine / theirs for theirs, mine in pairs]
    return statistics.median(official), statistics.median(ours), statistics.median(ratios)


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=100, help="packets a frame")
    parser.add_argument("--batch", type=int, default=10, help="frames decoded at once in the second half")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"{'frame of ' + str(given.packets):<38}{'official':>12}{'ours':>14}{'ratio':>9}   ticks/s")
    for case in cases(seed=given.seed, packets=given.packets, batch=given.batch):
        official, ours, ratio = measure(case, rounds=given.rounds)
        print(f"{case.name:<38}{official:>12,.0f}{ours:>14,.0f}{ratio:>8.1f}x")


if __name__ == "__main__":
    main()
