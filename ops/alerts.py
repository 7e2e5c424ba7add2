"""From findings to alerts: opened once, taken in hand by somebody, escalated when nobody does, closed when over."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from accounts.audit import record, required
from accounts.commits import after_commit
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from ops.errors import AlertUnknown
from ops.findings import RED
from ops.models import Alert, AlertChannel, AlertDelivery
from ops.state import Finding

log = structlog.get_logger(__name__)

PLATFORM = "platform"
# The events that /ws/v1/alerts reads.
STREAM = "alerts"
# A finding that comes and goes is one alert: it is over when it was not seen for so long.
OVER_AFTER = timedelta(seconds=45)
# A warning that goes by itself within this time is written down and not said.
WARNING_WAITS = timedelta(seconds=20)
Occasion = AlertDelivery.Occasion


def watch(*, findings: Iterable[Finding], now: datetime) -> list[Alert]:
    """Bring the alerts into line with what is wrong now; return those that were opened."""
    seen = {key_of(finding): finding for finding in findings}
    with transaction.atomic():
        held = {
            row.key: row for row in Alert.objects.select_for_update().filter(resolved_at__isnull=True).order_by("id")
        }
        opened = [_open(key, finding, now=now) for key, finding in seen.items() if key not in held]
        for key, alert in held.items():
            if key in seen:
                _see(alert, seen[key], now=now)
            elif now - alert.seen_at >= OVER_AFTER:
                _close(alert, actor=PLATFORM, reason="not seen any more", now=now)
        _escalate(now=now)
    return opened


def acknowledge(*, alert_id: int, actor: str, reason: str, now: datetime) -> Alert:
    """Take an open alert in hand: who acknowledges owns it, and it is not escalated; raises AlertUnknown."""
    with transaction.atomic():
        alert = _locked(alert_id)
        if alert.acknowledged_at is None:
            alert.acknowledged_by, alert.acknowledged_at = actor, now
        alert.owner = actor
        alert.save(update_fields=["acknowledged_by", "acknowledged_at", "owner"])
        _record(alert, "acknowledged", actor=actor, reason=required(reason), now=now)
    return alert


def hand_over(*, alert_id: int, owner: str, actor: str, reason: str, now: datetime) -> Alert:
    """Give an open alert to somebody; raises AlertUnknown."""
    with transaction.atomic():
        alert = _locked(alert_id)
        alert.owner = owner
        alert.save(update_fields=["owner"])
        _record(alert, "handed_over", actor=actor, reason=required(reason), now=now)
    return alert


def resolve(*, alert_id: int, actor: str, reason: str, now: datetime) -> Alert:
    """Close an alert by hand; where its cause stands, the next look opens a new one. Raises AlertUnknown."""
    with transaction.atomic():
        alert = _locked(alert_id)
        _close(alert, actor=actor, reason=required(reason), now=now)
    return alert


def key_of(finding: Finding) -> str:
    """Return what makes two findings the same alert."""
    return f"{finding.code}:{finding.subject}"[:200]


def open_alert(*, alert_id: int) -> Alert:
    """Return an alert that is not over; raises AlertUnknown."""
    alert = Alert.objects.filter(pk=alert_id, resolved_at__isnull=True).first()
    if alert is None:
        raise AlertUnknown("that alert is not open any more", field="alert")
    return alert


def open_alerts() -> dict[str, Alert]:
    """Return the open alerts by key."""
    return {row.key: row for row in Alert.objects.filter(resolved_at__isnull=True).order_by("opened_at")}


def alert_document(alert: Alert) -> dict[str, Any]:
    """Return an alert as clients see it."""
    moments = ("opened_at", "acknowledged_at", "escalated_at", "resolved_at")
    texts = ("id", "key", "code", "subject", "severity", "text", "mend", "owner", "acknowledged_by", "resolved_by")
    found: dict[str, Any] = {name: getattr(alert, name) for name in texts}
    for name in moments:
        moment = getattr(alert, name)
        found[name] = None if moment is None else moment.isoformat()
    return found


def _open(key: str, finding: Finding, *, now: datetime) -> Alert:
    alert = Alert.objects.create(
        key=key,
        code=finding.code,
        subject=finding.subject[:120],
        severity=_severity(finding),
        text=finding.text[:300],
        mend=finding.mend[:500],
        opened_at=now,
        seen_at=now,
    )
    _record(alert, "opened", actor=PLATFORM, reason=alert.text, now=now)
    waits = timedelta() if alert.severity == Alert.Severity.CRITICAL else WARNING_WAITS
    _say(alert, Occasion.OPENED, due_at=now + waits)
    return alert


def _see(alert: Alert, finding: Finding, *, now: datetime) -> None:
    worse = alert.severity == Alert.Severity.WARNING and finding.severity == RED
    alert.severity, alert.text, alert.mend = _severity(finding), finding.text[:300], finding.mend[:500]
    alert.seen_at, alert.sightings = now, alert.sightings + 1
    alert.save(update_fields=["severity", "text", "mend", "seen_at", "sightings"])
    if worse:
        # Channels that hear critical alerts alone hear of it now.
        _say(alert, Occasion.OPENED, due_at=now)


def _close(alert: Alert, *, actor: str, reason: str, now: datetime) -> None:
    alert.resolved_by, alert.resolved_at = actor, now
    alert.save(update_fields=["resolved_by", "resolved_at"])
    _record(alert, "resolved", actor=actor, reason=reason, now=now)
    told = AlertDelivery.objects.filter(alert=alert, sent_at__isnull=False).values_list("channel_id", flat=True)
    _plan(alert, Occasion.RESOLVED, AlertChannel.objects.filter(pk__in=set(told), enabled=True), due_at=now)


def _escalate(*, now: datetime) -> None:
    patience = timedelta(minutes=settings.ALERT_ESCALATION_MINUTES)
    neglected = Alert.objects.filter(
        resolved_at__isnull=True,
        acknowledged_at__isnull=True,
        escalated_at__isnull=True,
        severity=Alert.Severity.CRITICAL,
        opened_at__lte=now - patience,
    )
    for alert in neglected.select_for_update().order_by("id"):
        alert.escalated_at = now
        alert.save(update_fields=["escalated_at"])
        _record(alert, "escalated", actor=PLATFORM, reason="nobody acknowledged it in time", now=now)
        _plan(alert, Occasion.ESCALATED, AlertChannel.objects.filter(enabled=True), due_at=now)


def _say(alert: Alert, occasion: AlertDelivery.Occasion, *, due_at: datetime) -> None:
    channels = AlertChannel.objects.filter(enabled=True, only_escalations=False)
    if alert.severity == Alert.Severity.WARNING:
        channels = channels.filter(severity=Alert.Severity.WARNING)
    _plan(alert, occasion, channels, due_at=due_at)


def _plan(
    alert: Alert, occasion: AlertDelivery.Occasion, channels: Iterable[AlertChannel], *, due_at: datetime
) -> None:
    rows = [AlertDelivery(alert=alert, channel=channel, occasion=occasion, due_at=due_at) for channel in channels]
    AlertDelivery.objects.bulk_create(rows, ignore_conflicts=True)


def _locked(alert_id: int) -> Alert:
    Alert.objects.select_for_update().filter(pk=alert_id).first()
    return open_alert(alert_id=alert_id)


def _severity(finding: Finding) -> Alert.Severity:
    return Alert.Severity.CRITICAL if finding.severity == RED else Alert.Severity.WARNING


def _record(alert: Alert, what: str, *, actor: str, reason: str, now: datetime) -> None:
    detail = {"alert": alert.pk, "severity": alert.severity}
    record(
        actor=actor, action=f"ops.alert.{what}", subject=alert.key[:120], reason=reason[:200], detail=detail, now=now
    )
    after_commit(_tell, {"kind": what, "at": now.isoformat(), "alert": alert_document(alert)})


def _tell(event: dict[str, Any]) -> None:
    """Append to the stream; what a dead bus did not take, clients have with their next snapshot."""
    try:
        sync_bus().append_event(stream=STREAM, event=event)
    except FeedDown as error:
        log.warning("ops.alerts.untold", reason=str(error))
