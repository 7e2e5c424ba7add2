"""Stops trading and lets it go on: one row, one step of the epoch and one audit entry, together or not at all."""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounts import approvals, audit
from accounts.guards import Approval
from accounts.models import BrokerAccount, HaltEpoch, TradingHalt
from accounts.queries import Principal
from market_data.models import Instrument
from ops.errors import HaltStricter, HaltUnknown, TargetUnknown

REASON_LENGTH = 200


def engage(
    *, scope: TradingHalt.Scope, target: str, level: TradingHalt.Level, reason: str, actor: str, now: datetime
) -> TradingHalt:
    """Return the halt in force over the target; once committed, no claim made under the old epoch can follow.

    Tightens REDUCING to HALTED; raises HaltStricter rather than loosen what somebody else engaged.
    """
    reason = " ".join(audit.required(reason).split())[:REASON_LENGTH]
    _require_target(scope=scope, target=target)
    with transaction.atomic():
        _step_epoch()
        standing = TradingHalt.objects.select_for_update().filter(scope=scope, target=target, released_at=None).first()
        if standing is not None and standing.level == level:
            return standing
        if standing is not None:
            _make_way(standing, level=level, actor=actor, now=now)
        halt = TradingHalt.objects.create(
            scope=scope, target=target, level=level, reason=reason, engaged_by=actor, engaged_at=now
        )
        _record(halt, action="ops.halt.engaged", reason=reason, actor=actor, now=now)
    return halt


def ask_release(*, halt_id: int, by: Principal, reason: str, now: datetime) -> Approval:
    """Ask another person to let trading go on; raises HaltUnknown when the halt is not in force."""
    halt = standing(halt_id=halt_id)
    return approvals.request_approval(
        verb=Approval.Verb.RELEASE_HALT,
        subject=subject_of(halt),
        detail={"halt": halt.pk},
        by=by,
        reason=reason,
        now=now,
    )


def release(*, halt_id: int, actor: str, now: datetime, reason: str = "") -> TradingHalt:
    """Return the released halt; raises HaltUnknown when it is not in force, ApprovalNeeded until two people want it."""
    with transaction.atomic():
        _step_epoch()
        halt = TradingHalt.objects.select_for_update().filter(pk=halt_id, released_at=None).first()
        if halt is None:
            raise HaltUnknown(f"halt {halt_id} is not in force")
        approvals.consume(
            verb=Approval.Verb.RELEASE_HALT,
            subject=subject_of(halt),
            detail={"halt": halt.pk},
            actor=actor,
            now=now,
        )
        _close(halt, actor=actor, now=now)
        _record(halt, action="ops.halt.released", reason=reason, actor=actor, now=now)
    return halt


def set_level(*, halt: TradingHalt, level: TradingHalt.Level, actor: str, now: datetime) -> None:
    """Change how far a halt in force goes; the caller holds its row."""
    if halt.level == level:
        return
    _step_epoch()
    halt.level = level
    halt.save(update_fields=["level"])
    _record(halt, action="ops.halt.level_changed", reason=halt.reason, actor=actor, now=now)


def standing(*, halt_id: int) -> TradingHalt:
    """Return the halt in force; raises HaltUnknown when it is not."""
    halt = TradingHalt.objects.filter(pk=halt_id, released_at=None).first()
    if halt is None:
        raise HaltUnknown(f"halt {halt_id} is not in force")
    return halt


def subject_of(halt: TradingHalt) -> str:
    """Name the halt's scope as the audit trail does."""
    return f"{halt.scope}:{halt.target}".rstrip(":")


def _require_target(*, scope: TradingHalt.Scope, target: str) -> None:
    if (scope is TradingHalt.Scope.PLATFORM) == bool(target):
        raise TargetUnknown(f"scope {scope} was given target {target!r}", field="target")
    if scope is TradingHalt.Scope.ACCOUNT and not BrokerAccount.objects.filter(label=target).exists():
        raise TargetUnknown(f"no account is labelled {target!r}", field="target")
    if scope is TradingHalt.Scope.SYMBOL and not _is_listed(target):
        raise TargetUnknown(f"no instrument is listed as {target!r}; write it as NSE:INFY", field="target")


def _is_listed(symbol: str) -> bool:
    exchange, _, tradingsymbol = symbol.partition(":")
    return Instrument.objects.filter(exchange=exchange, tradingsymbol=tradingsymbol, listed=True).exists()


def _step_epoch() -> None:
    # Waits for every claim that holds the row for share; a later claim reads the halt.
    if not HaltEpoch.objects.filter(pk=1).update(epoch=F("epoch") + 1):
        HaltEpoch.objects.bulk_create([HaltEpoch(pk=1)], ignore_conflicts=True)
        HaltEpoch.objects.filter(pk=1).update(epoch=F("epoch") + 1)


def _make_way(standing: TradingHalt, *, level: TradingHalt.Level, actor: str, now: datetime) -> None:
    if standing.level == TradingHalt.Level.HALTED:
        raise HaltStricter(f"{standing} was engaged by {standing.engaged_by}; release it before engaging {level}")
    _close(standing, actor=actor, now=now)


def _close(halt: TradingHalt, *, actor: str, now: datetime) -> None:
    halt.released_by = actor
    halt.released_at = now
    halt.save(update_fields=["released_by", "released_at"])


def _record(halt: TradingHalt, *, action: str, reason: str, actor: str, now: datetime) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject=subject_of(halt),
        reason=reason,
        detail={"halt": halt.pk, "level": halt.level, "engaged_for": halt.reason},
        now=now,
    )
