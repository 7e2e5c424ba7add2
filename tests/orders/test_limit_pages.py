"""Risk limits on the panel: one person tightens, two people loosen."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from accounts import approvals
from accounts.guards import Approval
from accounts.models import AuditEntry, User
from orders.limit_admin import BOUNDS, loosened
from orders.models import RiskLimit
from tests.factories import UserFactory, principal
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def limit() -> RiskLimit:
    return RiskLimit.objects.create(strategy="scalp", max_quantity=100, max_order_notional=Decimal(5000))


@pytest.fixture
def panel() -> PanelClient:
    browser = PanelClient()
    browser.force_login(UserFactory(username="asha", role=User.Role.OPERATOR, every_account=True, is_staff=True))
    return browser


def save(panel: PanelClient, limit: RiskLimit, **values: Any) -> Any:
    body = {
        "strategy": "scalp",
        "max_quantity": "100",
        "max_order_notional": "5000",
        "reason": "asked by the desk",
        **values,
    }
    return panel.post(reverse("admin:orders_risklimit_change", args=[limit.pk]), body)


def test_one_person_tightens_a_limit(panel: PanelClient, limit: RiskLimit) -> None:
    assert save(panel, limit, max_quantity="50").status_code == 302

    limit.refresh_from_db()
    assert limit.max_quantity == 50


@pytest.mark.parametrize("value", ["101", ""])
def test_one_person_does_not_loosen_one(panel: PanelClient, limit: RiskLimit, value: str) -> None:
    answer = save(panel, limit, max_quantity=value)

    limit.refresh_from_db()
    assert answer.status_code == 200
    assert "a second person has to approve it" in answer.text
    assert limit.max_quantity == 100


def test_a_limit_is_loosened_once_by_two_people(panel: PanelClient, limit: RiskLimit) -> None:
    asked = save(panel, limit, max_quantity="200", ask="on")
    assert "a second person was asked" in asked.text
    approval = Approval.objects.get()
    now = datetime.now(UTC)
    approvals.approve(approval_id=approval.pk, by=principal(role=User.Role.SECURITY_OFFICER), now=now)

    done = save(panel, limit, max_quantity="200")

    limit.refresh_from_db()
    approval.refresh_from_db()
    assert (done.status_code, limit.max_quantity, approval.used_by) == (302, 200, "asha")
    assert AuditEntry.objects.get(action="orders.risklimit.changed").reason == "asked by the desk"


def test_an_approved_bound_is_not_another_bound(panel: PanelClient, limit: RiskLimit) -> None:
    save(panel, limit, max_quantity="200", ask="on")
    now = datetime.now(UTC)
    approvals.approve(approval_id=Approval.objects.get().pk, by=principal(), now=now)

    save(panel, limit, max_quantity="201")

    limit.refresh_from_db()
    assert limit.max_quantity == 100


def test_no_limit_is_deleted(panel: PanelClient, limit: RiskLimit) -> None:
    panel.post(reverse("admin:orders_risklimit_delete", args=[limit.pk]), {"post": "yes"})

    assert RiskLimit.objects.filter(pk=limit.pk).exists()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(None, 5, False), (5, None, True), (5, 5, False), (5, 6, True), (5, 4, False), (None, None, False)],
)
def test_what_loosens_a_bound(before: int | None, after: int | None, expected: bool) -> None:
    empty = dict.fromkeys(BOUNDS)

    found = loosened(before={**empty, "max_quantity": before}, after={**empty, "max_quantity": after})

    assert bool(found) == expected
