"""A01 and API1, API5: every route, every role, own and foreign accounts."""

from typing import Any
from uuid import uuid4

import pytest
from drf_spectacular.generators import SchemaGenerator
from redis import Redis
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

from accounts.models import BrokerAccount, User
from accounts.permissions import scope_of
from accounts.queries import ROLE_SCOPES, principal_of
from tests.factories import BrokerAccountFactory, UserFactory
from tests.security.routes import Deed, deeds

DEEDS = deeds()
GUARDED = [deed for deed in DEEDS if AllowAny not in deed.view.permission_classes]
SCOPED = [deed for deed in GUARDED if scope_of(deed.view, deed.method) is not None]
# The broker's own door: it has no key of ours, its signature is the authentication.
OPEN = {"POST /api/v1/postbacks/kite/{label}"}
# Who is known may read these, whatever the scopes.
FOR_EVERYBODY_KNOWN = {"GET /api/v1/schema", "GET /api/v1/docs"}


def names(found: list[Deed]) -> list[str]:
    return [str(deed) for deed in found]


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=user, token=principal_of(user))  # type: ignore[arg-type]
    return client


def do(client: APIClient, deed: Deed, *, label: str, **body: Any) -> Any:
    send = getattr(client, deed.method.lower())
    path = deed.path(label=label)
    if deed.method == "GET":
        return send(path, {"account": label})
    return send(f"{path}?account={label}", body, format="json", headers={"Idempotency-Key": str(uuid4())})


@pytest.fixture
def foreign(db: None, clean_redis: Redis) -> BrokerAccount:
    """Return an account that none of the callers below owns."""
    return BrokerAccountFactory(label="somebodys")


def caller(role: str) -> User:
    user: User = UserFactory(role=role)
    own = BrokerAccount.objects.filter(label="own").first() or BrokerAccountFactory(label="own")
    user.accounts.add(own)
    return user


def test_every_route_declares_what_it_needs() -> None:
    undeclared = set(names(GUARDED)) - set(names(SCOPED)) - FOR_EVERYBODY_KNOWN

    assert undeclared == set()


def test_the_open_routes_are_the_known_ones() -> None:
    assert set(names(DEEDS)) - set(names(GUARDED)) == OPEN


@pytest.mark.parametrize("deed", GUARDED, ids=str)
def test_a_stranger_is_not_let_in(foreign: BrokerAccount, deed: Deed) -> None:
    answer = do(APIClient(), deed, label=foreign.label)

    assert answer.status_code == 401


@pytest.mark.parametrize("deed", SCOPED, ids=str)
def test_a_role_without_the_scope_is_refused(foreign: BrokerAccount, deed: Deed) -> None:
    scope = scope_of(deed.view, deed.method)
    lacking = [role for role in User.Role if scope not in ROLE_SCOPES[role]]

    answers = {role: do(client_of(caller(role)), deed, label="own") for role in lacking}

    assert lacking
    assert {(answer.status_code, answer.json()["code"]) for answer in answers.values()} == {(403, "scope_missing")}


@pytest.mark.parametrize("deed", [deed for deed in SCOPED if deed.names_an_account], ids=str)
def test_an_account_of_somebody_else_does_not_exist(foreign: BrokerAccount, deed: Deed) -> None:
    user = caller(User.Role.ADMINISTRATOR)

    answer = do(client_of(user), deed, label=foreign.label, **BODIES.get(str(deed), {}))

    assert answer.status_code == 404


@pytest.mark.parametrize("deed", [deed for deed in SCOPED if not deed.names_an_account], ids=str)
def test_no_answer_is_about_an_account_of_somebody_else(foreign: BrokerAccount, deed: Deed) -> None:
    user = caller(User.Role.ADMINISTRATOR)

    answer = do(client_of(user), deed, label=foreign.label, **BODIES.get(str(deed), {}), account=foreign.label)

    said = answer.content.decode().replace("no account somebodys", "")
    assert foreign.label not in said or answer.status_code in {400, 404}
    assert deed.method == "GET" or not about_an_account(deed) or answer.status_code in {400, 404}


def about_an_account(deed: Deed) -> bool:
    return str(deed) in BODIES


def test_every_body_that_names_an_account_is_tried() -> None:
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    naming = {
        f"{method.upper()} {path}"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if "account" in _properties(schema, operation)
    }

    assert naming - set(BODIES) == set()


def _properties(schema: Any, operation: Any) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
    return set(schema["components"]["schemas"].get(name, {}).get("properties", {}))


# Bodies that are right but for the account, so that a refusal is about the account and not about a missing field.
ORDER = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "order_type": "LIMIT",
    "price": 100,
    "product": "CNC",
    "quantity": 1,
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/orders": ORDER,
    "POST /api/v1/orders/margins": {"orders": [ORDER]},
    "POST /api/v1/orders/charges": {"orders": [ORDER]},
    "POST /api/v1/baskets/margins": {"orders": [ORDER]},
    "POST /api/v1/baskets": {"legs": [ORDER]},
    "POST /api/v1/gtts": {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "trigger_values": [90],
        "legs": [{"transaction_type": "BUY", "quantity": 1, "product": "CNC", "price": 91}],
    },
    "POST /api/v1/positions/conversions": {
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "quantity": 1,
        "old_product": "MIS",
        "new_product": "CNC",
    },
    "POST /api/v1/funds/orders": {"tradingsymbol": "INF1", "transaction_type": "BUY", "amount": 1000},
    "POST /api/v1/funds/sips": {"tradingsymbol": "INF1", "amount": 1000, "instalments": 3, "frequency": "monthly"},
    "PATCH /api/v1/funds/sips/{sip_id}": {"amount": 2000},
}
