"""The orders API as a client sees it."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import TradingHalt, User
from accounts.queries import Principal, current_credential
from kite.checksum import postback_checksum
from orders.models import Order
from orders.states import State
from tests.factories import UserFactory
from tests.orders.conftest import Desk

pytestmark = pytest.mark.usefixtures("orders_urls")


@pytest.fixture
def orders_urls(settings: Any) -> None:
    """Serve the orders API alone."""
    settings.ROOT_URLCONF = "tests.orders.urls"


@pytest.fixture
def api(desk: Desk) -> APIClient:
    """Return a client of the desk's principal."""
    return client_of(desk.principal)


def client_of(principal: Principal) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=principal.user_id), token=principal)  # type: ignore[arg-type]
    return client


def body_of(desk: Desk, **values: Any) -> dict[str, Any]:
    body = {
        "account": desk.account.label,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "order_type": "MARKET",
        "product": "CNC",
        "quantity": 1,
        "allow_duplicate": True,
    }
    return {**body, **values}


def post(api: APIClient, body: dict[str, Any], key: str | None = None, **headers: str) -> Any:
    sent = {"Idempotency-Key": key or str(uuid4()), **headers}
    return api.post("/api/v1/orders", body, format="json", headers=sent)


def test_an_order_is_accepted_with_its_place(desk: Desk, api: APIClient) -> None:
    answer = post(api, body_of(desk))

    shown = api.get(answer["Location"])
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/orders/{answer.json()['id']}"
    assert (shown.status_code, shown.json()) == (200, answer.json())
    assert answer["Idempotent-Replayed"] == "false"
    assert answer.json()["state"] == "READY"
    assert answer.json()["outcome"] == "not_sent"
    assert answer["Broker-Budget-Day"] == "4000"


def test_the_same_request_again_is_answered_as_a_replay(desk: Desk, api: APIClient) -> None:
    first = post(api, body_of(desk), key="k")

    again = post(api, body_of(desk), key="k")

    assert again.status_code == 200
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()


def test_a_key_used_for_another_body_is_refused(desk: Desk, api: APIClient) -> None:
    post(api, body_of(desk), key="k")

    answer = post(api, body_of(desk, quantity=2), key="k")

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert answer.json()["outcome"] == "not_sent"


@pytest.mark.parametrize("key", ["", "with space", "x" * 129, "ümlaut"])
def test_a_write_needs_a_usable_key(desk: Desk, api: APIClient, key: str) -> None:
    answer = api.post("/api/v1/orders", body_of(desk), format="json", headers={"Idempotency-Key": key})

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"
    assert answer.json()["field"] == "Idempotency-Key"
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
        ({"order_type": "LIMIT"}, "price"),
        ({"order_type": "MARKET", "price": "1500"}, "price"),
        ({"order_type": "SL-M"}, "trigger_price"),
        ({"order_type": "SL", "price": "1500"}, "trigger_price"),
        ({"validity": "TTL"}, "validity_ttl"),
        ({"validity_ttl": 5}, "validity_ttl"),
        ({"variety": "co"}, "trigger_price"),
        ({"variety": "iceberg"}, "iceberg_legs"),
        ({"variety": "bo"}, "variety"),
        ({"variety": "auction"}, "auction_number"),
        ({"prise": 1500}, "prise"),
        ({"tradingsymbol": "infy; drop"}, "tradingsymbol"),
        ({"market_protection": "101"}, "market_protection"),
    ],
)
def test_a_body_that_cannot_be_right_names_its_field(
    desk: Desk, api: APIClient, values: dict[str, Any], field: str
) -> None:
    answer = post(api, body_of(desk, **values))

    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Order.objects.exists()


def test_a_halt_answers_clearly(desk: Desk, api: APIClient) -> None:
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))

    answer = post(api, body_of(desk))

    assert answer.status_code == 423
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "trading_halted"
    assert answer.json()["outcome"] == "not_sent"
    assert "drill" in answer.json()["detail"]
    assert answer.json()["order"]["state"] == "DENIED"


def test_a_denied_order_answers_with_its_code(desk: Desk, api: APIClient) -> None:
    answer = post(api, body_of(desk, quantity=100_000))

    assert answer.status_code == 422
    assert answer.json()["code"] == "order_notional"


def test_a_waiting_caller_gets_what_there_is_after_the_time(desk: Desk, api: APIClient) -> None:
    answer = post(api, body_of(desk), Prefer="wait=1")

    assert answer.status_code == 202
    assert answer.json()["state"] == "READY"


def test_a_stranger_is_refused(desk: Desk) -> None:
    assert APIClient().get("/api/v1/orders").status_code == 401


def test_a_reader_may_not_order(desk: Desk) -> None:
    viewer = Principal(
        user_id=desk.principal.user_id,
        label="viewer",
        key_id=None,
        scopes=frozenset({"orders:read"}),
        account_ids=None,
    )

    assert post(client_of(viewer), body_of(desk)).status_code == 403


