"""Our trades of the day against what the broker says was bought and sold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import BrokerAccount
from ops import drift, status
from ops.models import Alert
from ops.tasks import watch
from orders import reconciliation
from orders.clock import trading_day
from orders.models import Order, Trade
from orders.states import State
from portfolio.models import Reading
from tests.factories import BrokerAccountFactory
from tests.orders.conftest import Desk, desk  # noqa: F401
from tests.orders.factories import OrderFactory
from tests.sandbox_server import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def account() -> BrokerAccount:
    return BrokerAccountFactory(label="one")


def bought(account: BrokerAccount, quantity: int, *, heard_at: datetime) -> Trade:
    order = OrderFactory(account=account, at_broker=True)
    return Trade.objects.create(
        account=account,
        order=order,
        trade_id=str(order.pk)[:8],
        broker_order_id=order.broker_order_id,
        exchange="NSE",
        tradingsymbol="INFY",
        instrument_token=order.instrument_token,
        transaction_type="BUY",
        product="CNC",
        quantity=quantity,
        average_price=1500,
        heard_at=heard_at,
        trading_day=trading_day(heard_at),
    )


def says(account: BrokerAccount, *, read_at: datetime, bought: int, sold: int = 0) -> None:
    row = {"exchange": "NSE", "tradingsymbol": "INFY", "day_buy_quantity": bought, "day_sell_quantity": sold}
    Reading.objects.create(account=account, kind="positions", answer={"net": [row], "day": []}, read_at=read_at)


def test_trades_that_add_up_are_no_finding(account: BrokerAccount, now: datetime) -> None:
    bought(account, 6, heard_at=now - timedelta(minutes=1))
    bought(account, 4, heard_at=now - timedelta(minutes=1))
    says(account, read_at=now, bought=10)

    assert drift.find(now=now) == ()


@pytest.mark.parametrize(("quantity", "sold"), [(11, 0), (9, 0), (10, 1)])
def test_trades_that_do_not_add_up_are_named(account: BrokerAccount, now: datetime, quantity: int, sold: int) -> None:
    bought(account, 10, heard_at=now - timedelta(minutes=1))
    says(account, read_at=now, bought=quantity, sold=sold)

    (finding,) = drift.find(now=now)

    assert (finding.code, finding.subject, finding.severity) == ("position_drift", "one", "red")
    assert "NSE:INFY" in finding.text


def test_what_the_broker_shows_and_we_never_heard_of_is_named(account: BrokerAccount, now: datetime) -> None:
    says(account, read_at=now, bought=5)

    assert [finding.subject for finding in drift.find(now=now)] == ["one"]


def test_a_trade_of_this_moment_is_compared_at_the_next_reading(account: BrokerAccount, now: datetime) -> None:
    bought(account, 10, heard_at=now - timedelta(seconds=5))
    says(account, read_at=now, bought=0)

    assert drift.find(now=now) == ()


def test_what_traded_after_the_reading_is_not_held_against_it(account: BrokerAccount, now: datetime) -> None:
    bought(account, 10, heard_at=now - timedelta(minutes=2))
    says(account, read_at=now - timedelta(minutes=1), bought=10)
    bought(account, 5, heard_at=now)

    assert drift.find(now=now) == ()


def test_a_drift_stays_in_sight_while_its_instrument_trades_on(account: BrokerAccount, now: datetime) -> None:
    says(account, read_at=now - timedelta(minutes=1), bought=10)
    bought(account, 5, heard_at=now)

    assert [finding.subject for finding in drift.find(now=now)] == ["one"]


def test_an_old_reading_says_nothing(account: BrokerAccount, now: datetime) -> None:
    says(account, read_at=now - timedelta(minutes=6), bought=5)

    assert drift.find(now=now) == ()


def test_a_drift_is_an_alert_and_stands_on_the_desk(account: BrokerAccount, clean_redis: Any, now: datetime) -> None:
    says(account, read_at=now, bought=5)

    watch()
    watch()

    alert = Alert.objects.get(code="position_drift")
    assert alert.sightings == 2
    assert "position_drift" in {finding.code for finding in status.snapshot(now=datetime.now(UTC)).findings}


def test_a_real_fill_adds_up(desk: Desk) -> None:  # noqa: F811
    order: Order = desk.place()
    desk.submit(order)

    def traded() -> bool:
        reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
        order.refresh_from_db()
        return order.state == State.COMPLETE

    wait_for(traded)
    now = datetime.now(UTC)

    assert drift.refresh(sessions=desk.sessions, now=now) == 1
    assert Trade.objects.filter(account=desk.account).exists()
    assert drift.find(now=now + drift.SETTLES) == ()
