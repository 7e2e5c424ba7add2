"""The scheduler of one seed: which actor acts when, who is killed where, and what must hold in the end."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from accounts.models import BrokerAccount
from accounts.statements import every, first
from kite.errors import KiteError
from kite.types import OrderRow
from orders import changes, execution, reconciliation
from orders.models import Order, OrderCommand, OrderEvent, Trade
from orders.states import AT_BROKER, FINAL, CommandState, ForbiddenTransition, State
from orders.tags import ForeignTag, decode
from tests.orders.factories import OrderFactory
from tests.orders.simulation.broker import BEFORE_THE_WRITE, Broker, Held, ModelSessions
from tests.orders.simulation.clock import Killed, VirtualClock

INTENTS = 2
STEPS = 14
DEEPEST = 2
# Seconds between the looks after the faults have ended.
LOOKS = (10, 25, 35, 60, 100, 100, 100, 100, 100, 200, 300)
QUARANTINE_SECONDS = 180.0
# A day asks these many times: Django's making of them cost more than their running.
OF_ACCOUNT = "account_id = %s"
WAITING = (
    "account_id = %s AND state = 'READY' AND (not_before IS NULL OR not_before <= %s OR deadline_at <= %s)"
    " ORDER BY created_at, id"
)
IN_DOUBT = "account_id = %s AND state = 'UNKNOWN' AND next_look_at <= %s LIMIT 1"
SENDING = "tag = %s AND state = 'SENDING'"
GIVEN_UP = "order_id = %s AND after = 'NOT_PLACED' LIMIT 1"
COMMANDS = "order_id IN (SELECT id FROM orders_order WHERE account_id = %s)"
# Their own ids are dice that no seed throws.
OPEN_COMMANDS = (
    f"{COMMANDS} AND state IN ('READY', 'UNKNOWN')"
    " ORDER BY created_at, (SELECT number FROM orders_order WHERE id = order_id)"
)
COMMANDS_ENDED = frozenset({CommandState.DONE, CommandState.REJECTED, CommandState.EXPIRED})
BRIEFLY = (0.1, 0.5, 1.0)
LONG = (0.1, 0.5, 1.0, 3.0, 6.0, 16.0, 31.0, 200.0)
KINDS = (
    *("duplicate", "lost", "phantom", "stuck", "untrue", "trades", "unannounced", "forbidden"),
    *("called over too early", "other account"),
)


def submit(*, order_id: UUID, sessions: Any, clock: Any) -> float | None:
    """Carry one order, as the worker's task does."""
    return execution.submit(order_id=order_id, sessions=sessions, clock=clock)


