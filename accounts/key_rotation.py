"""The encryption key is rotated from the panel: two people agree, a worker seals everything again."""

from datetime import datetime
from typing import Final

from django.db import transaction

from accounts import approvals, resealing, tasks
from accounts.audit import record, required
from accounts.guards import Approval
from accounts.queries import Principal
from accounts.vault import installed

VERB: Final = Approval.Verb.ROTATE_KEY
SUBJECT: Final = "key_ring"


def ask(*, by: Principal, reason: str, now: datetime) -> Approval:
    """Ask another person to agree to the end of the key that seals now."""
    return approvals.request_approval(verb=VERB, subject=SUBJECT, detail=_detail(), by=by, reason=reason, now=now)


def order(*, actor: str, reason: str, now: datetime) -> str:
    """Return the new key; a worker moves every sealed value to it, and may be killed while it does."""
    with transaction.atomic():
        approvals.consume(verb=VERB, subject=SUBJECT, detail=_detail(), actor=actor, now=now)
        key_id = resealing.begin(actor=actor, now=now)
        record(
            actor=actor,
            action="accounts.key_ring.rotation_ordered",
            subject=SUBJECT,
            reason=required(reason)[:200],
            detail={"to": key_id},
            now=now,
        )
        transaction.on_commit(tasks.reseal.delay)
    return key_id


def _detail() -> dict[str, object]:
    return {"from": installed.provider().writing_key_id()}
