"""Changes of a portfolio: once for a key, and their fate when the answer is lost."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEntry, TradingHalt, User
from accounts.queries import principal_of
from portfolio.models import Instruction
from portfolio.settling import QUARANTINE, settle_all
from tests.factories import UserFactory, principal
from tests.orders.conftest import Desk
from tests.portfolio.conftest import client_of

CONVERT = "/api/v1/positions/conversions"
LATER = QUARANTINE + timedelta(seconds=1)


def conversion(desk: Desk, **values: Any) -> dict[str, Any]:
    body = {
        "account": desk.account.label,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "quantity": 2,
        "old_product": "MIS",
        "new_product": "CNC",
    }
    return {**body, **values}


def send(api: APIClient, path: str, body: dict[str, Any], key: str | None = None) -> Any:
    return api.post(path, body, format="json", headers={"Idempotency-Key": key or str(uuid4())})


def conversions_seen(desk: Desk) -> int:
    return len(desk.sandbox.journal(since=desk.since, route="portfolio.convert"))


@pytest.fixture
def fund(desk: Desk, api: APIClient) -> str:
    """Open mutual-fund writes at the exchange and return a fund."""
    desk.sandbox.settings(mutual_fund_orders=True)
    return str(api.get("/api/v1/funds").json()["results"][0]["tradingsymbol"])


@pytest.mark.usefixtures("held")
def test_a_conversion_moves_the_quantity(desk: Desk, api: APIClient) -> None:
    answer = send(api, CONVERT, conversion(desk))

    assert answer.status_code == 200
    assert answer.json()["state"] == "done"
    assert answer.json()["outcome"] == "accepted"
    assert conversions_seen(desk) == 1
    assert AuditEntry.objects.filter(action="portfolio.conversion.asked").count() == 1


@pytest.mark.usefixtures("held")
def test_the_same_key_is_carried_once(desk: Desk, api: APIClient) -> None:
    first = send(api, CONVERT, conversion(desk), "key")

    again = send(api, CONVERT, conversion(desk), "key")

    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert conversions_seen(desk) == 1


@pytest.mark.usefixtures("held")
def test_the_same_key_with_another_body_is_refused(desk: Desk, api: APIClient) -> None:
    send(api, CONVERT, conversion(desk), "key")

    answer = send(api, CONVERT, conversion(desk, quantity=1), "key")

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert conversions_seen(desk) == 1


@pytest.mark.usefixtures("held")
def test_more_than_is_held_is_not_sent(desk: Desk, api: APIClient) -> None:
    answer = send(api, CONVERT, conversion(desk, quantity=10_000))

    assert answer.status_code == 422
    assert answer.json()["code"] == "position_unknown"
    assert answer.json()["outcome"] == "not_sent"
    assert conversions_seen(desk) == 0
    assert not Instruction.objects.exists()


def test_a_missing_key_is_named(desk: Desk, api: APIClient) -> None:
    answer = api.post(CONVERT, conversion(desk), format="json")

    assert answer.status_code == 400
    assert answer.json()["field"] == "Idempotency-Key"


def test_a_conversion_to_the_same_product_is_named(desk: Desk, api: APIClient) -> None:
    answer = send(api, CONVERT, conversion(desk, new_product="MIS"))

    assert answer.status_code == 400
    assert "new_product" in answer.json()["errors"]


@pytest.mark.parametrize(("scope", "target"), [("platform", ""), ("account", "own")])
@pytest.mark.usefixtures("held")
def test_a_halt_stops_it(desk: Desk, api: APIClient, scope: str, target: str) -> None:
    TradingHalt.objects.create(
        scope=scope,
        target=target and desk.account.label,
        reason="drill",
        engaged_by="ops",
        engaged_at=datetime.now(UTC),
    )

    answer = send(api, CONVERT, conversion(desk))

    assert answer.status_code == 423
    assert answer.json()["code"] == "trading_halted"
    assert conversions_seen(desk) == 0


@pytest.mark.usefixtures("held")
def test_an_account_of_somebody_else_is_not_found(desk: Desk) -> None:
    stranger = principal_of(UserFactory(role=User.Role.TRADER))

    answer = send(client_of(stranger), CONVERT, conversion(desk))

    assert answer.status_code == 404


def test_a_viewer_changes_nothing(desk: Desk) -> None:
    viewer = principal(role=User.Role.VIEWER)

    assert send(client_of(viewer), CONVERT, conversion(desk)).status_code == 403


@pytest.mark.usefixtures("held")
def test_a_lost_answer_leaves_it_in_doubt_until_the_position_shows_it(desk: Desk, api: APIClient) -> None:
    desk.sandbox.fault("lost_answer", route="portfolio.convert", count=1)
    answer = send(api, CONVERT, conversion(desk))
    assert answer.status_code == 202
    assert answer.json()["outcome"] == "unknown"

    settled = settle_all(sessions=desk.sessions, now=datetime.now(UTC))

    assert settled == 1
    assert api.get(answer["Location"]).json()["state"] == "done"
    assert conversions_seen(desk) == 1


@pytest.mark.usefixtures("held")
def test_what_never_arrived_is_not_done_after_its_quarantine(desk: Desk, api: APIClient) -> None:
    desk.sandbox.fault("hang", route="portfolio.convert", count=1, seconds=8)
    answer = send(api, CONVERT, conversion(desk))
    assert answer.json()["state"] == "unknown"

    early = settle_all(sessions=desk.sessions, now=datetime.now(UTC))
    late = settle_all(sessions=desk.sessions, now=datetime.now(UTC) + LATER)

    assert (early, late) == (0, 1)
    assert api.get(answer["Location"]).json()["state"] == "not_done"


@pytest.mark.usefixtures("held")
def test_an_instruction_of_a_dead_process_is_looked_for(desk: Desk, api: APIClient) -> None:
    send(api, CONVERT, conversion(desk))
    Instruction.objects.update(state="sending", settled_at=None)

    soon = settle_all(sessions=desk.sessions, now=datetime.now(UTC))
    later = settle_all(sessions=desk.sessions, now=datetime.now(UTC) + timedelta(seconds=31))

    assert (soon, later) == (0, 1)
    assert Instruction.objects.get().state == "done"


@pytest.mark.usefixtures("held")
def test_a_key_that_is_being_carried_is_told_to_wait(desk: Desk, api: APIClient) -> None:
    send(api, CONVERT, conversion(desk), "key")
    Instruction.objects.update(state="sending", settled_at=None)

    answer = send(api, CONVERT, conversion(desk), "key")

    assert answer.status_code == 409
    assert answer.json()["code"] == "instruction_in_flight"


def test_a_fund_order_is_carried_and_shown(desk: Desk, api: APIClient, fund: str) -> None:
    body = {"account": desk.account.label, "tradingsymbol": fund, "transaction_type": "BUY", "amount": 5000}

    answer = send(api, "/api/v1/funds/orders", body)

    rows = api.get("/api/v1/funds/orders", {"max_age": 0}).json()["results"]
    assert answer.json()["state"] == "done"
    assert answer.json()["broker_id"] in {row["order_id"] for row in rows}


def test_a_lost_fund_order_is_found_by_its_tag(desk: Desk, api: APIClient, fund: str) -> None:
    desk.sandbox.fault("lost_answer", route="mf.order.place", count=1)
    body = {"account": desk.account.label, "tradingsymbol": fund, "transaction_type": "BUY", "amount": 5000}
    answer = send(api, "/api/v1/funds/orders", body)

    settle_all(sessions=desk.sessions, now=datetime.now(UTC))

    shown = api.get(answer["Location"]).json()
    assert shown["state"] == "done"
    assert shown["broker_id"]


def test_a_closed_fund_desk_is_a_rejection(desk: Desk, api: APIClient) -> None:
    desk.sandbox.settings(mutual_fund_orders=False)
    body = {"account": desk.account.label, "tradingsymbol": "INF1", "transaction_type": "BUY", "amount": 5000}

    answer = send(api, "/api/v1/funds/orders", body)

    assert answer.status_code == 422
    assert answer.json()["outcome"] == "rejected"
    assert answer["Content-Type"] == "application/problem+json"


def test_a_fund_order_is_cancelled(desk: Desk, api: APIClient, fund: str) -> None:
    body = {"account": desk.account.label, "tradingsymbol": fund, "transaction_type": "BUY", "amount": 5000}
    order_id = send(api, "/api/v1/funds/orders", body).json()["broker_id"]

    answer = api.delete(
        f"/api/v1/funds/orders/{order_id}?account={desk.account.label}", headers={"Idempotency-Key": str(uuid4())}
    )

    assert answer.json()["state"] == "done"


def test_a_plan_is_started_changed_and_ended(desk: Desk, api: APIClient, fund: str) -> None:
    label = desk.account.label
    body = {"account": label, "tradingsymbol": fund, "amount": 1000, "instalments": 12, "frequency": "monthly"}
    sip_id = send(api, "/api/v1/funds/sips", body).json()["broker_id"]

    changed = api.patch(
        f"/api/v1/funds/sips/{sip_id}",
        {"account": label, "amount": 2000},
        format="json",
        headers={"Idempotency-Key": str(uuid4())},
    )
    rows = {row["sip_id"]: row for row in api.get("/api/v1/funds/sips", {"max_age": 0}).json()["results"]}
    ended = api.delete(f"/api/v1/funds/sips/{sip_id}?account={label}", headers={"Idempotency-Key": str(uuid4())})

    assert changed.json()["state"] == "done"
    assert rows[sip_id]["instalment_amount"] == 2000
    assert ended.json()["state"] == "done"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"transaction_type": "BUY", "quantity": 3}, "amount"),
        ({"transaction_type": "SELL", "amount": 3}, "quantity"),
        ({"transaction_type": "BUY", "amount": -3}, "amount"),
        ({"transaction_type": "BUY", "amount": 3, "price": 1}, "price"),
    ],
)
def test_a_wrong_fund_order_names_its_field(desk: Desk, api: APIClient, values: dict[str, Any], field: str) -> None:
    answer = send(api, "/api/v1/funds/orders", {"account": desk.account.label, "tradingsymbol": "INF1", **values})

    assert answer.status_code == 400
    assert field in answer.json()["errors"]


@pytest.mark.usefixtures("held")
def test_instructions_are_listed_page_by_page(desk: Desk, api: APIClient) -> None:
    for _ in range(3):
        send(api, CONVERT, conversion(desk, quantity=1))

    first = api.get("/api/v1/instructions", {"limit": 2}).json()
    second = api.get("/api/v1/instructions", {"limit": 2, "cursor": first["next"]}).json()

    assert [len(first["results"]), len(second["results"])] == [2, 1]
    assert second["next"] is None


def test_a_broken_cursor_is_named(api: APIClient) -> None:
    assert api.get("/api/v1/instructions", {"cursor": "x"}).status_code == 400


@pytest.mark.usefixtures("held")
def test_an_instruction_of_somebody_else_is_not_found(desk: Desk, api: APIClient) -> None:
    location = send(api, CONVERT, conversion(desk))["Location"]

    answer = client_of(principal_of(UserFactory(role=User.Role.TRADER))).get(location)

    assert answer.status_code == 404
    assert answer.json()["code"] == "instruction_unknown"
