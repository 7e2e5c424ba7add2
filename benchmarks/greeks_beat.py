"""Time one beat of the live chains, from the last values on the bus to the published blobs, and check its budget.

python -m ops.stack exec -- python -m benchmarks.greeks_beat [--profile]

Every chain has ticked. The budget is checked on the worker's processor time, so that a busy machine does not count; the
time on the wall, with Valkey's work in it, stands beside it.
"""

import argparse
import cProfile
import os
import pstats
import sys
import time
from collections.abc import Sequence

import django
from django.conf import settings

BUDGET_MS = {10_000: 10.0, 50_000: 40.0}
STRIKES = 100
REPEATS = 15
RATE = 0.065


def main() -> int:
    """Print the table; return 1 when a budget is broken."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
    django.setup()
    # Models may be imported once Django is ready, and not before.
    from benchmarks.greeks_beat_market import FixedEngine, Market  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true", help="print where the time of the larger beat goes")
    asked = parser.parse_args()
    broken = 0
    print("options     chains    solved  least ms  median ms  budget ms  wall: least  median")
    for options, budget in BUDGET_MS.items():
        market = Market(chains=options // (2 * STRIKES), strikes=STRIKES, rate=RATE)
        engine = FixedEngine(url=settings.REDIS_URL, market=market)
        engine.beat()
        beats = [engine.beat() for _ in range(REPEATS)]
        (least, median), wall = (_least_and_median(times) for times in zip(*beats, strict=True))
        print(
            f"{options:<12}{market.chains:>6}{engine.solved:>10}{least:>10.1f}{median:>11.1f}{budget:>11.1f}"
            f"{wall[0]:>13.1f}{wall[1]:>8.1f}"
        )
        broken += median > budget
    if asked.profile:
        engine.profile = cProfile.Profile(time.process_time)
        for _ in range(5):
            engine.beat()
        pstats.Stats(engine.profile, stream=sys.stdout).sort_stats("tottime").print_stats(22)
    return int(broken > 0)


def _least_and_median(seconds: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return 1e3 * ordered[0], 1e3 * ordered[len(ordered) // 2]


if __name__ == "__main__":
    sys.exit(main())
