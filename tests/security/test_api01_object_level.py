"""API1: knowing the id of somebody else's order, basket, trigger or webhook opens nothing."""

from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import BrokerAccount, User
from accounts.queries import principal_of
from tests.factories import BrokerAccountFactory, UserFactory
from tests.security.owned import IDS, everything_of
from tests.security.routes import Deed, deeds

# The id of a fund order is the broker's; whose it is, its account says (A01).
DEEDS = [deed for deed in deeds() if any(name in IDS for name, _ in deed.converters) and "/funds/" not in deed.route]
# Right but for whose it is, so that the refusal is not about a field.
BODY = {
    "reason": "x",
    "ask": True,
    "price": 1,
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "trigger_values": [1],
    "legs": [{"transaction_type": "BUY", "quantity": 1, "product": "CNC", "price": 1}],
    "enabled": True,
}
FIELDS = {
    "PATCH /api/v1/orders/{order_id}": ("price",),
    "PUT /api/v1/gtts/{trigger_id}": ("exchange", "tradingsymbol", "trigger_values", "legs"),
    "POST /api/v1/orders/{order_id}/acknowledge": ("reason",),
    "POST /api/v1/halts/{halt_id}/release": ("reason", "ask"),
    "POST /api/v1/halts/{halt_id}/clearing": ("reason",),
    "PATCH /api/v1/webhooks/{endpoint_id}": ("enabled",),
}


@pytest.fixture
def stranger(db: None, clean_redis: Redis) -> APIClient:
    """Return an administrator of one account, who knows every id of another's."""
    user: User = UserFactory(role=User.Role.ADMINISTRATOR)
    user.accounts.add(BrokerAccountFactory(label="own"))
    client = APIClient()
    client.force_authenticate(user=user, token=principal_of(user))  # type: ignore[arg-type]
    return client


@pytest.fixture
def foreign(db: None) -> BrokerAccount:
    """Return an account that the stranger does not see."""
    return BrokerAccountFactory(label="somebodys")


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_a_known_id_of_a_foreign_account_is_unknown(stranger: APIClient, foreign: BrokerAccount, deed: Deed) -> None:
    path = deed.route
    for name, value in everything_of(foreign).items():
        path = path.replace(f"{{{name}}}", value)
    body = {name: BODY[name] for name in FIELDS.get(str(deed), ())}

    answer: Any = getattr(stranger, deed.method.lower())(
        path, body, format="json", headers={"Idempotency-Key": str(uuid4())}
    )

    assert answer.status_code == 404, answer.content
    assert answer.json()["code"].endswith("_unknown")
