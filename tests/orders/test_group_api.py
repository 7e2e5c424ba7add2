"""Baskets, slices, triggers, margins and dead letters as a client sees them."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from accounts.models import TradingHalt, User
from accounts.queries import principal_of
from market_data.models import Instrument
from orders.models import Order
from orders.states import State
from tests.factories import BrokerAccountFactory, UserFactory
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.orders.pump import pump_until
from tests.orders.test_api import body_of, client_of


@pytest.fixture
def api(desk: Desk) -> APIClient:
    """Return a client of the desk's principal."""
    return client_of(desk.principal)


def send(api: APIClient, path: str, body: dict[str, Any] | None = None, method: str = "post", key: str = "") -> Any:
    headers = {"Idempotency-Key": key or str(uuid4())}
    return getattr(api, method)(f"/api/v1/{path}", body, format="json", headers=headers)


def leg_of(desk: Desk, **values: Any) -> dict[str, Any]:
    return {name: value for name, value in body_of(desk, **values).items() if name != "account"}


def basket_of(desk: Desk, *legs: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {"account": desk.account.label, "legs": list(legs), **values}


def trigger_of(desk: Desk, percent: int = -8, **values: Any) -> dict[str, Any]:
    price = float(desk.price(percent))
    leg = {"transaction_type": "BUY", "quantity": 1, "product": "CNC", "price": price}
    body = {
        "account": desk.account.label,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "trigger_values": [price],
        "legs": [leg],
    }
    return {**body, **values}


def test_a_basket_is_accepted_with_its_place(desk: Desk, api: APIClient) -> None:
    answer = send(api, "baskets", basket_of(desk, leg_of(desk)))

    shown = api.get(answer["Location"])
    assert answer.status_code == 202
    assert shown.json() == answer.json()
    assert answer.json()["legs"][0]["outcome"] == "not_sent"
    assert answer.json()["legs"][0]["orders"][0]["group"] == answer.json()["id"]


def test_the_same_basket_again_is_a_replay(desk: Desk, api: APIClient) -> None:
    body = basket_of(desk, leg_of(desk))
    first = send(api, "baskets", body, key="k")

    again = send(api, "baskets", body, key="k")
    other = send(api, "baskets", basket_of(desk, leg_of(desk, quantity=2)), key="k")

    assert (again.status_code, again["Idempotent-Replayed"]) == (200, "true")
    assert again.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_basket_without_a_key_is_refused(desk: Desk, api: APIClient) -> None:
    answer = api.post("/api/v1/baskets", basket_of(desk, leg_of(desk)), format="json")

    assert (answer.status_code, answer.json()["outcome"]) == (400, "not_sent")


@pytest.mark.parametrize(
    ("legs", "values", "field"),
    [
        ([], {}, "legs"),
        ([{}] * 21, {}, "legs"),
        ([{"after": [0]}], {}, "legs.0.after"),
        ([{"after": [7]}], {}, "legs.0.after"),
        ([{}, {"transaction_type": "SELL", "after": []}, {"after": [1]}], {}, "legs"),
        ([{"replaces": None}], {}, "legs.0.replaces"),
        ([{"prise": 1}], {}, "legs.0.prise"),
        ([{"order_type": "LIMIT"}], {}, "legs"),
        ([{}], {"on_failure": "panic"}, "on_failure"),
        ([{}], {"atomic": True}, "atomic"),
    ],
)
def test_a_faulty_basket_names_the_field(
    desk: Desk, api: APIClient, legs: list[dict[str, Any]], values: dict[str, Any], field: str
) -> None:
    answer = send(api, "baskets", basket_of(desk, *(leg_of(desk, **leg) for leg in legs), **values))

    assert answer.status_code == 400
    assert field in named(answer.json()["errors"])
    assert not Order.objects.exists()


def named(errors: Any, path: str = "") -> set[str]:
    """Return the fields an answer names, legs by their number."""
    if not isinstance(errors, dict):
        return {path}
    return {path} | {name for key, each in errors.items() for name in named(each, f"{path}.{key}" if path else key)}


def test_twenty_legs_are_taken(desk: Desk, api: APIClient) -> None:
    answer = send(api, "baskets", basket_of(desk, *[leg_of(desk)] * 20))

    assert answer.status_code == 202
    assert len(answer.json()["legs"]) == 20


def test_a_denied_leg_is_named_with_its_code(desk: Desk, api: APIClient) -> None:
    answer = send(api, "baskets", basket_of(desk, leg_of(desk), leg_of(desk, product="NRML")))

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["outcome"]) == (422, "basket_denied", "not_sent")
    assert [(leg["leg"], leg["code"]) for leg in problem["legs"]] == [(1, "product_not_allowed")]


def test_baskets_are_listed_and_called_off(desk: Desk, api: APIClient) -> None:
    resting = leg_of(desk, order_type="LIMIT", price=float(desk.price(-5)))
    made = send(api, "baskets", basket_of(desk, resting, {**leg_of(desk), "after": [0]})).json()

    answer = send(api, f"baskets/{made['id']}", method="delete")
    listed = api.get("/api/v1/baskets", {"account": desk.account.label, "kind": "basket"}).json()

    assert answer.status_code == 202
    assert answer.json()["cancelled_at"]
    assert [leg["state"] for leg in answer.json()["legs"]] == ["failed", "skipped"]
    assert [row["id"] for row in listed["results"]] == [made["id"]]


