"""No list asks the database more the longer it is: every list of the API, so that a new one cannot be left out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import User
from market_data.models import ChainWindow, InstrumentChange, InstrumentList, InstrumentListEntry, Subscription
from orders.models import Order, Trade
from orders.states import State
from tests.conformance import schema
from tests.factories import BrokerAccountFactory, CredentialFactory, principal
from tests.market_data.factories import InstrumentFactory
from tests.orders.factories import OrderFactory
from tests.security.owned import everything_of
from tests.security.routes import Deed, deeds

FEW, MANY = 2, 12
# Their rows are the broker's, the stream's or the engine's answer, not rows of a table of ours.
ELSEWHERE = {
    "GET /api/v1/accounts/{label}/history",
    "GET /api/v1/candles",
    "GET /api/v1/chains",
    "GET /api/v1/exposure",
    "GET /api/v1/funds",
    "GET /api/v1/funds/holdings",
    "GET /api/v1/funds/orders",
    "GET /api/v1/funds/sips",
    "GET /api/v1/holdings",
    "GET /api/v1/margins",
    "GET /api/v1/orders/{order_id}/events",
    "GET /api/v1/profiles",
    "GET /api/v1/profit",
    "GET /api/v1/quotes",
}


def _is_list(deed: Deed) -> bool:
    answer = schema()["paths"].get(deed.route, {}).get("get", {}).get("responses", {}).get("200", {})
    shape = answer.get("content", {}).get("application/json", {}).get("schema", {})
    name = str(shape.get("$ref", "")).rpartition("/")[2]
    fields = schema()["components"]["schemas"].get(name, {}).get("properties", {})
    return shape.get("type") == "array" or fields.get("results", {}).get("type") == "array"


LISTS = [deed for deed in deeds() if deed.method == "GET" and _is_list(deed) and str(deed) not in ELSEWHERE]


def fill(count: int) -> None:
    """Make so many rows of everything that is listed."""
    now = datetime.now(UTC)
    for _ in range(count):
        account = BrokerAccountFactory()
        CredentialFactory(account=account)
        everything_of(account)
        order = OrderFactory(account=account, state=State.EXPIRED_LOCAL, finished_at=now)
        trade_of(order)
        token = 5000 + Subscription.objects.count()
        share = InstrumentFactory(tradingsymbol=f"SHARE{token}", instrument_token=token)
        Subscription.objects.create(instrument=share, mode="quote", wanted_by="client:x", created_at=now)
        InstrumentChange.objects.create(instrument=share, field="lot_size", was="1", became="2", changed_at=now)
        saved = InstrumentList.objects.create(name=f"l{token}", saved_by="x", saved_at=now)
        InstrumentListEntry.objects.create(instrument_list=saved, instrument=share)
        ChainWindow.objects.create(underlying=f"U{token}", wanted_by="x")


def trade_of(order: Order) -> None:
    same = ("exchange", "tradingsymbol", "instrument_token", "transaction_type", "product", "quantity", "trading_day")
    Trade.objects.create(
        account=order.account,
        order=order,
        trade_id=str(order.pk)[:30],
        broker_order_id="1",
        average_price=1500,
        heard_at=order.created_at,
        **{name: getattr(order, name) for name in same},
    )


@pytest.mark.parametrize("deed", LISTS, ids=str)
def test_a_longer_list_asks_no_more_questions(db: None, clean_redis: Redis, deed: Deed) -> None:
    caller = principal()
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    counts, sizes = [], []
    for more in (FEW, MANY):
        fill(more)
        with CaptureQueriesContext(connection) as asked:
            answer: Any = client.get(deed.path(label="x"), {"everyone": "true"})
        assert answer.status_code == 200, answer.content
        body = answer.json()
        sizes.append(len(body if isinstance(body, list) else body["results"]))
        counts.append(len(asked))

    assert sizes[1] > sizes[0]
    assert counts[0] == counts[1]


def _turns_pages(deed: Deed) -> bool:
    parameters = schema()["paths"][deed.route]["get"].get("parameters", [])
    return any(parameter["name"] == "cursor" for parameter in parameters)


@pytest.mark.parametrize("deed", [deed for deed in LISTS if _turns_pages(deed)], ids=str)
def test_pages_lead_to_every_row_once(db: None, clean_redis: Redis, deed: Deed) -> None:
    caller = principal()
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    fill(5)
    path = deed.path(label="x")
    whole = client.get(path, {"everyone": "true"}).json()["results"]

    rows: list[Any] = []
    asked: dict[str, Any] = {"everyone": "true", "limit": 2}
    while True:
        page = client.get(path, asked).json()
        rows += page["results"]
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]

    assert len(whole) >= 5
    assert rows == whole
