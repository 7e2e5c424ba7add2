"""The database is killed, or a standby takes over, while orders are on their way: none is lost, none is sent twice."""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from orders.models import Order, RiskLimit
from orders.states import State
from orders.tags import ForeignTag, decode
from tests.orders.conftest import Desk
from tests.orders.own_postgres import Server, either
from tests.proving import Numbers

SHORT_KILLS, LONG_KILLS = 2, 100
PROMOTIONS = 20
ORDERS_BETWEEN = 3
PATIENCE_SECONDS = 60.0
UNSETTLED = {State.CLAIMED, State.SENDING, State.UNKNOWN}


@dataclass(slots=True)
class Worker:
    """A tireless worker, and the orders it has told of."""

    process: subprocess.Popen[str]
    taken: list[str]

    def more(self, count: int) -> float:
        """Wait until it has taken in so many more; return the seconds until the first of them."""
        began, first = time.monotonic(), 0.0
        wanted = len(self.taken) + count
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while len(self.taken) < wanted:
                left = PATIENCE_SECONDS - (time.monotonic() - began)
                assert left > 0, f"no order was taken in for {PATIENCE_SECONDS:g} s"
                if selector.select(left):
                    self.taken.append(self.process.stdout.readline().strip())
                    first = first or time.monotonic() - began
        return first


def environment(desk: Desk, database: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": django_settings.REDIS_URL,
        "INSTALLATION_ID": django_settings.INSTALLATION_ID,
        "KITE_REST_ROOT": desk.sandbox.rest_root,
        "KITE_WS_ROOT": desk.sandbox.ws_root,
        "LOG_LEVEL": "CRITICAL",
    }


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "tests.orders.tireless", *words]


@contextlib.contextmanager
def working(desk: Desk, database: str, taken: list[str]) -> Iterator[Worker]:
    price = str(desk.price(-5))
    process = subprocess.Popen(
        command("work", desk.account.label, price),
        env=environment(desk, database),
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield Worker(process=process, taken=taken)
    finally:
        process.kill()
        rest, _ = process.communicate()
        taken += rest.split()


def told(desk: Desk, database: str) -> list[list[str]]:
    """Return (id, state, origin, broker's id) of every order, once what was left is mended."""
    done = subprocess.run(
        command("tell", desk.account.label),
        env=environment(desk, database),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def count_wrongs(desk: Desk, rows: list[list[str]], taken: list[str], numbers: Numbers) -> None:
    """Compare the database with what was said to be taken in, and with the exchange's journal."""
    known = {broker_id for *_, broker_id in rows if broker_id}
    accepted: list[str] = []
    numbers_sent: Counter[int] = Counter()
    for entry in desk.sandbox.journal(since=desk.since, route="order.place", verdict="accepted"):
        accepted += entry["order_ids"]
        with contextlib.suppress(ForeignTag):
            numbers_sent[decode(str(entry["tag"])).number] += 1
    lost = set(taken) - {order_id for order_id, *_ in rows}
    wrong = {
        "intents lost": len(lost),
        "orders not adopted": len(set(accepted) - known),
        "sent twice": sum(count > 1 for count in numbers_sent.values()),
        "phantoms": len(known - set(accepted)),
        "stuck": sum(state in UNSETTLED for _, state, *_ in rows),
    }
    for kind, count in wrong.items():
        numbers.add(kind, count)
    numbers.add("intents", len(taken))
    assert wrong == dict.fromkeys(wrong, 0)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that the database's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="own-postgres-") as place:
        Path(place).chmod(0o755)
        yield Path(place)


@pytest.fixture
def server(fresh_desk: Desk, folder: Path) -> Iterator[Server]:
    """Return a server of its own that holds the desk."""
    RiskLimit.objects.create(max_open_orders=1_000_000, max_day_notional=Decimal(10**12))
    server = Server.new(folder / "first")
    server.start()
    try:
        server.fill()
        yield server
    finally:
        server.stop()


def kill_again_and_again(desk: Desk, server: Server, numbers: Numbers, *, times: int) -> None:
    taken: list[str] = []
    with working(desk, server.postgres.url, taken) as worker:
        worker.more(ORDERS_BETWEEN)
        for done in range(times):
            server.kill()
            server.start()
            numbers.most("seconds until orders are taken in again", worker.more(ORDERS_BETWEEN))
            numbers.add("kills")
            numbers.step(done, times)

    count_wrongs(desk, told(desk, server.postgres.url), taken, numbers)


def promote_again_and_again(desk: Desk, server: Server, folder: Path, numbers: Numbers, *, times: int) -> None:
    """Let a synchronous standby take over from a killed server, and get a standby itself, again and again."""
    taken: list[str] = []
    leader = server
    for done in range(times):
        follower = leader.standby(folder / f"standby-{done}")
        follower.start()
        leader.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
        leader.ask("SELECT pg_reload_conf()")
        with working(desk, either(leader, follower), taken) as worker:
            worker.more(ORDERS_BETWEEN)
            leader.kill()
            follower.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
            follower.promote()
            numbers.most("seconds until orders are taken in again", worker.more(ORDERS_BETWEEN))
        numbers.add("promotions")
        numbers.step(done, times)
        leader = follower
    try:
        count_wrongs(desk, told(desk, leader.postgres.url), taken, numbers)
    finally:
        leader.stop()


@pytest.mark.proof(id="R08")
def test_a_killed_database_loses_no_order(fresh_desk: Desk, server: Server, numbers: Numbers) -> None:
    kill_again_and_again(fresh_desk, server, numbers, times=SHORT_KILLS)


@pytest.mark.long
@pytest.mark.proof(id="R08")
def test_a_hundred_kills_of_the_database_lose_none(fresh_desk: Desk, server: Server, numbers: Numbers) -> None:
    kill_again_and_again(fresh_desk, server, numbers, times=LONG_KILLS)


@pytest.mark.long
@pytest.mark.proof(id="R08")
def test_twenty_standbys_take_over_one_after_another(
    fresh_desk: Desk, server: Server, folder: Path, numbers: Numbers
) -> None:
    promote_again_and_again(fresh_desk, server, folder, numbers, times=PROMOTIONS)


@pytest.mark.proof(id="R08")
def test_what_a_late_standby_never_heard_of_is_adopted(
    fresh_desk: Desk, server: Server, folder: Path, numbers: Numbers
) -> None:
    follower = server.standby(folder / "late")
    follower.start()
    try:
        follower.ask("ALTER SYSTEM SET primary_conninfo = ''")
        follower.ask("SELECT pg_reload_conf()")
        with working(fresh_desk, server.postgres.url, []) as worker:
            worker.more(ORDERS_BETWEEN + 1)
            server.kill()
        follower.promote()
        numbers.add("promotions")

        rows = told(fresh_desk, follower.postgres.url)

        orphans = sum(origin == Order.Origin.ORPHAN for _, _, origin, _ in rows)
        accepted = fresh_desk.placed
        numbers.add("orphans adopted", orphans)
        numbers.add("orders not adopted", len(set(accepted) - {broker_id for *_, broker_id in rows}))
        assert orphans == len(accepted) >= ORDERS_BETWEEN
    finally:
        follower.stop()
