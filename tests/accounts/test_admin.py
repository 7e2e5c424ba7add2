"""The admin pages of accounts."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.fields import SealedField
from accounts.models import ApiKey, AuditEntry, BrokerAccount, Credential, User
from accounts.queries import current_credential
from tests.accounts.held import held_credential
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

OURS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "accounts"), key=lambda m: m.__name__
)
DEEDS = ["rotate", "cordon", "uncordon", "log_out", "revoke"]


@pytest.fixture
def panel(client: Client) -> Client:
    """Return the panel with an administrator in front of it."""
    client.force_login(UserFactory(username="asha", administrator=True, is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def account() -> BrokerAccount:
    """Return an account that is logged in."""
    account = BrokerAccountFactory(label="one", broker_user_id="AB0001")
    CredentialFactory(
        account=account, live=True, api_key="wh0le-api-key", api_secret="canary-secret", access_token="canary-token"
    )
    return account


def page(model: Any, name: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def deed(name: str, account: BrokerAccount) -> str:
    return reverse(f"admin:accounts_brokeraccount_{name}", args=[account.pk])


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_every_list_opens_and_can_be_searched(panel: Client, model: Any, account: BrokerAccount) -> None:
    assert panel.get(page(model, "changelist"), {"q": "one"}).status_code == 200


@pytest.mark.parametrize("model", [BrokerAccount, Credential, User], ids=lambda model: model.__name__)
def test_every_page_of_a_row_opens(panel: Client, model: Any, account: BrokerAccount) -> None:
    row = model.objects.first()

    assert panel.get(page(model, "change", row.pk)).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_no_page_declares_a_sealed_field(model: Any) -> None:
    hidden = {field.name for field in model._meta.get_fields() if isinstance(field, SealedField)} | {"digest"}
    page_of = admin.site._registry[model]
    shown = str((page_of.list_display, page_of.fields, page_of.fieldsets, page_of.search_fields, page_of.list_filter))

    assert not [name for name in hidden if f"'{name}'" in shown]


@pytest.mark.parametrize("model", [BrokerAccount, Credential], ids=lambda model: model.__name__)
def test_no_page_shows_a_secret(panel: Client, model: Any, account: BrokerAccount) -> None:
    row = model.objects.get()

    text = panel.get(page(model, "changelist")).text + panel.get(page(model, "change", row.pk)).text

    assert not [secret for secret in ("wh0le-api-key", "canary-secret", "canary-token") if secret in text]
    assert "…-key" in text


@pytest.mark.parametrize("model", [Credential, AuditEntry, ApiKey], ids=lambda model: model.__name__)
def test_records_are_only_read(panel: Client, model: Any, account: BrokerAccount) -> None:
    assert panel.get(page(model, "add")).status_code == 403
    if row := model.objects.first():
        assert panel.post(page(model, "change", row.pk), {"version": 9}).status_code == 403
        assert panel.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_login_is_told_in_words_on_the_list_and_on_the_page(panel: Client, account: BrokerAccount) -> None:
    for name, arguments in (("changelist", []), ("change", [account.pk])):
        text = panel.get(page(BrokerAccount, name, *arguments)).text
        assert "logged in until" in text
        assert "(&#x27;logged in" not in text


def test_an_account_is_added_and_it_is_on_record(panel: Client) -> None:
    panel.post(
        page(BrokerAccount, "add"),
        {"label": "new", "broker_user_id": "ZZ9999", "streams_data": "on", "places_orders": "on"},
    )

    assert BrokerAccount.objects.get().label == "new"
    assert AuditEntry.objects.get().action == "accounts.account.added"


def test_the_owner_of_an_account_never_changes(panel: Client, account: BrokerAccount) -> None:
    panel.post(page(BrokerAccount, "change", account.pk), {"broker_user_id": "ZZ9999", "label": "x"})

    account.refresh_from_db()
    assert (account.label, account.broker_user_id, account.streams_data) == ("one", "AB0001", False)
    assert AuditEntry.objects.get().action == "accounts.account.changed"


@pytest.mark.parametrize("name", DEEDS)
def test_looking_at_a_deed_does_nothing(panel: Client, account: BrokerAccount, name: str) -> None:
    assert panel.get(deed(name, account)).status_code == 200
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", DEEDS)
def test_a_deed_without_a_reason_does_nothing(panel: Client, account: BrokerAccount, name: str) -> None:
    answer = panel.post(deed(name, account), {"api_key": "newkey", "api_secret": "newsecret"})

    assert answer.status_code == 200
    assert "This field is required" in answer.text
    assert "newsecret" not in answer.text
    assert not AuditEntry.objects.exists()


def test_a_rotation_at_the_panel_is_done_told_and_on_record(panel: Client, account: BrokerAccount) -> None:
    answer = panel.post(
        deed("rotate", account), {"api_key": "newkey00", "api_secret": "newsecret", "reason": "yearly"}, follow=True
    )

    held = held_credential(account_id=account.pk)
    entry = AuditEntry.objects.get()
    assert (held.version, held.api_key, held.api_secret.reveal()) == (2, "newkey00", "newsecret")
    assert (entry.actor, entry.action, entry.reason) == ("asha", "accounts.credential.rotated", "yearly")
    assert "one has a new credential." in answer.text
    assert "newsecret" not in answer.text


def test_a_rotation_leaves_no_secret_in_the_history_of_the_panel(panel: Client, account: BrokerAccount) -> None:
    panel.post(deed("rotate", account), {"api_key": "newkey00", "api_secret": "newsecret", "reason": "yearly"})

    history = panel.get(page(BrokerAccount, "history", account.pk)).text
    assert "newsecret" not in history + str(list(panel.session.items()))


def test_cordon_and_uncordon_at_the_panel(panel: Client, account: BrokerAccount) -> None:
    panel.post(deed("cordon", account), {"reason": "drill"})
    account.refresh_from_db()
    assert (account.state, account.state_reason) == ("cordoned", "drill")

    panel.post(deed("uncordon", account), {"reason": "over"})
    account.refresh_from_db()
    assert account.state == "active"


def test_a_refusal_is_shown_on_the_form(panel: Client) -> None:
    account = BrokerAccountFactory()

    answer = panel.post(deed("revoke", account), {"reason": "leaked"})

    assert answer.status_code == 200
    assert "no API key and secret" in answer.text


def test_a_revocation_at_the_panel_ends_the_session(
    panel: Client, broker: SandboxServer, keyed_account: Callable[..., BrokerAccount]
) -> None:
    account = keyed_account()

    panel.post(deed("revoke", account), {"reason": "leaked"})

    assert current_credential(account_id=account.pk) is None


def test_logging_in_at_the_panel_goes_to_the_login_page(panel: Client, account: BrokerAccount) -> None:
    assert panel.get(deed("log_in", account))["Location"] == reverse("kite-login", args=["one"])


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (User.Role.NONE, set()),
        (User.Role.VIEWER, set()),
        (User.Role.TRADER, set()),
        (User.Role.OPERATOR, {"cordon", "uncordon", "log_out", "log_in"}),
        (User.Role.SECURITY_OFFICER, {"rotate", "revoke"}),
        (User.Role.ADMINISTRATOR, {*DEEDS, "log_in"}),
    ],
)
def test_a_role_has_its_deeds_and_no_others(
    client: Client, account: BrokerAccount, role: User.Role, allowed: set[str]
) -> None:
    client.force_login(UserFactory(role=role, every_account=True, is_staff=True))

    opened = {name for name in [*DEEDS, "log_in"] if client.get(deed(name, account)).status_code in {200, 302}}

    assert opened == allowed


def test_staff_see_only_their_accounts(client: Client, account: BrokerAccount) -> None:
    mine = BrokerAccountFactory(label="mine")
    viewer = UserFactory(role=User.Role.VIEWER, is_staff=True)
    viewer.accounts.set([mine])
    client.force_login(viewer)

    assert "mine" in client.get(page(BrokerAccount, "changelist")).text
    assert client.get(page(BrokerAccount, "change", account.pk)).status_code == 302


def test_a_key_is_revoked_at_the_panel(panel: Client, now: datetime) -> None:
    CredentialFactory()
    key = ApiKey.objects.create(
        name="robot",
        prefix="AAAAAAAA",
        digest=b"x" * 32,
        user=UserFactory(),
        scopes=["ops:read"],
        expires_at=now.replace(year=now.year + 1),
    )

    assert panel.get(page(ApiKey, "change", key.pk)).status_code == 200
    panel.post(reverse("admin:accounts_apikey_revoke", args=[key.pk]), {"reason": "leaked"})

    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_person_is_added_and_given_a_role_on_record(panel: Client) -> None:
    answer = panel.post(
        page(User, "add"),
        {
            "username": "ravi",
            "password1": "correct horse battery",
            "password2": "correct horse battery",
            "usable_password": "true",
        },
    )
    ravi = User.objects.get(username="ravi")
    panel.post(
        page(User, "change", ravi.pk), {"username": "ravi", "role": "trader", "is_active": "on", "every_account": "on"}
    )

    ravi.refresh_from_db()
    assert answer.status_code == 302
    assert (ravi.role, ravi.every_account) == ("trader", True)
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "accounts.user.added",
        "accounts.user.changed",
    ]
    assert "correct horse" not in str(list(AuditEntry.objects.values()))


def test_a_password_is_changed_at_the_panel(panel: Client) -> None:
    ravi = UserFactory()
    url = reverse("admin:auth_user_password_change", args=[ravi.pk])

    assert panel.get(url).status_code == 200
    panel.post(
        url, {"password1": "correct horse battery", "password2": "correct horse battery", "usable_password": "true"}
    )

    ravi.refresh_from_db()
    assert ravi.check_password("correct horse battery")
