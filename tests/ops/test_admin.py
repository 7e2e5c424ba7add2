"""The admin as a whole: every page opens, every entry of the sidebar leads somewhere."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from ops.admin.records import RECORDS
from tests.factories import UserFactory
from ticker_site.look import SECTIONS

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label_lower)
ENTRIES = [page for entries in SECTIONS.values() for _, _, page in entries]
HIDDEN = {"auth.group", "django_celery_beat.intervalschedule", "django_celery_beat.crontabschedule"} | {
    "django_celery_beat.solarschedule",
    "django_celery_beat.clockedschedule",
    "accounts.recoverycode",
    "axes.accessfailurelog",
    *(record.model._meta.label_lower for record in RECORDS),
}


@pytest.fixture
def administrator(client: Client, db: None) -> Client:
    """Return a browser in which a superuser is signed in."""
    client.force_login(UserFactory(superuser=True))
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_every_list_opens(administrator: Client, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]

    assert administrator.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")).status_code == 200


@pytest.mark.parametrize("page", ENTRIES)
def test_every_entry_of_the_sidebar_opens(administrator: Client, page: str) -> None:
    assert administrator.get(reverse(page)).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_no_form_carries_a_script_that_the_policy_forbids(administrator: Client, model: type) -> None:
    meta = model._meta  # type: ignore[attr-defined]

    page = administrator.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_add")).content.decode()

    scripts = re.findall(r"<script([^>]*)>", page)
    assert [script for script in scripts if "src=" not in script and "application/json" not in script] == []


def test_every_model_has_a_place_in_the_sidebar() -> None:
    listed = {f"{model._meta.app_label}_{model._meta.model_name}": model._meta.label_lower for model in MODELS}
    shown = {page.removeprefix("admin:").removesuffix("_changelist") for page in ENTRIES}

    assert {label for name, label in listed.items() if name not in shown} == HIDDEN
