"""What the broker is asked before an order leaves: after a refusal by rate, and while only reductions pass."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import HaltEpoch, TradingHalt
from accounts.queries import login_for
from kite.errors import Evidence, OutcomeUnknown
from orders import claims, execution, reconciliation
from orders.departure import Held
from orders.models import Order
from orders.states import State
from tests.orders.conftest import Desk
from tests.orders.factories import OrderFactory

BOOK = "order.book"


def engage(level: TradingHalt.Level) -> None:
    at = datetime.now(UTC) - timedelta(seconds=1)
    TradingHalt.objects.create(scope="platform", level=level, reason="drill", engaged_by="ops", engaged_at=at)
    HaltEpoch.objects.get_or_create(pk=1)
    HaltEpoch.objects.filter(pk=1).update(epoch=datetime.now(UTC).microsecond + 1)


@pytest.fixture
def looking(desk: Desk) -> Order:
    """Return an order that the broker may have in spite of its refusal."""
    order = desk.place()
    Order.objects.filter(pk=order.pk).update(look_first=True)
    return order


def claimed(desk: Desk, order: Order) -> claims.Claim:
    found = claims.claim(order_id=order.pk, clock=desk.clock)
    assert isinstance(found, claims.Claim)
    return found


def test_it_leaves_once_the_book_does_not_show_it(desk: Desk, looking: Order) -> None:
    desk.submit(looking)

    assert looking.state == State.ACKED
    assert not looking.look_first
    assert len(desk.placed) == 1


def test_it_waits_while_the_book_cannot_be_read(desk: Desk, looking: Order) -> None:
    desk.sandbox.fault("http_5xx", route=BOOK, status=503, body="json")

    again = desk.submit(looking)

    assert again is not None
    assert (looking.state, looking.reason_code, looking.look_first) == (State.READY, "BROKER_UNREACHABLE", True)
    assert desk.placed == []


def test_a_dead_token_met_while_asking_waits_for_a_login(desk: Desk, looking: Order) -> None:
    desk.sandbox.fault("token_killed", user=desk.account.broker_user_id)

    desk.submit(looking)

    assert (looking.state, looking.reason_code, looking.look_first) == (State.READY, "LOGIN_NEEDED", True)
    assert desk.placed == []


def test_a_growing_order_is_denied_while_only_reductions_pass(desk: Desk) -> None:
    order = desk.place()
    engage(TradingHalt.Level.REDUCING)

    desk.submit(order)

    assert (order.state, order.reason_code) == (State.DENIED, "REDUCING_ONLY")
    assert order.reason == "only orders that reduce a position pass, and this one does not"
    assert desk.placed == []


def test_a_halt_engaged_while_the_broker_was_asked_denies(desk: Desk, looking: Order) -> None:
    claim = claimed(desk, looking)
    engage(TradingHalt.Level.HALTED)

    assert not execution._commit_sending(claim, clock=desk.clock)

    looking.refresh_from_db()
    assert (looking.state, looking.reason_code) == (State.DENIED, "TRADING_HALTED")


def test_a_halt_that_does_not_forbid_it_has_the_order_claimed_anew(desk: Desk, looking: Order) -> None:
    claim = claimed(desk, looking)
    engage(TradingHalt.Level.REDUCING)

    assert not execution._commit_sending(claim, clock=desk.clock)

    looking.refresh_from_db()
    assert (looking.state, looking.lease_until, looking.attempt) == (State.READY, None, 1)
    assert claims.claim(order_id=looking.pk, clock=desk.clock) != claims.Nothing()


def test_nothing_leaves_when_the_order_went_on_meanwhile(desk: Desk, looking: Order) -> None:
    claim = claimed(desk, looking)
    desk.clock.advance(16)
    reconciliation.recover(now=desk.clock.now())

    assert not execution._commit_sending(claim, clock=desk.clock)

    looking.refresh_from_db()
    assert looking.state == State.READY


@pytest.mark.parametrize("verdict", [execution._accept_refusal, execution._doubt, execution._back_off])
def test_an_answer_that_comes_after_the_sweeper_changes_nothing(desk: Desk, verdict: execution.Verdict) -> None:
    order = desk.place()
    claim = claimed(desk, order)
    desk.clock.advance(16)
    reconciliation.recover(now=desk.clock.now())
    order.refresh_from_db()
    before = order.sequence
    error = OutcomeUnknown("late", evidence=Evidence(method="POST", path="/orders/regular"))
    login = login_for(account_id=desk.account.pk, now=desk.clock.now())

    verdict(claim, error, login, desk.clock)

    order.refresh_from_db()
    assert (order.state, order.sequence) == (State.READY, before)


def test_growth_found_after_the_sweeper_denies_nothing(desk: Desk) -> None:
    order = desk.place()
    claim = claimed(desk, order)
    desk.clock.advance(16)
    reconciliation.recover(now=desk.clock.now())

    execution._deny_growth(claim, clock=desk.clock)

    order.refresh_from_db()
    assert order.state == State.READY


@pytest.mark.parametrize(("code", "state"), [("LOGIN_NEEDED", State.READY), ("", State.DENIED)])
def test_an_order_held_at_the_door_is_left_alone_once_it_is_gone(desk: Desk, code: str, state: State) -> None:
    order = OrderFactory(account=desk.account, state=state, reason_code=code)
    held = Held("LOGIN_NEEDED", "no token", 2.0)

    again = execution._hold(order.pk, held, clock=desk.clock)

    order.refresh_from_db()
    assert again == (2.0 if state == State.READY else None)
    assert (order.state, order.sequence) == (state, 0)


@pytest.mark.parametrize(
    ("attempt", "number", "seconds"),
    [(1, 0, 0.5), (1, 500, 1.0), (1, 1999, 1.499), (2, 500, 2.0), (4, 500, 8.0), (5, 500, 8.0), (9, 1000, 4.0)],
)
def test_the_pause_doubles_up_to_eight_seconds_spread_by_the_orders_number(
    attempt: int, number: int, seconds: float
) -> None:
    assert execution.back_off_seconds(attempt=attempt, number=number) == pytest.approx(seconds)


def test_what_the_broker_said_is_kept_as_it_was_up_to_five_hundred_characters() -> None:
    seen = Evidence(method="POST", path="/orders/regular", status=502, error_type="GatewayError", body="x" * 600)

    kept = execution._evidence(OutcomeUnknown("lost", evidence=seen))

    assert kept == {"status": 502, "error_type": "GatewayError", "body": "x" * 500}
