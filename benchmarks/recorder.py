"""Measure how many ticks a second the recorder stores: the product's storage, with stream positions and candles.

python -m ops.stack exec -- python -m benchmarks.recorder [--rounds 6]

Full ticks with depth, the dearest there are, in batches as a feed flushes them. CPU seconds of this process and of its
PostgreSQL backend are told apart. Exits with 1 where the promise is broken, with 2 where the machine was crowded then.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from tests.environment import follow_environment, prepare

prepare()

import django  # noqa: E402

django.setup()
follow_environment()

import numpy as np  # noqa: E402
from django.db import connection  # noqa: E402

from kite.wire import KIND_FULL, TICK  # noqa: E402
from market_data.batches import Batch, BatchKind  # noqa: E402
from market_data.recorder import ENTRIES  # noqa: E402
from market_data.storage import Entry, Storage  # noqa: E402

PROMISED = 40_000.0
INSTRUMENTS = 3_000
ROWS = 500
TICKS_PER_SECOND = float(os.sysconf("SC_CLK_TCK"))


def backend_seconds() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        fields = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def batch(sequence: int, source: np.random.Generator, now: float) -> Batch:
    """Return a flush of full ticks."""
    rows = np.zeros(ROWS, TICK)
    rows["instrument_token"] = (source.choice(INSTRUMENTS, ROWS, replace=False).astype(np.uint32) + 1) << 8 | 2
    rows["last_price"] = source.normal(1500, 20, ROWS).round(2)
    rows["volume"] = sequence * 100 + source.integers(0, 100, ROWS)
    rows["kind"], rows["tradable"] = KIND_FULL, True
    rows["received_at"] = now + sequence * 0.05
    rows["exchange_at"] = rows["last_trade_at"] = now + sequence * 0.05
    for side in ("bid", "ask"):
        rows[f"{side}_price"], rows[f"{side}_quantity"] = 1500.0, 75
    return Batch(
        kind=BatchKind.RAW,
        shard=0,
        epoch=1,
        from_sequence=sequence - 1,
        to_sequence=sequence,
        published_us=int(now * 1e6),
        rows=rows,
    )


def cycles(source: np.random.Generator, now: float, count: int) -> list[list[Entry]]:
    """Return what the recorder reads from its stream at a time, packed and unpacked as on the way through Valkey."""
    return [
        [
            (f"{number}-0", Batch.unpack(batch(number, source, now).pack()))
            for number in range(turn * ENTRIES + 1, (turn + 1) * ENTRIES + 1)
        ]
        for turn in range(count)
    ]


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="reads of 200 batches of 500 ticks (%(default)s)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    work = cycles(np.random.default_rng(7), time.time(), options.rounds)
    storage = Storage(shard=0)
    storage.open()
    theirs, cpu, began = backend_seconds(), time.process_time(), time.perf_counter()
    for entries in work:
        storage.store(entries)
        storage.store_candles()
    took = time.perf_counter() - began
    cpu, theirs = time.process_time() - cpu, backend_seconds() - theirs
    rows, candles = storage.tally.rows, storage.tally.candles
    storage.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM market_data_tick")
        stored = cursor.fetchone()[0]
    print(
        f"{rows:,} ticks and {candles:,} candles in {took:.2f} s: {rows / took:,.0f} ticks a second; "
        f"CPU {cpu:.2f} s + PostgreSQL {theirs:.2f} s: {rows / (cpu + theirs):,.0f} a CPU second; {stored:,} stored"
    )
    if stored != options.rounds * ENTRIES * ROWS:
        return 1
    if rows / took >= PROMISED:
        return 0
    return 2 if os.getloadavg()[0] > (os.cpu_count() or 1) + 1 else 1


if __name__ == "__main__":
    sys.exit(main())
