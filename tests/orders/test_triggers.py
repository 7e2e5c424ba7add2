"""Triggers: written once, recognised by what they say, settled by the broker's list."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import AuditEntry, TradingHalt
from accounts.queries import login_for
from kite.answers import GttLeg, GttRequest
from orders import trigger_book, triggers
from orders.errors import IdempotencyMismatch, TriggerBusy, TriggerDenied, TriggerEnded
from orders.models import RiskLimit
from orders.parents import Trigger, TriggerWrite
from orders.trigger_book import WantedLeg, WantedTrigger
from orders.triggers import Written
from tests.orders.conftest import KEY, Desk
from tests.orders.threads import at_once

State = TriggerWrite.State
PLACE = "gtt.place"


def leg(desk: Desk, percent: int, **values: Any) -> WantedLeg:
    fields = {"transaction_type": "BUY", "quantity": 1, "product": "CNC", "price": desk.price(percent)}
    return WantedLeg(**{**fields, **values})


def single(desk: Desk, percent: int = -8, **values: Any) -> WantedTrigger:
    return WantedTrigger(
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=(desk.price(percent),),
        legs=(leg(desk, percent, **values),),
    )


def two_legs(desk: Desk) -> WantedTrigger:
    return WantedTrigger(
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=(desk.price(-8), desk.price(8)),
        legs=(leg(desk, -9, transaction_type="SELL"), leg(desk, 8, transaction_type="SELL")),
    )


def place(desk: Desk, wanted: WantedTrigger, key: str = "gtt") -> Written:
    return triggers.place(
        principal=desk.principal,
        account_label=desk.account.label,
        wanted=wanted,
        key=key,
        sessions=desk.sessions,
        now=datetime.now(UTC),
    )


def reconcile(desk: Desk, **ahead: float) -> int:
    now = datetime.now(UTC) + timedelta(**ahead)
    return trigger_book.reconcile(account_id=desk.account.pk, sessions=desk.sessions, now=now)


def sent(desk: Desk, route: str = PLACE) -> int:
    return len(desk.sandbox.journal(since=desk.since, route=route))


def test_a_single_trigger_waits_at_the_broker(desk: Desk) -> None:
    done = place(desk, single(desk))

    assert (done.write.state, done.trigger.status, done.trigger.type) == (State.DONE, "active", "single")
    assert done.trigger.broker_trigger_id
    assert AuditEntry.objects.filter(action="orders.gtt.place").count() == 1


def test_two_legs_wait_at_the_broker(desk: Desk) -> None:
    wanted = two_legs(desk)
    done = place(desk, wanted)
    reconcile(desk)

    done.trigger.refresh_from_db()
    assert (done.trigger.type, done.trigger.status) == ("two-leg", "active")
    assert [Decimal(value) for value in done.trigger.trigger_values] == list(wanted.trigger_values)
    assert Trigger.objects.filter(origin=Trigger.Origin.PLATFORM).count() == 1


def test_the_same_key_is_the_same_trigger(desk: Desk) -> None:
    wanted = single(desk)
    first = place(desk, wanted)

    again = place(desk, wanted)

    assert (again.trigger.pk, again.replayed) == (first.trigger.pk, True)
    assert sent(desk) == 1


def test_the_same_key_with_another_body_is_refused(desk: Desk) -> None:
    place(desk, single(desk))

    with pytest.raises(IdempotencyMismatch):
        place(desk, single(desk, quantity=2))


def test_eight_requests_with_one_key_send_once(desk: Desk) -> None:
    wanted = single(desk)

    at_once(lambda _: place(desk, wanted), count=8, threads=8)

    assert sent(desk) == 1
    assert Trigger.objects.filter(origin=Trigger.Origin.PLATFORM).count() == 1


@pytest.mark.parametrize("fault", ["lost_answer", "accepted_then_5xx", "truncated_json"])
def test_a_lost_answer_is_found_in_the_list(desk: Desk, fault: str) -> None:
    desk.sandbox.fault(fault, route=PLACE, count=1)
    wanted = single(desk)
    done = place(desk, wanted)
    assert (done.write.state, done.write.outcome) == (State.UNKNOWN, "unknown")

    reconcile(desk)

    done.write.refresh_from_db()
    done.trigger.refresh_from_db()
    assert (done.write.state, done.trigger.status) == (State.DONE, "active")
    assert done.trigger.broker_trigger_id
    assert sent(desk) == 1
    assert Trigger.objects.filter(origin=Trigger.Origin.PLATFORM).count() == 1


def test_what_never_arrived_is_given_up_after_the_quarantine(desk: Desk) -> None:
    desk.sandbox.fault("http_5xx", route=PLACE, count=1)
    done = place(desk, single(desk))

    reconcile(desk)
    early = TriggerWrite.objects.get().state
    reconcile(desk, seconds=181)

    done.write.refresh_from_db()
    done.trigger.refresh_from_db()
    assert early == State.UNKNOWN
    assert (done.write.state, done.write.outcome, done.trigger.status) == (State.NOT_DONE, "not_sent", "not_placed")


def test_while_one_write_is_in_doubt_no_other_of_the_symbol_leaves(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route=PLACE, count=1)
    place(desk, single(desk))

    with pytest.raises(TriggerBusy):
        place(desk, single(desk, -6), key="another")

    assert sent(desk) == 1


def test_an_equal_trigger_that_was_there_before_is_not_taken_for_ours(desk: Desk) -> None:
    wanted = single(desk)
    first = place(desk, wanted)
    desk.sandbox.fault("http_5xx", route=PLACE, count=1)
    second = place(desk, wanted, key="second")

    reconcile(desk)

    second.write.refresh_from_db()
    assert second.write.state == State.UNKNOWN
    assert first.trigger.pk != second.trigger.pk


def test_a_writer_that_died_is_found_out(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route=PLACE, count=1)
    done = place(desk, single(desk))
    TriggerWrite.objects.update(state=State.SENDING)

    reconcile(desk)
    early = TriggerWrite.objects.get().state
    reconcile(desk, seconds=31)

    done.write.refresh_from_db()
    assert (early, done.write.state) == (State.SENDING, State.DONE)


def test_a_trigger_takes_other_values(desk: Desk) -> None:
    done, other = place(desk, single(desk)), single(desk, -7, quantity=3)

    changed = triggers.modify(
        principal=desk.principal,
        trigger_id=done.trigger.pk,
        wanted=other,
        key="change",
        sessions=desk.sessions,
        now=datetime.now(UTC),
    )
    reconcile(desk)

    done.trigger.refresh_from_db()
    assert changed.write.state == State.DONE
    assert done.trigger.legs[0]["quantity"] == 3
    assert Decimal(done.trigger.trigger_values[0]) == other.trigger_values[0]


def test_a_lost_change_is_found_in_the_list(desk: Desk) -> None:
    done = place(desk, single(desk))
    desk.sandbox.fault("lost_answer", route="gtt.modify", count=1)
    triggers.modify(
        principal=desk.principal,
        trigger_id=done.trigger.pk,
        wanted=single(desk, -7),
        key="change",
        sessions=desk.sessions,
        now=datetime.now(UTC),
    )

    reconcile(desk)

    assert TriggerWrite.objects.get(kind="modify").state == State.DONE


def cancel(desk: Desk, trigger: Trigger, key: str = "cancel") -> Written:
    return triggers.cancel(
        principal=desk.principal, trigger_id=trigger.pk, key=key, sessions=desk.sessions, now=datetime.now(UTC)
    )


def test_a_trigger_is_taken_back_whatever_is_halted(desk: Desk) -> None:
    done = place(desk, single(desk))
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))

    gone = cancel(desk, done.trigger)

    assert (gone.write.state, gone.trigger.status) == (State.DONE, "deleted")
    with pytest.raises(TriggerEnded):
        cancel(desk, done.trigger, key="again")


def test_a_lost_cancellation_is_found_in_the_list(desk: Desk) -> None:
    done = place(desk, single(desk))
    desk.sandbox.fault("lost_answer", route="gtt.delete", count=1)
    asked = cancel(desk, done.trigger)
    assert asked.write.state == State.UNKNOWN

    reconcile(desk)

    asked.write.refresh_from_db()
    assert (asked.write.state, asked.write.outcome) == (State.DONE, "accepted")


def test_a_trigger_placed_elsewhere_is_shown(desk: Desk) -> None:
    login = login_for(account_id=desk.account.pk, now=datetime.now(UTC))
    request = GttRequest(
        type="single",
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=(desk.price(-8),),
        last_price=Decimal(str(desk.last_price)),
        legs=(GttLeg(transaction_type="BUY", quantity=1, product="CNC", order_type="LIMIT", price=desk.price(-8)),),
    )
    number = desk.sessions.client(login).place_gtt(request)

    reconcile(desk)

    found = Trigger.objects.get(broker_trigger_id=number)
    assert (found.origin, found.status) == (Trigger.Origin.EXTERNAL, "active")


def test_a_fired_trigger_says_what_became_of_its_order(fresh_desk: Desk) -> None:
    desk = fresh_desk
    done = place(desk, single(desk, -2))

    desk.sandbox.move(KEY, float(desk.price(-3)))
    desk.sandbox.step(3)
    reconcile(desk)

    done.trigger.refresh_from_db()
    assert done.trigger.status == "triggered"
    assert done.trigger.results[0] is not None


@pytest.mark.parametrize(
    ("bounds", "values", "code"),
    [
        ({"max_quantity": 4}, {"quantity": 5}, "QUANTITY_LIMIT"),
        ({"max_order_notional": 100}, {}, "ORDER_NOTIONAL"),
        ({}, {"product": "NRML"}, "PRODUCT_NOT_ALLOWED"),
        ({}, {"price": Decimal("1000.03")}, "TICK_MULTIPLE"),
    ],
)
def test_what_no_order_may_a_trigger_may_not(
    desk: Desk, bounds: dict[str, Any], values: dict[str, Any], code: str
) -> None:
    RiskLimit.objects.create(**bounds)

    with pytest.raises(TriggerDenied, match=code):
        place(desk, single(desk, **values))

    assert sent(desk) == 0


@pytest.mark.parametrize("level", ["halted", "reducing"])
def test_a_halt_lets_no_trigger_be_placed(desk: Desk, level: str) -> None:
    TradingHalt.objects.create(
        scope="platform", level=level, reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC)
    )

    with pytest.raises(TriggerDenied):
        place(desk, single(desk))


def test_a_trigger_that_would_fire_at_once_is_refused(desk: Desk) -> None:
    wanted = WantedTrigger(
        exchange="NSE",
        tradingsymbol="INFY",
        trigger_values=(desk.price(2), desk.price(8)),
        legs=(leg(desk, 2, transaction_type="SELL"), leg(desk, 8, transaction_type="SELL")),
    )

    with pytest.raises(TriggerDenied, match="fire it at once"):
        place(desk, wanted)
