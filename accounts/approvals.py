"""Four eyes: a dangerous deed is asked for by one person, approved by another and then done once."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.audit import record, required
from accounts.errors import ApprovalNeeded, ApprovalPending, ApprovalUnknown, Forbidden, SelfApproval
from accounts.guards import APPROVAL_LASTS, Approval
from accounts.queries import Principal, open_approvals

MAY_APPROVE = "approvals:write"


def request_approval(
    *,
    verb: Approval.Verb,
    subject: str,
    detail: Mapping[str, object] | None = None,
    by: Principal,
    reason: str,
    now: datetime,
) -> Approval:
    """Ask for a deed; raises ApprovalPending where the same deed to the same subject is asked for already.

    The subject names what is touched, as the audit trail names it. The detail is all that the deed depends on, as JSON.
    """
    plain = dict(detail or {})
    with transaction.atomic():
        _close_expired(verb, subject, now=now)
        try:
            with transaction.atomic():
                asked = Approval.objects.create(
                    verb=verb,
                    subject=subject,
                    detail=plain,
                    fingerprint=fingerprint(detail=plain),
                    reason=required(reason)[:200],
                    requested_by_id=by.user_id,
                    requested_at=now,
                    expires_at=now + APPROVAL_LASTS,
                )
        except IntegrityError as error:
            raise ApprovalPending(f"{verb.label} of {subject} is asked for already", field="subject") from error
        _record(asked, "requested", actor=by.label, reason=asked.reason, now=now)
    return asked


def approve(*, approval_id: UUID, by: Principal, comment: str = "", now: datetime) -> Approval:
    """Say yes to what another person asked for; raises SelfApproval, Forbidden or ApprovalUnknown."""
    _require_another_person(by)
    with transaction.atomic():
        asked = _waiting(approval_id, now=now)
        if asked.requested_by_id == by.user_id:
            raise SelfApproval("you asked for this yourself: another person has to approve it")
        if asked.approved_at is None:
            asked.approved_by_id, asked.approved_at = by.user_id, now
            asked.save(update_fields=["approved_by", "approved_at"])
            _record(asked, "approved", actor=by.label, reason=comment[:200] or asked.reason, now=now)
    return asked


def decline(*, approval_id: UUID, by: Principal, reason: str, now: datetime) -> Approval:
    """Say no, or take back one's own request; it can no longer be used."""
    with transaction.atomic():
        asked = _waiting(approval_id, now=now)
        if asked.requested_by_id != by.user_id:
            _require_another_person(by)
        asked.closed_by, asked.closed_at = by.label, now
        asked.save(update_fields=["closed_by", "closed_at"])
        _record(asked, "declined", actor=by.label, reason=required(reason)[:200], now=now)
    return asked


def consume(
    *,
    verb: Approval.Verb,
    subject: str,
    detail: Mapping[str, object] | None = None,
    actor: str,
    now: datetime,
) -> Approval:
    """Use the approval up; call it inside the transaction of the deed, so that neither happens without the other.

    Raises ApprovalNeeded where nobody approved exactly this, in time, or it was used.
    """
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{verb} is done outside of a transaction")
    held = (
        open_approvals(now=now)
        .filter(verb=verb, subject=subject, fingerprint=fingerprint(detail=detail or {}), approved_at__isnull=False)
        .select_for_update(of=("self",))
        .first()
    )
    # The conditions stand in the update as well: of two that read the same row, one finds it used.
    if held is None or not Approval.objects.filter(pk=held.pk, used_at__isnull=True).update(used_at=now, used_by=actor):
        raise ApprovalNeeded(f"{verb.label} of {subject} needs the approval of a second person")
    held.used_at, held.used_by = now, actor
    _record(held, "used", actor=actor, reason=held.reason, now=now)
    return held


def is_approved(*, verb: Approval.Verb, subject: str, detail: Mapping[str, object], now: datetime) -> bool:
    """Say whether `consume` would find an approval now."""
    found = open_approvals(now=now).filter(verb=verb, subject=subject, approved_at__isnull=False)
    return found.filter(fingerprint=fingerprint(detail=detail)).exists()


def fingerprint(*, detail: Mapping[str, object]) -> str:
    """Return the digest of what a deed depends on."""
    plain = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _require_another_person(by: Principal) -> None:
    if by.key_id is not None:
        raise Forbidden("a program cannot approve: a person has to look")
    if not by.may(MAY_APPROVE):
        raise Forbidden(f"the scope {MAY_APPROVE} is missing")


def _waiting(approval_id: UUID, *, now: datetime) -> Approval:
    found = open_approvals(now=now).filter(pk=approval_id).select_for_update(of=("self",)).first()
    if found is None:
        raise ApprovalUnknown("that request is not open any more", field="approval")
    return found


def _close_expired(verb: Approval.Verb, subject: str, *, now: datetime) -> None:
    stale = Approval.objects.filter(
        verb=verb, subject=subject, used_at__isnull=True, closed_at__isnull=True, expires_at__lte=now
    ).select_for_update()
    for old in stale:
        old.closed_by, old.closed_at = "platform", now
        old.save(update_fields=["closed_by", "closed_at"])
        _record(old, "expired", actor="platform", reason="nobody used it in time", now=now)


def _record(asked: Approval, what: str, *, actor: str, reason: str, now: datetime) -> None:
    record(
        actor=actor,
        action=f"accounts.approval.{what}",
        subject=asked.subject,
        reason=reason,
        detail={
            "approval": str(asked.pk),
            "verb": asked.verb,
            "requested_by": asked.requested_by_id,
            "approved_by": asked.approved_by_id,
            "detail": asked.detail,
        },
        now=now,
    )
