"""What becomes of an order on its way to the broker."""

from datetime import UTC, datetime, timedelta

from accounts.models import Credential, HaltEpoch, TradingHalt
from orders import claims, execution, reconciliation
from orders.models import Order, OrderCommand, OrderEvent
from orders.states import Outcome, State
from tests.orders.clocks import MovedClock
from tests.orders.conftest import Desk
from tests.sandbox_server import wait_for

PLACE = "order.place"


def states_of(order: Order) -> list[str]:
    return list(OrderEvent.objects.filter(order=order).order_by("sequence").values_list("after", flat=True))


def reconcile(desk: Desk) -> reconciliation.Report:
    return reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)


def test_an_accepted_order_is_acked_under_the_brokers_id(desk: Desk) -> None:
    order = desk.place()

    again = desk.submit(order)

    assert again is None
    assert order.state == State.ACKED
    assert desk.sandbox.placed(tag=order.tag) == [order.broker_order_id]
    assert states_of(order) == ["READY", "CLAIMED", "SENDING", "ACKED"]


def test_a_market_order_is_complete_once_the_book_is_read(desk: Desk) -> None:
    order = desk.place()
    desk.submit(order)

    def complete() -> bool:
        reconcile(desk)
        order.refresh_from_db()
        return order.state == State.COMPLETE

    wait_for(complete)
    assert order.filled_quantity == 1
    assert order.average_price > 0
    assert order.finished_at is not None


def test_an_answer_lost_after_acceptance_leaves_one_order_and_ends_acked(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route=PLACE, count=1)
    order = desk.place()

    desk.submit(order)

    assert order.state == State.UNKNOWN
    assert order.outcome is Outcome.UNKNOWN

    desk.clock.advance(2)
    found = reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
    order.refresh_from_db()

    assert found == (1, 0)
    assert order.broker_order_id == desk.sandbox.placed(tag=order.tag)[0]
    assert len(desk.placed) == 1
    assert "ACKED" in states_of(order)


def test_an_order_in_doubt_is_never_sent_again(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route=PLACE, count=1)
    order = desk.place()
    desk.submit(order)

    desk.submit(order)

    assert order.attempt == 1
    assert len(desk.sandbox.journal(route=PLACE, tag=order.tag)) == 1


def test_a_server_error_leaves_the_order_in_doubt(desk: Desk) -> None:
    desk.sandbox.fault("http_5xx", route=PLACE, count=1, status=502, body="html")
    order = desk.place()

    desk.submit(order)

    assert order.state == State.UNKNOWN


def test_an_order_that_the_book_does_not_show_for_180_s_was_not_placed(desk: Desk) -> None:
    desk.sandbox.fault("http_5xx", route=PLACE, count=1, status=503, body="json")
    order = desk.place()
    desk.submit(order)

    desk.clock.advance(179)
    early = reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
    desk.clock.advance(2)
    late = reconciliation.resolve_unknown(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)

    order.refresh_from_db()
    assert (early, late) == ((0, 0), (0, 1))
    assert order.state == State.NOT_PLACED


def test_an_order_that_shows_up_after_the_quarantine_is_adopted_and_taken_back(desk: Desk) -> None:
    desk.sandbox.fault("lost_answer", route=PLACE, count=1)
    desk.sandbox.fault("visibility_lag", count=1, seconds=3)
    order = desk.place(order_type="LIMIT", price=desk.price(-5))
    desk.submit(order)
    desk.clock.advance(200)
    reconcile(desk)
    order.refresh_from_db()
    assert order.state == State.NOT_PLACED

    def surfaced() -> bool:
        reconcile(desk)
        order.refresh_from_db()
        return order.state != State.NOT_PLACED

    wait_for(surfaced, seconds=15)
    assert order.reason_code == "ADOPTED_LATE"
    assert [order.broker_order_id] == desk.sandbox.placed(tag=order.tag)
    assert order.state in {State.OPEN, State.ADOPTED_LATE}
    assert list(order_commands(order)) == [("cancel", "READY")]


def order_commands(order: Order) -> list[tuple[str, str]]:
    return list(OrderCommand.objects.filter(order=order).values_list("kind", "state"))


def test_a_refusal_rejects_the_order_with_the_brokers_words(desk: Desk) -> None:
    order = desk.place(quantity=500, order_type="LIMIT", price=desk.price(0))
    desk.sandbox.fault("http_403", route=PLACE, count=1, error_type="PermissionException", message="No IPs configured")

    desk.submit(order)

    assert order.state == State.REJECTED
    assert order.reason_code == "PermissionException"
    assert order.reason == "No IPs configured"
    assert order.outcome is Outcome.REJECTED


