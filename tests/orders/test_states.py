"""The one transition table, and the database that holds it too."""

import itertools
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, transaction

from orders.models import Order, OrderCommand, OrderEvent, Trade
from orders.states import (
    AT_BROKER,
    COMMAND_TRANSITIONS,
    FINAL,
    IN_FLIGHT,
    RANKS,
    TRANSITIONS,
    WAITING,
    CommandState,
    ForbiddenTransition,
    Outcome,
    State,
    broker_state,
    check,
    check_command,
    outcome_of,
)
from tests.factories import BrokerAccountFactory
from tests.orders.factories import OrderFactory

PAIRS = list(itertools.product(State, State))
COMMAND_PAIRS = list(itertools.product(CommandState, CommandState))


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)
    assert set(COMMAND_TRANSITIONS) == set(CommandState)


def test_every_state_is_waiting_in_flight_at_the_broker_or_final() -> None:
    groups = [WAITING, IN_FLIGHT, AT_BROKER, FINAL]

    assert sorted(state for group in groups for state in group) == sorted(State)


def test_every_state_can_be_reached_and_left_or_is_final() -> None:
    reached = set().union(*TRANSITIONS.values()) | {State.AWAITING_APPROVAL}

    assert reached == set(State)
    assert {state for state, after in TRANSITIONS.items() if not after} <= FINAL


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_table_decides_every_pair(before: State, after: State) -> None:
    if before is after or after in TRANSITIONS[before]:
        check(before=before, after=after)
        return
    with pytest.raises(ForbiddenTransition, match=f"an order cannot go from {before} to {after}"):
        check(before=before, after=after)


@pytest.mark.parametrize(("before", "after"), COMMAND_PAIRS)
def test_the_table_decides_every_pair_of_a_command(before: CommandState, after: CommandState) -> None:
    if after in COMMAND_TRANSITIONS[before]:
        check_command(before=before, after=after)
        return
    with pytest.raises(ForbiddenTransition, match=f"a command cannot go from {before} to {after}"):
        check_command(before=before, after=after)


def test_only_a_proved_failure_lets_an_order_be_sent_again() -> None:
    assert [state for state in State if State.READY in TRANSITIONS[state]] == [
        State.AWAITING_APPROVAL,
        State.CLAIMED,
        State.SENDING,
    ]
    assert State.READY not in TRANSITIONS[State.UNKNOWN]


def test_the_brokers_life_only_rises_in_rank() -> None:
    falls = [(before, after) for before in RANKS for after in TRANSITIONS[before] if RANKS[after] < RANKS[before]]

    assert falls == []


OUTCOMES = {
    Outcome.NOT_SENT: {
        *(State.AWAITING_APPROVAL, State.READY, State.CLAIMED, State.NOT_PLACED),
        *(State.DENIED, State.WITHDRAWN, State.EXPIRED_LOCAL),
    },
    Outcome.UNKNOWN: {State.SENDING, State.UNKNOWN},
    Outcome.REJECTED: {State.REJECTED, State.REJECTED_RMS},
    Outcome.ACCEPTED: {
        *(State.ADOPTED_LATE, State.ACKED, State.OPEN, State.PARTIAL),
        *(State.COMPLETE, State.CANCELLED, State.EXPIRED),
    },
}


def test_every_state_says_whether_the_broker_has_the_order() -> None:
    said = {outcome: {state for state in State if outcome_of(state) is outcome} for outcome in Outcome}

    assert said == OUTCOMES


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("PUT ORDER REQ RECEIVED", 0, State.ACKED),
        ("VALIDATION PENDING", 0, State.ACKED),
        ("OPEN PENDING", 0, State.ACKED),
        ("AMO REQ RECEIVED", 0, State.ACKED),
        ("SOMETHING NEW", 0, State.ACKED),
        ("TRIGGER PENDING", 0, State.OPEN),
        ("OPEN", 0, State.OPEN),
        ("OPEN", 1, State.PARTIAL),
        ("MODIFY PENDING", 3, State.PARTIAL),
        ("COMPLETE", 10, State.COMPLETE),
        ("CANCELLED", 3, State.CANCELLED),
        ("REJECTED", 0, State.REJECTED_RMS),
    ],
)
def test_a_brokers_status_means_a_state(status: str, filled: int, state: State) -> None:
    assert broker_state(status=status, filled_quantity=filled) is state


