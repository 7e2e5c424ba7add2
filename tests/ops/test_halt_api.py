"""Halts over the API: the same verbs as the Desk's and the command's."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts import approvals
from accounts.models import User
from accounts.queries import open_halts
from ops.stops import HaltReport
from tests.factories import BrokerAccountFactory, UserFactory, principal

pytestmark = pytest.mark.usefixtures("clean_redis")
HALTS = "/api/v1/halts"


@pytest.fixture
def api(db: None) -> APIClient:
    """Return the browser of an operator who sees every account."""
    return browser_of(role=User.Role.OPERATOR, every_account=True)


def browser_of(**properties: Any) -> APIClient:
    """Return an API client of a fresh person."""
    client = APIClient()
    client.force_authenticate(user := UserFactory(**properties), token=_principal(user))
    return client


def _principal(user: User) -> Any:
    from_user = principal(role=user.role)
    return type(from_user)(
        user_id=user.pk,
        label=user.username,
        key_id=None,
        scopes=from_user.scopes,
        account_ids=None if user.every_account else frozenset(),
    )


def engage(api: APIClient, **values: object) -> Any:
    return api.post(HALTS, {"scope": "platform", "reason": "runaway", **values}, format="json")


def test_a_halt_is_engaged_and_listed(api: APIClient) -> None:
    answer = engage(api, level="reducing")

    assert answer.status_code == 201
    assert [row["level"] for row in api.get(HALTS).json()] == ["reducing"]
    assert open_halts()[0].reason == "runaway"


def test_open_orders_are_taken_back_when_that_is_asked(api: APIClient) -> None:
    halt_id = engage(api, cancel_orders=True).json()["id"]

    report = api.get(f"{HALTS}/{halt_id}/clearing").json()

    assert (report["state"], report["flatten"]) == ("running", False)


def test_a_release_is_asked_for_approved_and_done(api: APIClient) -> None:
    halt_id = engage(api).json()["id"]
    path = f"{HALTS}/{halt_id}/release"

    alone = api.post(path, {"reason": "over"}, format="json")
    asked = api.post(path, {"reason": "over", "ask": True}, format="json")
    approvals.approve(approval_id=asked.json()["approval"], by=principal(), now=datetime.now(UTC))
    released = api.post(path, {"reason": "over"}, format="json")

    assert (alone.status_code, alone.json()["code"]) == (403, "approval_needed")
    assert (asked.status_code, released.status_code) == (202, 200)
    assert open_halts() == []


def test_positions_are_closed_only_after_a_second_person_approved(api: APIClient) -> None:
    halt_id = engage(api).json()["id"]
    path = f"{HALTS}/{halt_id}/clearing"

    alone = api.post(path, {"flatten": True, "reason": "out"}, format="json")
    asked = api.post(path, {"flatten": True, "ask": True, "reason": "out"}, format="json")
    approvals.approve(approval_id=asked.json()["approval"], by=principal(), now=datetime.now(UTC))
    begun = api.post(path, {"flatten": True, "reason": "out"}, format="json")

    assert alone.json()["code"] == "approval_needed"
    assert begun.status_code == 202
    assert HaltReport.objects.get().flatten


def test_an_account_that_is_not_mine_cannot_be_halted(db: None) -> None:
    BrokerAccountFactory(label="other")
    blind = browser_of(role=User.Role.OPERATOR)

    answer = engage(blind, scope="account", target="other")

    assert (answer.status_code, answer.json()["code"]) == (404, "target_unknown")
    assert open_halts() == []


def test_a_trader_cannot_halt(db: None) -> None:
    assert engage(browser_of(role=User.Role.TRADER, every_account=True)).status_code == 403


def test_nothing_cleared_is_said(api: APIClient) -> None:
    assert api.get(f"{HALTS}/7/clearing").json()["code"] == "halt_unknown"
