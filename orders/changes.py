"""Carries modifications and cancellations to the broker; cancellations pass every halt and go first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import structlog
from django.db import transaction

from accounts.credentials import expire_token
from accounts.errors import LoginNeeded
from accounts.queries import lock_halt_epoch, login_for
from accounts.sessions import Sessions
from kite.errors import KiteError, Refused, SessionExpired, Throttled, Unavailable
from kite.types import Login, OrderChange, OrderRow, OrderType, Validity
from orders import reconciliation, risk, updates
from orders.budget import Spent, for_cancels, spend
from orders.claims import LEASE, standing_of
from orders.clock import Clock, trading_day
from orders.errors import OrderEnded
from orders.execution import LOGIN_PAUSE, STALE_CLAIM_SECONDS, back_off_seconds
from orders.models import Order, OrderCommand
from orders.queries import lock_budget, open_cancel, silent_commands
from orders.states import AT_BROKER, FINAL, WAITING, CommandState, State

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

SOURCE = "execution"
WAIT_FOR_ORDER = timedelta(seconds=1)
LOOK_SECONDS = (1, 2, 4, 8, 15)
# A modification carries absolute values and a cancellation is harmless twice: both may be repeated once the book shows
# that the first had no effect, but not for ever.
SENDS = {OrderCommand.Kind.MODIFY: 2, OrderCommand.Kind.CANCEL: 3}
SWEPT_AT_ONCE = 200
LOOKS_BEFORE_RESEND = timedelta(seconds=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The right to send one attempt of one command, and when it was taken."""

    command: OrderCommand
    taken: float


def ask(*, order_id: UUID, ask: updates.Ask, now: datetime) -> OrderCommand | None:
    """Write a command down, or withdraw an order that has not left yet and return None.

    Raises OrderEnded where the order is past changing.
    """
    with transaction.atomic():
        order = Order.objects.select_for_update(of=("self",)).select_related("account").get(pk=order_id)
        state = State(order.state)
        if state in FINAL:
            raise OrderEnded(f"the order is {order.state}")
        cancel = ask.kind == OrderCommand.Kind.CANCEL
        if cancel and state in WAITING:
            move = updates.Move(to=State.WITHDRAWN, source="api", code="WITHDRAWN", text=f"by {ask.client}")
            updates.apply(order=order, move=move, now=now)
            return None
        pending = open_cancel(order=order) if cancel else None
        return pending or updates.open_command(order=order, ask=ask, source="api", now=now)


def carry(*, command_id: UUID, sessions: Sessions, clock: Clock) -> float | None:
    """Carry the command to the broker if it is due; return the seconds after which to knock again, if any."""
    command = OrderCommand.objects.select_related("order").filter(pk=command_id, state=CommandState.READY).first()
    if command is None:
        return None
    try:
        login = login_for(account_id=command.order.account_id, now=clock.now())
    except LoginNeeded:
        return _postpone(command_id, LOGIN_PAUSE, clock=clock)
    claimed = _claim(command_id, clock=clock)
    if not isinstance(claimed, Claimed):
        return claimed
    return _send(claimed, sessions=sessions, login=login, clock=clock)


def settle(*, command_id: UUID, sessions: Sessions, clock: Clock) -> float | None:
    """Learn from the book what became of a command in doubt; return the seconds until the next look, if any."""
    command = OrderCommand.objects.select_related("order").filter(pk=command_id, state=CommandState.UNKNOWN).first()
    if command is None:
        return None
    login = login_for(account_id=command.order.account_id, now=clock.now())
    rows = {row.order_id: row for row in sessions.client(login).orders()}
    row = rows.get(command.order.broker_order_id or "")
    if row is not None:
        reconciliation.hear(account_id=command.order.account_id, row=row, now=clock.now(), source="book")
    return _judge(command_id, row=row, clock=clock)


def recover(*, now: datetime) -> int:
    """Free or doubt commands whose worker died, and return how many."""
    count = 0
    for command_id in silent_commands(now=now, at_most=SWEPT_AT_ONCE):
        with transaction.atomic():
            command = _locked(command_id)
            if command.lease_until is None or command.lease_until >= now:
                continue
            count += 1
            if command.state == CommandState.SENDING:
                _doubt(command, text="the worker that was sending it fell silent", now=now)
                continue
            values = {"lease_until": None, "not_before": now}
            move = updates.CommandMove(to=CommandState.READY, source="sweeper", values=values)
            updates.apply_command(command=command, move=move, now=now)
    return count


