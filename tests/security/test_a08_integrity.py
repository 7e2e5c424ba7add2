"""A08: nothing is unpacked, messages are JSON, postbacks are signed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from redis import Redis

from kite.checksum import postback_checksum
from tests.factories import BrokerAccountFactory, CredentialFactory
from ticker_site.celery import app


def test_workers_take_json_alone() -> None:
    assert app.conf.task_serializer == "json"
    assert set(app.conf.accept_content) == {"json"}
    assert app.conf.task_ignore_result


def test_sessions_are_written_as_json() -> None:
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"


@pytest.mark.parametrize(("secret", "status"), [("theirs", 403), ("", 403), ("the-real-secret-of-this-account", 200)])
def test_a_postback_counts_with_the_accounts_signature_alone(
    db: None, clean_redis: Redis, secret: str, status: int
) -> None:
    account = BrokerAccountFactory()
    CredentialFactory(account=account, api_secret="the-real-secret-of-this-account")
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    body: dict[str, Any] = {
        "order_id": "1",
        "order_timestamp": stamp,
        "checksum": postback_checksum(order_id="1", order_timestamp=stamp, api_secret=secret),
    }

    answer = Client().post(f"/api/v1/postbacks/kite/{account.label}", body, content_type="application/json")

    assert answer.status_code == status


def test_a_postback_about_nobody_is_refused_in_the_same_words(db: None, clean_redis: Redis) -> None:
    account = BrokerAccountFactory()
    CredentialFactory(account=account)
    body = {"order_id": "1", "order_timestamp": "x", "checksum": "y"}

    known = Client().post(f"/api/v1/postbacks/kite/{account.label}", body, content_type="application/json")
    unknown = Client().post("/api/v1/postbacks/kite/nobody", body, content_type="application/json")

    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
