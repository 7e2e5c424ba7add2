"""The audit trail: one entry a deed, written in the deed's own transaction."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from accounts.errors import ReasonMissing
from accounts.models import AuditEntry


def record(
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    detail: Mapping[str, object] | None = None,
    now: datetime,
) -> AuditEntry:
    """Add an entry; call it inside the transaction of the deed, so that neither exists without the other."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{action} is recorded outside of its transaction")
    return AuditEntry.objects.create(
        at=now, actor=actor, action=action, subject=subject, reason=reason, detail=dict(detail or {})
    )


def required(reason: str) -> str:
    """Return the reason without surrounding blanks; raises ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("say why: the reason is kept in the audit trail", field="reason")
    return reason.strip()
