"""Logins, rotations, expiry and revocation against the sandbox."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import close_old_connections, connection

from accounts import credentials
from accounts.errors import (
    AccountStateConflict,
    CredentialMissing,
    LoginInProgress,
    LoginNeeded,
    LoginRefused,
    ReasonMissing,
)
from accounts.fields import Secret
from accounts.models import AuditEntry, BrokerAccount, Credential
from accounts.queries import current_credential, login_for, streaming_logins, token_expiry
from kite.errors import KiteError, SessionExpired
from kite.rest import Rest
from tests.accounts.held import held_credential
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

Make = Callable[..., BrokerAccount]


def log_in(broker: SandboxServer, account: BrokerAccount, now: datetime) -> Credential:
    return credentials.complete_login(
        account_id=account.pk, request_token=broker.login(account.broker_user_id), actor="asha", now=now
    )


def rotate(account: BrokerAccount, now: datetime, **changes: Any) -> Credential:
    values = {"api_key": "newkey00", "api_secret": "new secret", "actor": "asha", "reason": "yearly", **changes}
    return credentials.rotate(account_id=account.pk, now=now, **values)


def deeds() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_a_login_makes_a_version_whose_token_the_broker_accepts(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()

    credential = log_in(broker, account, now)

    assert (credential.version, credential.current) == (2, True)
    assert credential.token_expires_at == token_expiry(now)
    assert Rest(login_for(account_id=account.pk, now=now)).profile().user_id == account.broker_user_id
    assert deeds() == ["accounts.credential.rotated", "accounts.session.opened"]


def test_a_version_that_was_replaced_keeps_no_secret(broker: SandboxServer, keyed_account: Make, now: datetime) -> None:
    account = keyed_account()

    log_in(broker, account, now)

    first = Credential.objects.get(account=account, version=1)
    assert (first.current, first.api_secret, first.access_token, first.retired_at) == (False, None, None, now)


def test_a_login_of_somebody_else_is_refused_and_nothing_is_stored(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    BrokerAccount.objects.filter(pk=account.pk).update(broker_user_id="XX0000")

    with pytest.raises(LoginRefused, match="belongs to XX0000"):
        credentials.complete_login(account_id=account.pk, request_token=broker.login(0), actor="asha", now=now)

    assert held_credential(account_id=account.pk).version == 1
    assert deeds() == ["accounts.credential.rotated"]


def test_a_request_token_the_broker_does_not_know_stores_nothing(keyed_account: Make, now: datetime) -> None:
    account = keyed_account()

    with pytest.raises(KiteError):
        credentials.complete_login(account_id=account.pk, request_token="made-up", actor="asha", now=now)

    assert held_credential(account_id=account.pk).version == 1


def test_the_same_request_token_again_returns_the_login_it_made(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    request_token = broker.login(0)

    first, second = (
        credentials.complete_login(account_id=account.pk, request_token=request_token, actor="asha", now=now)
        for _ in range(2)
    )

    assert first.version == second.version == 2


@pytest.mark.django_db(transaction=True)
def test_two_hundred_simultaneous_callers_make_one_login(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    request_token, since = broker.login(0), broker.journal_end()
    places = threading.Semaphore(60)  # connections the throw-away server can spare

    def call(_: int) -> int:
        with places:
            try:
                return credentials.complete_login(
                    account_id=account.pk, request_token=request_token, actor="asha", now=now
                ).version
            finally:
                connection.close()

    with ThreadPoolExecutor(200) as pool:
        versions = list(pool.map(call, range(200)))

    exchanges = [row for row in broker.journal(since=since) if row["route"] == "session.create"]
    assert set(versions) == {2}
    assert len(exchanges) == 1
    assert deeds().count("accounts.session.opened") == 1
    close_old_connections()


@pytest.mark.django_db(transaction=True)
def test_callers_with_logins_of_their_own_take_the_one_made_while_they_waited(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    tokens, since = [broker.login(0) for _ in range(10)], broker.journal_end()
    broker.fault("late_answer", seconds=1.0, route="session.create")

    def call(request_token: str) -> int:
        try:
            return credentials.complete_login(
                account_id=account.pk, request_token=request_token, actor="asha", now=now
            ).version
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        versions = list(pool.map(call, tokens))

    assert set(versions) == {2}
    assert len([row for row in broker.journal(since=since) if row["route"] == "session.create"]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_login_that_does_not_get_its_turn_is_told_to_ask_again(
    keyed_account: Make, now: datetime, settings: Any
) -> None:
    account = keyed_account()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [credentials.LOCK_SPACE, str(account.pk)])
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        with pytest.raises(LoginInProgress):
            credentials.complete_login(
                account_id=account.pk, request_token="any", actor="asha", now=now, lock_wait=timedelta(milliseconds=50)
            )
    finally:
        done.set()
        holder.join()


def test_the_login_page_carries_the_state_back(broker: SandboxServer, keyed_account: Make) -> None:
    account = keyed_account()
    state = credentials.login_state(account=account, user_id=7)

    url = credentials.login_url(account=account, state=state)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    location = broker.login_redirect(0, redirect_params=query["redirect_params"])

    back = parse_qs(urlsplit(location).query)
    assert url.startswith(broker.login_url)
    assert credentials.account_of_state(state=back["account"][0], user_id=7) == account.pk


def test_a_login_cannot_begin_without_a_key() -> None:
    account = BrokerAccountFactory()

    with pytest.raises(CredentialMissing):
        credentials.login_url(account=account, state="state")


def test_a_state_of_another_person_is_refused() -> None:
    state = credentials.login_state(account=BrokerAccountFactory(), user_id=7)

    with pytest.raises(LoginRefused, match="somebody else"):
        credentials.account_of_state(state=state, user_id=8)


def test_a_state_that_was_changed_is_refused() -> None:
    state = credentials.login_state(account=BrokerAccountFactory(), user_id=7)

    with pytest.raises(LoginRefused, match="not belong"):
        credentials.account_of_state(state=state[:-1] + ("A" if state[-1] != "A" else "B"), user_id=7)


def test_a_rotation_makes_the_next_version_and_says_why(now: datetime) -> None:
    held = CredentialFactory(live=True)

    successor = rotate(held.account, now)

    entry = AuditEntry.objects.get()
    assert (successor.version, successor.api_secret) == (2, Secret("new secret"))
    assert (entry.actor, entry.action, entry.reason) == ("asha", "accounts.credential.rotated", "yearly")
    assert "secret" not in str(entry.detail).lower()


def test_a_new_api_key_ends_the_session(now: datetime) -> None:
    held = CredentialFactory(live=True)

    rotate(held.account, now)

    with pytest.raises(LoginNeeded):
        login_for(account_id=held.account_id, now=now)


def test_a_new_secret_of_the_same_key_keeps_the_session_under_a_new_login(now: datetime) -> None:
    held = CredentialFactory(live=True)
    before = login_for(account_id=held.account_id, now=now)

    rotate(held.account, now, api_key=held.api_key)

    after = login_for(account_id=held.account_id, now=now)
    assert after.access_token == before.access_token
    assert after != before
    assert after.version == 2


def test_a_rotation_without_a_reason_changes_nothing(now: datetime) -> None:
    held = CredentialFactory()

    with pytest.raises(ReasonMissing):
        rotate(held.account, now, reason="  ")

    assert held_credential(account_id=held.account_id).version == 1


def test_a_retired_account_takes_no_credential(now: datetime) -> None:
    account = BrokerAccountFactory(state="retired", state_reason="closed")

    with pytest.raises(AccountStateConflict):
        rotate(account, now)


def test_an_expired_token_is_forgotten_once(now: datetime) -> None:
    held = CredentialFactory(live=True)
    values = {"account_id": held.account_id, "version": 1, "now": now, "reason": "403"}

    assert [credentials.expire_token(**values), credentials.expire_token(**values)] == [True, False]

    held.refresh_from_db()
    assert (held.access_token, held.token_expires_at, held.current) == (None, None, True)
    assert deeds() == ["accounts.token.expired"]


def test_news_of_an_old_version_does_not_end_the_current_session(now: datetime) -> None:
    held = CredentialFactory(live=True, version=2)

    assert not credentials.expire_token(account_id=held.account_id, version=1, now=now, reason="403")

    assert login_for(account_id=held.account_id, now=now).version == 2


def test_tokens_past_six_are_forgotten_and_others_stay(now: datetime) -> None:
    dead = CredentialFactory(live=True, token_expires_at=now - timedelta(seconds=1))
    alive = CredentialFactory(live=True)

    assert credentials.expire_tokens(now=now) == 1

    assert held_credential(account_id=dead.account_id).token_expires_at is None
    assert held_credential(account_id=alive.account_id).is_live(now=now)


def test_a_log_out_ends_the_session_at_the_broker_and_keeps_the_key(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    log_in(broker, account, now)
    client = Rest(login_for(account_id=account.pk, now=now))

    credentials.log_out(account_id=account.pk, actor="asha", reason="end of day", now=now)

    with pytest.raises(SessionExpired):
        client.profile()
    assert held_credential(account_id=account.pk).api_secret is not None
    assert deeds()[-2:] == ["accounts.session.ended", "accounts.session.closed_at_broker"]


def test_a_revocation_forgets_everything_and_ends_the_session_at_the_broker(
    broker: SandboxServer, keyed_account: Make, now: datetime
) -> None:
    account = keyed_account()
    log_in(broker, account, now)
    client = Rest(login_for(account_id=account.pk, now=now))

    credentials.revoke(account_id=account.pk, actor="asha", reason="leaked", now=now)

    with pytest.raises(SessionExpired):
        client.profile()
    assert current_credential(account_id=account.pk) is None
    assert not Credential.objects.filter(api_secret__isnull=False).exists()
    assert deeds()[-2:] == ["accounts.credential.revoked", "accounts.session.closed_at_broker"]


def test_a_revocation_holds_where_the_broker_does_not_answer(
    broker: SandboxServer, keyed_account: Make, now: datetime, settings: Any
) -> None:
    account = keyed_account()
    log_in(broker, account, now)
    settings.KITE_REST_ROOT = "http://127.0.0.1:9"

    credentials.revoke(account_id=account.pk, actor="asha", reason="leaked", now=now)

    assert current_credential(account_id=account.pk) is None
    assert deeds()[-2:] == ["accounts.credential.revoked", "accounts.session.close_failed"]


def test_a_version_goes_on_counting_after_a_revocation(now: datetime) -> None:
    held = CredentialFactory()
    credentials.revoke(account_id=held.account_id, actor="asha", reason="leaked", now=now)

    assert rotate(held.account, now).version == 2


@pytest.mark.parametrize(
    ("issued", "dies"),
    [
        ("2026-11-24T00:29:59+00:00", "2026-11-24T00:30:00+00:00"),
        ("2026-11-24T00:30:00+00:00", "2026-11-25T00:30:00+00:00"),
        ("2026-11-24T18:29:00+00:00", "2026-11-25T00:30:00+00:00"),
        ("2026-11-24T18:31:00+00:00", "2026-11-25T00:30:00+00:00"),
        ("2026-12-31T12:00:00+00:00", "2027-01-01T00:30:00+00:00"),
    ],
)
def test_a_token_dies_at_the_next_six_o_clock_in_india(issued: str, dies: str) -> None:
    assert token_expiry(datetime.fromisoformat(issued)) == datetime.fromisoformat(dies).astimezone(UTC)


@pytest.mark.parametrize(
    "unfit",
    [
        {"account__streams_data": False},
        {"account__state": "cordoned", "account__state_reason": "drill"},
        {"live": False},
    ],
)
def test_only_active_accounts_with_a_live_token_stream(unfit: dict[str, Any], now: datetime) -> None:
    fit = CredentialFactory(live=True)
    CredentialFactory(**{"live": True, **unfit})

    assert [login.account_id for login in streaming_logins(now=now)] == [str(fit.account_id)]
