"""Tells of an event: the message and its deliveries are written with the deed, and leave once it is committed."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.commits import after_commit
from webhooks import tasks
from webhooks.models import Delivery, Endpoint, Message
from webhooks.queries import listeners


def announce(*, account_id: UUID | None, kind: str, data: Mapping[str, object], now: datetime) -> int:
    """Write the event down for whoever asked for it, and return for how many; call it inside the deed's transaction."""
    return _tell(listeners(account_id=account_id, kind=kind), account_id=account_id, kind=kind, data=data, now=now)


def announce_to(*, endpoint: Endpoint, kind: str, data: Mapping[str, object], now: datetime) -> Delivery:
    """Write an event down for one endpoint, whatever it asked for."""
    with transaction.atomic():
        _tell([endpoint.pk], account_id=None, kind=kind, data=data, now=now)
        return Delivery.objects.filter(endpoint=endpoint, message__kind=kind).latest("created_at")


def _tell(
    endpoints: Iterable[UUID], *, account_id: UUID | None, kind: str, data: Mapping[str, object], now: datetime
) -> int:
    chosen = list(endpoints)
    if not chosen:
        return 0
    body = json.dumps({"type": kind, "timestamp": now.isoformat(), "data": data}, separators=(",", ":"), default=str)
    message = Message.objects.create(account_id=account_id, kind=kind, body=body, created_at=now)
    deliveries = Delivery.objects.bulk_create(
        Delivery(endpoint_id=endpoint_id, message=message, next_at=now, created_at=now) for endpoint_id in chosen
    )
    for row in deliveries:
        after_commit(tasks.knock, row.pk)
    return len(deliveries)