@pytest.mark.django_db
def test_the_database_holds_the_same_table() -> None:
    account = BrokerAccountFactory()
    allowed = set()
    for before, after in PAIRS:
        order = OrderFactory(
            account=account,
            state=before,
            tag=f"T{before[:6]}{after[:6]}{len(before):02}{len(after):02}",
            broker_order_id=f"{before}>{after}",
            lease_until=datetime.now(UTC),
            unknown_since=datetime.now(UTC),
            next_look_at=datetime.now(UTC),
        )
        try:
            with transaction.atomic():
                Order.objects.filter(pk=order.pk).update(state=after)
        except DatabaseError:
            continue
        allowed.add((before, after))

    assert allowed == {(a, b) for a, b in PAIRS if a is b or b in TRANSITIONS[a]}


@pytest.mark.django_db
def test_the_database_holds_the_same_table_for_commands() -> None:
    order = OrderFactory(at_broker=True)
    now = datetime.now(UTC)
    allowed = set()
    for before, after in COMMAND_PAIRS:
        command = OrderCommand.objects.create(
            order=order, kind="modify", client="user:1", state=before, created_at=now, deadline_at=now
        )
        try:
            with transaction.atomic():
                OrderCommand.objects.filter(pk=command.pk).update(state=after)
        except DatabaseError:
            continue
        allowed.add((before, after))

    assert allowed == {(a, b) for a, b in COMMAND_PAIRS if a is b or b in COMMAND_TRANSITIONS[a]}


@pytest.mark.django_db
def test_an_order_never_changes_its_account() -> None:
    order = OrderFactory()
    other = BrokerAccountFactory()

    with pytest.raises(DatabaseError, match="never change"):
        Order.objects.filter(pk=order.pk).update(account=other)


@pytest.mark.django_db
def test_fills_never_shrink() -> None:
    order = OrderFactory(at_broker=True, filled_quantity=5)

    with pytest.raises(DatabaseError, match="only grow"):
        Order.objects.filter(pk=order.pk).update(filled_quantity=4)


@pytest.mark.django_db
def test_history_is_only_ever_added_to() -> None:
    order = OrderFactory()
    event = OrderEvent.objects.create(
        order=order, sequence=1, at=datetime.now(UTC), kind="x", source="x", after="READY"
    )

    with transaction.atomic(), pytest.raises(DatabaseError, match="only ever added"), transaction.atomic():
        OrderEvent.objects.filter(pk=event.pk).update(kind="y")
    with pytest.raises(DatabaseError, match="only ever added"):
        OrderEvent.objects.filter(pk=event.pk).delete()


@pytest.mark.django_db
def test_a_trade_is_never_rewritten() -> None:
    order = OrderFactory(at_broker=True)
    trade = Trade.objects.create(
        account=order.account,
        order=order,
        trade_id="1",
        broker_order_id=order.broker_order_id,
        exchange="NSE",
        tradingsymbol="INFY",
        instrument_token=1,
        transaction_type="BUY",
        product="CNC",
        quantity=1,
        average_price=1,
        heard_at=datetime.now(UTC),
        trading_day=order.trading_day,
    )

    with pytest.raises(DatabaseError, match="only ever added"):
        Trade.objects.filter(pk=trade.pk).update(quantity=2)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"quantity": 0}, "order_quantity_positive"),
        ({"price": -1, "notional": 0}, "order_price_not_negative"),
        ({"order_type": "SL-M", "price": None}, "order_stop_has_trigger"),
        ({"price": None}, "order_limit_has_price"),
        ({"idempotency_key": None}, "order_of_ours_has_key_and_deadline"),
        ({"state": State.ACKED}, "order_at_broker_has_its_id"),
        ({"state": State.SENDING}, "order_claimed_has_tag_and_lease"),
        ({"state": State.UNKNOWN}, "order_in_doubt_has_a_timer"),
        ({"state": "LOST"}, "order_state_known"),
    ],
)
def test_the_database_refuses_what_cannot_be(values: dict[str, object], constraint: str) -> None:
    with pytest.raises(DatabaseError, match=constraint):
        OrderFactory(**values)
