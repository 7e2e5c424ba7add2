"""The broker login of a program, through the sandbox's own page."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rest_framework.test import APIClient

from accounts.authentication import issue_api_key
from accounts.models import AuditEntry, BrokerAccount, Credential, User
from accounts.queries import login_for
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

Make = Callable[..., BrokerAccount]


def program(user: User, *scopes: str) -> APIClient:
    now = datetime.now(UTC)
    key = issue_api_key(user=user, name="t", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now)[
        1
    ]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def test_a_program_logs_an_account_in(broker: SandboxServer, keyed_account: Make, operator: User) -> None:
    account = keyed_account()
    api = program(operator, "ops:write", "accounts:read")

    url = api.get(f"/api/v1/accounts/{account.label}/login").json()["url"]
    token = broker.login(account.broker_user_id, **_query(url))
    answer = api.post(f"/api/v1/accounts/{account.label}/login", {"request_token": token}, format="json")
    again = api.post(f"/api/v1/accounts/{account.label}/login", {"request_token": token}, format="json")

    assert url.startswith(broker.login_url)
    assert (answer.status_code, again.status_code) == (200, 200)
    assert answer.json()["login"]["live"] is True
    assert login_for(account_id=account.pk, now=datetime.now(UTC)).version == 2
    assert AuditEntry.objects.filter(action="accounts.session.opened").count() == 1


def test_the_login_of_somebody_else_is_refused(broker: SandboxServer, keyed_account: Make, operator: User) -> None:
    mine, other = keyed_account(0), broker.user(1)
    api = program(operator, "ops:write")

    answer = api.post(f"/api/v1/accounts/{mine.label}/login", {"request_token": broker.login(other)}, format="json")

    assert answer.status_code >= 400
    assert not login_is_live(mine)


def test_a_token_that_was_never_given_logs_nobody_in(keyed_account: Make, operator: User) -> None:
    account = keyed_account()

    answer = program(operator, "ops:write").post(
        f"/api/v1/accounts/{account.label}/login", {"request_token": "x" * 32}, format="json"
    )

    assert answer.status_code >= 400
    assert not login_is_live(account)


def test_a_broker_that_is_silent_logs_nobody_in(keyed_account: Make, operator: User, settings: Any) -> None:
    account = keyed_account()
    settings.KITE_REST_ROOT = "http://127.0.0.1:1"

    answer = program(operator, "ops:write").post(
        f"/api/v1/accounts/{account.label}/login", {"request_token": "x" * 32}, format="json"
    )

    assert (answer.status_code, answer.json()["code"]) == (502, "broker_unavailable")
    assert answer["Content-Type"] == "application/problem+json"
    assert not login_is_live(account)


def test_a_program_without_the_scope_may_not(keyed_account: Make, operator: User) -> None:
    account = keyed_account()

    assert program(operator, "accounts:read").get(f"/api/v1/accounts/{account.label}/login").status_code == 403


def login_is_live(account: BrokerAccount) -> bool:
    held = Credential.objects.get(account=account, current=True)
    return held.is_live(now=datetime.now(UTC))


def _query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items() if name == "redirect_params"}
