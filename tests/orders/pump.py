"""Does what workers and beat do, until something is so."""

from collections.abc import Callable
from datetime import UTC, datetime

from orders import changes, execution, groups, reconciliation
from orders.models import Order, OrderCommand
from orders.parents import OrderGroup
from orders.states import CommandState, State
from tests.orders.conftest import Desk
from tests.sandbox_server import wait_for


def pump(desk: Desk) -> None:
    """Carry what waits, read the book, and look at every group."""
    for order_id in Order.objects.filter(state=State.READY).values_list("pk", flat=True):
        execution.submit(order_id=order_id, sessions=desk.sessions, clock=desk.clock)
    for command_id in OrderCommand.objects.filter(state=CommandState.READY).values_list("pk", flat=True):
        changes.carry(command_id=command_id, sessions=desk.sessions, clock=desk.clock)
    reconciliation.reconcile_account(account_id=desk.account.pk, sessions=desk.sessions, clock=desk.clock)
    for group_id in OrderGroup.objects.filter(finished_at=None).values_list("pk", flat=True):
        groups.advance(group_id=group_id, sessions=desk.sessions, now=datetime.now(UTC))


def pump_until(desk: Desk, condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Pump until the condition holds; fail when it does not."""

    def holds() -> bool:
        pump(desk)
        return condition()

    wait_for(holds, seconds=seconds, every=0.1)


def finished(group: OrderGroup) -> bool:
    """Say whether the group has come to its end."""
    group.refresh_from_db()
    return group.finished_at is not None
