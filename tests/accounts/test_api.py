"""The accounts API."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import credentials, health
from accounts.errors import AccountExists, AccountStateConflict
from accounts.models import AuditEntry, BrokerAccount, Credential, TradingHalt, User
from ops.halt import engage
from tests.accounts.held import held_credential
from tests.factories import AccountGroupFactory, BrokerAccountFactory, CredentialFactory, UserFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

NEW = {"api_key": "freshkey", "api_secret": "canary-of-the-secret", "reason": "yearly"}


@pytest.fixture
def administrator(client: Client) -> Client:
    """Return a browser in which an administrator is signed in."""
    client.force_login(UserFactory(username="asha", administrator=True))
    return client


def rotate(client: Client, label: str = "one", **changes: str) -> Any:
    return client.post(f"/api/v1/accounts/{label}/credentials", {**NEW, **changes}, content_type="application/json")


def test_an_account_shows_its_state_and_its_login(administrator: Client, now: datetime) -> None:
    group = AccountGroupFactory(name="family")
    account = BrokerAccountFactory(label="one", broker_user_id="AB1234", group=group)
    until = now + timedelta(hours=2)
    CredentialFactory(account=account, live=True, token_expires_at=until, version=3, api_key="abcdefgh")

    answer = administrator.get("/api/v1/accounts/one").json()

    assert (answer["label"], answer["broker_user_id"], answer["group"], answer["state"]) == (
        "one",
        "AB1234",
        "family",
        "active",
    )
    assert answer["login"]["live"] is True
    assert 7190 < answer["login"]["seconds_left"] <= 7200
    assert (answer["credential"]["version"], answer["credential"]["api_key_ends"]) == (3, "efgh")


def test_an_account_without_credential_or_group_says_so(administrator: Client) -> None:
    BrokerAccountFactory(label="one")

    answer = administrator.get("/api/v1/accounts/one").json()

    assert (answer["group"], answer["credential"]) == (None, None)
    assert answer["login"] == {"live": False, "expires_at": None, "logged_in_at": None, "seconds_left": 0}


def test_a_halted_account_says_so_by_whom_and_why(administrator: Client, now: datetime) -> None:
    for label in ("one", "two"):
        BrokerAccountFactory(label=label)
    scope, level = TradingHalt.Scope, TradingHalt.Level
    engage(scope=scope.PLATFORM, target="", level=level.REDUCING, reason="drill", actor="ravi", now=now)
    engage(scope=scope.ACCOUNT, target="one", level=level.HALTED, reason="odd fills", actor="asha", now=now)

    answers = {row["label"]: row["halt"] for row in administrator.get("/api/v1/accounts").json()["results"]}

    assert answers["one"] | {"engaged_at": None} == {
        "level": "halted",
        "scope": "account",
        "reason": "odd fills",
        "engaged_by": "asha",
        "engaged_at": None,
    }
    assert (answers["two"]["level"], answers["two"]["reason"]) == ("reducing", "drill")


def test_the_halts_of_an_account_are_in_its_history(administrator: Client, now: datetime) -> None:
    BrokerAccountFactory(label="one")
    scope, level = TradingHalt.Scope, TradingHalt.Level
    engage(scope=scope.ACCOUNT, target="one", level=level.HALTED, reason="odd fills", actor="asha", now=now)

    newest = administrator.get("/api/v1/accounts/one/history").json()["results"][0]

    assert (newest["action"], newest["actor"], newest["reason"]) == ("ops.halt.engaged", "asha", "odd fills")


def test_no_answer_holds_a_secret(administrator: Client) -> None:
    account = BrokerAccountFactory(label="one")
    CredentialFactory(account=account, live=True, api_key="k3y-wh0le", api_secret="s3cret-x", access_token="t0ken-x")

    text = administrator.get("/api/v1/accounts").text + administrator.get("/api/v1/accounts/one").text

    assert not [secret for secret in ("k3y-wh0le", "s3cret-x", "t0ken-x") if secret in text]


def test_the_list_holds_what_the_caller_may_see_by_label(client: Client) -> None:
    first, second = BrokerAccountFactory(label="b"), BrokerAccountFactory(label="a")
    BrokerAccountFactory(label="c")
    viewer = UserFactory(role=User.Role.VIEWER)
    viewer.accounts.set([first, second])
    client.force_login(viewer)

    answer = client.get("/api/v1/accounts").json()

    assert [row["label"] for row in answer["results"]] == ["a", "b"]


def test_an_account_of_somebody_else_is_as_good_as_absent(client: Client) -> None:
    BrokerAccountFactory(label="theirs")
    client.force_login(UserFactory(role=User.Role.VIEWER))

    answer = client.get("/api/v1/accounts/theirs")

    assert (answer.status_code, answer.json()["code"]) == (404, "account_unknown")


def test_the_list_costs_the_same_queries_for_one_account_and_for_ten(
    administrator: Client, django_assert_num_queries: Any
) -> None:
    CredentialFactory.create_batch(10, live=True)

    with django_assert_num_queries(6):  # session, sign-in, user, accounts, credentials, halts
        answer = administrator.get("/api/v1/accounts")

    assert len(answer.json()["results"]) == 10


def test_a_rotation_makes_a_version_and_shows_no_secret(administrator: Client) -> None:
    account = BrokerAccountFactory(label="one")

    answer = rotate(administrator)

    assert answer.status_code == 201
    assert answer.json()["credential"]["api_key_ends"] == "hkey"
    assert "canary" not in answer.text
    assert held_credential(account_id=account.pk).api_secret.reveal() == NEW["api_secret"]
    assert AuditEntry.objects.get().actor == "asha"


@pytest.mark.parametrize("missing", ["api_key", "api_secret", "reason"])
def test_a_rotation_without_a_part_names_it_and_does_nothing(administrator: Client, missing: str) -> None:
    BrokerAccountFactory(label="one")

    answer = rotate(administrator, **{missing: ""})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(missing)
    assert "canary" not in answer.text
    assert not Credential.objects.exists()


def test_a_rotation_of_an_account_out_of_sight_is_refused(client: Client) -> None:
    BrokerAccountFactory(label="one")
    client.force_login(UserFactory(role=User.Role.SECURITY_OFFICER))

    assert rotate(client).status_code == 404


def test_a_rotation_of_a_retired_account_is_a_conflict(administrator: Client) -> None:
    BrokerAccountFactory(label="one", state=BrokerAccount.State.RETIRED, state_reason="closed")

    answer = rotate(administrator)

    assert (answer.status_code, answer.json()["code"]) == (409, "account_state_conflict")


def send(client: Client, method: str, path: str, body: dict[str, Any]) -> Any:
    return client.generic(method, f"/api/v1/accounts{path}", json.dumps(body), content_type="application/json")


def test_an_account_is_brought_in(administrator: Client) -> None:
    AccountGroupFactory(name="family")
    body = {"label": "new", "broker_user_id": "AB1234", "group": "family", "places_orders": False}

    answer = send(administrator, "POST", "", body)

    account = BrokerAccount.objects.get()
    assert (answer.status_code, answer.json()["group"], answer.json()["places_orders"]) == (201, "family", False)
    assert (account.label, account.broker_user_id, account.streams_data) == ("new", "AB1234", True)
    assert AuditEntry.objects.get().action == "accounts.account.added"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"label": "taken", "broker_user_id": "XY0001"}, "label"),
        ({"label": "new", "broker_user_id": "AB9999"}, "broker_user_id"),
        ({"label": "no spaces", "broker_user_id": "XY0001"}, "label"),
        ({"label": "new", "broker_user_id": "XY0001", "group": "nobody"}, "group"),
        ({"label": "new", "broker_user_id": "XY0001", "source_address": "here"}, "source_address"),
        ({"label": "new"}, "broker_user_id"),
    ],
)
def test_an_account_that_cannot_be_brought_in_names_the_field(
    administrator: Client, body: dict[str, str], field: str
) -> None:
    BrokerAccountFactory(label="taken", broker_user_id="AB9999")

    answer = send(administrator, "POST", "", body)

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(field)
    assert BrokerAccount.objects.count() == 1


def test_two_who_bring_in_the_same_account_meet_a_conflict(now: datetime) -> None:
    BrokerAccountFactory(label="one")

    with pytest.raises(AccountExists):
        health.add(account=BrokerAccount(label="one", broker_user_id="XY0001"), actor="asha", now=now)


def test_the_use_of_an_account_is_changed_and_it_is_on_record(administrator: Client) -> None:
    account = BrokerAccountFactory(label="one")

    answer = send(administrator, "PATCH", "/one", {"streams_data": False, "source_address": "10.0.0.7"})

    account.refresh_from_db()
    assert answer.status_code == 200
    assert (account.streams_data, account.places_orders, account.source_address) == (False, True, "10.0.0.7")
    assert AuditEntry.objects.get().detail == {"streams_data": "False", "source_address": "10.0.0.7"}


def test_whose_account_it_is_is_never_changed(administrator: Client, now: datetime) -> None:
    account = BrokerAccountFactory(label="one", broker_user_id="AB0001")

    send(administrator, "PATCH", "/one", {"broker_user_id": "XY0001", "state": "retired", "label": "two"})
    with pytest.raises(AccountStateConflict):
        health.change(account_id=account.pk, changes={"broker_user_id": "XY0001"}, actor="asha", now=now)

    account.refresh_from_db()
    assert (account.label, account.broker_user_id, account.state) == ("one", "AB0001", "active")


def test_an_account_is_cordoned_and_retired_in_that_order(administrator: Client) -> None:
    BrokerAccountFactory(label="one")

    states = [
        send(administrator, "PUT", "/one/state", {"state": state, "reason": "closing"}).status_code
        for state in ("retired", "cordoned", "retired")
    ]

    assert states == [409, 200, 200]
    assert BrokerAccount.objects.get().state == "retired"


def test_a_state_needs_a_reason(administrator: Client) -> None:
    BrokerAccountFactory(label="one")

    assert send(administrator, "PUT", "/one/state", {"state": "cordoned"}).status_code == 400


def test_a_probe_says_who_the_broker_sees(
    administrator: Client, broker: SandboxServer, keyed_account: Callable[..., BrokerAccount], now: datetime
) -> None:
    account = keyed_account()
    request_token = broker.login(0)
    credentials.complete_login(account_id=account.pk, request_token=request_token, actor="asha", now=now)

    answer = send(administrator, "POST", f"/{account.label}/probe", {})

    assert (answer.status_code, answer.json()["user_id"]) == (200, account.broker_user_id)


def test_a_probe_with_a_dead_token_forgets_it(
    administrator: Client, broker: SandboxServer, keyed_account: Callable[..., BrokerAccount], now: datetime
) -> None:
    account = keyed_account()
    credentials.complete_login(account_id=account.pk, request_token=broker.login(0), actor="asha", now=now)
    broker.fault("token_killed", user=account.broker_user_id)

    answer = send(administrator, "POST", f"/{account.label}/probe", {})

    assert (answer.status_code, answer.json()["code"]) == (503, "broker_session_expired")
    assert held_credential(account_id=account.pk).token_expires_at is None


def test_a_probe_without_a_login_asks_for_one(administrator: Client) -> None:
    BrokerAccountFactory(label="one")

    answer = send(administrator, "POST", "/one/probe", {})

    assert (answer.status_code, answer.json()["code"]) == (503, "login_needed")
