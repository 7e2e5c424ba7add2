"""Measure orders end to end, POST to 202 to the broker's acknowledgement, with real web, workers, database, exchange.

python -m benchmarks.orders [--seconds 10] [--rate 100] [--burst 1000]

--seconds 300 is the promise's five minutes; --seconds 3600 --rate 25 its hour of memory, within the 5,000 orders a day
that the broker takes of an account. Beside it, in the same run, the cost of a bare `kiteconnect.place_order` loop
against the same exchange. Counts are the exchange's journal. Everything runs on this machine: client, web, worker,
PostgreSQL (durable), Valkey and the exchange share its processors, which the print names with what one order cost each.
Exits with 1 where a promise is broken.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.environment import follow_environment, prepare

if "DATABASE_URL" not in os.environ:
    lent = ("-m", "ops.stack", "exec", "--durable", "--", sys.executable, "-m", "benchmarks.orders")
    os.execv(sys.executable, [sys.executable, *lent, *sys.argv[1:]])
prepare()

import django  # noqa: E402

django.setup()
follow_environment()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import F  # noqa: E402
from kiteconnect import KiteConnect  # noqa: E402

from benchmarks.orders.desk import Desk, Programs, open_desk  # noqa: E402
from benchmarks.orders.load import Answers, Load  # noqa: E402
from orders import tasks  # noqa: E402
from orders.models import Order  # noqa: E402
from orders.states import State  # noqa: E402
from tests.sandbox_server import SandboxServer  # noqa: E402

SUBMIT_P99_MS, ACK_ABOVE_MS = 100.0, 40.0
BURST_SECONDS = 10.0
LEAST_RATE, MOST_A_SECOND = 7.5, 10
GROWTH = 1.05
BARE_CALLS = 100
ONE_ACCOUNT_SECONDS = 30
FREE_RATE, FREE_SECONDS = 20.0, 10.0


@dataclass(slots=True)
class Promises:
    """What was promised, and whether it was kept."""

    broken: list[str] = field(default_factory=list)

    def keep(self, text: str, *, kept: bool) -> None:
        print(f"   {'kept  ' if kept else 'BROKEN'} {text}")
        if not kept:
            self.broken.append(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the sustained rate lasts")
    parser.add_argument("--rate", type=float, default=100.0, help="orders a second, over 20 accounts")
    parser.add_argument("--burst", type=int, default=1000, help="orders of the burst")
    options = parser.parse_args()
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    promises = Promises()
    with SandboxServer("--users", "20", "--no-limits", "--cash", "1e12") as exchange:
        desk = open_desk(exchange)
        with Programs(exchange) as programs:
            load = os.getloadavg()[0]
            print(f"{os.cpu_count()} processors, load average {load:.1f} before the run, {datetime.now(UTC):%Y-%m-%d}")
            sustained(desk, programs, options, promises)
            free(desk, exchange, promises)
            burst(desk, options, promises)
            one_account(desk, exchange, promises)
    connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)
    return 1 if promises.broken else 0


def bare_loop(exchange: SandboxServer, desk: Desk) -> float:
    """Return the median milliseconds of `kiteconnect.place_order` in a loop, nothing written down, nothing checked."""
    user = exchange.user(0)
    kite = KiteConnect(api_key=user.api_key, access_token=exchange.session(user), root=exchange.rest_root)
    took = []
    for _ in range(BARE_CALLS):
        began = time.perf_counter()
        kite.place_order(
            "regular", "NSE", "INFY", "BUY", 1, "CNC", "LIMIT", price=desk.price, validity="DAY", tag="bare"
        )
        took.append((time.perf_counter() - began) * 1000)
    desk.log_in(0)
    p50 = statistics.median(took)
    print(f"bare kiteconnect.place_order loop: p50 {p50:.1f} ms, {1000 / statistics.fmean(took):.0f} a second")
    return p50


def sustained(desk: Desk, programs: Programs, options: argparse.Namespace, promises: Promises) -> None:
    """Take orders in at the promised rate, and let the programs grow no fatter by it."""
    count = int(options.rate * options.seconds)
    warm(desk)
    before, since = programs.costs(), datetime.now(UTC)
    answers = asyncio.run(Load(desk, count, options.rate).run(clients=50))
    drained = settle(since)
    after = programs.costs()
    print(f"\n{options.rate:g} orders a second for {options.seconds:g} s over {len(desk.accounts)} accounts")
    tell(answers)
    acks = acknowledgements(since)
    print(f"   the last was acknowledged {drained:.1f} s after the last answer")
    if acks:
        print(f"   POST to the broker's acknowledgement: p50 {statistics.median(acks):.1f} ms")
    spent = after.since(before, orders=count)
    each = ", ".join(f"{name} {cost:.1f}" for name, cost in spent.items())
    print(f"   processor milliseconds of one order: {sum(spent.values()):.1f} ({each})")
    grown = {name: (before.memory[name], after.memory[name]) for name in ("web", "worker")}
    print(f"   memory: {', '.join(f'{name} {was:.0f} to {held:.0f} MB' for name, (was, held) in grown.items())}")
    promises.keep(f"all {count} taken in", kept=answers.statuses == Counter({202: count}))
    promises.keep("every order acknowledged", kept=len(acks) == count)
    promises.keep(f"submit p99 < {SUBMIT_P99_MS:g} ms", kept=answers.quantile(99) < SUBMIT_P99_MS)
    flat = all(held <= was * GROWTH for was, held in grown.values())
    promises.keep(f"memory grows less than {GROWTH - 1:.0%}", kept=flat)


def free(desk: Desk, exchange: SandboxServer, promises: Promises) -> None:
    """Carry orders that find a free budget and a free worker, and take the exchange's own time away."""
    since = datetime.now(UTC)
    asyncio.run(Load(desk, int(FREE_RATE * FREE_SECONDS), FREE_RATE).run(clients=20))
    settle(since)
    acks = acknowledgements(since)
    bare = bare_loop(exchange, desk)
    p50 = statistics.median(acks) if acks else float("inf")
    above = p50 - bare
    print(f"\n{FREE_RATE:g} orders a second for {FREE_SECONDS:g} s: every account's budget is free")
    print(f"   POST to the broker's acknowledgement: p50 {p50:.1f} ms, {above:.1f} ms above the bare call")
    promises.keep(f"acknowledged p50 <= {ACK_ABOVE_MS:g} ms above the bare call", kept=above <= ACK_ABOVE_MS)


