"""The only writer of an order's state: every change is checked against the table, numbered, kept and told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import structlog

from accounts.commits import after_commit
from accounts.statements import insert, update
from kite.types import OrderRow, TradeRow
from orders.clock import trading_day
from orders.models import Order, OrderCommand, OrderEvent, Trade
from orders.states import (
    ENDED_AT_BROKER,
    FINAL,
    RANKS,
    WAITING,
    CommandState,
    State,
    broker_state,
    check,
    check_command,
)
from orders.stream import event_document, order_document, publish, trade_document
from orders.tags import number_of
from webhooks.announcing import announce

log = structlog.get_logger(__name__)

REASON_LENGTH = 500
LATE = "ADOPTED_LATE"
COMMAND_LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of an order: the state it goes to, who says so, and the columns that change with it."""

    to: State
    source: str
    kind: str = ""
    code: str = ""
    text: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Descent:
    """Where an order that we did not send comes from, and of which order of ours the broker made it."""

    kind: str
    maker: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMove:
    """One change of a command."""

    to: CommandState
    source: str
    code: str = ""
    text: str = ""
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of an order."""

    kind: str
    client: str
    idempotency_key: str | None = None
    fingerprint: str = ""
    changes: Mapping[str, object] = field(default_factory=dict)


def apply(*, order: Order, move: Move, now: datetime) -> OrderEvent:
    """Make the change; the caller holds the order's row lock inside a transaction."""
    before = State(order.state)
    check(before=before, after=move.to)
    values: dict[str, object] = {**move.values, "state": move.to, "sequence": order.sequence + 1}
    if move.code or move.text:
        values |= {"reason_code": move.code, "reason": move.text[:REASON_LENGTH]}
    if move.to in FINAL and before not in FINAL:
        values |= {"finished_at": now, "lease_until": None, "next_look_at": None}
    update(order, values)
    return record(order=order, before=before, move=move, now=now)


def record(*, order: Order, before: State | None, move: Move, now: datetime) -> OrderEvent:
    """Add the event of a change and tell clients once it is committed."""
    detail = {**move.detail, **({"code": move.code, "text": move.text[:REASON_LENGTH]} if move.code else {})}
    event = OrderEvent(
        order=order,
        sequence=order.sequence,
        at=now,
        kind=move.kind or f"orders.order.{move.to.lower()}",
        source=move.source,
        before=before or "",
        after=move.to,
        detail=detail,
    )
    insert(event)
    log.info(
        event.kind,
        order_id=str(order.pk),
        account=order.account.label,
        tag=order.tag,
        source=move.source,
        code=move.code or None,
        broker_order_id=order.broker_order_id,
    )
    message = {"order": order_document(order), "event": event_document(event)}
    after_commit(publish, account_id=order.account_id, message=message)
    announce(account_id=order.account_id, kind=event.kind, data=message, now=now)
    return event


def acknowledge(*, order: Order, broker_order_id: str, source: str, now: datetime) -> None:
    """Write down that the broker has the order under this id; the book may have said so before."""
    if order.broker_order_id == broker_order_id:
        return
    if order.broker_order_id is not None:
        # One tag, two broker orders: what this whole path exists to prevent.
        log.error("orders.order.duplicated", order_id=str(order.pk), first=order.broker_order_id, other=broker_order_id)
        note = Move(
            to=State(order.state),
            source=source,
            kind="orders.order.duplicated",
            detail={"broker_order_id": broker_order_id},
        )
        apply(order=order, move=note, now=now)
        return
    late = State(order.state) in FINAL
    if late:
        log.error("orders.order.adopted_late", order_id=str(order.pk), was=order.state, broker_order_id=broker_order_id)
    values = {"broker_order_id": broker_order_id, "acked_at": now, "lease_until": None, "next_look_at": None}
    move = Move(to=State.ACKED, source=source, values={**values, "reason_code": "", "reason": ""})
    if late:
        text = f"the broker shows it although it was {order.state}"
        late_values = {**values, "finished_at": None}
        move = Move(to=State.ADOPTED_LATE, source=source, code=LATE, text=text, values=late_values)
    apply(order=order, move=move, now=now)