def _claim(command_id: UUID, *, clock: Clock) -> Claimed | float | None:
    taken = clock.monotonic()
    with transaction.atomic():
        lock_halt_epoch()
        command = _locked(command_id)
        now = clock.now()
        if command.state != CommandState.READY or _is_over(command, now=now):
            return None
        if State(command.order.state) not in AT_BROKER:
            return _rest(command, WAIT_FOR_ORDER, now=now)
        if command.not_before is not None and command.not_before > now:
            return (command.not_before - now).total_seconds()
        if _denied(command, now=now):
            return None
        wait = _take_budget(command, now=clock.now())
        if wait is not None:
            return _rest(command, timedelta(seconds=wait), now=now)
        values = {"attempt": command.attempt + 1, "lease_until": now + LEASE}
        move = updates.CommandMove(to=CommandState.CLAIMED, source=SOURCE, values=values)
        updates.apply_command(command=command, move=move, now=now)
        return Claimed(command=command, taken=taken)


def _is_over(command: OrderCommand, *, now: datetime) -> bool:
    """Close a command whose order ended, or that waited too long for its order."""
    state = command.order.state
    if State(state) in FINAL:
        _close(command, to=CommandState.REJECTED, code="ORDER_ENDED", text=f"the order is {state}", now=now)
        return True
    if command.deadline_at <= now:
        _close(command, to=CommandState.EXPIRED, code="DEADLINE_PASSED", text="the order never got ready", now=now)
        return True
    return False


def _denied(command: OrderCommand, *, now: datetime) -> bool:
    """A halt stops modifications; nothing stops a cancellation."""
    if command.kind == OrderCommand.Kind.CANCEL:
        return False
    standing = standing_of(command.order, now=now)
    denial = risk.denial_at_change(order=command.order, standing=standing)
    if denial is not None:
        _close(command, to=CommandState.REJECTED, code=denial.code, text=denial.text, now=now)
    return denial is not None


def _take_budget(command: OrderCommand, *, now: datetime) -> float | None:
    budget = lock_budget(command.order.account_id)
    limits = for_cancels(budget.limits) if command.kind == OrderCommand.Kind.CANCEL else budget.limits
    spent = spend(spent=budget.spent, limits=limits, at=now.timestamp(), day=trading_day(now), counts_for_day=False)
    if isinstance(spent, Spent):
        budget.keep(spent)
        return None
    return spent.seconds


def _send(claimed: Claimed, *, sessions: Sessions, login: Login, clock: Clock) -> float | None:
    with transaction.atomic():
        command = _locked(claimed.command.pk)
        if not _mine(command, claimed):
            return None
        now = clock.now()
        values = {"sent_at": now, "lease_until": now + LEASE}
        move = updates.CommandMove(to=CommandState.SENDING, source=SOURCE, values=values)
        updates.apply_command(command=command, move=move, now=now)
    if clock.monotonic() - claimed.taken > STALE_CLAIM_SECONDS:
        return _again(claimed, code="STALE_CLAIM", text="the claim was too old to send", wait=0.0, clock=clock)
    try:
        _write(command, sessions=sessions, login=login)
    except KiteError as error:
        return _weigh(claimed, error, login=login, clock=clock)
    with transaction.atomic():
        command = _locked(claimed.command.pk)
        if _mine(command, claimed):
            _close(command, to=CommandState.DONE, code="", text="", now=clock.now())
    return None


def _write(command: OrderCommand, *, sessions: Sessions, login: Login) -> None:
    client = sessions.client(login)
    order = command.order
    broker_order_id = order.broker_order_id or ""
    parent = order.parent_order_id or None
    if command.kind == OrderCommand.Kind.CANCEL:
        client.cancel_order(order.variety, broker_order_id, parent_order_id=parent)
    else:
        client.modify_order(order.variety, broker_order_id, change_of(command.changes), parent_order_id=parent)


def change_of(changes: Mapping[str, object]) -> OrderChange:
    """Return the broker's parameters of a modification as it is stored."""

    def read(name: str, kind: Callable[[str], Value]) -> Value | None:
        return kind(str(changes[name])) if name in changes else None

    return OrderChange(
        order_type=read("order_type", OrderType),
        quantity=read("quantity", int),
        price=read("price", Decimal),
        trigger_price=read("trigger_price", Decimal),
        disclosed_quantity=read("disclosed_quantity", int),
        validity=read("validity", Validity),
        market_protection=read("market_protection", Decimal),
    )


def _weigh(claimed: Claimed, error: KiteError, *, login: Login, clock: Clock) -> float | None:
    """Write down what the broker's error proves about the command."""
    if isinstance(error, SessionExpired):
        expire_token(account_id=UUID(login.account_id), version=login.version, now=clock.now(), reason=error.message)
        wait = LOGIN_PAUSE.total_seconds()
        return _again(claimed, code="LOGIN_NEEDED", text=error.message, wait=wait, clock=clock)
    if isinstance(error, Throttled | Unavailable):
        wait = back_off_seconds(attempt=claimed.command.attempt, number=claimed.command.order.number)
        return _again(claimed, code=error.code.upper(), text=error.message, wait=wait, clock=clock)
    with transaction.atomic():
        command = _locked(claimed.command.pk)
        if not _mine(command, claimed):
            return None
        if isinstance(error, Refused):
            code = error.evidence.error_type or "REFUSED"
            _close(command, to=CommandState.REJECTED, code=code, text=error.message, now=clock.now())
            return None
        return _doubt(command, text=error.message, now=clock.now())