def test_orders_of_other_accounts_are_not_shown(desk: Desk) -> None:
    order = desk.place()
    blind = UserFactory(role=User.Role.TRADER)
    principal = Principal(
        user_id=blind.pk, label="x", key_id=None, scopes=desk.principal.scopes, account_ids=frozenset()
    )
    client = client_of(principal)

    assert client.get("/api/v1/orders").json()["results"] == []
    assert client.get(f"/api/v1/orders/{order.pk}").status_code == 404
    assert client.get(f"/api/v1/orders/{order.pk}/events").status_code == 404
    assert client.delete(f"/api/v1/orders/{order.pk}").status_code == 404
    assert client.get("/api/v1/orders", {"account": desk.account.label}).status_code == 404


def test_the_list_is_cut_into_pages(desk: Desk, api: APIClient) -> None:
    placed = [str(desk.place().pk) for _ in range(5)]

    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = api.get("/api/v1/orders", query).json()
        seen += [row["id"] for row in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert seen == placed[::-1]


def test_the_list_is_filtered(desk: Desk, api: APIClient) -> None:
    order = desk.place()
    desk.submit(desk.place())

    ready = api.get("/api/v1/orders", {"state": "READY", "account": desk.account.label}).json()["results"]
    yesterday = api.get("/api/v1/orders", {"day": "2020-01-01"}).json()["results"]

    assert [row["id"] for row in ready] == [str(order.pk)]
    assert yesterday == []


@pytest.mark.parametrize("cursor", ["x", "WyJhIl0=", "bnVsbA==", "WyJhIiwiYiJd"])
def test_a_made_up_cursor_is_refused(desk: Desk, api: APIClient, cursor: str) -> None:
    answer = api.get("/api/v1/orders", {"cursor": cursor})

    assert answer.status_code == 400
    assert answer.json()["code"] == "cursor_broken"


def test_an_orders_history_is_shown(desk: Desk, api: APIClient) -> None:
    order = desk.place()
    desk.submit(order)

    events = api.get(f"/api/v1/orders/{order.pk}/events").json()["results"]

    assert [event["after"] for event in events] == ["READY", "CLAIMED", "SENDING", "ACKED"]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]


def test_an_order_that_waits_is_withdrawn(desk: Desk, api: APIClient) -> None:
    order = desk.place()

    answer = api.delete(f"/api/v1/orders/{order.pk}")

    assert answer.status_code == 200
    assert answer.json()["command"] is None
    assert answer.json()["order"]["state"] == "WITHDRAWN"


def test_an_order_at_the_broker_is_asked_to_end(desk: Desk, api: APIClient) -> None:
    order = desk.patient()

    answer = api.delete(f"/api/v1/orders/{order.pk}")

    assert answer.status_code == 202
    assert answer.json()["command"]["state"] == "READY"


def test_a_modification_needs_something_to_change(desk: Desk, api: APIClient) -> None:
    order = desk.patient()

    answer = api.patch(f"/api/v1/orders/{order.pk}", {}, format="json", headers={"Idempotency-Key": "m"})

    assert answer.status_code == 400


def test_a_modification_is_taken_in(desk: Desk, api: APIClient) -> None:
    order = desk.patient()
    body = {"price": str(desk.price(-6))}

    answer = api.patch(f"/api/v1/orders/{order.pk}", body, format="json", headers={"Idempotency-Key": "m"})

    assert answer.status_code == 202
    assert answer.json()["command"]["kind"] == "modify"


def test_a_signed_postback_is_answered_and_an_unsigned_one_refused(desk: Desk) -> None:
    credential = current_credential(account_id=desk.account.pk)
    assert credential is not None
    body = {"order_id": "1", "order_timestamp": "2026-11-24 09:15:00", "status": "COMPLETE"}
    checksum = postback_checksum(
        order_id="1", order_timestamp="2026-11-24 09:15:00", api_secret=credential.api_secret.reveal()
    )
    path = f"/api/v1/postbacks/kite/{desk.account.label}"
    client = APIClient()

    signed = client.post(path, json.dumps({**body, "checksum": checksum}), content_type="text/plain")
    forged = client.post(path, json.dumps({**body, "checksum": "0" * 64}), content_type="text/plain")
    nobody = client.post("/api/v1/postbacks/kite/nobody", json.dumps(body), content_type="text/plain")
    broken = client.post(path, "not json", content_type="text/plain")

    assert [signed.status_code, forged.status_code, nobody.status_code, broken.status_code] == [200, 403, 403, 403]


def test_the_list_costs_the_same_for_one_row_and_for_many(
    desk: Desk, api: APIClient, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        desk.place()

    with django_assert_max_num_queries(2):
        api.get("/api/v1/orders")


def test_trades_are_listed(desk: Desk, api: APIClient) -> None:
    answer = api.get("/api/v1/trades")

    assert answer.status_code == 200
    assert answer.json() == {"results": [], "next": None}


def test_a_state_is_one_of_ours(desk: Desk, api: APIClient) -> None:
    assert api.get("/api/v1/orders", {"state": State.UNKNOWN}).status_code == 200
    assert api.get("/api/v1/orders", {"state": "LOST"}).status_code == 400