def test_anothers_basket_is_unknown(desk: Desk, api: APIClient) -> None:
    made = send(api, "baskets", basket_of(desk, leg_of(desk))).json()
    user = UserFactory(role=User.Role.TRADER)
    user.accounts.add(BrokerAccountFactory())
    stranger = client_of(principal_of(user))

    assert stranger.get(f"/api/v1/baskets/{made['id']}").status_code == 404
    assert send(stranger, f"baskets/{made['id']}", method="delete").status_code == 404
    assert stranger.get("/api/v1/baskets").json()["results"] == []


def test_a_sliced_order_is_answered_as_a_group(desk: Desk, api: APIClient) -> None:
    Instrument.objects.filter(pk=desk.instrument.pk).update(freeze_quantity=4)

    answer = send(api, "orders", body_of(desk, quantity=10, autoslice=True))

    assert answer.status_code == 202
    assert (answer.json()["kind"], answer.json()["quantity"]) == ("slices", 10)
    assert sorted(order["quantity"] for order in answer.json()["legs"][0]["orders"]) == [2, 4, 4]


def test_a_trigger_is_placed_shown_changed_and_taken_back(desk: Desk, api: APIClient) -> None:
    placed = send(api, "gtts", trigger_of(desk))
    path = placed["Location"].removeprefix("/api/v1/")
    change = {name: value for name, value in trigger_of(desk, -7).items() if name != "account"}

    changed = send(api, path, change, method="put")
    query = {"account": desk.account.label, "fresh": "true", "status": "active"}
    listed = api.get("/api/v1/gtts", query).json()
    gone = send(api, path, method="delete")

    assert (placed.status_code, placed.json()["outcome"], placed.json()["status"]) == (201, "accepted", "active")
    assert (changed.status_code, changed.json()["trigger_values"]) == (200, change["trigger_values"])
    assert placed.json()["id"] in {row["id"] for row in listed["results"]}
    assert (gone.status_code, gone.json()["status"]) == (200, "deleted")


def test_a_trigger_in_doubt_says_so(desk: Desk, api: APIClient) -> None:
    desk.sandbox.fault("lost_answer", route="gtt.place", count=1)

    answer = send(api, "gtts", trigger_of(desk))

    assert (answer.status_code, answer.json()["outcome"], answer.json()["status"]) == (202, "unknown", "unknown")


def test_a_trigger_the_broker_throttles_was_not_sent(desk: Desk, api: APIClient) -> None:
    desk.sandbox.fault("http_429", route="gtt.place", count=1)

    answer = send(api, "gtts", trigger_of(desk))

    assert (answer.status_code, answer.json()["outcome"], answer.json()["retryable"]) == (503, "not_sent", True)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"trigger_values": []}, "trigger_values"),
        ({"trigger_values": [1.0, 2.0]}, "legs"),
        ({"trigger_values": [0]}, "trigger_values"),
        ({"legs": []}, "legs"),
        ({"kind": "single"}, "kind"),
        ({"account": ""}, "account"),
    ],
)
def test_a_faulty_trigger_names_the_field(desk: Desk, api: APIClient, values: dict[str, Any], field: str) -> None:
    answer = send(api, "gtts", trigger_of(desk, **values))

    assert answer.status_code == 400
    assert field in answer.json()["errors"]


def test_margins_of_orders_come_from_the_broker(desk: Desk, api: APIClient) -> None:
    body = {"account": desk.account.label, "orders": [leg_of(desk, product="MIS"), leg_of(desk, quantity=10)]}

    answer = api.post("/api/v1/orders/margins", body, format="json")

    first, second = answer.json()["results"]
    assert answer.status_code == 200
    assert 0 < first["total"] < second["total"]
    assert desk.placed == []


def test_margins_of_a_basket_name_the_benefit(desk: Desk, api: APIClient) -> None:
    body = {"account": desk.account.label, "orders": [leg_of(desk)], "consider_positions": False}

    answer = api.post("/api/v1/baskets/margins", body, format="json")

    assert answer.status_code == 200
    assert answer.json()["final"]["total"] <= answer.json()["initial"]["total"]
    assert len(answer.json()["orders"]) == 1


def test_charges_are_calculated_at_the_last_price(desk: Desk, api: APIClient) -> None:
    body = {"account": desk.account.label, "orders": [leg_of(desk, quantity=100)]}

    answer = api.post("/api/v1/orders/charges", body, format="json")

    assert answer.status_code == 200
    assert answer.json()["results"][0]["charges"]["total"] > 0


