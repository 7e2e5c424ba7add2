"""What every page of the admin keeps to: read-only by default, findable, filterable, exportable, and by role."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import EmptyResultSet
from django.db.models import DateField, Model, QuerySet
from django.test import RequestFactory
from django.urls import reverse

from accounts.admin.exporting import columns
from accounts.fields import SealedField
from accounts.models import AuditEntry, BrokerAccount, User
from accounts.queries import ROLE_SCOPES
from greeks.models import RateSetting
from tests.architecture.sources import APPS
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory
from tests.panel_client import PanelClient

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
PAGES = {model: admin.site._registry[model] for model in MODELS}
ROLES = [role.value for role in User.Role]
# The scope that opens the list, by app, unless the model has one of its own.
VIEW = {
    "accounts": "accounts:read",
    "axes": "accounts:write",
    "django_celery_beat": "ops:read",
    "greeks": "greeks:read",
    "market_data": "market:read",
    "ops": "ops:read",
    "orders": "orders:read",
    "portfolio": "orders:read",
    "webhooks": "orders:read",
}
VIEW_OF = {
    "accounts.recoverycode": "accounts:write",
    "accounts.secondfactor": "accounts:write",
    "accounts.signin": "accounts:write",
    "accounts.tradinghalt": "ops:read",
    "accounts.user": "accounts:write",
    # Only who holds every right.
    "auth.group": None,
}
# Pages on which rows are changed by hand, and the scope for it; None: only who holds every right.
EDIT = {
    "accounts.accountgroup": "accounts:write",
    "accounts.brokeraccount": "accounts:write",
    "accounts.user": None,
    "auth.group": None,
    "django_celery_beat.clockedschedule": "ops:write",
    "django_celery_beat.crontabschedule": "ops:write",
    "django_celery_beat.intervalschedule": "ops:write",
    "django_celery_beat.periodictask": "ops:write",
    "django_celery_beat.solarschedule": "ops:write",
    "greeks.chainsetting": "ops:write",
    "greeks.dividendsetting": "ops:write",
    "greeks.ratesetting": "ops:write",
    "market_data.chainwindow": "market:write",
    "market_data.freezequantity": "ops:write",
    "market_data.instrumentlist": "market:write",
    "market_data.marketday": "ops:write",
    "market_data.pressurelimit": "ops:write",
    "market_data.stalenesslimit": "ops:write",
    "ops.alertchannel": "ops:write",
    "orders.orderbudget": "ops:write",
    "orders.risklimit": "ops:write",
}
# Wishes for data are made and ended, by whoever may wish.
ADD = {"market_data.subscription": "market:write"}
DELETE = {
    "greeks.dividendsetting": "ops:write",
    "greeks.ratesetting": "ops:write",
    "market_data.chainwindow": "market:write",
    "market_data.instrumentlist": "market:write",
    "market_data.marketday": "ops:write",
    "market_data.subscription": "market:write",
}
# What they change is neither dangerous nor hard to undo.
UNCONFIRMED = {"auth.group", "market_data.chainwindow", "market_data.instrumentlist"}
# Too many rows for a list, part of another page, or bookkeeping of one row.
UNSEEN = {
    "accounts.auditlink",
    "accounts.haltepoch",
    "accounts.keptanswer",
    "accounts.revokedtoken",
    "greeks.optionminute",
    "market_data.instrumentlistentry",
    "market_data.tick",
}


def named(model: type[Model]) -> str:
    return model._meta.label_lower


def request_of(user: Any) -> Any:
    request = RequestFactory().get("/")
    request.user = user
    return request


def holds(user: User, scope: str | None) -> bool:
    return scope is not None and scope in ROLE_SCOPES[User.Role(user.role)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_page_does_for_a_role_what_the_table_says_and_no_more(db: None, model: type[Model], role: str) -> None:
    page, label = PAGES[model], named(model)
    user = UserFactory(role=role, is_staff=True)
    request = request_of(user)
    view = VIEW_OF[label] if label in VIEW_OF else VIEW[model._meta.app_label]

    assert page.has_view_permission(request) == holds(user, view)
    assert page.has_change_permission(request) == holds(user, EDIT.get(label))
    assert page.has_add_permission(request) in {False, holds(user, ADD.get(label, EDIT.get(label)))}
    assert page.has_delete_permission(request) in {False, holds(user, DELETE.get(label))}


def test_every_model_can_be_looked_at() -> None:
    unseen = {named(model) for model in apps.get_models() if model._meta.app_label in APPS and model not in PAGES}

    assert unseen == UNSEEN


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_who_owns_no_account_sees_no_row_of_one(db: None, model: type[Model]) -> None:
    page = PAGES[model]
    paths = {field.name for field in model._meta.concrete_fields if field.related_model is BrokerAccount}
    request = request_of(UserFactory(role=User.Role.ADMINISTRATOR, is_staff=True))

    condition = where(page.get_queryset(request))

    assert not paths or condition == "nothing" or any(f'"{path}_id"' in condition for path in paths)


def where(rows: QuerySet[Any]) -> str:
    try:
        return str(rows.query).partition(" WHERE ")[2]
    except EmptyResultSet:
        return "nothing"


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_page_opens_for_nobody_without_a_role(db: None, model: type[Model]) -> None:
    for user in (UserFactory(is_staff=True), AnonymousUser()):
        assert not PAGES[model].has_view_permission(request_of(user))


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_list_can_be_searched_filtered_and_is_in_order(model: type[Model]) -> None:
    page = PAGES[model]

    assert page.search_fields
    assert page.list_filter
    assert page.ordering or model._meta.ordering


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_list_of_dated_rows_can_be_gone_through_by_date(model: type[Model]) -> None:
    dated = [field.name for field in model._meta.concrete_fields if isinstance(field, DateField)]

    assert not dated or PAGES[model].date_hierarchy in dated


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_no_list_is_edited_in_place(model: type[Model]) -> None:
    assert not PAGES[model].list_editable


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_list_does_not_ask_the_database_once_a_row(model: type[Model]) -> None:
    page = PAGES[model]
    keys = {field.name for field in model._meta.concrete_fields if field.is_relation}
    followed = page.list_select_related
    shown = keys & set(page.list_display)

    assert followed is True or shown <= set(followed or ())


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_every_list_can_be_taken_along_without_its_secrets(client: PanelClient, db: None, model: type[Model]) -> None:
    client.force_login(UserFactory(superuser=True))
    page = PAGES[model]
    request = request_of(User.objects.get())

    assert "export_as_csv" in page.get_actions(request)
    assert not [field for field in columns(model) if isinstance(field, SealedField) or field.name == "password"]


def test_an_exported_list_is_the_chosen_rows_as_csv(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(superuser=True))
    chosen = BrokerAccountFactory(label="one", state_reason="=HYPERLINK(1)", state="cordoned")
    BrokerAccountFactory(label="two")

    answer = client.post(
        reverse("admin:accounts_brokeraccount_changelist"),
        {"action": "export_as_csv", "_selected_action": [str(chosen.pk)]},
    )

    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(text))
    assert answer["Content-Type"] == "text/csv"
    assert (row["label"], row["state_reason"]) == ("one", "'=HYPERLINK(1)")


def test_an_exported_credential_has_no_secret(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(superuser=True))
    row = CredentialFactory(live=True, api_secret="canary-secret", access_token="canary-token")

    answer = client.post(
        reverse("admin:accounts_credential_changelist"),
        {"action": "export_as_csv", "_selected_action": [str(row.pk)]},
    )

    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert row.account_id.hex[:8] in text
    assert "canary" not in text
    assert row.api_key not in text


def rate(**values: Any) -> dict[str, Any]:
    return {"effective_date": "2026-04-01", "rate": "0.065", "source": "the bank", "reason": "a new quarter", **values}


def test_an_edit_is_kept_with_who_did_it_and_why(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(username="asha", role=User.Role.OPERATOR, is_staff=True))

    answer = client.post(reverse("admin:greeks_ratesetting_add"), rate())

    assert answer.status_code == 302, answer.content
    entry = AuditEntry.objects.get(action="greeks.ratesetting.added")
    assert (entry.actor, entry.reason) == ("asha", "a new quarter")
    assert entry.detail["rate"] == "0.065"


def test_an_edit_without_a_reason_is_refused(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(role=User.Role.OPERATOR, is_staff=True))

    answer = client.post(reverse("admin:greeks_ratesetting_add"), rate(reason=""))

    assert answer.status_code == 200
    assert not RateSetting.objects.filter(source="the bank").exists()


@pytest.mark.parametrize("label", sorted(set(EDIT) - UNCONFIRMED))
def test_an_edit_wants_a_fresh_proof_of_who_is_there(client: PanelClient, db: None, label: str) -> None:
    client.force_login(UserFactory(superuser=True))
    client.grow_stale()
    before = AuditEntry.objects.count()

    answer = client.post(reverse(f"admin:{label.replace('.', '_')}_add"), {"reason": "x"})

    assert answer.status_code == 403 or "/admin/confirm/" in answer["Location"]
    assert AuditEntry.objects.count() == before


def test_who_only_reads_sees_no_field_to_fill_in(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(role=User.Role.VIEWER, is_staff=True))
    row = RateSetting.objects.create(effective_date="2026-04-01", rate="0.065", changed_at=datetime.now(UTC))

    page = client.get(reverse("admin:greeks_ratesetting_change", args=[row.pk]))

    assert page.status_code == 200
    assert 'name="rate"' not in page.text
    assert 'name="reason"' not in page.text


def test_an_account_page_halts_by_the_verb_of_the_desk(client: PanelClient, db: None) -> None:
    client.force_login(UserFactory(role=User.Role.OPERATOR, every_account=True, is_staff=True))
    account: BrokerAccount = BrokerAccountFactory(label="one")
    url = reverse("admin:accounts_brokeraccount_halt", args=[account.pk])

    page = client.get(url)
    done = client.post(url, {"level": "reducing", "orders": "keep", "reason": "too fast"})

    assert "can send no new order" in page.text
    assert done.status_code == 302
    assert AuditEntry.objects.get(action="ops.halt.engaged").subject == "account:one"


@pytest.mark.parametrize("verb", ["fail_over", "restore", "halt", "validate"])
def test_a_viewer_does_nothing_to_an_account(client: PanelClient, db: None, verb: str) -> None:
    client.force_login(UserFactory(role=User.Role.VIEWER, every_account=True, is_staff=True))
    account = BrokerAccountFactory(label="one")

    answer = client.post(reverse(f"admin:accounts_brokeraccount_{verb}", args=[account.pk]), {"reason": "x"})

    assert answer.status_code == 403
