"""The places where a worker is killed: fourteen names, each a piece of work that dies there by itself."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.queries import login_for
from accounts.sessions import Sessions
from orders import execution, reconciliation
from orders.models import Order
from tests.orders.clocks import MovedClock
from tests.orders.conftest import Desk

PLACE = "order.place"
# What the fourteenth point needs: an order that trades at once.
TRADES = frozenset({"CP14 a fill stored, not committed"})
Work = Callable[[Desk, str], None]


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

    def __init__(self, *, method: str, around: Callable[[Callable[[], Any]], Any]) -> None:
        self._sessions = Sessions()
        self._method = method
        self._around = around

    def client(self, login: Any) -> Any:
        return DeadlyClient(self._sessions.client(login), method=self._method, around=self._around)

    def seconds_until_orders(self, login: Any) -> float | None:
        return self._sessions.seconds_until_orders(login)


class DeadlyClient:
    """The broker's client, deadly around one method."""

    def __init__(self, client: Any, *, method: str, around: Callable[[Callable[[], Any]], Any]) -> None:
        self._client = client
        self._method = method
        self._around = around

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return method if name != self._method else lambda *args: self._around(lambda: method(*args))


def before(_call: Callable[[], Any]) -> None:
    die()


def after(call: Callable[[], Any]) -> None:
    try:
        call()
    finally:
        die()


def between(desk: Desk, call: Callable[[], Any]) -> Any:
    """Die once the exchange has the request and before its answer, which it holds back."""
    desk.sandbox.fault("late_answer", route=PLACE, count=1, seconds=1.5)
    since = desk.sandbox.journal_end()

    def watch() -> None:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            if desk.sandbox.journal(since=since, route=PLACE):
                die()
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    return call()


def the_order(desk: Desk, key: str) -> Order:
    """Return the order of a cell, taking it in where the cell has not done so yet."""
    return Order.objects.filter(idempotency_key=key).first() or patient(desk, key)


def patient(desk: Desk, key: str) -> Order:
    return desk.place(key, order_type="LIMIT", price=desk.price(-5), deadline_seconds=3600)


def trading(desk: Desk, key: str) -> Order:
    return desk.place(key, order_type="LIMIT", price=desk.price(1), deadline_seconds=3600)


def taking_in(desk: Desk, key: str, *, last: bool) -> None:
    """Die right after the commit: before the wake-up is sent, or after it."""
    with transaction.atomic():
        if not last:
            transaction.on_commit(die)
        patient(desk, key)
        if last:
            transaction.on_commit(die)


def submitting(desk: Desk, key: str, *, sessions: Any = None, clock: Any = None) -> None:
    order = the_order(desk, key)
    execution.submit(order_id=order.pk, sessions=sessions or Sessions(), clock=clock or MovedClock())


def resolving(desk: Desk, key: str, *, sessions: Any = None, clock: Any = None) -> None:
    submitting(desk, key)
    reconciliation.recover(now=MovedClock().now())
    reconciliation.reconcile_account(
        account_id=desk.account.pk, sessions=sessions or Sessions(), clock=clock or MovedClock()
    )


def submitting_and_dying(desk: Desk, key: str) -> None:
    submitting(desk, key)
    die()


def hearing(desk: Desk, key: str) -> None:
    """Take in what the broker says of it and die before the commit."""
    submitting(desk, key)
    _hear(desk, trades=False)


def filling(desk: Desk, key: str) -> None:
    """Take in a fill and die before the commit."""
    submitting(desk, key)
    end = time.monotonic() + 3
    client = Sessions().client(login_for(account_id=desk.account.pk, now=desk.clock.now()))
    # What the broker does not have for certain will not trade while this waits.
    placed = the_order(desk, key).broker_order_id is not None
    while placed and not client.trades() and time.monotonic() < end:
        time.sleep(0.05)
    _hear(desk, trades=True)


def _hear(desk: Desk, *, trades: bool) -> None:
    now = desk.clock.now()
    client = Sessions().client(login_for(account_id=desk.account.pk, now=now))
    account_id = desk.account.pk
    with transaction.atomic():
        for row in client.orders():
            reconciliation.hear(account_id=account_id, row=row, now=now)
        for trade in client.trades() if trades else ():
            reconciliation.hear_trade(account_id=account_id, row=trade, now=now, source="book")
        die()


def deadly(method: str, around: Callable[[Callable[[], Any]], Any]) -> DeadlySessions:
    return DeadlySessions(method=method, around=around)


# Reads of the clock in `submit`: login, claim, budget, sending | answer. Each stands inside a transaction.
POINTS: dict[str, Work] = {
    "CP01 the intent committed, nobody woken": lambda desk, key: taking_in(desk, key, last=False),
    "CP02 the worker woken": lambda desk, key: taking_in(desk, key, last=True),
    "CP03 the message received, nothing claimed": lambda desk, key: submitting(desk, key, clock=DeadlyClock(1)),
    "CP04 inside the claim": lambda desk, key: submitting(desk, key, clock=DeadlyClock(2)),
    "CP05 at the rate budget": lambda desk, key: submitting(desk, key, clock=DeadlyClock(3)),
    "CP06 SENDING committed, nothing written": lambda desk, key: submitting(
        desk, key, sessions=deadly("place_order", before)
    ),
    "CP07 the request written, no answer": lambda desk, key: submitting(
        desk, key, sessions=deadly("place_order", lambda call: between(desk, call))
    ),
    "CP08 the answer read, not stored": lambda desk, key: submitting(desk, key, sessions=deadly("place_order", after)),
    "CP09 inside the store": lambda desk, key: submitting(desk, key, clock=DeadlyClock(5)),
    "CP10 stored, the message not acknowledged": submitting_and_dying,
    "CP11 the book read, nothing written": lambda desk, key: resolving(desk, key, sessions=deadly("orders", after)),
    "CP12 inside the reconciliation": lambda desk, key: resolving(desk, key, clock=DeadlyClock(3)),
    "CP13 news received, not committed": hearing,
    "CP14 a fill stored, not committed": filling,
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


def in_a_child(work: Callable[[], None], *, close: Callable[[], None]) -> int:
    """Run `work` in a forked process and return the signal that ended it, 0 where it ended by itself."""
    close()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status)
