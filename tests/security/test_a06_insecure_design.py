"""A06: what must not be possible here by design is refused by the database itself, whoever asks."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from accounts.audit import record
from accounts.guards import Approval
from accounts.models import AuditEntry
from orders.models import Order, OrderEvent
from orders.states import State
from tests.factories import BrokerAccountFactory, UserFactory
from tests.orders.factories import OrderFactory

pytestmark = pytest.mark.django_db


def test_an_order_never_changes_its_account() -> None:
    """Data fails over to another account; an order is somebody's money."""
    order, other = OrderFactory(), BrokerAccountFactory()

    with pytest.raises(DatabaseError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(account=other)


def test_an_order_that_left_never_becomes_ready_again() -> None:
    order = OrderFactory(at_broker=True)

    with pytest.raises(DatabaseError), transaction.atomic():
        Order.objects.filter(pk=order.pk).update(state=State.READY, broker_order_id="other")


def test_what_happened_to_an_order_is_not_rewritten() -> None:
    order = OrderFactory()
    now = datetime.now(UTC)
    OrderEvent.objects.create(order=order, sequence=1, kind="orders.order.taken", at=now, source="api")

    with pytest.raises(DatabaseError), transaction.atomic():
        OrderEvent.objects.filter(order=order).delete()


def test_the_audit_trail_is_not_rewritten() -> None:
    with transaction.atomic():
        record(actor="asha", action="a.deed", subject="thing", now=datetime.now(UTC))

    for rewrite in (lambda: AuditEntry.objects.update(actor="nobody"), lambda: AuditEntry.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            rewrite()


def test_who_asks_never_approves() -> None:
    now, asker = datetime.now(UTC), UserFactory()

    with pytest.raises(DatabaseError), transaction.atomic():
        Approval.objects.create(
            verb=Approval.Verb.values[0],
            subject="order:1",
            fingerprint="f",
            reason="I say so",
            requested_by=asker,
            requested_at=now,
            expires_at=now + timedelta(minutes=30),
            approved_by=asker,
            approved_at=now,
        )
