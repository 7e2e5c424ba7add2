"""Bugs that executors have had, planted one at a time: the simulation must see each of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.models import BrokerAccount
from accounts.queries import login_for
from kite.errors import KiteError
from kite.types import Login, OrderRequest, OrderRow, TradeRow
from orders import claims, reconciliation
from orders.models import Order
from orders.parameters import request_of
from orders.states import State
from tests.factories import BrokerAccountFactory
from tests.orders.factories import trade_row
from tests.orders.simulation import world
from tests.orders.simulation.broker import Client, ModelSessions
from tests.orders.simulation.clock import VirtualClock
from tests.orders.simulation.world import Actors


@dataclass(frozen=True, slots=True)
class Bug:
    """What was planted, and the seeds within which it must be seen."""

    name: str
    seeds: int
    actors: Callable[[BrokerAccount], Actors]


class RetryingClient(Client):
    """Sends again after every error."""

    def place_order(self, request: OrderRequest) -> str:
        try:
            return self.broker.place(self.login, request)
        except KiteError:
            return self.broker.place(self.login, request)


class NamelessClient(Client):
    """Sends without the tag."""

    def place_order(self, request: OrderRequest) -> str:
        return self.broker.place(self.login, replace(request, tag=""))


class BlindClient(Client):
    """Reads a book without tags."""

    def orders(self) -> list[OrderRow]:
        return [replace(row, tag="") for row in self.broker.book(self.login)]


class DoublingClient(Client):
    """Reads each trade twice, under another number."""

    def trades(self) -> list[TradeRow]:
        rows = self.broker.executions(self.login)
        return rows + [trade_row(row.order_id, f"{row.trade_id}-again", quantity=row.quantity) for row in rows]


def speaking(kind: type[Client]) -> Callable[[BrokerAccount], Actors]:
    """Let the workers speak through another client."""

    class Sessions(ModelSessions):
        def client(self, login: Login) -> Client:
            return kind(self.broker, login)

    return lambda _account: Actors(sessions=Sessions)


def through_another_account(_account: BrokerAccount) -> Actors:
    """Send where it is free, not where the money is."""
    other = str(BrokerAccountFactory().pk)

    class Sessions(ModelSessions):
        def client(self, login: Login) -> Client:
            return Client(self.broker, replace(login, account_id=other))

    return Actors(sessions=Sessions)


def impatient_resolve(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """Give up after thirty seconds, whatever the broker's book may still show."""
    login = login_for(account_id=account_id, now=clock.now())
    asked_at = clock.now() + reconciliation.QUARANTINE - timedelta(seconds=30)
    rows = sessions.client(login).orders()
    reconciliation.settle(account_id=account_id, rows=rows, asked_at=asked_at, now=clock.now())


def resending_resolve(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """One look, and what is not there is sent again."""
    world.resolve(account_id=account_id, sessions=sessions, clock=clock)
    with transaction.atomic():
        Order.objects.filter(account_id=account_id, state=State.UNKNOWN).update(state=State.READY, not_before=None)


def resolve_nothing(**_: object) -> None:
    """Hope for the best."""


def books_without_doubts(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """Take in only what the book has of orders whose id is known."""
    login = login_for(account_id=account_id, now=clock.now())
    client = sessions.client(login)
    known = set(Order.objects.filter(account_id=account_id).values_list("broker_order_id", flat=True))
    for row in client.orders():
        if row.order_id in known:
            reconciliation.hear(account_id=account_id, row=row, now=clock.now(), source="book")
    for trade in client.trades():
        reconciliation.hear_trade(account_id=account_id, row=trade, now=clock.now(), source="book")


def recovering_to_ready(*, now: datetime) -> None:
    """Take a send whose worker fell silent for one that was not made."""
    silent = Order.objects.filter(state=State.SENDING, lease_until__lt=now)
    with transaction.atomic():
        silent.update(state=State.READY, lease_until=None, not_before=None)
    world.recover(now=now)


def submit_whatever_the_state(*, order_id: UUID, sessions: Any, clock: Any) -> float | None:
    """Believe the message, not the row."""
    taken = [State.CLAIMED, State.SENDING, State.UNKNOWN]
    with transaction.atomic():
        Order.objects.filter(pk=order_id, state__in=taken).update(state=State.READY)
    return world.submit(order_id=order_id, sessions=sessions, clock=clock)


def submit_without_looking(*, order_id: UUID, sessions: Any, clock: Any) -> float | None:
    """Send again after a 429 without a look into the book."""
    Order.objects.filter(pk=order_id).update(look_first=False)
    return world.submit(order_id=order_id, sessions=sessions, clock=clock)


def submit_and_write_afterwards(*, order_id: UUID, sessions: Any, clock: Any) -> float | None:
    """Send first, commit then."""
    order = Order.objects.filter(pk=order_id, state=State.READY).first()
    if order is None:
        return None
    login = login_for(account_id=order.account_id, now=clock.now())
    claimed = claims.claim(order_id=order_id, clock=clock)
    if not isinstance(claimed, claims.Claim):
        return None
    sessions.client(login).place_order(request_of(claimed.order))
    return None


def adding_up(*, account_id: UUID, row: OrderRow, now: datetime) -> None:
    """Take the total of a fill for its part."""
    world.hear(account_id=account_id, row=row, now=now)
    held = Order.objects.filter(broker_order_id=row.order_id, account_id=account_id)
    with transaction.atomic():
        held.update(filled_quantity=F("filled_quantity") + row.filled_quantity)


def spoiling_books(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """Read the books and spoil the quantities."""
    world.read_books(account_id=account_id, sessions=sessions, clock=clock)
    with transaction.atomic():
        Order.objects.filter(account_id=account_id).update(filled_quantity=F("filled_quantity") + 1)


@dataclass(frozen=True, slots=True)
class SleepyClock:
    """A clock by which nobody ever slept."""

    clock: VirtualClock

    def now(self) -> datetime:
        return self.clock.now()

    def monotonic(self) -> float:
        self.clock.monotonic()
        return 0.0


def always(actors: Actors) -> Callable[[BrokerAccount], Actors]:
    return lambda _account: actors


PLANTED = (
    Bug("retry on any error", 5, speaking(RetryingClient)),
    Bug("reject after 30 s", 20, always(Actors(resolve=impatient_resolve))),
    Bug("send without a tag", 10, speaking(NamelessClient)),
    Bug("read a book without tags", 20, speaking(BlindClient)),
    Bug("count a trade twice", 10, speaking(DoublingClient)),
    Bug("send through another account", 5, through_another_account),
    Bug("send again what one look did not show", 60, always(Actors(resolve=resending_resolve))),
    Bug("never settle a doubt", 20, always(Actors(resolve=resolve_nothing, read_books=books_without_doubts))),
    Bug("take a silent send for none", 120, always(Actors(recover=recovering_to_ready))),
    Bug("believe the message", 30, always(Actors(submit=submit_whatever_the_state))),
    Bug("no look after a 429", 120, always(Actors(submit=submit_without_looking))),
    Bug("send before the commit", 20, always(Actors(submit=submit_and_write_afterwards))),
    Bug("add totals up", 20, always(Actors(hear=adding_up))),
    Bug("keep wrong quantities", 20, always(Actors(read_books=spoiling_books))),
    Bug("no look at the clock before the send", 120, always(Actors(clock=SleepyClock))),
)
