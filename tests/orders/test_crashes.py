"""A worker killed at every named point, under every fault of the wire: at most one order, and none unknown."""

import signal
from collections import Counter
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from redis import Redis

from accounts.errors import PlatformError
from accounts.queries import login_for
from kite.errors import KiteError
from orders import claims, reconciliation
from orders.models import Order, OrderBudget
from orders.parameters import request_of
from orders.states import FINAL, LIVE, State
from orders.tags import ForeignTag, decode
from tests.orders.clocks import MovedClock
from tests.orders.conftest import Desk, log_in
from tests.orders.crashpoints import FAULTS, PLACE, POINTS, TRADES, in_a_child, the_order, trading
from tests.proving import Numbers
from tests.sandbox_server import wait_for

PATIENCE = 40
ROUNDS = 24
WRONG = ("duplicate", "lost", "phantom", "stuck")


def accepted(desk: Desk, order: Order) -> list[str]:
    """Return every order of the exchange's journal that bears this order's number, whatever the attempt."""
    ids = []
    for entry in desk.sandbox.journal(since=desk.since, route=PLACE, verdict="accepted"):
        try:
            tag = decode(str(entry["tag"]))
        except ForeignTag:
            continue
        if tag.number == order.number:
            ids += entry["order_ids"]
    return ids


def is_settled(order: Order) -> bool:
    order.refresh_from_db()
    return State(order.state) in FINAL or order.broker_order_id is not None


def read_books(desk: Desk) -> None:
    """Read them as beat does, and log in where the token is dead."""
    try:
        reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
    except (KiteError, PlatformError):
        log_in(desk.account, desk.sandbox, 0)


def mend(desk: Desk, order: Order) -> None:
    """Do what sweeper, workers and operators do afterwards, a hundred seconds at a step."""
    for _ in range(PATIENCE):
        if is_settled(order):
            return
        desk.clock.advance(100)
        reconciliation.recover(now=desk.clock.now())
        desk.submit(order)
        read_books(desk)


def is_known(desk: Desk, order: Order) -> bool:
    """Say whether we know of just what the exchange accepted, once the books are read again."""
    read_books(desk)
    order.refresh_from_db()
    return accepted(desk, order) == ([order.broker_order_id] if order.broker_order_id else [])


def wrongs_of(desk: Desk, order: Order) -> Counter[str]:
    """Compare what we say with the exchange's journal."""
    wrong: Counter[str] = Counter()
    wrong["stuck"] += not is_settled(order)
    try:
        wait_for(partial(is_known, desk, order))
    except AssertionError:
        wrong["lost"] += order.broker_order_id is None
    ids = accepted(desk, order)
    wrong["duplicate"] += len(ids) > 1
    wrong["phantom"] += order.broker_order_id is not None and order.broker_order_id not in ids
    wrong["lost"] += order.broker_order_id is not None and State(order.state) not in LIVE | {State.COMPLETE}
    return +wrong


def forget_breakers() -> None:
    """A breaker that opened in the cell before would keep this order at the door."""
    with Redis.from_url(settings.REDIS_URL) as client:
        for key in client.scan_iter("breaker:*"):
            client.delete(key)


def cell(desk: Desk, point: str, fault: str, numbers: Numbers) -> Counter[str]:
    """Kill one worker under one fault, mend, and return what is wrong."""
    # A breaker that opened in the cell before would keep this order at the door.
    Redis.from_url(settings.REDIS_URL).flushall()
    desk = replace(desk, clock=MovedClock(), since=desk.sandbox.journal_end())
    desk.sandbox.clear_faults()
    OrderBudget.objects.all().delete()
    forget_breakers()
    key = str(uuid4())
    if point in TRADES:
        trading(desk, key)
    elif not point.startswith(("CP01", "CP02")):
        the_order(desk, key)
    for spec in FAULTS[fault]:
        desk.sandbox.fault(**spec)
    ended_by = in_a_child(partial(POINTS[point], desk, key), close=connection.close)
    order = the_order(desk, key)
    mend(desk, order)
    wrong = wrongs_of(desk, order)
    numbers.add("cells")
    numbers.add("kills", ended_by == signal.SIGKILL)
    for kind in WRONG:
        numbers.add(kind, wrong[kind])
    if not FAULTS[fault]:
        assert ended_by == signal.SIGKILL, "the point was never reached"
    return wrong


def grid_row(desk: Desk, point: str, numbers: Numbers) -> None:
    wrong = {}
    for fault in FAULTS:
        found = cell(desk, point, fault, numbers)
        if found:
            wrong[fault] = found
    numbers.most("crash points", len(POINTS))
    numbers.most("wire faults", len(FAULTS))
    assert wrong == {}


@pytest.mark.proof(id="R01")
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_this_point_leaves_one_order_or_none_whatever_the_wire_does(
    fresh_desk: Desk, point: str, numbers: Numbers
) -> None:
    grid_row(fresh_desk, point, numbers)


@pytest.mark.long
@pytest.mark.proof(id="R01")
@pytest.mark.parametrize("point", POINTS)
def test_two_dozen_times_more(fresh_desk: Desk, point: str, numbers: Numbers) -> None:
    for done in range(ROUNDS):
        grid_row(fresh_desk, point, numbers)
        numbers.step(done, ROUNDS)


@pytest.mark.proof(id="R03")
def test_the_harness_would_see_an_order_sent_twice(fresh_desk: Desk, numbers: Numbers) -> None:
    order = fresh_desk.place(order_type="LIMIT", price=fresh_desk.price(-5))
    claimed = claims.claim(order_id=order.pk, clock=fresh_desk.clock)
    assert isinstance(claimed, claims.Claim)
    client = fresh_desk.sessions.client(login_for(account_id=order.account_id, now=fresh_desk.clock.now()))

    for _ in range(2):
        client.place_order(request_of(claimed.order))

    assert wrongs_of(fresh_desk, order)["duplicate"] == 1
    numbers.add("planted bugs")
