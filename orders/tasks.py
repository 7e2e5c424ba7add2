"""Wake-ups: every task carries an id and looks into the database for what is to be done."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from celery import shared_task
from django.db.models import F, Q
from kombu.exceptions import OperationalError

from accounts.errors import LoginNeeded, PlatformError
from accounts.sessions import Sessions
from kite.errors import KiteError
from market_data.models import Instrument
from orders import changes, execution, pricing, reconciliation, retelling, ties
from orders.clock import DatabaseClock
from orders.models import Order, OrderCommand
from orders.queries import accounts_to_reconcile, forgotten
from orders.readings import BookReading
from orders.states import CommandState, State

log = structlog.get_logger(__name__)

# An older fill without its trades is left to the periodic readings.
YOUNG_FILL = timedelta(minutes=2)
# A message this old is taken for lost, and the row is woken again.
FORGOTTEN = timedelta(seconds=2)
# Longer waits are left to the sweeper: a message with a countdown lives in one worker's memory.
LONGEST_COUNTDOWN_SECONDS = 20.0
SWEEP_ROWS = 500
# As many as the budget lets go at once; each wakes the account's next one when it leaves the queue.
WOKEN_AT_ONCE = 2


def knock(task: Callable[..., Any], argument: UUID, *, countdown: float = 0.0) -> None:
    """Enqueue a wake-up; where the queue cannot be reached the sweeper finds the row anyway."""
    if countdown > LONGEST_COUNTDOWN_SECONDS:
        return
    try:
        task.apply_async(args=[str(argument)], countdown=countdown or None, retry=False)  # type: ignore[attr-defined]
    except (OperationalError, OSError) as error:
        log.warning("orders.tasks.queue_unreachable", id=str(argument), error=str(error))


def learn_soon(*, account_id: UUID, instrument_id: int) -> None:
    """Have the day's limits of an instrument asked for; without the queue the next order tries again."""
    try:
        learn_limits.apply_async(args=(str(account_id), instrument_id), retry=False, expires=30)
    except (OperationalError, OSError) as error:
        log.warning("orders.tasks.queue_unreachable", id=str(instrument_id), error=str(error))


@shared_task(bind=True, name="orders.tasks.learn_limits")
def learn_limits(self: Any, /, account_id: str, instrument_id: int, **_: object) -> None:
    """Ask for a streamed instrument's circuit limits, which ticks do not carry."""
    instrument = Instrument.objects.get(pk=instrument_id)
    now = DatabaseClock().now()
    known = pricing.known_price(instrument=instrument, now=now)
    if known is not None and known.band_known:
        return
    try:
        pricing.ask(instruments=[instrument], account_id=UUID(account_id), sessions=self.app.sessions, now=now)
    except (KiteError, PlatformError) as error:
        log.info("orders.limits.not_learned", instrument=str(instrument), error=str(error))


@shared_task(bind=True, name="orders.tasks.submit_order")
def submit_order(self: Any, /, order_id: str, **_: object) -> None:
    """Carry one order to the broker."""
    again = execution.submit(
        order_id=UUID(order_id), sessions=self.app.sessions, clock=DatabaseClock(), wake=_wake_follower
    )
    if again is not None:
        knock(submit_order, UUID(order_id), countdown=again)


@shared_task(bind=True, name="orders.tasks.carry_command")
def carry_command(self: Any, /, command_id: str, **_: object) -> None:
    """Carry one modification or cancellation to the broker."""
    again = changes.carry(command_id=UUID(command_id), sessions=self.app.sessions, clock=DatabaseClock())
    if again is not None:
        knock(carry_command, UUID(command_id), countdown=again)


@shared_task(bind=True, name="orders.tasks.settle_command")
def settle_command(self: Any, /, command_id: str, **_: object) -> None:
    """Learn what became of a command in doubt."""
    try:
        again = changes.settle(command_id=UUID(command_id), sessions=self.app.sessions, clock=DatabaseClock())
    except (KiteError, PlatformError) as error:
        log.warning("orders.command.not_settled", command_id=command_id, error=str(error))
        return
    if again is not None:
        carry_or_settle = settle_command if again else carry_command
        knock(carry_or_settle, UUID(command_id), countdown=again)


@shared_task(bind=True, name="orders.tasks.resolve_account")
def resolve_account(self: Any, /, account_id: str, **_: object) -> None:
    """Look for an account's orders in doubt in its book."""
    try:
        reconciliation.resolve_unknown(account_id=UUID(account_id), sessions=self.app.sessions, clock=DatabaseClock())
    except (KiteError, PlatformError) as error:
        log.warning("orders.unknown.not_resolved", account_id=account_id, error=str(error))


