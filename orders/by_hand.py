"""What people decide about an order: to take it back, and how one in doubt ended."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import approvals
from accounts.audit import record, required
from accounts.guards import Approval
from accounts.queries import Principal
from orders import intake, updates
from orders.errors import OrderEnded
from orders.models import Order
from orders.states import State

VERB = Approval.Verb.RESOLVE_UNKNOWN


def cancel(*, order_id: UUID, principal: Principal, reason: str, now: datetime) -> None:
    """Ask for the order's end and keep why."""
    with transaction.atomic():
        intake.cancel(principal=principal, order_id=order_id, idempotency_key=None, now=now)
        record(
            actor=principal.label,
            action="orders.order.cancel_asked",
            subject=subject_of(order_id),
            reason=required(reason)[:200],
            now=now,
        )


def ask_to_resolve(*, order_id: UUID, broker_order_id: str, by: Principal, reason: str, now: datetime) -> Approval:
    """Ask a second person to agree on how an order in doubt ended; raises OrderEnded where it is not in doubt."""
    with transaction.atomic():
        _in_doubt(order_id, principal=by)
        return approvals.request_approval(
            verb=VERB,
            subject=subject_of(order_id),
            detail=_detail(broker_order_id),
            by=by,
            reason=reason,
            now=now,
        )


def resolve(*, order_id: UUID, broker_order_id: str, principal: Principal, reason: str, now: datetime) -> None:
    """Believe two people about an order in doubt: it has this id at the broker or, without one, was never placed.

    Should the book show it after all, it is adopted late and cancelled, as after the quarantine.
    """
    with transaction.atomic():
        order = _in_doubt(order_id, principal=principal)
        approvals.consume(
            verb=VERB,
            subject=subject_of(order_id),
            detail=_detail(broker_order_id),
            actor=principal.label,
            now=now,
        )
        if broker_order_id.strip():
            updates.acknowledge(order=order, broker_order_id=broker_order_id.strip(), source="hand", now=now)
        else:
            text = f"{principal.label}: {required(reason)}"
            move = updates.Move(to=State.NOT_PLACED, source="hand", code="NOT_PLACED", text=text)
            updates.apply(order=order, move=move, now=now)
        record(
            actor=principal.label,
            action="orders.order.resolved_by_hand",
            subject=subject_of(order_id),
            reason=required(reason)[:200],
            detail={**_detail(broker_order_id), "state": order.state},
            now=now,
        )


def subject_of(order_id: UUID) -> str:
    """Return the name of an order in approvals and the audit trail."""
    return f"order:{order_id}"


def _in_doubt(order_id: UUID, *, principal: Principal) -> Order:
    intake.visible_order(principal=principal, order_id=order_id)
    order = Order.objects.select_for_update(of=("self",)).select_related("account").get(pk=order_id)
    if order.state != State.UNKNOWN:
        raise OrderEnded(f"the order is {order.state}: only one in doubt is resolved by hand", field="order")
    return order


def _detail(broker_order_id: str) -> dict[str, object]:
    return {"broker_order_id": broker_order_id.strip() or None}
