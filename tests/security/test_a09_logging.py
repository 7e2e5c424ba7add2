"""A09: what an attacker does is written down, in the log or in the audit trail, with who and where."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from accounts.authentication import issue_api_key, revoke_api_key
from accounts.models import ApiKey, AuditEntry, User
from accounts.rates import Allowance
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """Return what was logged as events with their fields."""

    def events() -> list[dict[str, Any]]:
        return [record.msg for record in caplog.records if isinstance(record.msg, dict)]

    return events


def answered(events: list[dict[str, Any]], code: int) -> dict[str, Any]:
    """Return the one record of a request that was answered so."""
    (found,) = [one for one in events if one.get("event") == "request_finished" and one.get("code") == code]
    return found


def test_a_stranger_is_on_record_with_address_and_path(spoken: Callable[[], list[dict[str, Any]]]) -> None:
    Client().get("/api/v1/accounts")

    found = answered(spoken(), 401)
    assert found["ip"] == "127.0.0.1"
    assert found["request"] == "GET /api/v1/accounts"
    assert found["request_id"]


def test_a_role_that_reaches_too_far_is_on_record(
    keyed: Callable[..., Client], spoken: Callable[[], list[dict[str, Any]]]
) -> None:
    keyed(User.Role.VIEWER).post(
        "/api/v1/orders", {}, content_type="application/json", headers={"Idempotency-Key": str(uuid4())}
    )

    assert answered(spoken(), 403)["user_id"] == User.objects.get().pk


def test_who_asks_too_often_is_on_record(
    keyed: Callable[..., Client], spoken: Callable[[], list[dict[str, Any]]], settings: Any
) -> None:
    settings.REQUEST_RATES = dict.fromkeys(("read", "write"), Allowance(per_second=0.01, burst=1))
    client = keyed()

    for _ in range(2):
        client.get("/api/v1/me")

    assert answered(spoken(), 429)["user_id"] == User.objects.get().pk


def test_a_forged_postback_is_on_record(spoken: Callable[[], list[dict[str, Any]]]) -> None:
    account = BrokerAccountFactory()
    CredentialFactory(account=account)
    body = {"order_id": "1", "order_timestamp": "x", "checksum": "y"}

    Client().post(f"/api/v1/postbacks/kite/{account.label}", body, content_type="application/json")

    (found,) = [one for one in spoken() if one["event"] == "orders.postback.refused"]
    assert found["label"] == account.label


def test_a_foreign_host_is_on_record(caplog: pytest.LogCaptureFixture) -> None:
    Client(headers={"Host": "evil.example"}).get("/healthz")

    assert "evil.example" in caplog.text


def test_keys_made_and_revoked_are_in_the_audit_trail() -> None:
    user, now = UserFactory(administrator=True), datetime.now(UTC)
    issue_api_key(
        user=user, name="a", scopes=["market:read"], accounts=None, expires_at=now + timedelta(days=1), now=now
    )
    revoke_api_key(prefix=ApiKey.objects.get().prefix, actor="ops", reason="lost", now=now)

    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["accounts.api_key.issued", "accounts.api_key.revoked"]


def test_no_record_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.now(UTC)
    _, text = issue_api_key(
        user=UserFactory(administrator=True),
        name="a",
        scopes=["accounts:read"],
        accounts=None,
        expires_at=now + timedelta(days=1),
        now=now,
    )

    answer = Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/me")

    assert answer.status_code == 200
    assert caplog.records
    assert text[-43:] not in caplog.text


def test_a_newline_cannot_forge_a_record(spoken: Callable[[], list[dict[str, Any]]]) -> None:
    Client().get("/api/v1/accounts%0A2026-11-24%20forged")

    assert [one for one in spoken() if str(one.get("event", "")).startswith("2026")] == []
    assert "\n" not in answered(spoken(), 404)["request"].replace("\\n", "")
