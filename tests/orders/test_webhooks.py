"""Events of orders leave the house."""

import json
from datetime import UTC, datetime

import pytest
from django.db import transaction

from orders.models import OrderEvent
from orders.stream import order_document
from tests.orders.conftest import Desk
from tests.webhooks.conftest import added, receiver  # noqa: F401 (a fixture)
from tests.webhooks.receiver import Receiver
from webhooks import tasks
from webhooks.models import Delivery, Message


def test_every_event_of_an_order_is_told(desk: Desk, receiver: Receiver) -> None:  # noqa: F811
    added(desk.principal, receiver.url, "orders.*")

    order = desk.place()
    desk.submit(order)

    events = OrderEvent.objects.filter(order=order).order_by("sequence")
    told = Message.objects.order_by("created_at").values_list("kind", flat=True)
    assert sorted(told) == sorted(event.kind for event in events)


def test_the_body_is_the_document_of_the_socket(desk: Desk, receiver: Receiver) -> None:  # noqa: F811
    added(desk.principal, receiver.url, "orders.order.acked")
    order = desk.place()
    desk.submit(order)

    tasks.deliver(str(Delivery.objects.get().pk))

    (heard,) = receiver.heard
    body = json.loads(heard.body)
    assert body["type"] == "orders.order.acked"
    assert body["data"]["order"] == order_document(order)
    assert body["data"]["event"]["sequence"] == order.sequence


def test_a_deed_that_is_undone_tells_nobody(desk: Desk, receiver: Receiver) -> None:  # noqa: F811
    added(desk.principal, receiver.url, "*")
    desk.place("key")

    with pytest.raises(ValueError, match="twice"):
        _place_and_fail(desk)

    assert Message.objects.count() == 1
    assert datetime.now(UTC) > Message.objects.get().created_at


def _place_and_fail(desk: Desk) -> None:
    with transaction.atomic():
        desk.place()
        raise ValueError("said twice")
