"""The Desk's page, its state and its verbs over HTTP."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts import approvals
from accounts.guards import Approval
from accounts.models import BrokerAccount, TradingHalt, User
from accounts.queries import open_halts
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory, principal
from tests.ops.two_people import approve_release
from tests.orders.factories import OrderFactory
from tests.panel_client import PanelClient

PAGE, STATE, VERBS = "/admin/desk/", "/admin/desk/state", "/admin/desk/verbs/"
pytestmark = pytest.mark.usefixtures("clean_redis")


def seen(desk: Client) -> dict[str, Any]:
    """Return the state as the page polls it."""
    state: dict[str, Any] = desk.get(STATE).json()
    return state


def signed_in(client: Client, **properties: Any) -> Client:
    """Return the browser with another person signed in."""
    client.force_login(UserFactory(is_staff=True, **properties))
    return client


def test_the_page_names_its_socket_and_state(desk: Client) -> None:
    page = desk.get(PAGE).content.decode()

    assert 'data-socket="/ws/v1/desk"' in page
    assert f'data-state="{STATE}"' in page
    assert f'data-verbs="{VERBS}"' in page


def test_the_page_allows_no_code_but_its_own_files(desk: Client) -> None:
    answer = desk.get(PAGE)

    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in f"{policy};"
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_page_holds_nothing_that_its_policy_forbids(desk: Client) -> None:
    page = desk.get(PAGE).content.decode()

    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\son[a-z]+=|\sstyle=|<style|javascript:|https?://", page)


def test_the_root_leads_to_the_desk(desk: Client) -> None:
    assert desk.get("/").headers["Location"] == PAGE


@pytest.mark.parametrize("path", [PAGE, STATE, f"{VERBS}halt"])
def test_a_stranger_is_sent_to_the_sign_in(client: Client, db: None, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", [PAGE, STATE])
def test_staff_without_the_scope_see_nothing(client: Client, db: None, path: str) -> None:
    answer = signed_in(client, role=User.Role.TRADER).get(path)

    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


def test_who_may_only_look_cannot_halt(client: Client, db: None) -> None:
    browser = signed_in(client, role=User.Role.SECURITY_OFFICER)

    assert browser.get(STATE).status_code == 200
    assert browser.post(f"{VERBS}halt", {"reason": "test"}).status_code == 403
    assert open_halts() == []


def test_the_state_has_an_account_with_its_token(desk: Client) -> None:
    CredentialFactory(account__label="one", live=True)

    row = seen(desk)["accounts"]["one"]

    assert (row["state"], row["token"]["live"], row["token"]["version"]) == ("active", True, 1)
    assert row["verbs"] == ["fail_over", "drain", "reconcile", "halt", "flatten"]
    assert row["login_url"] == "/accounts/kite/login/one/"


def test_no_secret_is_in_the_state(desk: Client) -> None:
    CredentialFactory(api_secret="the-api-secret", access_token="the-access-token", live=True)

    text = desk.get(STATE).content.decode()

    assert "the-api-secret" not in text
    assert "access_token" not in text


def test_an_account_without_a_token_is_named_with_what_mends_it(desk: Client) -> None:
    CredentialFactory(account__label="one")

    found = [finding for finding in seen(desk)["findings"] if finding["subject"] == "one"]

    assert [(row["code"], row["url"]) for row in found] == [("token_dead", "/accounts/kite/login/one/")]


def test_every_finding_says_what_mends_it(desk: Client) -> None:
    CredentialFactory()

    findings = seen(desk)["findings"]

    assert findings
    assert all(finding["mend"] for finding in findings)


def test_orders_are_counted_by_stage_and_account(desk: Client) -> None:
    account = BrokerAccountFactory(label="one")
    OrderFactory(account=account, state="OPEN", broker_order_id="1")
    OrderFactory(account=account, state="READY")

    state = seen(desk)

    stages = {stage["name"]: stage["count"] for stage in state["orders"]["funnel"]}
    assert (stages["Received"], stages["Waiting"], stages["At broker"]) == (2, 1, 1)
    assert state["accounts"]["one"]["orders"] == {"open": 1, "in_flight": 1, "unknown": 0}


def test_the_state_is_read_once_for_many_desks(desk: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        CredentialFactory(live=True)
    desk.get(STATE)

    with django_assert_max_num_queries(5):
        desk.get(STATE)


def test_a_look_costs_few_queries_however_many_accounts_there_are(
    desk: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        CredentialFactory(live=True)

    with django_assert_max_num_queries(36):
        desk.get(STATE)


def test_an_unchanged_state_is_not_sent_again(desk: Client) -> None:
    etag = desk.get(STATE).headers["ETag"]

    assert desk.get(STATE, headers={"If-None-Match": etag}).status_code == 304


def test_a_person_with_some_accounts_sees_only_those(client: Client, db: None) -> None:
    mine, other = BrokerAccountFactory(label="mine"), BrokerAccountFactory(label="other")
    OrderFactory(account=other)
    person = UserFactory(role=User.Role.OPERATOR, is_staff=True)
    person.accounts.add(mine)
    client.force_login(person)

    state = seen(client)

    assert list(state["accounts"]) == ["mine"]
    assert state["orders"]["recent"] == []
    assert "other" not in {finding["subject"] for finding in state["findings"]}


def test_a_halt_is_previewed_with_what_it_touches(desk: Client) -> None:
    account = BrokerAccountFactory()
    OrderFactory(account=account, state="READY")

    preview = desk.get(f"{VERBS}halt").json()

    assert preview["title"] == "Halt all trading"
    assert ("1", "account can send no new order") in {(row["count"], row["what"]) for row in preview["touches"]}
    assert ("1", "orders that wait here are denied") in {(row["count"], row["what"]) for row in preview["touches"]}
    assert open_halts() == []


def test_a_halt_is_engaged_with_its_reason(desk: Client) -> None:
    answer = desk.post(f"{VERBS}halt", {"reason": "runaway", "level": "halted"})

    (halt,) = open_halts()
    assert answer.json() == {"done": "All trading is halted."}
    assert (halt.scope, halt.reason, halt.engaged_by) == ("platform", "runaway", "asha")


def test_the_state_after_a_halt_is_fresh(desk: Client) -> None:
    seen(desk)
    desk.post(f"{VERBS}halt", {"reason": "runaway"})

    trading = seen(desk)["trading"]

    assert (trading["state"], trading["note"]) == ("HALTED", "runaway")


def test_a_verb_without_a_reason_is_refused(desk: Client) -> None:
    answer = desk.post(f"{VERBS}halt", {"reason": "  "})

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "reason_missing", "reason")


def test_a_verb_needs_the_csrf_token(operator: User) -> None:
    strict = PanelClient(enforce_csrf_checks=True)
    strict.force_login(operator)

    assert strict.post(f"{VERBS}halt", {"reason": "runaway"}).status_code == 403
    assert open_halts() == []


def test_a_halt_is_released(desk: Client) -> None:
    desk.post(f"{VERBS}halt", {"reason": "runaway"})

    asked = desk.post(f"{VERBS}resume", {"reason": "mended", "step": "ask"})
    alone = desk.post(f"{VERBS}resume", {"reason": "mended"})
    approvals.approve(approval_id=Approval.objects.get().pk, by=principal(), now=datetime.now(UTC))
    answer = desk.post(f"{VERBS}resume", {"reason": "mended"})

    assert asked.status_code == 200
    assert (alone.status_code, alone.json()["code"]) == (403, "approval_needed")
    assert answer.json() == {"done": "The platform trades again."}
    assert TradingHalt.objects.get().released_by == "asha"


def test_one_account_is_halted_and_released_by_its_number(desk: Client) -> None:
    BrokerAccountFactory(label="one")
    desk.post(f"{VERBS}halt", {"target": "one", "reason": "margin call", "level": "reducing"})
    row = seen(desk)["accounts"]["one"]

    approve_release(open_halts()[0], now=datetime.now(UTC))
    desk.post(f"{VERBS}resume", {"target": row["halt"]["id"], "reason": "paid"})

    assert "resume" in row["verbs"]
    assert row["halt"]["level"] == "reducing"
    assert open_halts() == []


def test_a_failover_is_previewed_and_done(desk: Client) -> None:
    CredentialFactory(account__label="one", live=True)
    CredentialFactory(account__label="two", live=True)

    preview = desk.get(f"{VERBS}fail_over", {"target": "one"}).json()
    answer = desk.post(f"{VERBS}fail_over", {"target": "one", "lasts": "5", "reason": "slow"})

    assert ("0", "orders move: they stay with their account") in {
        (row["count"], row["what"]) for row in preview["touches"]
    }
    assert answer.status_code == 200
    assert BrokerAccount.objects.get(label="one").state == "degraded"
    assert seen(desk)["accounts"]["one"]["verbs"] == ["restore", "reconcile", "halt", "flatten"]


def test_an_account_that_is_not_mine_cannot_be_failed_over(client: Client, db: None) -> None:
    CredentialFactory(account__label="other", live=True)
    CredentialFactory(account__label="two", live=True)
    browser = signed_in(client, role=User.Role.OPERATOR)

    answer = browser.post(f"{VERBS}fail_over", {"target": "other", "reason": "slow"})

    assert answer.status_code == 404
    assert BrokerAccount.objects.get(label="other").state == "active"


def test_an_unknown_verb_is_named(desk: Client) -> None:
    answer = desk.get(f"{VERBS}explode")

    assert (answer.status_code, answer.json()["code"]) == (404, "verb_unknown")


def test_the_web_process_says_that_it_lives_without_asking_anybody(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}


def test_the_web_process_is_ready_when_database_and_redis_answer(client: Client, db: None) -> None:
    assert client.get("/readyz").json() == {"status": "ready", "database": True, "redis": True}


def test_a_release_wants_a_fresh_proof_of_who_is_there_and_a_halt_does_not(desk: PanelClient) -> None:
    desk.grow_stale()

    halted = desk.post(f"{VERBS}halt", {"reason": "runaway"})
    released = desk.post(f"{VERBS}resume", {"reason": "over"})

    assert halted.status_code == 200
    assert (released.status_code, released.json()["code"]) == (403, "step_up_needed")
    assert len(open_halts()) == 1