def merge(*, order: Order, row: OrderRow, source: str, now: datetime) -> bool:
    """Take over what a broker row says that is news, and say whether anything was.

    Rows arrive twice, late and in any order, so fills only grow, the rank of the state only rises, and what may go
    either way (quantity, price, status text) follows the row with the latest time.
    """
    news = _news(order, row)
    to = _state_after(order, row, filled=int(str(news.get("filled_quantity", order.filled_quantity))))
    if not news and to is State(order.state):
        return False
    if order.filled_quantity < row.filled_quantity and row.filled_quantity > row.quantity > 0:
        log.error("orders.order.overfilled", order_id=str(order.pk), filled=row.filled_quantity, quantity=row.quantity)
    kind = ""
    if to is State(order.state):
        kind = "orders.order.filled" if "filled_quantity" in news else "orders.order.updated"
    code, text = ("BROKER_REJECTED", row.status_message) if to is State.REJECTED_RMS else ("", "")
    detail = {name: _plain(value) for name, value in news.items()}
    apply(
        order=order,
        move=Move(to=to, source=source, kind=kind, code=code, text=text, values=news, detail=detail),
        now=now,
    )
    return True


def adopt(*, account_id: UUID, row: OrderRow, origin: Descent, source: str, now: datetime) -> Order:
    """Return a new order for a broker row that we did not send, sent and forgot, or that the broker made of ours."""
    order_id, maker = uuid4(), origin.maker
    order = Order(
        pk=order_id,
        number=number_of(order_id),
        account_id=account_id,
        origin=origin.kind,
        client="broker",
        endpoint="broker",
        variety=row.variety or "regular",
        exchange=row.exchange,
        tradingsymbol=row.tradingsymbol,
        instrument_token=row.instrument_token,
        transaction_type=row.transaction_type,
        order_type=row.order_type,
        product=row.product,
        quantity=row.quantity,
        price=row.price,
        trigger_price=row.trigger_price,
        validity=row.validity or "DAY",
        state=State.ACKED,
        # What the broker makes of an order of ours was counted with it.
        notional=0 if maker else (row.price or row.average_price) * row.quantity,
        strategy=maker.strategy if maker else "",
        group_id=maker.group_id if maker else None,
        leg=maker.leg if maker else None,
        sequence=1,
        trading_day=trading_day(row.order_at or now),
        created_at=row.order_at or now,
        acked_at=now,
        broker_order_id=row.order_id,
        parent_order_id=row.parent_order_id or (maker.broker_order_id if maker else "") or "",
        broker_tag=row.tag[:40],
    )
    order.save(force_insert=True)
    move = Move(
        to=State.ACKED, source=source, kind="orders.order.adopted", detail={"origin": origin.kind, "tag": row.tag}
    )
    record(order=order, before=None, move=move, now=now)
    merge(order=order, row=row, source=source, now=now)
    return order


def add_trade(*, order: Order, row: TradeRow, source: str, now: datetime) -> bool:
    """Keep a trade and say whether it was news; the same trade heard twice is one trade."""
    day = trading_day(row.filled_at or now)
    trade = Trade(
        account_id=order.account_id,
        order=order,
        trade_id=row.trade_id,
        broker_order_id=row.order_id,
        exchange_order_id=row.exchange_order_id or "",
        exchange=row.exchange or order.exchange,
        tradingsymbol=row.tradingsymbol or order.tradingsymbol,
        instrument_token=row.instrument_token or order.instrument_token,
        transaction_type=row.transaction_type or order.transaction_type,
        product=row.product or order.product,
        quantity=row.quantity,
        average_price=row.average_price,
        filled_at=row.filled_at,
        heard_at=now,
        trading_day=day,
    )
    if Trade.objects.filter(
        account_id=order.account_id, broker_order_id=row.order_id, trade_id=row.trade_id, trading_day=day
    ).exists():
        return False
    trade.save(force_insert=True)
    log.info(
        "orders.trade.heard",
        order_id=str(order.pk),
        account=order.account.label,
        tag=order.tag,
        trade_id=row.trade_id,
        quantity=row.quantity,
        source=source,
    )
    message = {"trade": trade_document(trade)}
    after_commit(publish, account_id=order.account_id, message=message)
    announce(account_id=order.account_id, kind="orders.trade.heard", data=message, now=now)
    return True


