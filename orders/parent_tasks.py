"""Wake-ups of what stands above the intake: groups of orders and triggers."""

from typing import Any
from uuid import UUID

import structlog
from celery import shared_task

from accounts.errors import PlatformError
from kite.errors import KiteError
from orders import groups, trigger_book
from orders.clock import DatabaseClock
from orders.parents import OrderGroup
from orders.tasks import knock

log = structlog.get_logger(__name__)

# A young group is looked at often; an older one by the sweeper.
YOUNG_SECONDS = 20.0
PAUSE_SECONDS = 0.3


@shared_task(bind=True, name="orders.tasks.advance_group")
def advance_group(self: Any, /, group_id: str, **_: object) -> None:
    """Release what is due of a group."""
    now = DatabaseClock().now()
    if groups.advance(group_id=UUID(group_id), sessions=self.app.sessions, now=now):
        return
    group = OrderGroup.objects.get(pk=group_id)
    if (now - group.created_at).total_seconds() < YOUNG_SECONDS:
        knock(advance_group, group.pk, countdown=PAUSE_SECONDS)


@shared_task(name="orders.tasks.sweep_groups")
def sweep_groups(**_: object) -> None:
    """Look at every group that has not come to its end."""
    for group_id in OrderGroup.objects.filter(finished_at=None).order_by("created_at").values_list("pk", flat=True):
        knock(advance_group, group_id)


@shared_task(bind=True, name="orders.tasks.read_triggers")
def read_triggers(self: Any, /, account_id: str, **_: object) -> None:
    """Read an account's triggers, and learn what became of writes in doubt."""
    try:
        trigger_book.reconcile(account_id=UUID(account_id), sessions=self.app.sessions, now=DatabaseClock().now())
    except (KiteError, PlatformError) as error:
        log.warning("orders.triggers.not_read", account_id=account_id, error=str(error))


@shared_task(name="orders.tasks.sweep_triggers")
def sweep_triggers(**_: object) -> None:
    """Have the triggers read of every account that has some waiting or in doubt."""
    for account_id in trigger_book.accounts_to_read():
        knock(read_triggers, account_id)
