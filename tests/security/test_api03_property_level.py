"""API3: fields that are ours to write are refused from outside, and secrets have no field at all."""

from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from accounts.models import BrokerAccount
from orders.models import Order
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.security.routes import Deed
from tests.security.test_a01_access_control import ORDER
from tests.security.test_a05_injection import WRITES

OURS = {
    "state": "COMPLETE",
    "outcome": "accepted",
    "filled_quantity": 5,
    "average_price": 1,
    "broker_order_id": "1",
    "client": "root",
    "tag": "x",
    "origin": "external",
    "created_at": "2020-01-01T00:00:00Z",
    "id": str(uuid4()),
}
SECRETS = ("secret", "password", "access_token", "totp", "pepper", "digest", "request_token")
# Asked for, and never given back.
TAKEN = {"api_secret", "request_token", "secret"}


@pytest.mark.parametrize("name", OURS)
def test_an_order_cannot_be_written_from_outside(administrator: APIClient, name: str) -> None:
    account = BrokerAccountFactory()
    CredentialFactory(account=account, live=True)
    body = {**ORDER, "account": account.label, name: OURS[name]}

    answer = administrator.post("/api/v1/orders", body, format="json", headers={"Idempotency-Key": str(uuid4())})

    assert answer.status_code == 400
    assert name in answer.json()["errors"]
    assert not Order.objects.exists()


@pytest.mark.parametrize("name", ["broker_user_id", "label", "id", "state"])
def test_whose_account_it_is_cannot_be_written(administrator: APIClient, name: str) -> None:
    account = BrokerAccountFactory()

    answer = administrator.patch(f"/api/v1/accounts/{account.label}", {name: "mine"}, format="json")

    assert answer.status_code in {400, 403}
    assert BrokerAccount.objects.get().label == account.label


@cache
def _schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def _takes_a_body(deed: Deed) -> bool:
    return "requestBody" in _schema()["paths"].get(deed.route, {}).get(deed.method.lower(), {})


def test_a_field_nobody_knows_is_named(administrator: APIClient) -> None:
    """A misspelt price must not become a market order, nor a misspelt limit no limit."""
    account = BrokerAccountFactory()
    quiet = []
    for deed in [one for one in WRITES if _takes_a_body(one)]:
        send = getattr(administrator, deed.method.lower())
        body = {"pirce": 1, "account": account.label}
        answer = send(deed.path(label=account.label), body, format="json", headers={"Idempotency-Key": str(uuid4())})
        if answer.status_code == 404:
            continue
        if answer.status_code != 400 or "pirce" not in answer.json().get("errors", {}):
            quiet.append((str(deed), answer.status_code))

    assert quiet == []


def test_no_answer_has_a_field_for_a_secret() -> None:
    schema = _schema()
    asked = {
        str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
        for methods in schema["paths"].values()
        for operation in methods.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    }
    fields = {
        (name, field)
        for name, component in schema["components"]["schemas"].items()
        for field in component.get("properties", {})
        if any(word in field for word in SECRETS)
    }

    assert {field for name, field in fields if name in asked} <= TAKEN
    assert {field for name, field in fields if name not in asked} == set()