@shared_task(bind=True, name="orders.tasks.reconcile_account")
def reconcile_account(self: Any, /, account_id: str, **_: object) -> None:
    """Read an account's order book and trades and take them in."""
    _read_books(account_id, sessions=self.app.sessions)


@shared_task(name="orders.tasks.reconcile_books")
def reconcile_books(**_: object) -> None:
    """Have every account's books read; one whose broker fails is asked less and less often."""
    resting = BookReading.objects.filter(next_at__gt=DatabaseClock().now())
    for account in accounts_to_reconcile():
        if not resting.filter(account_id=account.pk).exists():
            knock(reconcile_account, account.pk)


@shared_task(bind=True, name="orders.tasks.tie_account")
def tie_account(self: Any, /, account_id: str, **_: object) -> None:
    """Tie an account's trades to the broker's positions."""
    try:
        ties.tie(account_id=UUID(account_id), sessions=self.app.sessions, clock=DatabaseClock())
    except (KiteError, PlatformError) as error:
        log.warning("orders.positions.not_tied", account_id=account_id, error=str(error))


@shared_task(name="orders.tasks.tie_positions")
def tie_positions(**_: object) -> None:
    """Have every account tied."""
    for account in accounts_to_reconcile():
        knock(tie_account, account.pk)


@shared_task(name="orders.tasks.sweep")
def sweep(**_: object) -> None:
    """Find again whatever was lost on the way: messages, workers, answers."""
    now = DatabaseClock().now()
    freed, doubted = reconciliation.recover(now=now)
    stuck = changes.recover(now=now)
    woken = _wake_orders(now) + _wake_commands(now)
    looking = _wake_doubts(now)
    _wake_books(now)
    retelling.retell(now=now)
    if freed or doubted or stuck or looking:
        log.info("orders.sweep.done", freed=freed, doubted=doubted, commands=stuck, woken=woken, looking=looking)


def _wake_follower(order_id: UUID, seconds: float) -> None:
    knock(submit_order, order_id, countdown=seconds)


def _wake_orders(now: datetime) -> int:
    ids = forgotten(now=now, since=now - FORGOTTEN, of_each=WOKEN_AT_ONCE, at_most=SWEEP_ROWS)
    Order.objects.filter(pk__in=ids).update(woken_at=now)
    for order_id in ids:
        knock(submit_order, order_id)
    return len(ids)


def _wake_commands(now: datetime) -> int:
    forgotten = Q(woken_at=None) | Q(woken_at__lte=now - FORGOTTEN)
    due = Q(not_before=None) | Q(not_before__lte=now) | Q(deadline_at__lte=now)
    rows = OrderCommand.objects.filter(forgotten, due, state=CommandState.READY).order_by("created_at")
    ids = list(rows.values_list("pk", flat=True)[:SWEEP_ROWS])
    OrderCommand.objects.filter(pk__in=ids).update(woken_at=now)
    for command_id in ids:
        knock(carry_command, command_id)
    return len(ids)


def _wake_books(now: datetime) -> int:
    """A fill was heard of and its trades were not: the book has them now, not only at the next periodic reading."""
    young = ties.untraded_orders(now=now).filter(broker_updated_at__gt=now - YOUNG_FILL)
    accounts = list(young.order_by("account_id").values_list("account_id", flat=True).distinct())
    for account_id in accounts:
        knock(reconcile_account, account_id)
    return len(accounts)


def _wake_doubts(now: datetime) -> int:
    """One look answers for all of an account's orders in doubt."""
    orders = Order.objects.filter(state=State.UNKNOWN, next_look_at__lte=now)
    accounts = list(orders.order_by("account_id").values_list("account_id", flat=True).distinct())
    for account_id in accounts:
        knock(resolve_account, account_id)
    commands = OrderCommand.objects.filter(state=CommandState.UNKNOWN, next_look_at__lte=now)
    ids = list(commands.values_list("pk", flat=True)[:SWEEP_ROWS])
    commands.filter(pk__in=ids).update(next_look_at=F("next_look_at") + timedelta(seconds=5))
    for command_id in ids:
        knock(settle_command, command_id)
    return len(accounts) + len(ids)


def _read_books(account_id: str, *, sessions: Sessions) -> None:
    try:
        reconciliation.reconcile_account(account_id=UUID(account_id), sessions=sessions, clock=DatabaseClock())
    except LoginNeeded:
        # Nobody has logged in yet: there is no book to read, and the Desk says so.
        return
    except (KiteError, PlatformError) as error:
        log.warning("orders.book.not_read", account_id=account_id, error=str(error))
        reconciliation.note_failure(account_id=UUID(account_id), error=str(error), now=DatabaseClock().now())
