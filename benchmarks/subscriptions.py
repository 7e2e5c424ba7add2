"""Measure how long a change of what is wanted takes to its first tick, through the whole platform, as a client sees it.

TICKER_URL=http://127.0.0.1:8000 TICKER_KEY=tkr_… python -m benchmarks.subscriptions [--rounds 40]

Against a running platform: each round asks for one instrument nobody wants yet, over the tick socket or by REST, and
waits for its first tick. Exits with 1 where the promise is broken, with 2 where the machine was crowded then.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients" / "python"))

from ticker_client import Ticker, TickStream

P95_SECONDS = 2.0
PATIENCE = 30.0


async def over_the_socket(url: str, key: str, instrument: str) -> float:
    """Subscribe on a socket that is open and return the seconds to the first tick."""
    async with asyncio.timeout(PATIENCE), TickStream(url, key) as stream:
        await stream.subscribe("NSE:NIFTY 50", mode="ltp")
        await anext(stream)
        begun = time.perf_counter()
        await stream.subscribe(instrument)
        async for tick in stream:
            if stream.symbols.get(tick.instrument_token) == instrument:
                return time.perf_counter() - begun
    raise SystemExit("the stream ended")


def over_rest(ticker: Ticker, instrument: str) -> float:
    """Want the instrument by the API and return the seconds until it has a quote."""
    begun = time.perf_counter()
    ticker.subscriptions.add(instrument, reason="a benchmark")
    while not ticker.quotes(instrument)["results"]:
        if time.perf_counter() - begun > PATIENCE:
            raise SystemExit(f"{instrument} never ticked")
        time.sleep(0.02)
    return time.perf_counter() - begun


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    url, key = os.environ["TICKER_URL"], os.environ["TICKER_KEY"]
    with Ticker(url, key) as ticker:
        held = {row["instrument"] for row in ticker.subscriptions.list(everyone=True)}
        free = (row["key"] for row in ticker.instruments.search(exchange="BSE") if row["key"] not in held)
        names = list(islice(free, 2 * rounds))
        socket = [asyncio.run(over_the_socket(url, key, name)) for name in names[:rounds]]
        rest = [over_rest(ticker, name) for name in names[rounds:]]
        ticker.subscriptions.remove(*names[rounds:])
    for name, times in (("socket", socket), ("REST", rest)):
        print(f"{name}: {len(times)} changes, p50 {statistics.median(times):.2f} s, p95 {p95(times):.2f} s")
    if max(p95(socket), p95(rest)) <= P95_SECONDS:
        return 0
    return 2 if os.getloadavg()[0] > (os.cpu_count() or 1) + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
