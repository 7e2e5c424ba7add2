"""Secrets do not leave the process: logs, exceptions, checks."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.conf import settings as django_settings
from django.core.checks import Error
from django.db import connection
from django.test import Client
from redis import Redis

from accounts import credentials
from accounts.fields import Secret
from accounts.models import BrokerAccount
from accounts.queries import login_for
from accounts.redaction import redact
from accounts.sessions import Sessions
from accounts.vault import installed
from kite.errors import SessionExpired
from tests.factories import BrokerAccountFactory, UserFactory
from tests.panel_client import PanelClient
from tests.sandbox_server import SandboxServer

QUERY = "/accounts/kite/callback?request_token=brought-back&status=success&account=forged"


@pytest.fixture
def log_file() -> Iterator[io.StringIO]:
    """Return what the log handler of the settings writes."""
    file = io.StringIO()
    handler = logging.StreamHandler(file)
    configured: dict[str, Any] = django_settings.LOGGING
    chosen = configured["formatters"]["structured"]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=chosen["processors"], foreign_pre_chain=chosen["foreign_pre_chain"]
        )
    )
    root = logging.getLogger()
    root.addHandler(handler)
    yield file
    root.removeHandler(handler)


def test_a_revealed_secret_is_taken_out_of_texts() -> None:
    Secret("canary-of-redaction").reveal()

    assert redact("Bearer canary-of-redaction!") == "Bearer [redacted]!"


def test_an_api_key_is_taken_out_of_texts_and_its_public_part_stays() -> None:
    text = f"key tkr_live_Ab3dEf9h_{'x' * 43} used"

    assert redact(text) == "key tkr_live_Ab3dEf9h_[redacted] used"


def test_short_words_are_left_alone() -> None:
    Secret("buy").reveal()

    assert redact("buy low") == "buy low"


def test_a_log_line_and_its_traceback_hold_no_secret(log_file: io.StringIO) -> None:
    secret = Secret("canary-in-the-traceback").reveal()

    try:
        int(secret)
    except ValueError:
        logging.getLogger("accounts").exception("failed with %s", secret)

    assert "failed with [redacted]" in log_file.getvalue()
    assert "canary" not in log_file.getvalue()


@pytest.mark.django_db
def test_a_query_reaches_no_log(client: PanelClient, log_file: io.StringIO) -> None:
    client.force_login(UserFactory(administrator=True, superuser=True))

    answers = [client.get(QUERY), client.post(QUERY), client.get(f"/nowhere{QUERY}")]

    assert [answer.status_code for answer in answers] == [302, 405, 404]
    assert "GET /accounts/kite/callback" in log_file.getvalue()
    assert "brought-back" not in log_file.getvalue()


@pytest.mark.django_db
def test_who_must_sign_in_first_is_not_sent_on_with_the_request_token() -> None:
    answer = Client().get(QUERY)

    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/"


@pytest.mark.django_db
def test_no_secret_of_a_login_reaches_logs_redis_or_the_database(
    broker: SandboxServer, now: datetime, log_file: io.StringIO, clean_redis: Redis
) -> None:
    user = broker.user(0)
    account = BrokerAccountFactory(broker_user_id=user.user_id)
    log_level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    request_token = broker.login(0)
    credentials.rotate(
        account_id=account.pk, api_key=user.api_key, api_secret=user.api_secret, actor="asha", reason="first", now=now
    )
    credentials.complete_login(account_id=account.pk, request_token=request_token, actor="asha", now=now)
    login = login_for(account_id=account.pk, now=now)
    Sessions().client(login).profile()
    broker.fault("token_killed", user=user.user_id)
    with pytest.raises(SessionExpired) as expired:
        Sessions().client(login).profile()
    logging.getLogger("tests").error("%s %r %s", login, login, expired.value, exc_info=expired.value)
    logging.getLogger().setLevel(log_level)

    secrets = [user.api_secret, login.access_token, request_token]
    places = {
        "log": log_file.getvalue(),
        "redis": str([(key, clean_redis.dump(key)) for key in clean_redis.keys()]),  # noqa: SIM118
        "database": _everything_stored(),
        "error": f"{expired.value!r} {expired.value.evidence}",
    }
    assert [
        (place, secret)
        for place, text in places.items()
        for secret in secrets
        if secret in text or secret.encode().hex() in text
    ] == []


def _everything_stored() -> str:
    with connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if name.startswith("accounts_")]
        rows: list[Any] = []
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')
            rows += [row[0] for row in cursor.fetchall()]
    assert BrokerAccount.objects.count() == 1
    return json.dumps(rows)


def test_the_deploy_check_is_silent_about_a_good_ring() -> None:
    assert installed.check(None) == []


def test_the_deploy_check_refuses_an_installation_without_a_ring(settings: Any, tmp_path: Path) -> None:
    settings.VAULT_KEY_FILE = str(tmp_path / "absent")

    [problem] = installed.check(None)

    assert isinstance(problem, Error)
    assert problem.id == "accounts.E001"
