"""Hears of orders from the broker, whichever way the news comes, and settles what is in doubt by the order book."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.credentials import expire_token
from accounts.models import BrokerAccount
from accounts.queries import login_for
from accounts.sessions import Sessions
from accounts.statements import first, prepared
from kite.errors import KiteError, SessionExpired
from kite.types import Login, OrderRow, TradeRow, Variety
from orders import carried, updates
from orders.clock import Clock, trading_day
from orders.models import Order
from orders.queries import (
    free_order_locked,
    held_of,
    in_doubt,
    is_part,
    left_over,
    locked_order,
    maker_of,
    open_cancel,
    order_of_row,
    silent,
    tag_of,
    trades_known,
)
from orders.readings import BookReading
from orders.states import AT_BROKER, State
from orders.tags import installation_code

log = structlog.get_logger(__name__)

# Twice the worst lag seen between an accepted order and its first sight in the book (83 s), and some.
QUARANTINE = timedelta(seconds=180)
LOOKS_SECONDS = (2, 4, 8, 15)
POLL = timedelta(seconds=15)
SWEPT_AT_ONCE = 200
LONGEST_POLL = timedelta(minutes=5)
# Of one order of these the broker makes several.
SPAWNING = frozenset({Variety.ICEBERG, Variety.CO})


OF_TRADE = "orders_order.account_id = %s AND broker_order_id = %s FOR UPDATE OF orders_order"
READ = """
    INSERT INTO orders_bookreading (account_id, read_at, failures, error) VALUES (%s, %s, 0, '')
    ON CONFLICT (account_id) DO UPDATE SET read_at = EXCLUDED.read_at, failures = 0, next_at = NULL, error = ''
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one reading of an account's books changed."""

    account: str
    rows: int
    changed: int
    adopted: int
    trades: int
    found: int
    not_placed: int
    expired: int


def hear(*, account_id: UUID, row: OrderRow, now: datetime, source: str = "socket") -> Order:
    """Take in one row of the broker about one order and return the order it is about."""
    with transaction.atomic():
        known = order_of_row(account_id=account_id, row=row)
        if known is None:
            return _adopt(account_id=account_id, row=row, source=source, now=now)
        order = locked_order(known.pk)
        if _is_echo_of_a_refusal(order, row):
            return order
        updates.acknowledge(order=order, broker_order_id=row.order_id, source=source, now=now)
        if order.broker_order_id == row.order_id:
            updates.merge(order=order, row=row, source=source, now=now)
            _cancel_if_late(order, source=source, now=now)
        return order


def hear_trade(*, account_id: UUID, row: TradeRow, now: datetime, source: str) -> bool:
    """Take in one execution and say whether it was news; one of an order not heard of waits for the next reading."""
    with transaction.atomic():
        order = first(Order, OF_TRADE, account_id, row.order_id, along="account")
        return order is not None and updates.add_trade(order=order, row=row, source=source, now=now)


def reconcile_account(*, account_id: UUID, sessions: Sessions, clock: Clock) -> Report:
    """Read the account's order book and trades, take both in, and settle what was in doubt."""
    login = login_for(account_id=account_id, now=clock.now())
    asked_at = clock.now()
    rows, trades = _read_books(login=login, sessions=sessions, clock=clock)
    now = clock.now()
    changed, adopted = _hear_all(account_id=account_id, rows=rows, now=now)
    heard = sum(
        hear_trade(account_id=account_id, row=row, now=now, source="book")
        for row in _unknown_trades(account_id, trades)
    )
    found, not_placed = settle(account_id=account_id, rows=rows, asked_at=asked_at, now=now)
    expired = _end_left_overs(account_id=account_id, rows=rows, now=now)
    note_reading(account_id=account_id, at=asked_at)
    if carried.due(account_id=account_id, now=asked_at):
        _read_carried(login, sessions=sessions, at=asked_at)
    return Report(
        account=BrokerAccount.objects.values_list("label", flat=True).get(pk=account_id),
        rows=len(rows),
        changed=changed,
        adopted=adopted,
        trades=heard,
        found=found,
        not_placed=not_placed,
        expired=expired,
    )


def note_reading(*, account_id: UUID, at: datetime) -> None:
    """Write down that the account's books were asked for at this moment and taken in."""
    with prepared() as cursor:
        cursor.execute(READ, [account_id, at])


