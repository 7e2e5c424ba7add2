"""The two pages of a broker login, through the sandbox's own page."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts import tasks
from accounts.models import AuditEntry, BrokerAccount, User
from accounts.queries import login_for
from tests.accounts.held import held_credential
from tests.factories import BrokerAccountFactory, UserFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

Make = Callable[..., BrokerAccount]


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def to_the_broker_and_back(client: Client, broker: SandboxServer, account: BrokerAccount) -> dict[str, str]:
    answer = client.get(reverse("kite-login", args=[account.label]))
    query = {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}
    location = broker.login_redirect(account.broker_user_id, redirect_params=query["redirect_params"])
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def test_an_operator_logs_an_account_in(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)

    back = to_the_broker_and_back(client, broker, account)
    answer = client.get(reverse("kite-callback"), back)

    assert (answer.status_code, answer["Location"]) == (302, reverse("desk"))
    assert "is logged in until" in said(answer)
    assert login_for(account_id=account.pk, now=datetime.now(UTC)).version == 2
    assert "no-store" in answer["Cache-Control"]


def test_a_reloaded_callback_changes_nothing(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)
    back = to_the_broker_and_back(client, broker, account)
    client.get(reverse("kite-callback"), back)

    client.get(reverse("kite-callback"), back)

    assert held_credential(account_id=account.pk).version == 2


def test_the_login_of_another_account_is_told_and_not_stored(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)
    back = to_the_broker_and_back(client, broker, account)
    BrokerAccount.objects.update(broker_user_id="XX0000")

    answer = client.get(reverse("kite-callback"), back)

    assert "belongs to XX0000" in said(answer)
    assert held_credential(account_id=account.pk).token_expires_at is None


def test_a_callback_nobody_asked_for_is_refused(client: Client, operator: User) -> None:
    client.force_login(operator)

    answer = client.get(reverse("kite-callback"), {"request_token": "x", "status": "success", "account": "forged"})

    assert "does not belong to a login begun here" in said(answer)


def test_a_callback_begun_by_somebody_else_is_refused(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)
    back = to_the_broker_and_back(client, broker, account)
    client.force_login(UserFactory(role=User.Role.OPERATOR, every_account=True, is_staff=True))

    answer = client.get(reverse("kite-callback"), back)

    assert "begun by somebody else" in said(answer)
    assert held_credential(account_id=account.pk).version == 1


def test_a_login_that_was_cancelled_at_the_broker_is_told(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)
    back = {**to_the_broker_and_back(client, broker, account), "status": "cancelled"}

    answer = client.get(reverse("kite-callback"), back)

    assert "no success" in said(answer)
    assert held_credential(account_id=account.pk).version == 1


def test_a_broker_that_is_down_is_told(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    account = keyed_account()
    client.force_login(operator)
    back = to_the_broker_and_back(client, broker, account)
    broker.fault("http_5xx", route="session.create")

    answer = client.get(reverse("kite-callback"), back)

    assert answer["Location"] == reverse("desk")
    assert said(answer)
    assert held_credential(account_id=account.pk).version == 1


def test_an_account_without_a_key_is_told(client: Client, operator: User) -> None:
    account = BrokerAccountFactory()
    client.force_login(operator)

    answer = client.get(reverse("kite-login", args=[account.label]))

    assert "no API key" in said(answer)


@pytest.mark.parametrize("page", ["kite-login", "kite-callback"])
def test_people_off_the_staff_are_sent_to_sign_in(client: Client, page: str) -> None:
    client.force_login(UserFactory(role=User.Role.OPERATOR, every_account=True))

    answer = client.get(reverse(page, args=["one"] if page == "kite-login" else []))

    assert answer["Location"].startswith(reverse("admin:login"))


def test_a_viewer_logs_nobody_in(client: Client, keyed_account: Make) -> None:
    account = keyed_account()
    client.force_login(UserFactory(role=User.Role.VIEWER, every_account=True, is_staff=True))

    answer = client.get(reverse("kite-login", args=[account.label]))

    assert answer["Location"] == reverse("desk")
    assert "ops:write" in said(answer)


def test_an_operator_logs_in_only_accounts_in_sight(client: Client, keyed_account: Make) -> None:
    account = keyed_account()
    client.force_login(UserFactory(role=User.Role.OPERATOR, is_staff=True))

    answer = client.get(reverse("kite-login", args=[account.label]))

    assert answer["Location"] == reverse("desk")


def test_after_each_login_the_desk_says_how_far_the_morning_is_and_who_is_next(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User
) -> None:
    first, second = keyed_account(0), keyed_account(1)
    BrokerAccountFactory(label="old", state="retired", state_reason="closed")
    client.force_login(operator)

    told = said(client.get(reverse("kite-callback"), to_the_broker_and_back(client, broker, first)))
    assert f"1 of 2 logged in; next is {second.label}." in told
    told = said(client.get(reverse("kite-callback"), to_the_broker_and_back(client, broker, second)))
    assert "2 of 2 logged in." in told


def test_the_providers_pages_are_the_ones_the_settings_name(
    client: Client, broker: SandboxServer, keyed_account: Make, operator: User, settings: Any
) -> None:
    settings.LOGIN_PROVIDER = "tests.accounts.other_login.TokenByHand"
    account = keyed_account()
    client.force_login(operator)

    away = client.get(reverse("kite-login", args=[account.label]))
    assert away["Location"] == f"https://desk.example/tokens/{account.label}"
    client.get(reverse("kite-callback"), {"for": str(account.pk), "token": broker.login(0)})

    assert login_for(account_id=account.pk, now=datetime.now(UTC)).version == 2


def test_before_the_open_a_dead_token_is_found_and_asks_for_a_login(
    broker: SandboxServer, keyed_account: Make, client: Client, operator: User
) -> None:
    alive, dead = keyed_account(0), keyed_account(1)
    BrokerAccountFactory(label="without-a-login")
    client.force_login(operator)
    for account in (alive, dead):
        client.get(reverse("kite-callback"), to_the_broker_and_back(client, broker, account))
    broker.fault("token_killed", user=dead.broker_user_id)

    tasks.probe_logins.apply(throw=True)

    now = datetime.now(UTC)
    assert held_credential(account_id=alive.pk).is_live(now=now)
    assert not held_credential(account_id=dead.pk).is_live(now=now)
    assert AuditEntry.objects.get(action="accounts.token.expired").subject == f"account:{dead.label}"
