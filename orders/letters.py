"""Orders that ended without reaching their aim: which may be sent again, which must not, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.audit import record, required
from accounts.queries import Principal
from accounts.sessions import Sessions
from orders import intake
from orders.drafts import Wanted
from orders.errors import OrderUnknown, RequeueForbidden
from orders.models import Order
from orders.states import State

REQUEUEABLE = frozenset({State.DENIED, State.EXPIRED_LOCAL})
DEAD = (
    State.DENIED,
    State.EXPIRED_LOCAL,
    State.REJECTED,
    State.REJECTED_RMS,
    State.NOT_PLACED,
    State.ADOPTED_LATE,
    State.UNKNOWN,
)
REASONS = {
    State.UNKNOWN: "it may be at the broker: the order book decides",
    State.NOT_PLACED: "the book did not show it, and it is watched for until the day ends: a person places a new order",
    State.ADOPTED_LATE: "the broker has it after all",
    State.REJECTED: "the broker refused what it says: change it and place a new order",
    State.REJECTED_RMS: "the exchange refused what it says: change it and place a new order",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """An order that lies dead, and why it may not be sent again; empty where it may."""

    order: Order
    forbidden: str


def letters(rows: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders among the rows that ended without reaching their aim, and the orphans nobody acknowledged."""
    orphans = rows.filter(origin=Order.Origin.ORPHAN, acknowledged_at=None)
    return rows.filter(origin=Order.Origin.PLATFORM, state__in=DEAD) | orphans


def letters_of(orders: Sequence[Order]) -> list[Letter]:
    """Return the orders, each with the reason that forbids sending it again; asks the database once for all."""
    replaced = set(Order.objects.filter(replaces__in=orders).values_list("replaces_id", flat=True))
    return [Letter(order, _forbidden(order, replaced=order.pk in replaced)) for order in orders]


def letter_of(order: Order) -> Letter:
    """Return the order with the reason that forbids sending it again."""
    return letters_of([order])[0]


def requeue(*, principal: Principal, order_id: UUID, key: str, sessions: Sessions, now: datetime) -> intake.Placed:
    """Place what an order said anew, as its replacement; raises RequeueForbidden where that is not safe."""
    order = intake.visible_order(principal=principal, order_id=order_id)
    forbidden = letter_of(order).forbidden
    if forbidden:
        raise RequeueForbidden(f"{order.state}: {forbidden}")
    return intake.place(principal=principal, wanted=_anew(order), idempotency_key=key, sessions=sessions, now=now)


def requeue_by_hand(*, order_id: UUID, principal: Principal, sessions: Sessions, reason: str, now: datetime) -> None:
    """Place anew what a never-sent order said, and keep why; raises RequeueForbidden where that is not safe."""
    with transaction.atomic():
        # A person presses once: the key keeps a form that is sent twice from placing twice.
        placed = requeue(principal=principal, order_id=order_id, key=f"by-hand-{order_id}", sessions=sessions, now=now)
        record(
            actor=principal.label,
            action="orders.order.requeued",
            subject=f"order:{order_id}",
            reason=required(reason)[:200],
            detail={"anew": str(placed.order.pk)},
            now=now,
        )


def acknowledge(*, principal: Principal, order_id: UUID, reason: str, now: datetime) -> Order:
    """Take note of an orphan, so that its account may order again."""
    visible = intake.visible_order(principal=principal, order_id=order_id)
    if visible.origin != Order.Origin.ORPHAN:
        raise OrderUnknown(f"order {order_id} is no orphan")
    with transaction.atomic():
        order = Order.objects.select_for_update(of=("self",)).select_related("account").get(pk=order_id)
        if order.acknowledged_at is not None:
            return order
        intake.acknowledge_orphan(order=order, by=principal.label, now=now)
        record(
            actor=principal.label,
            action="orders.orphan.acknowledged",
            subject=f"order:{order.pk}",
            reason=reason,
            detail={"account": order.account.label, "broker_order_id": order.broker_order_id},
            now=now,
        )
    return order


def _forbidden(order: Order, *, replaced: bool) -> str:
    state = State(order.state)
    if order.origin != Order.Origin.PLATFORM:
        return "it was not placed here"
    if state in REASONS:
        return REASONS[state]
    if state not in REQUEUEABLE:
        return "it has not ended"
    if order.group_id is not None:
        return "it belongs to a group, which decides about its legs"
    return "it was replaced" if replaced else ""


def _anew(order: Order) -> Wanted:
    names = {field.name for field in fields(Wanted)} - {"account", "deadline_seconds", "allow_duplicate", "autoslice"}
    values = {name: getattr(order, name) for name in names if name != "replaces"}
    return Wanted(account=order.account.label, allow_duplicate=True, replaces=order.pk, **values)