def note_failure(*, account_id: UUID, error: str, now: datetime) -> None:
    """Write down that the books could not be read; the next periodic reading waits longer each time."""
    with transaction.atomic():
        BookReading.objects.bulk_create([BookReading(account_id=account_id)], ignore_conflicts=True)
        held = BookReading.objects.select_for_update().get(account_id=account_id)
        held.failures += 1
        held.next_at = now + min(POLL * 2 ** min(held.failures - 1, 8), LONGEST_POLL)
        held.error = error[:300]
        held.save()


def resolve_unknown(*, account_id: UUID, sessions: Sessions, clock: Clock) -> tuple[int, int]:
    """Look for the account's orders in doubt in its book; return how many were found and how many given up."""
    login = login_for(account_id=account_id, now=clock.now())
    asked_at = clock.now()
    rows = _read_orders(login=login, sessions=sessions, clock=clock)
    return settle(account_id=account_id, rows=rows, asked_at=asked_at, now=clock.now())


def settle(*, account_id: UUID, rows: Sequence[OrderRow], asked_at: datetime, now: datetime) -> tuple[int, int]:
    """Judge each order in doubt by a book asked for at `asked_at`: found, given up, or another look later."""
    by_number = {tag.number: row for row in rows if (tag := tag_of(row)) is not None and not is_part(row)}
    found = given_up = 0
    for order in in_doubt(account_id=account_id):
        if order.number in by_number:
            hear(account_id=account_id, row=by_number[order.number], now=now, source="book")
            found += 1
        else:
            given_up += _look_in_vain(order_id=order.pk, asked_at=asked_at, now=now)
    return found, given_up


def recover(*, now: datetime) -> tuple[int, int]:
    """Free claims whose worker died and doubt sends whose worker died; return how many of each."""
    freed = _expire_leases(state=State.CLAIMED, to=State.READY, now=now)
    doubted = _expire_leases(state=State.SENDING, to=State.UNKNOWN, now=now)
    return freed, doubted


def doubt(*, order: Order, source: str, text: str, now: datetime, detail: dict[str, object] | None = None) -> None:
    """Put an order that may have reached the broker in quarantine; the caller holds its row lock."""
    values = {
        "unknown_since": now,
        "looks": 0,
        "next_look_at": now + timedelta(seconds=LOOKS_SECONDS[0]),
        "lease_until": None,
    }
    move = updates.Move(
        to=State.UNKNOWN, source=source, code="OUTCOME_UNKNOWN", text=text, values=values, detail=detail or {}
    )
    updates.apply(order=order, move=move, now=now)


def _look_in_vain(*, order_id: UUID, asked_at: datetime, now: datetime) -> int:
    with transaction.atomic():
        order = _locked(order_id, state=State.UNKNOWN)
        if order is None or order.unknown_since is None:
            return 0
        # Only a book that was asked for after the quarantine proves that the order is not in it.
        if asked_at >= order.unknown_since + QUARANTINE:
            text = f"the order book did not show it for {QUARANTINE.total_seconds():.0f} s"
            move = updates.Move(to=State.NOT_PLACED, source="book", code="NOT_PLACED", text=text)
            updates.apply(order=order, move=move, now=now)
            return 1
        looks = order.looks + 1
        pause = LOOKS_SECONDS[min(looks, len(LOOKS_SECONDS) - 1)]
        values = {"looks": looks, "next_look_at": now + timedelta(seconds=pause)}
        move = updates.Move(to=State.UNKNOWN, source="book", kind="orders.order.looked_for", values=values)
        updates.apply(order=order, move=move, now=now)
        return 0


def _is_echo_of_a_refusal(order: Order, row: OrderRow) -> bool:
    """Kite may list an order that it refused in its answer; that is no late order."""
    return State(order.state) is State.REJECTED and row.status == "REJECTED"


def _cancel_if_late(order: Order, *, source: str, now: datetime) -> None:
    """What was called over must not trade any more: take it back."""
    late = order.reason_code == updates.LATE
    if late and State(order.state) in AT_BROKER and open_cancel(order=order) is None:
        updates.open_command(order=order, ask=updates.Ask(kind="cancel", client="platform"), source=source, now=now)


def _adopt(*, account_id: UUID, row: OrderRow, source: str, now: datetime) -> Order:
    maker = maker_of(account_id=account_id, row=row)
    origin = _origin_of(row, maker=maker)
    if origin is Order.Origin.ORPHAN:
        # A row of ours was lost, in a database failover or a restored backup; or one tag became two broker orders.
        log.error("orders.order.orphaned", account_id=str(account_id), broker_order_id=row.order_id, tag=row.tag)
    maker = maker if origin is Order.Origin.CHILD else None
    try:
        with transaction.atomic():
            return updates.adopt(
                account_id=account_id, row=row, origin=updates.Descent(origin, maker), source=source, now=now
            )
    except IntegrityError:
        # Socket and book told of it in the same moment, and the other was first.
        return hear(account_id=account_id, row=row, now=now, source=source)