def open_command(*, order: Order, ask: Ask, source: str, now: datetime) -> OrderCommand:
    """Write down that a modification or cancellation is wanted; the caller holds the order's row lock."""
    command = OrderCommand(
        order=order,
        kind=ask.kind,
        client=ask.client,
        idempotency_key=ask.idempotency_key,
        fingerprint=ask.fingerprint,
        changes=dict(ask.changes),
        state=CommandState.READY,
        created_at=now,
        deadline_at=now + COMMAND_LIFE,
    )
    command.save(force_insert=True)
    note_command(command=command, source=source, now=now)
    return command


def apply_command(*, command: OrderCommand, move: CommandMove, now: datetime) -> None:
    """Change a command's state and write it into its order's history; the caller holds both row locks."""
    check_command(before=CommandState(command.state), after=move.to)
    values: dict[str, object] = {**move.values, "state": move.to}
    if move.code:
        values |= {"reason_code": move.code, "reason": move.text[:REASON_LENGTH]}
    if move.to in {CommandState.DONE, CommandState.REJECTED, CommandState.EXPIRED}:
        values["finished_at"] = now
    for name, value in values.items():
        setattr(command, name, value)
    command.save(update_fields=list(values))
    note_command(command=command, source=move.source, now=now)


def note_command(*, command: OrderCommand, source: str, now: datetime) -> None:
    """Write a command's present state into its order's history."""
    order = command.order
    detail: dict[str, object] = {"command": str(command.pk), "attempt": command.attempt}
    if command.changes:
        detail["changes"] = command.changes
    if command.reason_code:
        detail |= {"code": command.reason_code, "text": command.reason}
    kind = f"orders.{command.kind}.{command.state.lower()}"
    apply(order=order, move=Move(to=State(order.state), source=source, kind=kind, detail=detail), now=now)


def _news(order: Order, row: OrderRow) -> dict[str, object]:
    """Return the columns that the row changes."""
    told: dict[str, object] = {}
    if row.filled_quantity > order.filled_quantity:
        told |= {"filled_quantity": row.filled_quantity, "average_price": row.average_price}
    if row.exchange_order_id and not order.exchange_order_id:
        told["exchange_order_id"] = row.exchange_order_id
    if _is_latest(order, row):
        told |= {
            "quantity": row.quantity or order.quantity,
            "status": row.status[:40],
            "status_message": row.status_message[:REASON_LENGTH],
            "pending_quantity": row.pending_quantity,
            "cancelled_quantity": row.cancelled_quantity,
            "broker_updated_at": _time_of(row) or order.broker_updated_at,
        }
        if order.order_type in {"LIMIT", "SL"} and row.price:
            told["price"] = row.price
        if row.trigger_price:
            told["trigger_price"] = row.trigger_price
    return {name: value for name, value in told.items() if getattr(order, name) != value}


def _is_latest(order: Order, row: OrderRow) -> bool:
    """The broker's times have whole seconds, so equal times fall back on how far the row is along."""
    if State(order.state) in ENDED_AT_BROKER - {State.EXPIRED}:
        return broker_state(status=row.status, filled_quantity=row.filled_quantity) in ENDED_AT_BROKER
    at = _time_of(row)
    if at is None or order.broker_updated_at is None:
        return at is not None or order.broker_updated_at is None
    if at != order.broker_updated_at:
        return at > order.broker_updated_at
    rank = RANKS[broker_state(status=row.status, filled_quantity=row.filled_quantity)]
    return (row.filled_quantity, rank) >= (order.filled_quantity, RANKS.get(State(order.state), 0))


def _state_after(order: Order, row: OrderRow, *, filled: int) -> State:
    current = State(order.state)
    told = broker_state(status=row.status, filled_quantity=filled)
    if current in WAITING or current not in RANKS:
        return current
    return told if RANKS[told] > RANKS[current] else current


def _time_of(row: OrderRow) -> datetime | None:
    return max((at for at in (row.exchange_update_at, row.order_at) if at is not None), default=None)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else value
