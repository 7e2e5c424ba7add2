"""Measure the daily load of instruments and the search among them, at the size of the real dump.

python -m ops.stack exec -- python -m benchmarks.instruments [--rows 100000] [--searches 400]

A load is the whole command, from the start of Python to its end. CPU seconds of the command and of PostgreSQL's
backends are told apart, because a busy machine must not pass for a slow load. Exits with 1 where a promise is broken,
with 2 where the machine had more to do than processors while it was.
"""

import argparse
import logging
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.environment import follow_environment, prepare

prepare()

import django  # noqa: E402

django.setup()
follow_environment()

from django.db import connection  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from accounts.authentication import issue_api_key  # noqa: E402
from tests.factories import UserFactory  # noqa: E402
from tests.market_data.live import database_url  # noqa: E402

NOW = datetime.now(UTC)
HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
SECONDS, MEGABYTES, P95_MILLISECONDS = 5.0, 150.0, 30.0
TICKS_PER_SECOND = float(os.sysconf("SC_CLK_TCK"))
SHARES = 21_000


@dataclass(frozen=True, slots=True)
class Load:
    """What one load took."""

    wall: float
    cpu: float
    postgres: float
    megabytes: float
    report: str


def lines(*, rows: int, day: int) -> Iterator[str]:
    """Yield a dump as the broker writes it: shares of two exchanges, and option chains of a few hundred underlyings."""
    yield HEADER + "\n"
    for number in range(SHARES):
        exchange = "NSE" if number % 2 else "BSE"
        segment = 1 if number % 2 else 4
        token = number << 8 | segment
        yield f'{token},{number},SH{number:05d},"COMPANY {number} LIMITED",0,,0,0.05,1,EQ,{exchange},{exchange}\n'
    expiries = [NOW.date() + timedelta(days=7 * week) for week in range(12)]
    for number in range(SHARES, rows):
        place = number - SHARES + (rows // 50) * day
        underlying, expiry = f"UND{place // 480:03d}", expiries[place // 40 % 12]
        strike, kind = 20_000 + place // 2 % 20 * 50, "CE" if place % 2 else "PE"
        symbol = f"{underlying}{expiry:%y%b%d}{strike}{kind}".upper()
        lot = 75 if place % 97 or not day else 65
        yield (
            f'{(place + SHARES) << 8 | 2},{place + SHARES},{symbol},"{underlying}",0,{expiry},{strike},0.05,{lot},'
            f"{kind},NFO-OPT,NFO\n"
        )


def postgres_seconds() -> float:
    """Return the CPU seconds of all backends that have ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text()
    parent = backend.rpartition(")")[2].split()[1]
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND


def load(path: Path) -> Load:
    """Run the command, Python's and Django's start included."""
    before, begun = postgres_seconds(), time.perf_counter()
    command = [sys.executable, "manage.py", "sync_instruments", "--file", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    most = 0.0
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        most = max(most, megabytes(process.pid))
        time.sleep(0.01)
    wall, (_, status, usage) = time.perf_counter() - begun, ended
    assert process.stdout is not None
    assert process.stderr is not None
    if status:
        raise SystemExit(f"the load failed: {process.stderr.read()}")
    cpu = usage.ru_utime + usage.ru_stime
    return Load(wall, cpu, postgres_seconds() - before, most, process.stdout.read().strip())


def megabytes(pid: int) -> float:
    """Return the most memory a process ever had since it was executed, 0 where it has just ended."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0


def searches(*, count: int, rows: int) -> Iterator[dict[str, str]]:
    """Yield what people type."""
    source = random.Random(7)
    most = max((rows - SHARES) // 480, 1)
    for number in range(count):
        name = f"UND{source.randrange(most):03d}"
        strike = str(20_000 + source.randrange(20) * 50)
        yield [
            {"q": f"sh{source.randrange(SHARES):05d}"[: source.randrange(3, 8)]},
            {"q": name[: source.randrange(3, 7)]},
            {"q": f"{name} {strike} ce"},
            {"q": f"company {source.randrange(SHARES)}"},
            {"name": name, "expiry": str(NOW.date() + timedelta(days=7))},
            {"name": name, "strike": strike, "instrument_type": "PE"},
            {"exchange": "NFO", "limit": "500"},
        ][number % 7]


def search_times(*, count: int, rows: int) -> dict[str, list[float]]:
    """Return milliseconds by kind of search, through the API with an API key."""
    owner = UserFactory(administrator=True)
    key = issue_api_key(
        user=owner, name="b", scopes=("market:read",), accounts=None, expires_at=NOW + timedelta(days=9), now=NOW
    )[1]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    times: dict[str, list[float]] = {}
    for warm, query in enumerate(searches(count=count + 14, rows=rows)):
        begun = time.perf_counter()
        answer = client.get("/api/v1/instruments", query)
        took = (time.perf_counter() - begun) * 1000
        assert answer.status_code == 200, answer.content
        if warm >= 14:
            kind = "+".join(query) + (f" ({len(query['q'].split())} words)" if "q" in query else "")
            times.setdefault(kind, []).append(took)
    return times


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18] if len(values) > 1 else values[0]


def judge_loads(rows: int) -> bool:
    """Print each load and say whether every promise was kept."""
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for name, day in (("first", 0), ("same again", 0), ("next day", 1)):
            path = Path(folder) / f"{name}.csv"
            path.write_text("".join(lines(rows=rows, day=day)))
            one = load(path)
            kept &= one.wall <= SECONDS and one.megabytes <= MEGABYTES
            print(
                f"{name}: {one.wall:.2f} s, CPU {one.cpu:.2f} s + PostgreSQL {one.postgres:.2f} s, "
                f"{one.megabytes:.0f} MB; {one.report}",
                flush=True,
            )
    return kept


def judge_searches(count: int, rows: int) -> bool:
    """Print the times of each kind of search and say whether the promise was kept over all."""
    before, cpu = postgres_seconds(), time.process_time()
    times = search_times(count=count, rows=rows)
    cpu = (time.process_time() - cpu) * 1000 / (count + 14)
    connection.close()
    theirs = (postgres_seconds() - before) * 1000 / (count + 14)
    for kind, values in times.items():
        print(f"search {kind}: p50 {statistics.median(values):.1f} ms, p95 {p95(values):.1f} ms")
    whole = p95([value for values in times.values() for value in values])
    print(f"search: p95 of all {whole:.1f} ms; mean CPU {cpu:.1f} ms + PostgreSQL {theirs:.1f} ms")
    return whole <= P95_MILLISECONDS


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=400)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    os.environ["DATABASE_URL"] = database_url(connection)
    kept = judge_loads(options.rows)
    kept &= judge_searches(options.searches, options.rows)
    if kept:
        return 0
    crowded = os.getloadavg()[0] > (os.cpu_count() or 1) + 1
    print(f"a promise was missed at a load average of {os.getloadavg()[0]:.1f}")
    return 2 if crowded else 1


if __name__ == "__main__":
    sys.exit(main())