def _again(claimed: Claimed, *, code: str, text: str, wait: float, clock: Clock) -> float | None:
    with transaction.atomic():
        command = _locked(claimed.command.pk)
        if not _mine(command, claimed):
            return None
        now = clock.now()
        values = {"not_before": now + timedelta(seconds=wait), "lease_until": None}
        move = updates.CommandMove(to=CommandState.READY, source=SOURCE, code=code, text=text, values=values)
        updates.apply_command(command=command, move=move, now=now)
        return wait


def _doubt(command: OrderCommand, *, text: str, now: datetime) -> float:
    wait = LOOK_SECONDS[0]
    values = {"next_look_at": now + timedelta(seconds=wait), "lease_until": None}
    move = updates.CommandMove(to=CommandState.UNKNOWN, source=SOURCE, code="OUTCOME_UNKNOWN", text=text, values=values)
    updates.apply_command(command=command, move=move, now=now)
    return float(wait)


def _judge(command_id: UUID, *, row: OrderRow | None, clock: Clock) -> float | None:
    with transaction.atomic():
        command = _locked(command_id)
        if command.state != CommandState.UNKNOWN or command.sent_at is None:
            return None
        now = clock.now()
        if row is not None and _took_effect(command, row):
            _close(command, to=CommandState.DONE, code="", text="", now=now)
            return None
        if State(command.order.state) in FINAL:
            text = f"the order is {command.order.state}"
            _close(command, to=CommandState.REJECTED, code="ORDER_ENDED", text=text, now=now)
            return None
        age = now - command.sent_at
        if row is None or age < LOOKS_BEFORE_RESEND:
            pause = next((s for s in LOOK_SECONDS if s > age.total_seconds()), LOOK_SECONDS[-1])
            OrderCommand.objects.filter(pk=command.pk).update(next_look_at=now + timedelta(seconds=pause))
            return float(pause)
        return _resend_or_give_up(command, now=now)


def _resend_or_give_up(command: OrderCommand, *, now: datetime) -> float | None:
    if command.attempt >= SENDS[OrderCommand.Kind(command.kind)]:
        text = f"sent {command.attempt} times, and the book shows no effect"
        _close(command, to=CommandState.REJECTED, code="NO_EFFECT", text=text, now=now)
        return None
    values = {"not_before": now, "next_look_at": None}
    move = updates.CommandMove(to=CommandState.READY, source="book", values=values)
    updates.apply_command(command=command, move=move, now=now)
    return 0.0


def _took_effect(command: OrderCommand, row: OrderRow) -> bool:
    if command.kind == OrderCommand.Kind.CANCEL:
        return row.status in {"CANCELLED", "CANCEL PENDING"}
    change = change_of(command.changes)
    # The broker answers with its own order type and protection, so only these prove identity.
    wanted = {"quantity": change.quantity, "price": change.price, "trigger_price": change.trigger_price}
    return all(value is None or getattr(row, name) == value for name, value in wanted.items())


def _close(command: OrderCommand, *, to: CommandState, code: str, text: str, now: datetime) -> None:
    values = {"lease_until": None, "next_look_at": None}
    if not code:
        values |= {"reason_code": "", "reason": ""}  # type: ignore[dict-item]
    move = updates.CommandMove(to=to, source=SOURCE, code=code, text=text, values=values)
    updates.apply_command(command=command, move=move, now=now)


def _rest(command: OrderCommand, pause: timedelta, *, now: datetime) -> float:
    OrderCommand.objects.filter(pk=command.pk).update(not_before=now + pause, woken_at=now)
    return pause.total_seconds()


def _postpone(command_id: UUID, pause: timedelta, *, clock: Clock) -> float | None:
    with transaction.atomic():
        command = _locked(command_id)
        if command.state != CommandState.READY:
            return None
        return _rest(command, pause, now=clock.now())


def _mine(command: OrderCommand, claimed: Claimed) -> bool:
    taken = {CommandState.CLAIMED, CommandState.SENDING}
    return command.attempt == claimed.command.attempt and CommandState(command.state) in taken


def _locked(command_id: UUID) -> OrderCommand:
    """Lock the order first, then the command: everybody locks in this order."""
    order_id = OrderCommand.objects.values_list("order_id", flat=True).get(pk=command_id)
    order = Order.objects.select_for_update(of=("self",)).select_related("account").get(pk=order_id)
    command = OrderCommand.objects.select_for_update().get(pk=command_id)
    command.order = order
    return command
