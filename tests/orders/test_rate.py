"""The broker's own limits, held against the sandbox that enforces them."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest

from orders.models import Order
from orders.states import State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.orders.threads import at_once
from tests.proving import Numbers

COUNT = 40
MOST_A_SECOND = 10
JITTER_SECONDS = 0.2


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
    arrived = max(Counter(entry["at"] for entry in entries).values())
    allowed = allowed_to_arrive(latest_seconds())
    numbers.most("orders in a calendar second", arrived)
    numbers.add("429s", sum(entry["status"] == 429 for entry in entries))
    numbers.note("allowed to arrive in a second", str(allowed))
    assert set(Order.objects.values_list("state", flat=True)) == {State.ACKED}
    assert len(desk.placed) == COUNT
    assert arrived <= allowed
    assert {entry["status"] for entry in entries} <= ({200} if allowed == MOST_A_SECOND else {200, 429})


def latest_seconds() -> float:
    """Return how long after its departure was written down an order was at the broker at the latest."""
    times = Order.objects.values_list("sent_at", "acked_at")
    return max((acked - sent).total_seconds() for sent, acked in times if sent is not None and acked is not None)


def allowed_to_arrive(seconds: float) -> int:
    """Return how many orders may meet in one second when each may come this late: 8 a second leave, 2 at once.

    Up to the 200 ms of the requirement it is the broker's own limit. A machine that keeps a worker from its turn for
    longer gathers what left in peace.
    """
    return MOST_A_SECOND if seconds <= JITTER_SECONDS else MOST_A_SECOND + ceil(8 * seconds)
