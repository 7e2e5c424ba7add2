"""Hearing back: duplicated, reordered and lost news end where the book is."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import Credential
from kite.errors import SessionExpired
from kite.types import OrderRow
from orders import reconciliation, updates
from orders.models import Order, OrderCommand, OrderEvent, Trade
from orders.queries import orders_of_day
from orders.states import FINAL, State
from orders.tags import Tag, encode, installation_code, number_of
from tests.factories import BrokerAccountFactory
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory, order_row, trade_row
from tests.proving import Numbers

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
NOW = START + timedelta(hours=1)


def life(*, fills: list[int], end: str, second: int = 1) -> list[OrderRow]:
    """Return the rows of an order of ten, as the broker would send them."""
    rows, filled, at = [], 0, START

    def add(status: str) -> None:
        rows.append(
            order_row(
                "1",
                status=status,
                filled_quantity=filled,
                pending_quantity=0 if status in {"COMPLETE", "CANCELLED"} else 10 - filled,
                cancelled_quantity=10 - filled if status == "CANCELLED" else 0,
                average_price=Decimal(1500) if filled else Decimal(0),
                order_at=at,
                exchange_update_at=at,
            )
        )

    for status in ("PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "OPEN"):
        add(status)
    for fill in fills:
        at += timedelta(seconds=second)
        filled += fill
        add("OPEN" if filled < 10 else "COMPLETE")
    if filled < 10:
        at += timedelta(seconds=second)
        add(end)
    return rows


@st.composite
def news(draw: st.DrawFn) -> tuple[list[OrderRow], list[OrderRow]]:
    """Draw a life and what is heard of it: any order, any copies, any half lost."""
    fills = draw(st.lists(st.integers(1, 4), max_size=5).filter(lambda parts: sum(parts) <= 10))
    rows = life(fills=fills, end=draw(st.sampled_from(["OPEN", "CANCELLED"])), second=draw(st.sampled_from([0, 1])))
    heard = draw(st.lists(st.sampled_from(rows), max_size=2 * len(rows)))
    return rows, draw(st.permutations(heard))


def hear_of(rows: list[OrderRow], heard: list[OrderRow], numbers: Numbers) -> None:
    """Take in what was heard, then the book, and compare."""
    order = OrderFactory(state=State.ACKED, broker_order_id="1", acked_at=NOW, account=BrokerAccountFactory())
    book = rows[-1]
    for row in [*heard, book]:
        reconciliation.hear(account_id=order.account_id, row=row, now=NOW)

    order.refresh_from_db()
    told = (order.filled_quantity, order.status, order.cancelled_quantity, order.state in FINAL)
    true = (book.filled_quantity, book.status, book.cancelled_quantity, book.status in {"COMPLETE", "CANCELLED"})
    fills = [
        event.detail["filled_quantity"]
        for event in OrderEvent.objects.filter(order=order).order_by("sequence")
        if "filled_quantity" in event.detail
    ]
    numbers.add("histories")
    numbers.add("books not reached", told != true)
    assert told == true
    assert all(before < after for before, after in pairwise(fills))


CHECKS = [HealthCheck.function_scoped_fixture]


@pytest.mark.proof(id="R10")
@pytest.mark.django_db
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
@given(drawn=news())
def test_news_in_any_order_ends_where_the_book_is(
    numbers: Numbers, drawn: tuple[list[OrderRow], list[OrderRow]]
) -> None:
    hear_of(*drawn, numbers)


@pytest.mark.long
@pytest.mark.proof(id="R10")
@pytest.mark.django_db
@hypothesis_settings(max_examples=20_000, deadline=None, suppress_health_check=CHECKS)
@given(drawn=news())
def test_twenty_thousand_histories_do(numbers: Numbers, drawn: tuple[list[OrderRow], list[OrderRow]]) -> None:
    hear_of(*drawn, numbers)


@pytest.mark.django_db
def test_a_row_with_our_tag_acknowledges_the_order_in_doubt() -> None:
    order = OrderFactory(state=State.UNKNOWN, unknown_since=NOW, next_look_at=NOW, attempt=1, tag="x")
    tag = encode(Tag(installation=installation_code("local"), number=order.number, attempt=1))

    reconciliation.hear(account_id=order.account_id, row=order_row("77", tag=tag), now=NOW)

    order.refresh_from_db()
    assert order.broker_order_id == "77"
    assert order.state == State.OPEN


@pytest.mark.django_db
def test_a_fill_that_overtakes_the_acknowledgement_is_taken() -> None:
    order = OrderFactory(state=State.SENDING, tag="x", lease_until=NOW, attempt=1)
    tag = encode(Tag(installation=installation_code("local"), number=order.number, attempt=1))
    row = order_row("77", tag=tag, status="COMPLETE", filled_quantity=10, pending_quantity=0)

    reconciliation.hear(account_id=order.account_id, row=row, now=NOW)

    order.refresh_from_db()
    assert order.state == State.COMPLETE


@pytest.mark.django_db
def test_the_same_tag_on_another_account_is_not_ours() -> None:
    order = OrderFactory(state=State.UNKNOWN, unknown_since=NOW, next_look_at=NOW, attempt=1)
    tag = encode(Tag(installation=installation_code("local"), number=order.number, attempt=1))
    other = BrokerAccountFactory()

    heard = reconciliation.hear(account_id=other.pk, row=order_row("77", tag=tag), now=NOW)

    order.refresh_from_db()
    assert heard.pk != order.pk
    assert order.state == State.UNKNOWN


@pytest.mark.django_db
def test_an_order_placed_elsewhere_is_adopted_as_external() -> None:
    account = BrokerAccountFactory()

    order = reconciliation.hear(account_id=account.pk, row=order_row("77", tag="mine", order_at=START), now=NOW)

    assert order.origin == Order.Origin.EXTERNAL
    assert order.state == State.OPEN
    assert order.broker_tag == "mine"
    assert list(orders_of_day(account_ids=[account.pk], day=order.trading_day)) == [order]


@pytest.mark.django_db
def test_an_order_of_ours_without_a_row_is_adopted_as_an_orphan() -> None:
    account = BrokerAccountFactory()
    tag = encode(Tag(installation=installation_code("local"), number=number_of(uuid4()), attempt=1))

    order = reconciliation.hear(account_id=account.pk, row=order_row("77", tag=tag), now=NOW)

    assert order.origin == Order.Origin.ORPHAN


@pytest.mark.django_db
@pytest.mark.parametrize("state", [State.NOT_PLACED, State.EXPIRED_LOCAL, State.DENIED, State.WITHDRAWN])
def test_what_was_called_over_is_taken_back_when_it_shows_up(state: State) -> None:
    order = OrderFactory(state=state, attempt=1)
    tag = encode(Tag(installation=installation_code("local"), number=order.number, attempt=1))

    reconciliation.hear(account_id=order.account_id, row=order_row("77", tag=tag), now=NOW)
    reconciliation.hear(account_id=order.account_id, row=order_row("77", tag=tag), now=NOW)

    order.refresh_from_db()
    assert order.reason_code == "ADOPTED_LATE"
    assert OrderCommand.objects.filter(order=order, kind="cancel").count() == 1


@pytest.mark.django_db
def test_the_brokers_own_record_of_a_refusal_is_no_late_order() -> None:
    order = OrderFactory(state=State.REJECTED, attempt=1)
    tag = encode(Tag(installation=installation_code("local"), number=order.number, attempt=1))

    reconciliation.hear(account_id=order.account_id, row=order_row("77", tag=tag, status="REJECTED"), now=NOW)

    order.refresh_from_db()
    assert order.state == State.REJECTED


@pytest.mark.django_db
def test_a_trade_heard_twice_is_one_trade() -> None:
    order = OrderFactory(at_broker=True)
    row = trade_row(order.broker_order_id, "9")

    first = reconciliation.hear_trade(account_id=order.account_id, row=row, now=NOW, source="book")
    again = reconciliation.hear_trade(account_id=order.account_id, row=row, now=NOW, source="book")

    assert (first, again) == (True, False)
    assert Trade.objects.filter(order=order).count() == 1


@pytest.mark.django_db
def test_a_trade_of_an_order_not_heard_of_waits() -> None:
    account = BrokerAccountFactory()

    heard = reconciliation.hear_trade(account_id=account.pk, row=trade_row("88", "9"), now=NOW, source="book")

    assert not heard


@pytest.mark.django_db
def test_an_order_of_yesterday_that_the_book_forgot_has_expired() -> None:
    order = OrderFactory(at_broker=True, created_at=NOW - timedelta(days=1))

    ended = reconciliation._end_left_overs(account_id=order.account_id, rows=[], now=NOW)

    order.refresh_from_db()
    assert ended == 1
    assert order.state == State.EXPIRED


@pytest.mark.django_db
def test_a_forged_second_id_for_one_order_is_reported_not_taken() -> None:
    order = OrderFactory(at_broker=True, attempt=1)
    first = order.broker_order_id

    updates.acknowledge(order=order, broker_order_id="other", source="execution", now=NOW)

    order.refresh_from_db()
    assert order.broker_order_id == first
    assert OrderEvent.objects.filter(order=order, kind="orders.order.duplicated").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("filled", "alarms"), [(10, 0), (11, 1)])
def test_more_filled_than_ordered_is_an_alarm(caplog: pytest.LogCaptureFixture, filled: int, alarms: int) -> None:
    order = OrderFactory(at_broker=True)
    row = order_row(order.broker_order_id, status="COMPLETE", quantity=10, filled_quantity=filled)

    reconciliation.hear(account_id=order.account_id, row=row, now=NOW)

    assert sum("orders.order.overfilled" in record.getMessage() for record in caplog.records) == alarms


def test_a_book_that_is_refused_for_its_token_retires_the_token(desk: Desk) -> None:
    order = OrderFactory(
        account=desk.account, state=State.UNKNOWN, unknown_since=NOW, next_look_at=NOW, attempt=1, sent_at=NOW
    )
    desk.sandbox.fault("token_killed", user=desk.account.broker_user_id)

    with pytest.raises(SessionExpired):
        reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)

    order.refresh_from_db()
    assert order.state == State.UNKNOWN
    assert not Credential.objects.filter(account=desk.account, current=True, access_token__isnull=False).exists()


@pytest.mark.django_db
def test_an_order_somebody_settled_meanwhile_is_not_looked_for() -> None:
    order = OrderFactory(at_broker=True)

    assert reconciliation._look_in_vain(order_id=order.pk, asked_at=NOW, now=NOW) == 0
    order.refresh_from_db()
    assert order.state == State.ACKED


@pytest.mark.django_db
def test_an_order_of_yesterday_that_the_book_still_shows_goes_on() -> None:
    order = OrderFactory(at_broker=True, created_at=NOW - timedelta(days=1))

    ended = reconciliation._end_left_overs(
        account_id=order.account_id, rows=[order_row(order.broker_order_id)], now=NOW
    )

    assert ended == 0
