"""One account with a long queue keeps nobody waiting: not the others, not its own cancellations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from accounts import credentials
from accounts.models import BrokerAccount
from orders import intake, reconciliation, tasks
from orders.models import Order, OrderCommand
from orders.states import CommandState, State
from tests.factories import BrokerAccountFactory
from tests.orders.conftest import Desk, log_in, open_desk
from tests.orders.factories import OrderFactory
from tests.orders.test_worker import start_worker, stop_worker
from tests.proving import Numbers
from tests.sandbox_server import SandboxServer, wait_for

SHORT, LONG = (60, 2, 6), (1000, 9, 40)
CANCELS = 20


@dataclass(frozen=True, slots=True)
class Floor:
    """A noisy account's desk, and the quiet accounts beside it."""

    desk: Desk
    quiet: list[BrokerAccount]

    def queue(self, account: BrokerAccount, count: int) -> list[Order]:
        """Take orders in as the intake does: the first ones are woken, they wake the others."""
        now = datetime.now(UTC)
        orders: list[Order] = [
            OrderFactory(
                account=account,
                quantity=1,
                instrument_token=self.desk.instrument.instrument_token,
                price=self.desk.price(-5),
                created_at=now + timedelta(microseconds=number),
                deadline_at=now + timedelta(minutes=10),
                woken_at=now if number < tasks.WOKEN_AT_ONCE else None,
            )
            for number in range(count)
        ]
        for order in orders[: tasks.WOKEN_AT_ONCE]:
            tasks.knock(tasks.submit_order, order.pk)
        return orders

    def serve_quiet(self, count: int) -> list[float]:
        """Let every quiet account send, all at once, and return how many a second each of them sent."""
        queued = [[order.pk for order in self.queue(account, count)] for account in self.quiet]
        every = [order_id for ids in queued for order_id in ids]
        # What a crowded machine loses on the way, the sweeper finds.
        wait_for(lambda: sent(every) == len(every), seconds=120, every=0.2)
        return [rate_of(ids) for ids in queued]


def sent(ids: Sequence[UUID]) -> int:
    return Order.objects.filter(pk__in=ids, acked_at__isnull=False).count()


def rate_of(ids: Sequence[UUID]) -> float:
    at = sorted(order.sent_at for order in Order.objects.filter(pk__in=ids) if order.sent_at is not None)
    return (len(at) - 1) / max((at[-1] - at[0]).total_seconds(), 0.001)


@pytest.fixture
def floor(settings: Any, clean_redis: Any, transactional_db: None) -> Iterator[Floor]:
    """Return ten accounts at an exchange of their own and a real worker."""
    with SandboxServer("--users", "10") as exchange:
        desk = open_desk(exchange, settings)
        worker = start_worker(desk)
        try:
            yield Floor(desk=desk, quiet=[a_quiet_account(exchange, number) for number in range(1, 10)])
        finally:
            stop_worker(worker)


def a_quiet_account(exchange: SandboxServer, number: int) -> BrokerAccount:
    user, now = exchange.user(number), datetime.now(UTC)
    account: BrokerAccount = BrokerAccountFactory(label=user.user_id.lower(), broker_user_id=user.user_id)
    credentials.rotate(
        account_id=account.pk, api_key=user.api_key, api_secret=user.api_secret, actor="test", reason="first", now=now
    )
    log_in(account, exchange, number)
    reconciliation.note_reading(account_id=account.pk, at=now)
    return account


def cancelled(floor: Floor, order: Order) -> float:
    """Cancel while the account's places wait, and return the seconds until the broker was asked."""
    asked = datetime.now(UTC)
    command = intake.cancel(principal=floor.desk.principal, order_id=order.pk, idempotency_key=None, now=asked).command
    assert command is not None
    wait_for(lambda: settled(command), seconds=60, every=0.02)
    assert command.sent_at is not None
    return (command.sent_at - asked).total_seconds()


def settled(command: OrderCommand) -> bool:
    command.refresh_from_db()
    return command.state == CommandState.DONE


def crowd(floor: Floor, numbers: Numbers, *, noisy: int, quiet: int, each: int) -> list[Order]:
    """Measure the quiet accounts alone, then beside the noisy one's queue, and return that queue."""
    floor = replace(floor, quiet=floor.quiet[:quiet])
    alone = floor.serve_quiet(each)
    queue = floor.queue(floor.desk.account, noisy)
    beside = floor.serve_quiet(each)
    numbers.least("noisy orders still waiting", waiting(queue))
    numbers.least("share of the solo rate", min(now / before for now, before in zip(beside, alone, strict=True)))
    return queue


def waiting(queue: list[Order]) -> int:
    return Order.objects.filter(pk__in=[order.pk for order in queue], state=State.READY).count()


@pytest.mark.proof(id="R13")
def test_quiet_accounts_and_a_cancellation_pass_a_long_queue(floor: Floor, numbers: Numbers) -> None:
    resting = floor.queue(floor.desk.account, 1)
    wait_for(lambda: sent([resting[0].pk]) == 1, seconds=60)
    noisy, quiet, each = SHORT

    queue = crowd(floor, numbers, noisy=noisy, quiet=quiet, each=each)
    numbers.most("cancel seconds", cancelled(floor, resting[0]))

    assert waiting(queue) > 0


@pytest.mark.long
@pytest.mark.proof(id="R13")
def test_nine_quiet_accounts_and_twenty_cancellations_pass_a_thousand(floor: Floor, numbers: Numbers) -> None:
    resting = floor.queue(floor.desk.account, CANCELS)
    ids = [order.pk for order in resting]
    wait_for(lambda: sent(ids) == CANCELS, seconds=60)
    noisy, quiet, each = LONG

    queue = crowd(floor, numbers, noisy=noisy, quiet=quiet, each=each)
    for order in resting:
        numbers.most("cancel seconds", cancelled(floor, order))

    assert waiting(queue) > noisy // 2
