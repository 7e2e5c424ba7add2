"""The order funnel: how many, how long between stages, and why some were refused."""

from datetime import UTC, datetime, timedelta

import pytest

from ops import flow
from ops.state import Stage
from orders.clock import trading_day
from tests.orders.factories import OrderFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def stages(now: datetime) -> dict[str, Stage]:
    return {stage.name: stage for stage in flow.read(day=trading_day(now), now=now).orders.funnel}


def test_the_median_between_two_stages_is_measured(now: datetime) -> None:
    for milliseconds in (100, 200, 900):
        sent = now - timedelta(seconds=30) + timedelta(milliseconds=milliseconds)
        OrderFactory(
            at_broker=True,
            created_at=now - timedelta(seconds=30),
            sent_at=sent,
            acked_at=sent + timedelta(milliseconds=40),
            trading_day=trading_day(now),
        )

    found = stages(now)

    assert found["Sending"].seconds == pytest.approx(0.2)
    assert found["At broker"].seconds == pytest.approx(0.04)
    assert found["Filled"].seconds is None


def test_orders_of_the_last_minutes_are_counted_beside_the_day(now: datetime) -> None:
    OrderFactory(at_broker=True, created_at=now - timedelta(minutes=1), trading_day=trading_day(now))
    OrderFactory(at_broker=True, created_at=now - timedelta(minutes=20), trading_day=trading_day(now))

    stage = stages(now)["At broker"]

    assert (stage.count, stage.recent) == (2, 1)


def test_the_reasons_given_most_often_come_first(now: datetime) -> None:
    for why, count in (("no funds", 2), ("bad price", 1)):
        for _ in range(count):
            OrderFactory(state="REJECTED", status_message=why, trading_day=trading_day(now), finished_at=now)

    found = flow.read(day=trading_day(now), now=now).orders.objections

    assert [(each.text, each.count) for each in found] == [("no funds", 2), ("bad price", 1)]


def test_the_latency_is_of_the_last_minute_alone(now: datetime) -> None:
    def answered(ago: int, milliseconds: int) -> None:
        created = now - timedelta(seconds=ago)
        answer = created + timedelta(milliseconds=milliseconds)
        OrderFactory(at_broker=True, created_at=created, sent_at=created, acked_at=answer, trading_day=trading_day(now))

    answered(10, 50)
    answered(600, 5000)

    latency = flow.read(day=trading_day(now), now=now).orders.latency

    assert (latency.orders, latency.p50_ms, latency.p99_ms) == (1, 50.0, 50.0)


def test_without_orders_nothing_is_measured(now: datetime) -> None:
    orders = flow.read(day=trading_day(now), now=now).orders

    assert (orders.latency.p50_ms, orders.objections) == (None, ())
    assert all(stage.seconds is None for stage in orders.funnel)
