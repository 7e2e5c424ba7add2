"""Periodic work of beat: accounts come back, tokens die at six, the audit chain's head is kept."""

from pathlib import Path

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts import audit, credentials, health
from accounts.models import RevokedToken
from accounts.shared import Resting, SharedScripts
from accounts.tokens import LEEWAY

log = structlog.get_logger(__name__)


@shared_task
def restore_recovered(**_: object) -> None:
    """Bring back degraded accounts whose time has come."""
    health.restore_recovered(now=timezone.now())


@shared_task
def expire_tokens(**_: object) -> None:
    """Forget tokens past their time."""
    now = timezone.now()
    credentials.expire_tokens(now=now)
    RevokedToken.objects.filter(expires_at__lt=now - LEEWAY).delete()


@shared_task
def export_audit_head(**_: object) -> None:
    """Keep the newest link of the audit chain outside of the database: in a file and in the log."""
    newest = audit.export_head(path=Path(settings.AUDIT_HEADS_FILE))
    if newest is not None:
        log.info("accounts.audit.head", position=newest.position, digest=newest.digest)


@shared_task
def record_breakers(**_: object) -> None:
    """Write down which breakers opened and closed."""
    scripts = SharedScripts(url=settings.REDIS_URL)
    try:
        health.record_breaker_changes(scripts=scripts, now=timezone.now())
    except Resting:
        log.info("accounts.breaker.history_waits")
    finally:
        scripts.close()