def resolve(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """Look for orders in doubt, as the worker's task does."""
    reconciliation.resolve_unknown(account_id=account_id, sessions=sessions, clock=clock)


def read_books(*, account_id: UUID, sessions: Any, clock: Any) -> None:
    """Read the books, as the worker's task does."""
    reconciliation.reconcile_account(account_id=account_id, sessions=sessions, clock=clock)


def recover(*, now: datetime) -> None:
    """Free what dead workers held, as the sweeper does."""
    reconciliation.recover(now=now)
    changes.recover(now=now)


def hear(*, account_id: UUID, row: OrderRow, now: datetime) -> None:
    """Take in what the socket said, as the feed does."""
    reconciliation.hear(account_id=account_id, row=row, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Who acts: the product's own functions, or one of them with a planted bug."""

    submit: Callable[..., float | None] = submit
    resolve: Callable[..., None] = resolve
    read_books: Callable[..., None] = read_books
    recover: Callable[..., None] = recover
    hear: Callable[..., None] = hear
    sessions: Callable[[Broker], Any] = ModelSessions
    clock: Callable[[VirtualClock], Any] = lambda clock: clock


class World:
    """One seed's day, on one account."""

    def __init__(self, *, seed: int, account: BrokerAccount, actors: Actors) -> None:
        self.account = account
        self.actors = actors
        self.trace: list[str] = []
        self.messages: list[UUID] = []
        self.killed = 0
        self.dice = random.Random(seed)
        self.time = VirtualClock(pause=self._pause)
        self.broker = Broker(dice=self.dice, clock=self.time, pause=self._pause, sent=self._note_send)
        self.sessions = self.actors.sessions(self.broker)
        self.clock = self.actors.clock(self.time)
        self.intents: list[UUID] = []
        self._depth = 0
        self._calm = False
        self._brief = False
        self._seen: list[str] = []

    def run(self) -> list[str]:
        """Live through the day and return what went wrong."""
        for _ in range(STEPS):
            self._step()
        self._mend()
        return self.violations()

    def _step(self) -> None:
        actions: tuple[tuple[int, Callable[[], None]], ...] = (
            (12 if len(self.intents) < INTENTS else 0, self._intend),
            (30 if self.messages else 0, self._deliver),
            (14, self._sweep),
            (8, self._read),
            (10 if self.broker.news else 0, self._hear),
            (8, self.broker.trade),
            (16, self._wait),
        )
        action = self.dice.choices([what for _, what in actions], [weight for weight, _ in actions])[0]
        self._act(action)

    def _act(self, action: Callable[[], None]) -> None:
        """Let one actor act; some are killed at a read of the clock, which stands inside a transaction."""
        self.trace.append(f"{self.time.seconds:.3f} {'  ' * self._depth}{action.__name__}")
        self.time.fatal = self.dice.randint(1, 6) if not self._calm and self.dice.random() < 0.1 else None
        try:
            action()
        except Killed:
            self.killed += 1
            self.trace.append("killed")
        except KiteError as error:
            self.trace.append(f"{type(error).__name__} {error}")
        except (IntegrityError, ForbiddenTransition) as error:
            self._seen.append(f"forbidden: {error}")
        finally:
            self.time.fatal = None

    def _pause(self, where: str) -> None:
        """Between two bytes of one actor others act, and time goes by."""
        if self._calm or self._depth >= DEEPEST:
            return
        held = self.time.fatal, self._brief
        self.time.fatal = None
        # Once the clock was looked at, the write follows at once: nobody sleeps long in between.
        self._brief = self._brief or where == BEFORE_THE_WRITE
        self._depth += 1
        try:
            if self.dice.random() < 0.15:
                self.trace.append(where)
                for _ in range(self.dice.randint(1, 3)):
                    self._step()
        finally:
            self._depth -= 1
            self.time.fatal, self._brief = held

    def _note_send(self, tag: str) -> None:
        """A byte leaves: SENDING must have been committed for this very attempt, and still stand."""
        if first(Order, SENDING, tag) is None:
            self._seen.append(f"unannounced: {tag}")

    def _intend(self) -> None:
        number = len(self.intents)
        order_id = UUID(int=self.dice.getrandbits(128))
        OrderFactory(
            id=order_id,
            account=self.account,
            quantity=self.dice.randint(1, 10),
            price=Decimal(100 + number),
            created_at=self.time.at(),
        )
        self.intents.append(order_id)
        # The message may be lost, or come twice.
        self.messages += [order_id] * self.dice.choice((0, 1, 1, 2))

    def _deliver(self) -> None:
        order_id = self.messages.pop(self.dice.randrange(len(self.messages)))
        again = self.actors.submit(order_id=order_id, sessions=self.sessions, clock=self.clock)
        if again is not None and self.dice.random() < 0.5:
            self.messages.append(order_id)

    def _sweep(self) -> None:
        now = self.time.at()
        self.actors.recover(now=now)
        waiting = every(Order, WAITING, self.account.pk, now, now)
        self.messages += [order.pk for order in waiting if order.pk not in self.messages]
        if first(Order, IN_DOUBT, self.account.pk, now) is not None:
            self.actors.resolve(account_id=self.account.pk, sessions=self.sessions, clock=self.clock)
        self._carry_commands()

    def _carry_commands(self) -> None:
        for command in every(OrderCommand, OPEN_COMMANDS, self.account.pk):
            verb = changes.carry if command.state == CommandState.READY else changes.settle
            verb(command_id=command.pk, sessions=self.sessions, clock=self.clock)

    def _read(self) -> None:
        self.actors.read_books(account_id=self.account.pk, sessions=self.sessions, clock=self.clock)

    def _hear(self) -> None:
        account_id, row = self.broker.news.pop(self.dice.randrange(len(self.broker.news)))
        self.actors.hear(account_id=UUID(account_id), row=row, now=self.time.at())

    def _wait(self) -> None:
        self.time.seconds += self.dice.choice(BRIEFLY if self._brief else LONG)

    def _mend(self) -> None:
        """The faults end, and what is left does its work until nothing moves any more."""
        self._calm = self.broker.calm = True
        for pause in LOOKS:
            self.time.seconds += pause
            self._act(self._sweep)
            while self.messages:
                self._act(self._deliver)
            self._act(self._read)
            if self._is_settled():
                return

    def _is_settled(self) -> bool:
        if any(held.visible_at > self.time.seconds for held in self.broker.held.values()):
            return False
        states = {order.state for order in every(Order, OF_ACCOUNT, self.account.pk)}
        commands = {command.state for command in every(OrderCommand, COMMANDS, self.account.pk)}
        return states <= FINAL | AT_BROKER and commands <= COMMANDS_ENDED

    def violations(self) -> list[str]:
        """Compare what we say with what the broker holds."""
        rows = {order.pk: order for order in every(Order, OF_ACCOUNT, self.account.pk)}
        by_number = {order.number: order for order in rows.values()}
        wrong = list(self._seen)
        for order in rows.values():
            if State(order.state) not in FINAL | AT_BROKER:
                wrong.append(f"stuck: {order.state}")
            if order.broker_order_id is not None and order.broker_order_id not in self.broker.held:
                wrong.append(f"phantom: {order.broker_order_id}")
        seen: set[int] = set()
        for held in self.broker.held.values():
            number = _number(held)
            ours = by_number.get(number) if number is not None else None
            if number is not None and number in seen:
                wrong.append(f"duplicate: {held.order_id}")
            seen.add(number or 0)
            wrong += self._wrong_about(held, ours)
        return wrong

    def _wrong_about(self, held: Held, order: Order | None) -> list[str]:
        if order is None or order.broker_order_id != held.order_id:
            return [f"lost: {held.order_id}"]
        wrong = []
        if str(order.account_id) != held.account_id:
            wrong.append(f"other account: {held.order_id}")
        if (order.filled_quantity, order.state in FINAL) != (held.filled, held.status != "OPEN"):
            wrong.append(f"untrue: {order.state} {order.filled_quantity}, the broker {held.status} {held.filled}")
        traded = sum(trade.quantity for trade in every(Trade, "order_id = %s", order.pk))
        if traded != held.filled:
            wrong.append(f"trades: {traded}, the broker {held.filled}")
        given_up = first(OrderEvent, GIVEN_UP, order.pk) is not None
        if given_up and held.lag < QUARANTINE_SECONDS:
            wrong.append(f"called over too early: visible after {held.lag:.0f} s")
        return wrong


def _number(held: Held) -> int | None:
    try:
        return decode(held.tag).number
    except ForeignTag:
        return None
