"""Carries due alerts to their channels: in order, with patience, and quiet where it was asked for."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.utils import timezone

from accounts.errors import PlatformError
from ops import channels
from ops.errors import NotSaid
from ops.models import Alert, AlertChannel, AlertDelivery

log = structlog.get_logger(__name__)

AT_ONCE: Final = 50
MOST_ATTEMPTS: Final = 6
PAUSES: Final = (5, 15, 60, 300, 900)
# A send takes at most a few seconds; a worker that died in one has its row taken up after this time.
LEASE: Final = timedelta(seconds=60)


def deliver_due(*, now: datetime) -> int:
    """Say what is due and return how much was said."""
    due = AlertDelivery.objects.filter(due_at__lte=now).order_by("due_at", "id").values_list("pk", flat=True)
    return sum(_deliver(pk, now=now) for pk in list(due[:AT_ONCE]))


def _deliver(pk: int, *, now: datetime) -> bool:
    delivery = _take(pk, now=now)
    if delivery is None:
        return False
    saying = channels.Saying(
        alert=delivery.alert,
        occasion=AlertDelivery.Occasion(delivery.occasion),
        message_id=f"alert-{delivery.pk}",
        at=now,
    )
    try:
        channels.say(channel=delivery.channel, saying=saying)
    except (NotSaid, PlatformError) as error:
        _failed(delivery, str(error), now=now)
        return False
    delivery.sent_at, delivery.due_at, delivery.error = now, None, ""
    delivery.save(update_fields=["sent_at", "due_at", "error"])
    return True


def _take(pk: int, *, now: datetime) -> AlertDelivery | None:
    """Lease the row, so that no second worker says the same; None where another has it or it need not be said."""
    with transaction.atomic():
        delivery = (
            AlertDelivery.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("alert", "channel")
            .filter(pk=pk, due_at__lte=now)
            .first()
        )
        if delivery is None:
            return None
        if _is_pointless(delivery):
            _drop(delivery, "it was over before it was said", now=now)
            return None
        wakes_at = quiet_until(channel=delivery.channel, severity=delivery.alert.severity, now=now)
        delivery.due_at = wakes_at or now + LEASE
        delivery.attempts += wakes_at is None
        delivery.save(update_fields=["due_at", "attempts"])
        return delivery if wakes_at is None else None


def quiet_until(*, channel: AlertChannel, severity: str, now: datetime) -> datetime | None:
    """Return when the channel may hear a warning again; None where it may now. Critical alerts never wait."""
    if channel.quiet_from is None or channel.quiet_until is None or severity == Alert.Severity.CRITICAL:
        return None
    local = timezone.localtime(now)
    begins = local.replace(hour=channel.quiet_from.hour, minute=channel.quiet_from.minute, second=0, microsecond=0)
    ends = local.replace(hour=channel.quiet_until.hour, minute=channel.quiet_until.minute, second=0, microsecond=0)
    if begins < ends:
        return ends if begins <= local < ends else None
    if local >= begins:
        return ends + timedelta(days=1)
    return ends if local < ends else None


def _is_pointless(delivery: AlertDelivery) -> bool:
    over = delivery.alert.resolved_at is not None
    acknowledged = delivery.alert.acknowledged_at is not None
    return (over and delivery.occasion != AlertDelivery.Occasion.RESOLVED) or (
        acknowledged and delivery.occasion == AlertDelivery.Occasion.ESCALATED
    )


def _failed(delivery: AlertDelivery, error: str, *, now: datetime) -> None:
    log.warning("ops.alert.not_said", channel=delivery.channel.name, attempts=delivery.attempts, error=error)
    if delivery.attempts >= MOST_ATTEMPTS:
        _drop(delivery, error, now=now)
        return
    delivery.error = error[:300]
    delivery.due_at = now + timedelta(seconds=PAUSES[delivery.attempts - 1])
    delivery.save(update_fields=["error", "due_at"])


def _drop(delivery: AlertDelivery, error: str, *, now: datetime) -> None:
    delivery.error, delivery.dropped_at, delivery.due_at = error[:300], now, None
    delivery.save(update_fields=["error", "dropped_at", "due_at"])
