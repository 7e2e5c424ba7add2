"""Wake-ups of the webhooks: the rows say what is to be sent."""

from uuid import UUID

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from webhooks import delivery, queries

log = structlog.get_logger(__name__)


def knock(delivery_id: UUID) -> None:
    """Enqueue one delivery; where the queue cannot be reached the sweeper finds the row."""
    try:
        deliver.apply_async(args=(str(delivery_id),), retry=False)
    except (OperationalError, OSError) as error:
        log.warning("webhooks.tasks.queue_unreachable", delivery=str(delivery_id), error=str(error))


@shared_task(name="webhooks.tasks.deliver")
def deliver(delivery_id: str, **_: object) -> None:
    """Send one delivery."""
    delivery.deliver(delivery_id=UUID(delivery_id), now=timezone.now())


@shared_task(name="webhooks.tasks.sweep")
def sweep(**_: object) -> None:
    """Find again what is due: retries, and what a worker or the queue lost."""
    now = timezone.now()
    delivery.recover(now=now)
    for delivery_id in queries.due(now=now):
        knock(delivery_id)
