"""Periodic work of beat: accounts come back, tokens die at six, the audit chain's head is kept."""

from pathlib import Path
from typing import Any

import structlog
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from accounts import audit, credentials, egress, health, probing, resealing
from accounts.errors import EgressUnseen, LoginNeeded
from accounts.models import BrokerAccount, RevokedToken
from accounts.once import forget_answers
from accounts.queries import login_for
from accounts.shared import Resting, SharedScripts
from accounts.tokens import LEEWAY
from kite.errors import KiteError

log = structlog.get_logger(__name__)


@shared_task
def restore_recovered(**_: object) -> None:
    """Bring back degraded accounts whose time has come."""
    health.restore_recovered(now=timezone.now())


@shared_task
def expire_tokens(**_: object) -> None:
    """Forget tokens past their time, and what was kept for those who send a write again."""
    now = timezone.now()
    credentials.expire_tokens(now=now)
    RevokedToken.objects.filter(expires_at__lt=now - LEEWAY).delete()
    forget_answers(now=now)


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


@shared_task(bind=True)
def check_egress(self: Any, /, **_: object) -> None:
    """Look again from where refused accounts' orders leave, and for the first time today of every bound account."""
    now = timezone.now()
    for account_id in egress.bound_accounts():
        try:
            login = login_for(account_id=account_id, now=now)
            egress.require_seen(login=login, sessions=self.app.sessions, now=now)
        except LoginNeeded:
            continue
        except EgressUnseen as error:
            log.warning("accounts.egress.unseen", account_id=str(account_id), error=str(error))


@shared_task(bind=True)
def probe_logins(self: Any, /, **_: object) -> None:
    """Ask the broker, before the open, whether every login still works; a dead token asks for a login."""
    now = timezone.now()
    for account in BrokerAccount.objects.exclude(state=BrokerAccount.State.RETIRED).order_by("label"):
        try:
            probing.probe(account_id=account.pk, sessions=self.app.sessions, now=now)
        except (KiteError, LoginNeeded) as error:
            log.warning("accounts.login.not_ready", account=account.label, code=error.code, error=str(error))


@shared_task(acks_late=True)
def reseal(**_: object) -> None:
    """Move every sealed value to the key that seals now; a second run finishes what a killed one left."""
    moved = resealing.reseal(advance=lambda _: None)
    log.info("accounts.key_ring.resealed", rows=moved)
