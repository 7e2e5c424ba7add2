"""Time one beat of the live chains, from the last values on the bus to the published blobs, and check its budget.

python -m ops.stack exec -- python -m benchmarks.greeks_beat [--profile]

Every chain has ticked; times are processor time, so that a busy machine does not count.
"""

import argparse
import cProfile
import os
import pstats
import sys
import time

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
    print("options     chains    solved  least ms  median ms  budget ms")
    for options, budget in BUDGET_MS.items():
        market = Market(chains=options // (2 * STRIKES), strikes=STRIKES, rate=RATE)
        engine = FixedEngine(url=settings.REDIS_URL, market=market)
        engine.beat()
        times = [engine.beat() for _ in range(REPEATS)]
        least, median = 1e3 * min(times), 1e3 * sorted(times)[REPEATS // 2]
        print(f"{options:<12}{market.chains:>6}{engine.solved:>10}{least:>10.1f}{median:>11.1f}{budget:>11.1f}")
        broken += least > budget
    if asked.profile:
        engine.profile = cProfile.Profile(time.process_time)
        for _ in range(5):
            engine.beat()
        pstats.Stats(engine.profile, stream=sys.stdout).sort_stats("tottime").print_stats(22)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