def _origin_of(row: OrderRow, *, maker: Order | None) -> Order.Origin:
    if maker is not None and maker.variety in SPAWNING:
        return Order.Origin.CHILD
    tag = tag_of(row)
    ours = tag is not None and tag.installation == installation_code(settings.INSTALLATION_ID)
    return Order.Origin.ORPHAN if ours else Order.Origin.EXTERNAL


def _hear_all(*, account_id: UUID, rows: Sequence[OrderRow], now: datetime) -> tuple[int, int]:
    """Only rows that differ from what we hold are worth a lock; return how many changed and how many were adopted."""
    held = held_of(account_id=account_id, broker_order_ids=[row.order_id for row in rows])
    changed = adopted = 0
    for row in rows:
        order = held.get(row.order_id)
        if order is not None and _agrees(order, row):
            continue
        heard = hear(account_id=account_id, row=row, now=now, source="book")
        changed += 1
        adopted += order is None and heard.origin != Order.Origin.PLATFORM
    return changed, adopted


def _agrees(order: Order, row: OrderRow) -> bool:
    return (
        order.status == row.status[:40]
        and order.filled_quantity == row.filled_quantity
        and order.quantity == row.quantity
        and order.pending_quantity == row.pending_quantity
        and (not row.trigger_price or order.trigger_price == row.trigger_price)
        and (order.order_type not in {"LIMIT", "SL"} or not row.price or order.price == row.price)
    )


def _unknown_trades(account_id: UUID, trades: Sequence[TradeRow]) -> list[TradeRow]:
    known = trades_known(account_id=account_id, broker_order_ids=[row.order_id for row in trades])
    return [row for row in trades if (row.order_id, row.trade_id) not in known]


def _read_books(*, login: Login, sessions: Sessions, clock: Clock) -> tuple[list[OrderRow], list[TradeRow]]:
    client = sessions.client(login)
    try:
        return client.orders(), client.trades()
    except SessionExpired as error:
        _retire(login, error, now=clock.now())
        raise


def _read_orders(*, login: Login, sessions: Sessions, clock: Clock) -> list[OrderRow]:
    try:
        return sessions.client(login).orders()
    except SessionExpired as error:
        _retire(login, error, now=clock.now())
        raise


def _read_carried(login: Login, *, sessions: Sessions, at: datetime) -> None:
    """The books are taken in whether the positions answer or not: who needs what was carried looks for it."""
    try:
        rows = sessions.client(login).positions().net
    except KiteError as error:
        log.warning("orders.positions.not_read", account_id=login.account_id, error=error.message)
        return
    carried.keep(account_id=UUID(login.account_id), rows=rows, at=at)


def _retire(login: Login, error: SessionExpired, *, now: datetime) -> None:
    expire_token(account_id=UUID(login.account_id), version=login.version, now=now, reason=error.message)


def _end_left_overs(*, account_id: UUID, rows: Sequence[OrderRow], now: datetime) -> int:
    """An order of an earlier day that the book does not show any more ended with its day."""
    shown = {row.order_id for row in rows}
    ended = 0
    for order in left_over(account_id=account_id, day=trading_day(now)):
        if order.broker_order_id in shown:
            continue
        with transaction.atomic():
            locked = _locked(order.pk)
            if locked is None or State(locked.state) not in AT_BROKER:
                continue
            text = f"not in the book after its day, {order.trading_day}"
            move = updates.Move(to=State.EXPIRED, source="book", code="DAY_ENDED", text=text)
            updates.apply(order=locked, move=move, now=now)
            ended += 1
    return ended


def _expire_leases(*, state: State, to: State, now: datetime) -> int:
    count = 0
    for order_id in silent(state=state, now=now, at_most=SWEPT_AT_ONCE):
        with transaction.atomic():
            order = _locked(order_id, state=state)
            if order is None or order.lease_until is None or order.lease_until >= now:
                continue
            count += 1
            if to is State.UNKNOWN:
                doubt(order=order, source="sweeper", text="the worker that was sending it fell silent", now=now)
                continue
            values = {"lease_until": None, "not_before": now}
            move = updates.Move(to=to, source="sweeper", values=values, detail={"cause": "the claim ran out"})
            updates.apply(order=order, move=move, now=now)
    return count


def _locked(order_id: UUID, *, state: State | None = None) -> Order | None:
    order = free_order_locked(order_id)
    return order if order is not None and state in {None, order.state} else None
