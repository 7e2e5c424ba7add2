"""What the API answers about orders, baskets and triggers while nobody answers at the broker."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from orders.models import Order
from orders.parents import Trigger
from tests.orders.conftest import Desk
from tests.orders.test_api import body_of, client_of
from tests.orders.test_group_api import basket_of, leg_of, send, trigger_of

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def api(desk: Desk) -> APIClient:
    """Return a client of the desk's principal."""
    return client_of(desk.principal)


def test_an_order_that_only_the_broker_can_price_is_not_taken(desk: Desk, api: APIClient, settings: Any) -> None:
    settings.KITE_REST_ROOT = NOBODY

    order, basket = send(api, "orders", body_of(desk)), send(api, "baskets", basket_of(desk, leg_of(desk)))

    assert [(answer.status_code, answer.json()["code"], answer.json()["outcome"]) for answer in (order, basket)] == [
        (503, "price_unavailable", "not_sent")
    ] * 2
    assert not Order.objects.exists()


def test_a_trigger_keeps_what_was_last_seen_of_it(desk: Desk, api: APIClient, settings: Any) -> None:
    body = trigger_of(desk)
    send(api, "gtts", body)
    place = f"gtts/{Trigger.objects.get().pk}"
    shown = api.get(f"/api/v1/{place}")
    settings.KITE_REST_ROOT = NOBODY

    listed = api.get("/api/v1/gtts", {"account": desk.account.label, "fresh": "true"})
    changed = send(api, place, {name: body[name] for name in body if name != "account"}, method="put")
    removed = send(api, place, method="delete")

    answers = [(answer.status_code, answer.json()["code"]) for answer in (listed, changed, removed)]
    assert answers == [(status, "broker_unavailable") for status in (502, 503, 503)]
    assert {answer.json()["outcome"] for answer in (listed, changed, removed)} == {"not_sent"}
    assert shown.status_code == 200
    assert api.get(f"/api/v1/{place}").json() == shown.json()