def test_what_was_never_sent_is_requeued_once(desk: Desk, api: APIClient) -> None:
    halt = TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))
    denied = send(api, "orders", body_of(desk)).json()["order"]
    TradingHalt.objects.filter(pk=halt.pk).update(released_at=datetime.now(UTC), released_by="ops")
    (letter,) = api.get("/api/v1/orders/dead-letters").json()["results"]

    again = send(api, f"orders/{denied['id']}/requeue")
    twice = send(api, f"orders/{denied['id']}/requeue")

    assert (letter["order"]["id"], letter["requeue_allowed"]) == (denied["id"], True)
    assert (again.status_code, again.json()["replaces"]) == (202, denied["id"])
    assert (twice.status_code, twice.json()["code"]) == (409, "requeue_forbidden")


@pytest.mark.parametrize(
    ("state", "values", "reason"),
    [
        (
            State.UNKNOWN,
            {"unknown_since": datetime.now(UTC), "next_look_at": datetime.now(UTC)},
            "may be at the broker",
        ),
        (State.NOT_PLACED, {}, "watched for"),
        (State.REJECTED, {}, "refused what it says"),
        (State.REJECTED_RMS, {"broker_order_id": "1"}, "refused what it says"),
        (State.ADOPTED_LATE, {"broker_order_id": "2"}, "has it after all"),
    ],
)
def test_what_may_have_been_sent_is_not_requeued(
    desk: Desk, api: APIClient, state: State, values: dict[str, Any], reason: str
) -> None:
    order = OrderFactory(account=desk.account, state=state, **values)

    (letter,) = api.get("/api/v1/orders/dead-letters").json()["results"]
    answer = send(api, f"orders/{order.pk}/requeue")

    assert letter["requeue_allowed"] is False
    assert reason in letter["forbidden_because"]
    assert (answer.status_code, answer.json()["outcome"]) == (409, "not_sent")
    assert Order.objects.count() == 1


def test_a_working_order_is_no_dead_letter(desk: Desk, api: APIClient) -> None:
    order = OrderFactory(account=desk.account, at_broker=True, state=State.OPEN)

    assert api.get("/api/v1/orders/dead-letters").json()["results"] == []
    assert send(api, f"orders/{order.pk}/requeue").status_code == 409


def test_a_cover_order_is_exited_over_http(desk: Desk, api: APIClient) -> None:
    body = body_of(desk, variety="co", product="MIS", trigger_price=float(desk.price(-3)))
    order = Order.objects.get(pk=send(api, "orders", body).json()["id"])
    pump_until(desk, lambda: Order.objects.filter(status="TRIGGER PENDING", origin="child").exists())

    answer = send(api, f"orders/{order.pk}/exit")

    assert answer.status_code == 202
    assert answer.json()["order"]["parent_order_id"] == Order.objects.get(pk=order.pk).broker_order_id
    assert send(api, f"orders/{uuid4()}/exit").status_code == 404


def test_an_acknowledgement_needs_a_reason_and_the_scope(desk: Desk, api: APIClient) -> None:
    order = OrderFactory(account=desk.account, at_broker=True, origin="orphan")
    trader = client_of(principal_of(UserFactory(role=User.Role.TRADER, every_account=True)))

    bare = send(api, f"orders/{order.pk}/acknowledge", {})
    foreign = send(trader, f"orders/{order.pk}/acknowledge", {"reason": "seen"})
    done = send(api, f"orders/{order.pk}/acknowledge", {"reason": "seen"})

    assert (bare.status_code, foreign.status_code, done.status_code) == (400, 403, 200)
    order.refresh_from_db()
    assert order.acknowledged_by == desk.principal.label


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"variety": "co", "product": "CNC", "trigger_price": 1.0}, "product"),
        ({"variety": "auction", "auction_number": "1", "order_type": "LIMIT", "price": 1.0}, "transaction_type"),
        ({"variety": "iceberg", "iceberg_legs": 3}, "iceberg_quantity"),
        ({"iceberg_legs": 3}, "iceberg_legs"),
        ({"variety": "iceberg", "iceberg_legs": 51, "iceberg_quantity": 1}, "iceberg_legs"),
        (
            {"variety": "iceberg", "order_type": "LIMIT", "price": 1.0, "quantity": 9, "iceberg_legs": 2,
             "iceberg_quantity": 4},
            "iceberg_quantity",
        ),
        ({"validity": "TTL"}, "validity_ttl"),
        ({"validity_ttl": 5}, "validity_ttl"),
        ({"market_protection": 0}, "market_protection"),
        ({"market_protection": 101}, "market_protection"),
        ({"market_protection": -0.5}, "market_protection"),
        ({"order_type": "LIMIT", "price": 1.0, "market_protection": 2}, "market_protection"),
        ({"exchange": "NFO", "disclosed_quantity": 5}, "disclosed_quantity"),
        ({"algo_id": "a b"}, "algo_id"),
        ({"variety": "iceberg", "order_type": "LIMIT", "price": 1.0, "quantity": 4, "iceberg_legs": 2,
          "iceberg_quantity": 2, "autoslice": True}, "autoslice"),
    ],
)  # fmt: skip
def test_an_order_that_contradicts_itself_names_the_field(
    desk: Desk, api: APIClient, values: dict[str, Any], field: str
) -> None:
    answer = send(api, "orders", body_of(desk, **values))

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert answer.json()["outcome"] == "not_sent"
