"""The watch stops accounts that lose too much or are refused too often."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.models import AuditEntry, TradingHalt
from ops.stopping import day_result, stop
from orders.models import RiskLimit
from orders.states import State
from tests.orders.conftest import KEY, Desk, desk, fresh_desk  # noqa: F401 (fixtures)
from tests.orders.factories import OrderFactory
from tests.orders.pump import pump_until


def refuse(desk: Desk, count: int) -> None:  # noqa: F811
    now = datetime.now(UTC)
    OrderFactory.create_batch(count, account=desk.account, state=State.REJECTED, finished_at=now)


@pytest.mark.parametrize(("count", "halts"), [(4, 0), (5, 1)])
def test_five_refusals_within_a_minute_halt_the_account(desk: Desk, count: int, halts: int) -> None:  # noqa: F811
    refuse(desk, count)

    stop(sessions=desk.sessions, now=datetime.now(UTC))

    found = list(TradingHalt.objects.values_list("scope", "target", "level", "engaged_by"))
    assert found == [("account", desk.account.label, "halted", "platform")] * halts
    assert AuditEntry.objects.filter(action="ops.halt.engaged").count() == halts


def test_old_refusals_are_forgotten(desk: Desk) -> None:  # noqa: F811
    refuse(desk, 5)

    assert stop(sessions=desk.sessions, now=datetime.now(UTC) + timedelta(seconds=61)) == []


def test_a_halt_is_engaged_once(desk: Desk) -> None:  # noqa: F811
    refuse(desk, 5)
    stop(sessions=desk.sessions, now=datetime.now(UTC))

    assert stop(sessions=desk.sessions, now=datetime.now(UTC)) == []


def test_a_loss_at_the_bound_lets_the_account_only_reduce(fresh_desk: Desk) -> None:  # noqa: F811
    desk = fresh_desk  # noqa: F811
    order = desk.place(product="MIS", quantity=10)

    def filled() -> bool:
        order.refresh_from_db()
        return order.state == State.COMPLETE

    pump_until(desk, filled)
    desk.sandbox.clock(pause=True)
    desk.sandbox.move(KEY, float(order.average_price) * 0.97)
    loss = -day_result(account_id=desk.account.pk, sessions=desk.sessions, now=datetime.now(UTC))
    limit = RiskLimit.objects.create(account=desk.account, max_day_loss=loss + 1)

    within = stop(sessions=desk.sessions, now=datetime.now(UTC))
    RiskLimit.objects.filter(pk=limit.pk).update(max_day_loss=loss)
    (beyond,) = stop(sessions=desk.sessions, now=datetime.now(UTC))

    assert loss > 0
    assert within == []
    assert (beyond.target, beyond.level) == (desk.account.label, "reducing")


def test_without_a_bound_nobody_is_asked(desk: Desk) -> None:  # noqa: F811
    stop(sessions=desk.sessions, now=datetime.now(UTC))

    assert desk.sandbox.journal(since=desk.since, route="portfolio.positions") == []
