"""Modifications and cancellations, certain and in doubt."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from accounts.models import BrokerAccount, TradingHalt
from orders import changes, intake, reconciliation
from orders.errors import ChangeForbidden, IdempotencyMismatch, OrderEnded
from orders.models import Order, OrderCommand
from orders.states import CommandState, State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory
from tests.orders.threads import at_once
from tests.sandbox_server import wait_for


def ask_cancel(desk: Desk, order: Order, key: str | None = None) -> OrderCommand | None:
    return intake.cancel(
        principal=desk.principal, order_id=order.pk, idempotency_key=key, now=datetime.now(UTC)
    ).command


def ask_modify(desk: Desk, order: Order, key: str = "", **values: object) -> OrderCommand:
    command = intake.modify(
        principal=desk.principal,
        order_id=order.pk,
        wanted=values,
        idempotency_key=key or str(uuid4()),
        now=datetime.now(UTC),
    ).command
    assert command is not None
    return command


def carry(desk: Desk, command: OrderCommand | None) -> float | None:
    assert command is not None
    again = changes.carry(command_id=command.pk, sessions=desk.sessions, clock=desk.clock)
    command.refresh_from_db()
    return again


def read_book(desk: Desk, order: Order) -> str:
    reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
    order.refresh_from_db()
    return order.state


def resting(desk: Desk) -> Order:
    order = desk.patient()
    wait_for(lambda: read_book(desk, order) == State.OPEN)
    return order


def halt() -> None:
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))


def test_a_cancellation_reaches_the_broker(desk: Desk) -> None:
    order = resting(desk)

    command = ask_cancel(desk, order)
    carry(desk, command)

    assert command is not None
    assert command.state == CommandState.DONE
    wait_for(lambda: read_book(desk, order) == State.CANCELLED)


def test_an_order_that_has_not_left_is_withdrawn_at_once(desk: Desk) -> None:
    order = desk.place()

    command = ask_cancel(desk, order)

    order.refresh_from_db()
    assert command is None
    assert order.state == State.WITHDRAWN
    desk.submit(order)
    assert desk.placed == []


def test_a_cancellation_passes_a_halt(desk: Desk) -> None:
    order = resting(desk)
    halt()

    command = ask_cancel(desk, order)
    carry(desk, command)

    assert command is not None
    assert command.state == CommandState.DONE


def test_a_modification_does_not_pass_a_halt(desk: Desk) -> None:
    order = resting(desk)
    command = ask_modify(desk, order, price=desk.price(-4))
    halt()

    carry(desk, command)

    assert command.state == CommandState.REJECTED
    assert command.reason_code == "TRADING_HALTED"


def test_asking_twice_to_cancel_is_asking_once(desk: Desk) -> None:
    order = resting(desk)

    first = ask_cancel(desk, order)
    again = ask_cancel(desk, order)

    assert first == again


def test_an_order_that_ended_is_past_cancelling(desk: Desk) -> None:
    order = resting(desk)
    carry(desk, ask_cancel(desk, order))
    wait_for(lambda: read_book(desk, order) == State.CANCELLED)

    with pytest.raises(OrderEnded):
        ask_cancel(desk, order)


def test_a_modification_changes_the_order_at_the_broker(desk: Desk) -> None:
    order = resting(desk)
    price = desk.price(-6)

    command = ask_modify(desk, order, price=price, quantity=3)
    carry(desk, command)

    assert command.state == CommandState.DONE
    wait_for(lambda: read_book(desk, order) and order.quantity == 3)
    assert order.price == price


def test_a_modification_off_the_tick_is_refused_here(desk: Desk) -> None:
    order = resting(desk)

    with pytest.raises(ChangeForbidden, match="TICK_MULTIPLE"):
        ask_modify(desk, order, price=Decimal("1500.01"))


def test_a_modification_repeated_under_its_key_is_one(desk: Desk) -> None:
    order = resting(desk)
    price = desk.price(-6)

    first = ask_modify(desk, order, key="key", price=price)
    again = ask_modify(desk, order, key="key", price=price)

    assert first == again
    with pytest.raises(IdempotencyMismatch):
        ask_modify(desk, order, key="key", price=desk.price(-7))


def test_a_lost_answer_to_a_cancellation_is_settled_by_the_book(desk: Desk) -> None:
    order = resting(desk)
    desk.sandbox.fault("lost_answer", route="order.cancel", count=1)
    command = ask_cancel(desk, order)
    carry(desk, command)
    assert command is not None
    assert command.state == CommandState.UNKNOWN

    def settled() -> bool:
        changes.settle(command_id=command.pk, sessions=desk.sessions, clock=desk.clock)
        command.refresh_from_db()
        return command.state == CommandState.DONE

    wait_for(settled)
    assert len(desk.sandbox.journal(route="order.cancel", since=desk.since)) == 1


def test_a_cancellation_without_effect_is_sent_again(desk: Desk) -> None:
    order = resting(desk)
    desk.sandbox.fault("http_5xx", route="order.cancel", count=1, status=503, body="html")
    command = ask_cancel(desk, order)
    carry(desk, command)

    desk.clock.advance(8)
    changes.settle(command_id=command.pk, sessions=desk.sessions, clock=desk.clock)  # type: ignore[union-attr]
    carry(desk, command)

    assert command is not None
    assert command.state == CommandState.DONE
    assert command.attempt == 2


def test_a_lost_answer_to_a_modification_is_settled_by_the_book(desk: Desk) -> None:
    order = resting(desk)
    desk.sandbox.fault("lost_answer", route="order.modify", count=1)
    command = ask_modify(desk, order, price=desk.price(-6))
    carry(desk, command)
    assert command.state == CommandState.UNKNOWN

    def settled() -> bool:
        changes.settle(command_id=command.pk, sessions=desk.sessions, clock=desk.clock)
        command.refresh_from_db()
        return command.state == CommandState.DONE

    wait_for(settled)
    assert len(desk.sandbox.journal(route="order.modify", since=desk.since)) == 1


def test_a_cancellation_of_an_order_in_doubt_waits_for_it(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route="order.place", count=1)
    order = desk.patient()
    command = ask_cancel(desk, order)
    again = carry(desk, command)
    assert again == 1.0

    desk.clock.advance(2)
    wait_for(lambda: read_book(desk, order) == State.OPEN)
    carry(desk, command)

    assert command is not None
    assert command.state == CommandState.DONE


def test_a_place_gives_way_to_a_cancellation(desk: Desk) -> None:
    resting_order = resting(desk)
    ask_cancel(desk, resting_order)
    order = desk.place()

    again = desk.submit(order)

    assert order.state == State.READY
    assert again == pytest.approx(1 / 8)


def test_an_order_that_ended_is_past_modifying(desk: Desk) -> None:
    order = OrderFactory(account=desk.account, at_broker=True, state=State.COMPLETE)

    with pytest.raises(OrderEnded, match="COMPLETE"):
        ask_modify(desk, order, price=desk.price(-4))


@pytest.mark.parametrize(("made", "allowed"), [(19, True), (20, False)])
def test_twenty_modifications_of_an_order_are_all(desk: Desk, made: int, allowed: bool) -> None:
    order = OrderFactory(account=desk.account, at_broker=True, state=State.OPEN, price=desk.price(-5))
    OrderCommand.objects.bulk_create(
        OrderCommand(
            order=order,
            kind="modify",
            client="user:1",
            attempt=1,
            state=CommandState.DONE,
            finished_at=datetime.now(UTC),
            created_at=datetime.now(UTC),
            deadline_at=datetime.now(UTC),
        )
        for _ in range(made)
    )

    if allowed:
        assert ask_modify(desk, order, price=desk.price(-4)).state == CommandState.READY
    else:
        with pytest.raises(ChangeForbidden, match="modified 20 times"):
            ask_modify(desk, order, price=desk.price(-4))


def test_two_cancellations_under_one_key_at_once_are_one(desk: Desk) -> None:
    order = OrderFactory(account=desk.account, at_broker=True, state=State.OPEN)

    found = at_once(lambda _: ask_cancel(desk, order, "same"), count=8, threads=8)

    assert len(set(found)) == OrderCommand.objects.count() == 1


def test_a_modification_keeps_out_of_a_halt_of_the_way_out(desk: Desk) -> None:
    order = resting(desk)
    command = ask_modify(desk, order, price=desk.price(-4))
    BrokerAccount.objects.filter(pk=desk.account.pk).update(egress_fault="orders would leave from elsewhere")

    carry(desk, command)

    assert (command.state, command.reason_code) == (CommandState.REJECTED, "EGRESS_MISMATCH")
