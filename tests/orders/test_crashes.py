"""A worker killed at every named point, under every fault of the wire: at most one order, and none unknown."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection

from accounts.errors import PlatformError
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError
from orders import execution, reconciliation
from orders.models import Order, OrderBudget
from orders.states import FINAL, LIVE, State
from orders.tags import ForeignTag, decode
from tests.orders.clocks import MovedClock
from tests.orders.conftest import Desk, log_in
from tests.sandbox_server import wait_for

PLACE = "order.place"
PATIENCE = 40


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyClock(MovedClock):
    """Dies when it is read for the `fatal`-th time: the reads stand inside the transactions."""

    def __init__(self, fatal: int) -> None:
        super().__init__()
        self._left = fatal

    def now(self) -> datetime:
        self._left -= 1
        if self._left == 0:
            die()
        return super().now()


class DeadlySessions:
    """The sessions of a worker that dies around one call to the broker."""

    def __init__(self, *, method: str, after: bool) -> None:
        self._sessions = Sessions()
        self._method = method
        self._after = after

    def client(self, login: Any) -> Any:
        return DeadlyClient(self._sessions.client(login), method=self._method, after=self._after)


class DeadlyClient:
    """The broker's client, deadly around one method."""

    def __init__(self, client: Any, *, method: str, after: bool) -> None:
        self._client = client
        self._method = method
        self._after = after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return method if name != self._method else lambda *args: self._call(method, *args)

    def _call(self, method: Callable[..., Any], *args: Any) -> Any:
        if not self._after:
            die()
        try:
            return method(*args)
        finally:
            die()


def submitting(order: Order, *, sessions: Any = None, clock: Any = None) -> None:
    execution.submit(order_id=order.pk, sessions=sessions or Sessions(), clock=clock or MovedClock())


def resolving(order: Order, *, sessions: Any = None, clock: Any = None) -> None:
    submitting(order)
    reconciliation.recover(now=MovedClock().now())
    reconciliation.reconcile_account(
        account_id=order.account_id, sessions=sessions or Sessions(), clock=clock or MovedClock()
    )


def submitting_and_dying(order: Order) -> None:
    submitting(order)
    die()


# Reads of the clock in `submit`: login, claim, budget | sending | answer. Each stands inside a transaction.
POINTS: dict[str, Callable[[Order], None]] = {
    "CP03 before the claim": lambda order: submitting(order, clock=DeadlyClock(1)),
    "CP04 inside the claim": lambda order: submitting(order, clock=DeadlyClock(2)),
    "CP04 after the budget": lambda order: submitting(order, clock=DeadlyClock(3)),
    "CP05 inside the commit of SENDING": lambda order: submitting(order, clock=DeadlyClock(4)),
    "CP06 before the write": lambda order: submitting(
        order, sessions=DeadlySessions(method="place_order", after=False)
    ),
    "CP08 after the answer": lambda order: submitting(order, sessions=DeadlySessions(method="place_order", after=True)),
    "CP09 inside the store": lambda order: submitting(order, clock=DeadlyClock(5)),
    "CP10 after the store": submitting_and_dying,
    "CP11 before the book": lambda order: resolving(order, sessions=DeadlySessions(method="orders", after=False)),
    "CP11 after the book": lambda order: resolving(order, sessions=DeadlySessions(method="orders", after=True)),
    "CP12 after the trades": lambda order: resolving(order, sessions=DeadlySessions(method="trades", after=True)),
    "CP12 inside the reconciliation": lambda order: resolving(order, clock=DeadlyClock(3)),
}
FAULTS: dict[str, tuple[dict[str, Any], ...]] = {
    "a good wire": (),
    "the answer is lost": ({"kind": "lost_answer", "route": PLACE, "count": 1},),
    "accepted, then 502 in HTML": ({"kind": "accepted_then_5xx", "route": PLACE, "count": 1, "status": 502},),
    "503 in JSON": ({"kind": "http_5xx", "route": PLACE, "count": 1, "status": 503, "body": "json"},),
    "429 in JSON": ({"kind": "http_429", "route": PLACE, "count": 1, "body": "json"},),
    "429 in HTML": ({"kind": "http_429", "route": PLACE, "count": 1, "body": "html"},),
    "the connection is refused": ({"kind": "connection_refused", "route": PLACE, "count": 1},),
    "half of the JSON": ({"kind": "truncated_json", "route": PLACE, "count": 1},),
    "no content type": ({"kind": "no_content_type", "route": PLACE, "count": 1},),
    "null data": ({"kind": "null_data", "route": PLACE, "count": 1},),
    "the token is dead": ({"kind": "token_killed"},),
    "lost and late in the book": (
        {"kind": "visibility_lag", "count": 1, "seconds": 0.5},
        {"kind": "lost_answer", "route": PLACE, "count": 1},
    ),
}


def in_a_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process and return the signal that ended it, 0 where it ended by itself."""
    connection.close()
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status)


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


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_this_point_leaves_one_order_or_none_whatever_the_wire_does(
    fresh_desk: Desk, point: str
) -> None:
    for fault, specs in FAULTS.items():
        cell = replace(fresh_desk, clock=MovedClock())
        cell.sandbox.clear_faults()
        OrderBudget.objects.all().delete()
        order = cell.place(order_type="LIMIT", price=cell.price(-5), deadline_seconds=3600)
        for spec in specs:
            cell.sandbox.fault(**spec)

        ended_by = in_a_child(partial(POINTS[point], order))
        mend(cell, order)

        if not specs:
            assert ended_by == signal.SIGKILL, "the point was never reached"
        assert is_settled(order), f"stuck after {fault}"
        wait_for(partial(is_known, cell, order))
        assert len(accepted(cell, order)) <= 1, f"duplicated after {fault}"
        assert order.broker_order_id is None or State(order.state) in LIVE, f"not live after {fault}"


def is_known(desk: Desk, order: Order) -> bool:
    """Say whether we know of just what the exchange accepted, once the books are read again."""
    read_books(desk)
    order.refresh_from_db()
    return accepted(desk, order) == ([order.broker_order_id] if order.broker_order_id else [])


def test_the_harness_would_see_an_order_sent_twice(fresh_desk: Desk) -> None:
    order = fresh_desk.place(order_type="LIMIT", price=fresh_desk.price(-5))
    claimed = execution.claim(order_id=order.pk, clock=fresh_desk.clock)
    assert isinstance(claimed, execution.Claim)
    client = fresh_desk.sessions.client(login_for(account_id=order.account_id, now=fresh_desk.clock.now()))

    for _ in range(2):
        client.place_order(execution.request_of(claimed.order))

    assert len(accepted(fresh_desk, order)) == 2