def burst(desk: Desk, options: argparse.Namespace, promises: Promises) -> None:
    since = datetime.now(UTC)
    answers = asyncio.run(Load(desk, options.burst, options.burst / BURST_SECONDS).run(clients=50))
    drained = settle(since)
    print(f"\n{options.burst} orders in {BURST_SECONDS:g} s")
    tell(answers)
    acks = acknowledgements(since)
    print(f"   the last was acknowledged {drained:.1f} s after the last answer")
    absorbed = answers.statuses == Counter({202: options.burst}) and len(acks) == options.burst
    promises.keep("all taken in and acknowledged", kept=absorbed)


def one_account(desk: Desk, exchange: SandboxServer, promises: Promises) -> None:
    """Let one account send as fast as its budget allows, counted in the exchange's journal with its limits on."""
    exchange.settings(limits=True)
    desk.bound(per_minute=300)
    since, began = exchange.journal_end(), datetime.now(UTC)
    count = int(8 * ONE_ACCOUNT_SECONDS)
    account = desk.accounts[0]
    asyncio.run(Load(desk, count, 1000, only=account).run(clients=20))
    settle(began)
    entries = exchange.journal(since=since, route="order.place")
    at = sorted(entry["wall"] for entry in entries)
    rate = (len(at) - 1) / (at[-1] - at[0]) if len(at) > 1 else 0.0
    seconds = Counter(entry["at"] for entry in entries)
    refused = sum(entry["status"] == 429 for entry in entries)
    most = max(seconds.values(), default=0)
    print(f"\none account, {count} orders at once: {rate:.2f} a second, {most} in the fullest calendar second")
    promises.keep(f"{LEAST_RATE} orders a second or more", kept=rate >= LEAST_RATE)
    promises.keep(f"never more than {MOST_A_SECOND} in a calendar second", kept=most <= MOST_A_SECOND)
    promises.keep("no 429", kept=refused == 0)


def warm(desk: Desk) -> None:
    since = datetime.now(UTC)
    asyncio.run(Load(desk, 100, 40).run(clients=20))
    settle(since)


def settle(since: datetime, *, patience: float = 180.0) -> float:
    """Wake what was lost, as beat does, until every order has its answer; return how long that took."""
    began = swept = time.monotonic()
    waiting = Order.objects.filter(created_at__gte=since, state__in=[State.READY, State.CLAIMED, State.SENDING])
    while waiting.exists() and time.monotonic() - began < patience:
        time.sleep(0.1)
        if time.monotonic() - swept > 2:
            swept = time.monotonic()
            tasks.sweep()
    return time.monotonic() - began


def acknowledgements(since: datetime) -> list[float]:
    """Return the milliseconds from the intent's row to the acknowledgement's."""
    orders = Order.objects.filter(created_at__gte=since, acked_at__isnull=False)
    spans = orders.annotate(took=F("acked_at") - F("created_at")).values_list("took", flat=True)
    return [span / timedelta(milliseconds=1) for span in spans]


def tell(answers: Answers) -> None:
    cuts = [answers.quantile(part) for part in (50, 95, 99)]
    print(f"   POST to 202: p50 {cuts[0]:.1f}, p95 {cuts[1]:.1f}, p99 {cuts[2]:.1f} ms; {dict(answers.statuses)}")
    print(f"   {answers.count / answers.seconds:.0f} a second came through; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
