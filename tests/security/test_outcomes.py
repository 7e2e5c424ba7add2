"""Every refusal of every route says what became of the request at the broker."""

from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.queries import principal_of
from tests.factories import UserFactory
from tests.security.routes import Deed, deeds

# The pages of the schema answer in their own formats, and the broker has a door of its own.
APART = ("/api/v1/postbacks", "/api/v1/docs", "/api/v1/schema")
DEEDS = [deed for deed in deeds() if not deed.route.startswith(APART)]
OUTCOMES = {"not_sent", "rejected", "unknown", "accepted"}


def ask(client: APIClient, deed: Deed) -> Any:
    send = getattr(client, deed.method.lower())
    headers = {"Idempotency-Key": str(uuid4())}
    return send(deed.path(label="nobodys"), {"no_such_field": 1}, format="json", headers=headers)


def asked(client: APIClient, deed: Deed) -> Any:
    if deed.method == "GET":
        return client.get(deed.path(label="nobodys"), {"limit": "many", "account": "!"})
    return ask(client, deed)


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_a_refusal_says_what_became_of_the_request(db: None, clean_redis: Any, deed: Deed) -> None:
    user = UserFactory(superuser=True, administrator=True)
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user=user, token=principal_of(user))  # type: ignore[arg-type]

    answer = asked(client, deed)

    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["outcome"] in OUTCOMES


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_who_is_not_let_in_hears_that_nothing_was_sent(db: None, clean_redis: Any, deed: Deed) -> None:
    answer = asked(APIClient(), deed)

    assert answer.status_code == 401
    assert answer.json()["outcome"] == "not_sent"
