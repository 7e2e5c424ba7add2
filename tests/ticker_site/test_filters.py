"""Each filter of each list leaves the rows it names, and who sees one account is shown that one's rows."""

from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import BrokerAccount, User
from accounts.queries import principal_of
from market_data.models import InstrumentChange, Subscription
from orders.models import Order
from orders.parents import OrderGroup, Trigger
from orders.states import State
from portfolio.models import Instruction
from tests.conformance import schema
from tests.factories import UserFactory
from tests.orders.factories import OrderFactory
from tests.portfolio.conftest import client_of
from tests.security.routes import deeds
from tests.ticker_site.test_lists import fill, trade_of
from webhooks.models import Delivery

# What the rows of the first account are made to differ in, and how the filter and the row name it.
FILTERS: dict[str, dict[str, str]] = {
    "orders": {"account": "account", "state": "state"},
    "orders/dead-letters": {"account": "order.account", "state": "order.state"},
    "trades": {"account": "account"},
    "gtts": {"account": "account", "status": "status"},
    "baskets": {"account": "account", "state": "state", "kind": "kind"},
    "instructions": {"account": "account", "state": "state"},
    "webhooks/deliveries": {"webhook": "webhook", "state": "state"},
    "subscriptions": {"wanted_by": "wanted_by", "instrument": "instrument"},
    "instruments/changes": {"instrument": "instrument", "field": "field"},
}
BY_DAY = ("orders", "orders/dead-letters", "trades")
# They narrow otherwise: a page, who asks, a reading anew, a moment.
NO_FILTERS = {"cursor", "limit", "day", "everyone", "fresh", "since"}
OF_ACCOUNTS = ("orders", "orders/dead-letters", "trades", "gtts", "baskets", "instructions")


def differ() -> None:
    """Make three of everything, and the newest of each unlike the others."""
    fill(3)
    earlier = Order.objects.earliest("trading_day").trading_day - timedelta(days=365)
    order = OrderFactory(account=BrokerAccount.objects.latest("created_at"), state=State.DENIED, trading_day=earlier)
    trade_of(order)
    for model, values in (
        (Trigger, {"status": "triggered"}),
        (OrderGroup, {"state": "complete", "finished_at": order.created_at, "kind": "parts"}),
        (Instruction, {"state": "done", "settled_at": order.created_at}),
        (Delivery, {"state": "dead", "finished_at": order.created_at}),
    ):
        last = model.objects.latest("created_at")
        model.objects.filter(pk=last.pk).update(**values)
    Subscription.objects.filter(pk=Subscription.objects.latest("pk").pk).update(wanted_by="client:y")
    InstrumentChange.objects.filter(pk=InstrumentChange.objects.latest("pk").pk).update(
        field="tick_size", changed_at=order.created_at
    )


def of_path(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row[name]
    return row


def rows_of(client: APIClient, path: str, **asked: Any) -> list[Any]:
    everything = {"everyone": "true"} if path == "subscriptions" and not asked else asked
    answer: Any = client.get(f"/api/v1/{path}", everything)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


@pytest.fixture
def everybody(db: None, clean_redis: Redis) -> APIClient:
    """Return a client that sees every account, over lists whose rows differ."""
    differ()
    return client_of(principal_of(UserFactory(administrator=True)))


@pytest.mark.parametrize("path", FILTERS)
def test_a_filter_leaves_the_rows_it_names(everybody: APIClient, path: str) -> None:
    whole = rows_of(everybody, path)

    for name, place in FILTERS[path].items():
        value = of_path(whole[0], place)
        left = [row for row in whole if of_path(row, place) == value]
        assert 0 < len(left) < len(whole), name
        assert rows_of(everybody, path, **{name: value}) == left


@pytest.mark.parametrize("path", BY_DAY)
def test_a_day_leaves_its_rows(everybody: APIClient, path: str) -> None:
    whole, day = rows_of(everybody, path), Order.objects.earliest("trading_day").trading_day

    left = rows_of(everybody, path, day=day)

    assert 0 < len(left) < len(whole)
    assert [row for row in whole if row in left] == left


def test_changes_since_a_moment_leave_out_the_older(everybody: APIClient) -> None:
    whole = rows_of(everybody, "instruments/changes")

    left = rows_of(everybody, "instruments/changes", since=whole[0]["changed_at"])

    assert left == [row for row in whole if row["changed_at"] >= whole[0]["changed_at"]]
    assert 0 < len(left) < len(whole)


@pytest.mark.parametrize("path", OF_ACCOUNTS)
def test_the_owner_of_one_account_sees_its_rows_alone(everybody: APIClient, path: str) -> None:
    owner, place = UserFactory(role=User.Role.ADMINISTRATOR), FILTERS[path]["account"]
    mine = BrokerAccount.objects.latest("created_at")
    owner.accounts.add(mine)

    rows = rows_of(client_of(principal_of(owner)), path)

    assert {of_path(row, place) for row in rows} == {mine.label}


def test_every_filter_of_a_list_with_pages_is_tried() -> None:
    asked = {
        deed.route.removeprefix("/api/v1/"): {
            parameter["name"] for parameter in schema()["paths"][deed.route]["get"].get("parameters", [])
        }
        for deed in deeds()
        if deed.method == "GET" and deed.route.removeprefix("/api/v1/") in FILTERS
    }

    assert {path: names - NO_FILTERS for path, names in asked.items()} == {
        path: set(names) for path, names in FILTERS.items()
    }
