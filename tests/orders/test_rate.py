"""The broker's own limits, held against the sandbox that enforces them."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from orders.models import Order
from orders.states import State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.orders.threads import at_once
from tests.proving import Numbers

COUNT = 40


@pytest.mark.proof(id="R12")
def test_a_crowd_of_workers_stays_below_the_brokers_rate(fresh_desk: Desk, numbers: Numbers) -> None:
    desk = fresh_desk
    desk.sandbox.settings(limits=True)
    orders = [
        OrderFactory(
            account=desk.account,
            instrument_token=desk.instrument.instrument_token,
            price=desk.price(-5),
            deadline_at=datetime.now(UTC) + timedelta(minutes=5),
        )
        for _ in range(COUNT)
    ]

    def carry(number: int) -> None:
        while desk.submit(orders[number]) is not None:
            """The queue would knock later; this crowd knocks at once."""

    at_once(carry, count=COUNT, threads=4)

    entries = desk.sandbox.journal(since=desk.since, route="order.place")
    seconds = Counter(entry["at"] for entry in entries)
    numbers.most("orders in a calendar second", max(seconds.values()))
    numbers.add("429s", sum(entry["status"] == 429 for entry in entries))
    assert set(Order.objects.values_list("state", flat=True)) == {State.ACKED}
    assert len(desk.placed) == COUNT
    assert {entry["status"] for entry in entries} == {200}
    assert max(seconds.values()) <= 10