def test_a_throttled_order_waits_and_is_sent_once_in_the_end(desk: Desk) -> None:
    desk.sandbox.fault("http_429", route=PLACE, count=1, body="html")
    order = desk.place()

    again = desk.submit(order)

    assert order.state == State.READY
    assert order.reason_code == "THROTTLED"
    assert again is not None
    assert again > 0
    desk.clock.advance(10)
    desk.submit(order)
    assert order.state == State.ACKED
    assert order.attempt == 2
    assert len(desk.placed) == 1


def test_a_dead_token_keeps_the_order_waiting_for_a_login(desk: Desk) -> None:
    order = desk.place()
    desk.sandbox.fault("token_killed", user=desk.account.broker_user_id)

    desk.submit(order)

    assert order.state == State.READY
    assert order.reason_code == "LOGIN_NEEDED"
    assert not Credential.objects.filter(account=desk.account, current=True, access_token__isnull=False).exists()


def test_an_order_that_waits_past_its_deadline_expires_unsent(desk: Desk) -> None:
    order = desk.place(deadline_seconds=5)
    Credential.objects.filter(account=desk.account).update(access_token=None, token_expires_at=None)
    desk.submit(order)

    desk.clock.advance(6)
    desk.submit(order)

    assert order.state == State.EXPIRED_LOCAL
    assert order.outcome is Outcome.NOT_SENT


def test_a_refused_connection_leaves_the_order_ready(desk: Desk) -> None:
    order = desk.place()
    desk.sandbox.fault("connection_refused", duration=1.0)

    desk.submit(order)

    assert order.state == State.READY
    assert order.reason_code == "BROKER_UNREACHABLE"
    assert desk.placed == []


def test_a_halt_denies_the_order_that_waits(desk: Desk) -> None:
    order = desk.place()
    halt(desk, reason="fat finger")

    desk.submit(order)

    assert order.state == State.DENIED
    assert order.reason_code == "TRADING_HALTED"
    assert "fat finger" in order.reason
    assert desk.placed == []


def test_a_halt_between_claim_and_send_stops_the_send(desk: Desk) -> None:
    order = desk.place()
    claimed = claims.claim(order_id=order.pk, clock=desk.clock)
    assert isinstance(claimed, claims.Claim)
    halt(desk, reason="stop")

    sent = execution._commit_sending(claimed, clock=desk.clock)

    order.refresh_from_db()
    assert not sent
    assert order.state == State.DENIED


def test_a_claim_too_old_to_send_goes_back(desk: Desk) -> None:
    class SleepyClock(MovedClock):
        """Sleeps six seconds between any two looks at it."""

        def monotonic(self) -> float:
            self.advance(6)
            return super().monotonic()

    order = desk.place()

    again = execution.submit(order_id=order.pk, sessions=desk.sessions, clock=SleepyClock())

    order.refresh_from_db()
    assert again == 0
    assert order.state == State.READY
    assert order.reason_code == "STALE_CLAIM"
    assert desk.placed == []


def test_a_worker_that_dies_while_sending_leaves_the_order_in_doubt(desk: Desk) -> None:
    order = desk.place()
    claimed = claims.claim(order_id=order.pk, clock=desk.clock)
    assert isinstance(claimed, claims.Claim)
    execution._commit_sending(claimed, clock=desk.clock)
    desk.clock.advance(16)

    freed, doubted = reconciliation.recover(now=desk.clock.now())

    order.refresh_from_db()
    assert (freed, doubted) == (0, 1)
    assert order.state == State.UNKNOWN


def test_a_worker_that_dies_before_sending_frees_the_order(desk: Desk) -> None:
    order = desk.place()
    claims.claim(order_id=order.pk, clock=desk.clock)
    desk.clock.advance(16)

    freed, doubted = reconciliation.recover(now=desk.clock.now())

    order.refresh_from_db()
    assert (freed, doubted) == (1, 0)
    assert order.state == State.READY


def halt(desk: Desk, *, reason: str) -> None:
    TradingHalt.objects.create(
        scope="account",
        target=desk.account.label,
        reason=reason,
        engaged_by="ops",
        engaged_at=datetime.now(UTC) - timedelta(seconds=1),
    )
    epoch, _ = HaltEpoch.objects.get_or_create(pk=1)
    HaltEpoch.objects.filter(pk=1).update(epoch=epoch.epoch + 1)
