"""One order is one search in the logs of all processes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.authentication import issue_api_key
from orders.models import Order
from orders.reconciliation import reconcile_account
from orders.states import State
from tests.factories import UserFactory
from tests.orders.conftest import Desk
from tests.sandbox_server import wait_for


def test_request_order_account_and_tag_lead_from_the_request_to_the_trade(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    asha = UserFactory(role="administrator", every_account=True)
    now = datetime.now(UTC)
    scopes = ["orders:write", "orders:read"]
    _, key = issue_api_key(
        user=asha, name="k", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now
    )
    wanted = {
        "account": desk.account.label,
        "exchange": desk.instrument.exchange,
        "tradingsymbol": desk.instrument.tradingsymbol,
        "transaction_type": "BUY",
        "order_type": "MARKET",
        "product": "MIS",
        "quantity": 1,
    }
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "joined"}

    answer = Client().post("/api/v1/orders", wanted, content_type="application/json", headers=headers)
    order = Order.objects.get(pk=answer.json()["id"])
    desk.submit(order)

    def filled() -> bool:
        reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
        order.refresh_from_db()
        return order.state == State.COMPLETE

    wait_for(filled)
    events: list[dict[str, Any]] = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    (finished,) = [each for each in events if each.get("event") == "request_finished"]
    lines = [each for each in events if each.get("order_id") == str(order.pk)]
    assert lines[0]["request_id"] == finished["request_id"]
    assert {each["account"] for each in lines} == {desk.account.label}
    tags = [each["tag"] for each in lines if each["event"] in {"orders.order.acked", "orders.trade.heard"}]
    assert tags == [order.tag] * len(tags)
    assert len(tags) >= 2
