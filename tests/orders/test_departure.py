"""What keeps an order at the door: no login, a broker that does not answer, an address nobody registered."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from accounts import egress
from accounts.breaker import FAILURES, state_key
from accounts.models import BrokerAccount
from kite.limits import CallClass
from orders import changes, intake
from orders.models import Order, OrderCommand
from orders.states import State
from tests.accounts.echo_server import EchoServer
from tests.orders.conftest import Desk

PLACE = "order.place"


@pytest.fixture
def echo(settings: Any) -> Iterator[EchoServer]:
    """Return the server that says from where orders leave."""
    server = EchoServer()
    settings.EGRESS_ECHO_URL = server.url
    yield server
    server.stop()


def register(desk: Desk, *addresses: str) -> None:
    egress.register(
        account_id=desk.account.pk, addresses=addresses, actor="asha", reason="static", now=desk.clock.now()
    )


def test_the_first_order_of_the_day_is_looked_after_and_leaves(desk: Desk, echo: EchoServer) -> None:
    register(desk, "127.0.0.1")
    first, second = desk.place(), desk.place()

    desk.submit(first)
    desk.submit(second)

    assert (first.state, second.state) == (State.ACKED, State.ACKED)
    assert echo.asked == 1


def test_an_order_that_would_leave_from_a_foreign_address_is_denied(desk: Desk, echo: EchoServer) -> None:
    register(desk, "203.0.113.7")
    order = desk.place()

    desk.submit(order)

    assert (order.state, order.reason_code) == (State.DENIED, "EGRESS_MISMATCH")
    assert desk.placed == []


def test_the_next_order_is_denied_where_it_is_taken_in(desk: Desk, echo: EchoServer) -> None:
    register(desk, "203.0.113.7")
    desk.submit(desk.place())

    order = desk.place()

    assert (order.state, order.reason_code) == (State.DENIED, "EGRESS_MISMATCH")


def test_while_nobody_can_say_the_order_waits_and_then_leaves(desk: Desk, echo: EchoServer) -> None:
    echo.status = 503
    register(desk, "127.0.0.1")
    order = desk.place()

    again = desk.submit(order)
    assert again == 5.0
    assert (order.state, order.reason_code) == (State.READY, "EGRESS_UNSEEN")
    assert desk.placed == []

    echo.status = 200
    desk.clock.advance(5)
    desk.submit(order)
    assert order.state == State.ACKED


def test_an_order_nobody_could_vouch_for_expires_at_its_deadline(desk: Desk, echo: EchoServer) -> None:
    echo.status = 503
    register(desk, "127.0.0.1")
    order = desk.place()
    desk.submit(order)

    assert order.deadline_at is not None
    desk.clock.advance((order.deadline_at - desk.clock.now()) / timedelta(seconds=1) + 1)
    desk.submit(order)

    assert (order.state, order.reason_code) == (State.EXPIRED_LOCAL, "DEADLINE_PASSED")
    assert "EGRESS_UNSEEN" in order.reason
    assert desk.placed == []


def test_a_cancel_leaves_whatever_the_address(desk: Desk, echo: EchoServer) -> None:
    order = desk.place(order_type="LIMIT", price=desk.price(-3))
    desk.submit(order)
    BrokerAccount.objects.filter(pk=desk.account.pk).update(egress_fault="orders leave from elsewhere")

    command = intake_cancel(desk, order)
    changes.carry(command_id=command.pk, sessions=desk.sessions, clock=desk.clock)

    assert desk.sandbox.journal(since=desk.since, route="order.cancel", verdict="accepted")


def intake_cancel(desk: Desk, order: Order) -> OrderCommand:
    intake.cancel(principal=desk.principal, order_id=order.pk, idempotency_key=str(uuid4()), now=desk.clock.now())
    return OrderCommand.objects.get(order=order)


def fail_often(desk: Desk) -> None:
    """Send as many orders as open the breaker, each when the budget lets it go."""
    for _ in range(FAILURES):
        desk.clock.advance(1)
        order = desk.place()
        desk.submit(order)
        assert order.state == State.UNKNOWN


def test_orders_wait_while_the_broker_rests_and_the_book_is_asked_first(desk: Desk, clean_redis: Redis) -> None:
    desk.sandbox.fault("accepted_then_5xx", route=PLACE, status=503, count=FAILURES)
    fail_often(desk)
    order = desk.place()

    again = desk.submit(order)

    assert again is not None
    assert (order.state, order.reason_code) == (State.READY, "BROKER_RESTS")
    assert len(desk.placed) == FAILURES

    clean_redis.hset(state_key(account_id=str(desk.account.pk), call_class=CallClass.ORDER), "until", 0)
    before = desk.sandbox.journal_end()
    desk.clock.advance(again)
    desk.submit(order)

    assert order.state == State.ACKED
    routes = [row["route"] for row in desk.sandbox.journal(since=before)]
    assert routes.index(PLACE) == len(routes) - 1
    assert len(routes) == 3


def test_a_broker_that_still_does_not_answer_keeps_the_order_waiting(desk: Desk, clean_redis: Redis) -> None:
    desk.sandbox.fault("http_5xx", route=PLACE, status=503, count=FAILURES)
    fail_often(desk)
    clean_redis.hset(state_key(account_id=str(desk.account.pk), call_class=CallClass.ORDER), "until", 0)
    desk.sandbox.fault("http_5xx", status=503)
    order = desk.place()
    before = desk.sandbox.journal_end()

    again = desk.submit(order)

    assert again is not None
    assert (order.state, order.reason_code) == (State.READY, "BROKER_RESTS")
    assert PLACE not in {row["route"] for row in desk.sandbox.journal(since=before)}
