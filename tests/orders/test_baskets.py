"""Baskets and slices: released in order, each leg with its own outcome, never atomic."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import TradingHalt
from market_data.models import Instrument
from orders import baskets, groups, reconciliation
from orders.baskets import WantedBasket, WantedLeg, circle_in, dependencies
from orders.drafts import Wanted
from orders.errors import BasketDenied, IdempotencyMismatch
from orders.groups import LegState, picture_of
from orders.models import Order, RiskLimit
from orders.objections import slices_of
from orders.parents import OrderGroup
from orders.states import Outcome, State
from orders.tags import decode
from tests.market_data.factories import InstrumentFactory
from tests.orders.conftest import Desk
from tests.orders.pump import finished, pump, pump_until
from tests.orders.threads import at_once
from tests.sandbox_server import wait_for
from tests.webhooks.conftest import added, receiver  # noqa: F401 (a fixture)
from tests.webhooks.receiver import Receiver
from webhooks.models import Message

TCS = "NSE:TCS"
GroupState = OrderGroup.State


@pytest.fixture
def other(desk: Desk) -> Instrument:
    """Return a second share."""
    token = desk.sandbox.book(TCS)["instrument_token"]
    made: Instrument = InstrumentFactory(tradingsymbol="TCS", instrument_token=token, tick_size="0.1")
    return made


def place(desk: Desk, *legs: WantedLeg, key: str = "basket", **values: Any) -> OrderGroup:
    wanted = WantedBasket(account=desk.account.label, legs=legs, **values)
    return baskets.place(
        principal=desk.principal,
        wanted=wanted,
        idempotency_key=key,
        sessions=desk.sessions,
        now=datetime.now(UTC),
    ).group


def leg(desk: Desk, *after: int, **values: Any) -> WantedLeg:
    return WantedLeg(desk.wanted(**values), after)


def far(desk: Desk) -> dict[str, Any]:
    """A price that rests."""
    return {"order_type": "LIMIT", "price": desk.price(-5)}


def states(group: OrderGroup) -> list[str]:
    return [each.state.value for each in picture_of(group).legs]


def test_legs_without_dependencies_leave_at_once(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk), leg(desk, tradingsymbol="TCS"))

    assert Order.objects.filter(group=group).count() == 2
    pump_until(desk, lambda: finished(group))
    assert group.state == GroupState.COMPLETE
    assert states(group) == ["complete", "complete"]
    assert len(desk.placed) == 2


def test_a_sell_waits_until_the_buy_is_complete(desk: Desk, other: Instrument) -> None:
    sell = leg(desk, transaction_type="SELL", product="MIS")
    buy = leg(desk, tradingsymbol="TCS", product="MIS")

    group = place(desk, sell, buy)

    assert states(group) == ["waiting", "working"]
    pump_until(desk, lambda: finished(group))
    placed = list(Order.objects.filter(group=group).order_by("sent_at").values_list("tradingsymbol", flat=True))
    assert placed == ["TCS", "INFY"]
    assert group.state == GroupState.COMPLETE


def test_a_sell_need_not_wait_where_hedges_do_not_come_first(desk: Desk, other: Instrument) -> None:
    sell = leg(desk, transaction_type="SELL", product="MIS")

    group = place(desk, sell, leg(desk, tradingsymbol="TCS", product="MIS"), hedge_first=False)

    assert states(group) == ["working", "working"]


def test_a_leg_waits_for_the_one_it_names(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk, **far(desk)), leg(desk, 0, tradingsymbol="TCS"))
    for _ in range(3):
        pump(desk)

    assert states(group) == ["working", "waiting"]
    assert len(desk.placed) == 1


def test_what_waits_for_a_failed_leg_is_skipped_with_the_reason(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk, **far(desk)), leg(desk, 0, tradingsymbol="TCS"))
    desk.sandbox.fault("http_5xx", route="order.place", count=1, status=400, body="json")

    pump_until(desk, lambda: finished(group))

    first, second = picture_of(group).legs
    assert (first.state, first.outcome) == (LegState.FAILED, Outcome.REJECTED)
    assert (second.state, second.outcome) == (LegState.SKIPPED, Outcome.NOT_SENT)
    assert second.reason == "leg 0, which it waits for, is failed"
    assert group.state == GroupState.FAILED


def test_a_failure_beside_it_leaves_what_traded(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk), leg(desk, tradingsymbol="TCS"))
    first = Order.objects.get(group=group, leg=0)
    desk.submit(first)
    desk.sandbox.fault("http_5xx", route="order.place", count=1, status=400, body="json")

    pump_until(desk, lambda: finished(group))

    assert group.state == GroupState.PARTIAL
    assert states(group) == ["complete", "failed"]
    assert picture_of(group).unwinding == ()


def test_unwinding_gives_back_what_traded(desk: Desk, other: Instrument) -> None:
    buy, second = leg(desk, product="MIS", quantity=2), leg(desk, tradingsymbol="TCS", product="MIS")
    group = place(desk, buy, second, on_failure="unwind")
    desk.submit(Order.objects.get(group=group, leg=0))
    desk.sandbox.fault("http_5xx", route="order.place", count=1, status=400, body="json")

    pump_until(desk, lambda: finished(group))

    (back,) = picture_of(group).unwinding
    assert group.state == GroupState.UNWOUND
    assert (back.transaction_type, back.quantity, back.order_type, back.state) == ("SELL", 2, "MARKET", "COMPLETE")


def test_an_unwinding_that_is_denied_is_said(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk, product="MIS"), leg(desk, tradingsymbol="TCS", product="MIS"), on_failure="unwind")
    desk.submit(Order.objects.get(group=group, leg=0))
    pump_once_filled(desk, group)
    desk.sandbox.fault("http_5xx", route="order.place", count=1, status=400, body="json")
    desk.submit(Order.objects.get(group=group, leg=1))
    halt()

    pump_until(desk, lambda: finished(group))

    (back,) = picture_of(group).unwinding
    assert (back.state, back.reason_code) == (State.DENIED, "TRADING_HALTED")
    assert group.state == GroupState.PARTIAL


def pump_once_filled(desk: Desk, group: OrderGroup) -> None:
    """Read the book until the first leg has filled, and do nothing else."""

    def filled() -> bool:
        reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
        return Order.objects.get(group=group, leg=0).state == State.COMPLETE

    wait_for(filled, seconds=20, every=0.2)


def halt() -> None:
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))


def test_one_denied_leg_keeps_all_at_home(desk: Desk, other: Instrument) -> None:
    RiskLimit.objects.create(max_quantity=5)

    with pytest.raises(BasketDenied) as denied:
        place(desk, leg(desk), leg(desk, tradingsymbol="TCS", quantity=6), leg(desk, product="NRML"))

    assert [(each.leg, each.code) for each in denied.value.legs] == [(1, "QUANTITY_LIMIT"), (2, "PRODUCT_NOT_ALLOWED")]
    assert not OrderGroup.objects.exists()
    assert not Order.objects.exists()


def test_legs_are_judged_behind_each_other(desk: Desk, other: Instrument) -> None:
    RiskLimit.objects.create(account=desk.account, max_open_orders=1)

    with pytest.raises(BasketDenied) as denied:
        place(desk, leg(desk), leg(desk, tradingsymbol="TCS"))

    assert [(each.leg, each.code) for each in denied.value.legs] == [(1, "OPEN_ORDERS")]


def test_the_same_key_is_the_same_basket(desk: Desk) -> None:
    first = place(desk, leg(desk))

    again = place(desk, leg(desk))

    assert again.pk == first.pk
    assert Order.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(desk: Desk) -> None:
    place(desk, leg(desk))

    with pytest.raises(IdempotencyMismatch):
        place(desk, leg(desk, quantity=2))


def test_eight_requests_with_one_key_make_one_basket(desk: Desk) -> None:
    price = desk.price(-3)

    results = at_once(lambda _: place(desk, leg(desk, order_type="LIMIT", price=price)).pk, count=8, threads=8)

    assert len(set(results)) == 1
    assert Order.objects.count() == 1


def test_many_advances_at_once_release_a_leg_once(desk: Desk) -> None:
    group = place(desk, leg(desk))

    at_once(
        lambda _: groups.advance(group_id=group.pk, sessions=desk.sessions, now=datetime.now(UTC)), count=8, threads=8
    )

    assert Order.objects.count() == 1


def test_calling_off_cancels_what_is_open_and_sends_no_more(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk, **far(desk)), leg(desk, 0, tradingsymbol="TCS"))
    pump_until(desk, lambda: Order.objects.get(group=group).state == State.OPEN)

    groups.cancel(group=group, client="user:1", now=datetime.now(UTC))
    pump_until(desk, lambda: finished(group))

    assert states(group) == ["failed", "skipped"]
    assert Order.objects.get(group=group).state == State.CANCELLED
    assert group.state == GroupState.FAILED


def test_a_halt_stops_legs_that_have_not_left(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk), leg(desk, 0, tradingsymbol="TCS"))
    desk.submit(Order.objects.get(group=group, leg=0))
    pump_once_filled(desk, group)
    halt()

    pump_until(desk, lambda: finished(group))

    second = picture_of(group).legs[1]
    assert (second.state, second.outcome) == (LegState.FAILED, Outcome.NOT_SENT)
    assert second.reason.startswith("TRADING_HALTED")
    assert group.state == GroupState.PARTIAL


def test_a_leg_that_never_got_its_turn_is_skipped_at_the_deadline(desk: Desk, other: Instrument) -> None:
    group = place(desk, leg(desk, **far(desk)), leg(desk, 0, tradingsymbol="TCS"))
    OrderGroup.objects.update(deadline_at=datetime.now(UTC))

    pump(desk)

    group.refresh_from_db()
    assert states(group)[1] == "skipped"
    assert picture_of(group).legs[1].reason == "the group's deadline has passed"


def test_the_end_of_a_group_is_told(desk: Desk, receiver: Receiver) -> None:  # noqa: F811
    added(desk.principal, receiver.url, "orders.group.*")
    group = place(desk, leg(desk))

    pump_until(desk, lambda: finished(group))

    told = Message.objects.get()
    assert told.kind == "orders.group.complete"
    assert json.loads(told.body)["data"]["group"] == groups.group_document(group, picture_of(group))


@pytest.mark.parametrize(
    ("quantity", "freeze", "lot", "slices"),
    [
        (10, None, 1, [10]),
        (1800, 1800, 75, [1800]),
        (1801, 1800, 1, [1800, 1]),
        (1875, 1800, 75, [1800, 75]),
        (3600, 1801, 75, [1800, 1800]),
        (18_000, 1800, 75, [1800] * 10),
    ],
)
def test_slices_are_whole_lots_below_the_freeze(quantity: int, freeze: int | None, lot: int, slices: list[int]) -> None:
    assert slices_of(quantity=quantity, freeze=freeze, lot=lot) == slices


def frozen_at(desk: Desk, quantity: int) -> None:
    Instrument.objects.filter(pk=desk.instrument.pk).update(freeze_quantity=quantity)


def sliced(desk: Desk, **values: Any) -> OrderGroup:
    wanted = baskets.sliced(desk.wanted(autoslice=True, **values))
    return baskets.place(
        principal=desk.principal,
        wanted=wanted,
        idempotency_key="sliced",
        sessions=desk.sessions,
        now=datetime.now(UTC),
    ).group


def test_a_quantity_above_the_freeze_is_cut(desk: Desk) -> None:
    frozen_at(desk, 4)

    group = sliced(desk, quantity=10)
    pump_until(desk, lambda: finished(group))

    orders = list(Order.objects.filter(group=group).order_by("created_at", "quantity"))
    assert sorted(order.quantity for order in orders) == [2, 4, 4]
    assert len({order.tag for order in orders}) == 3
    assert all(decode(order.tag or "").number == order.number for order in orders)
    assert len(desk.placed) == 3
    assert (group.kind, group.state) == (OrderGroup.Kind.SLICES, GroupState.COMPLETE)
    assert groups.group_document(group, picture_of(group))["filled_quantity"] == 10


@pytest.mark.parametrize(("quantity", "denied"), [(40, False), (41, True)])
def test_ten_slices_are_the_most(desk: Desk, quantity: int, denied: bool) -> None:
    frozen_at(desk, 4)
    RiskLimit.objects.create(max_order_notional=Decimal(10**9), max_day_notional=Decimal(10**9))

    if denied:
        with pytest.raises(BasketDenied) as refused:
            sliced(desk, quantity=quantity)
        assert refused.value.legs[0].code == "TOO_MANY_SLICES"
    else:
        assert Order.objects.filter(group=sliced(desk, quantity=quantity)).count() == 10


def test_the_bound_of_an_order_holds_for_its_slices_together(desk: Desk) -> None:
    frozen_at(desk, 4)
    RiskLimit.objects.create(max_quantity=9)

    with pytest.raises(BasketDenied) as denied:
        sliced(desk, quantity=10)

    assert denied.value.legs[0].code == "QUANTITY_LIMIT"


def test_one_lost_slice_is_no_whole_order(desk: Desk) -> None:
    frozen_at(desk, 4)
    group = sliced(desk, quantity=10)
    desk.sandbox.fault("http_5xx", route="order.place", count=1, status=400, body="json")

    pump_until(desk, lambda: finished(group))

    document = groups.group_document(group, picture_of(group))
    assert group.state == GroupState.PARTIAL
    assert document["quantity"] == 10
    assert document["filled_quantity"] in {6, 8}
    assert document["legs"][0]["state"] == "partial"


def test_hedges_come_first_and_circles_are_found() -> None:
    def of(side: str, *after: int) -> WantedLeg:
        return WantedLeg(_wanted(side), after)

    assert dependencies([of("SELL"), of("BUY"), of("BUY", 1)], hedge_first=True) == [(1, 2), (), (1,)]
    assert dependencies([of("SELL"), of("BUY")], hedge_first=False) == [(), ()]
    assert circle_in(dependencies([of("SELL"), of("BUY", 0)], hedge_first=True))
    assert not circle_in(dependencies([of("SELL"), of("BUY", 0)], hedge_first=False))


def _wanted(side: str) -> Wanted:
    return Wanted(
        account="main",
        exchange="NSE",
        tradingsymbol="INFY",
        transaction_type=side,
        order_type="MARKET",
        product="CNC",
        quantity=1,
    )
