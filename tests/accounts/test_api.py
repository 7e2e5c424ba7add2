"""The accounts API."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, BrokerAccount, Credential, User
from accounts.queries import current_credential
from tests.factories import AccountGroupFactory, BrokerAccountFactory, CredentialFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.accounts.urls")]

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

    with django_assert_num_queries(4):  # session, user, accounts, credentials
        answer = administrator.get("/api/v1/accounts")

    assert len(answer.json()["results"]) == 10


def test_a_rotation_makes_a_version_and_shows_no_secret(administrator: Client) -> None:
    account = BrokerAccountFactory(label="one")

    answer = rotate(administrator)

    assert answer.status_code == 201
    assert answer.json()["credential"]["api_key_ends"] == "hkey"
    assert "canary" not in answer.text
    assert current_credential(account_id=account.pk).api_secret.reveal() == NEW["api_secret"]
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
