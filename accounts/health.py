"""What the platform may do with an account: active, degraded for a while, cordoned by hand."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts.audit import record, required
from accounts.breaker import Change, forget_history, take_history
from accounts.breaker import State as BreakerState
from accounts.errors import AccountExists, AccountStateConflict, AccountUnknown
from accounts.families import refuse_sharing
from accounts.models import AuditEntry, BrokerAccount, Credential
from accounts.queries import due_for_recovery
from accounts.shared import SharedScripts

PLATFORM = "platform"
CHANGEABLE = frozenset({"owner", "group", "streams_data", "places_orders", "source_address", "order_proxy"})
State = BrokerAccount.State


def add(*, account: BrokerAccount, actor: str, now: datetime) -> BrokerAccount:
    """Store a new account."""
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            detail = {"broker_user_id": account.broker_user_id}
            record(actor=actor, action="accounts.account.added", subject=subject_of(account), detail=detail, now=now)
    except IntegrityError as error:
        raise AccountExists(f"{account.label} or {account.broker_user_id} is taken", field="label") from error
    return account


def change(*, account_id: UUID, changes: Mapping[str, object], actor: str, now: datetime) -> BrokerAccount:
    """Change what an account is used for; whose it is and its state are not changed here."""
    if excess := changes.keys() - CHANGEABLE:
        raise AccountStateConflict(f"{', '.join(sorted(excess))} cannot be changed", field=min(excess))
    with transaction.atomic():
        account = locked(account_id)
        if not changes:
            return account
        for name, value in changes.items():
            setattr(account, name, value)
        refuse_sharing(account_id=account.pk, group_id=account.group_id)
        _save(account, changes)
        detail = {name: str(value) for name, value in changes.items()}
        record(actor=actor, action="accounts.account.changed", subject=subject_of(account), detail=detail, now=now)
    return account


def degrade(*, account_id: UUID, reason: str, now: datetime, recovers_at: datetime) -> None:
    """Take an active account out of data until `recovers_at`; a degraded one stays out until the later time."""
    with transaction.atomic():
        account = locked(account_id)
        if account.state == State.DEGRADED:
            _stay_degraded(account, recovers_at)
        if account.state == State.ACTIVE:
            account.recovers_at = recovers_at
            _move(account, State.DEGRADED, actor=PLATFORM, reason=required(reason), now=now)


def restore(*, account_id: UUID, now: datetime, reason: str = "recovered", actor: str = PLATFORM) -> None:
    """Bring a degraded account back."""
    _change(account_id, {State.DEGRADED: State.ACTIVE}, actor=actor, reason=reason, now=now)


def restore_recovered(*, now: datetime) -> int:
    """Bring back every degraded account whose time has come and return how many there were."""
    due = list(due_for_recovery(now=now).values_list("id", flat=True))
    for account_id in due:
        restore(account_id=account_id, now=now)
    return len(due)


def cordon(*, account_id: UUID, reason: str, actor: str, now: datetime) -> None:
    """Drain an account: it streams nothing and takes no new orders until somebody uncordons it."""
    moves = {State.ACTIVE: State.CORDONED, State.DEGRADED: State.CORDONED}
    _change(account_id, moves, actor=actor, reason=required(reason), now=now)


def stop(*, account_id: UUID, reason: str, now: datetime) -> None:
    """Cordon an account whose broker refuses its orders; one that takes none already is left as it is."""
    with transaction.atomic():
        account = locked(account_id)
        if account.state in {State.ACTIVE, State.DEGRADED}:
            _move(account, State.CORDONED, actor=PLATFORM, reason=required(reason), now=now)


def uncordon(*, account_id: UUID, reason: str, actor: str, now: datetime) -> None:
    """Bring a cordoned account back."""
    _change(account_id, {State.CORDONED: State.ACTIVE}, actor=actor, reason=required(reason), now=now)


def retire(*, account_id: UUID, reason: str, actor: str, now: datetime) -> None:
    """End the platform's use of an account for good; only a cordoned account can be retired."""
    with transaction.atomic():
        account = locked(account_id)
        if account.state not in {State.CORDONED, State.RETIRED}:
            raise AccountStateConflict(f"{account.label} is {account.state}: cordon it first", field="account")
        if account.state == State.CORDONED:
            _move(account, State.RETIRED, actor=actor, reason=required(reason), now=now)


def delete(*, account_id: UUID, reason: str, actor: str, now: datetime) -> None:
    """Take an account away that never did anything: only a cordoned or retired one that no other row needs."""
    why = required(reason)
    with transaction.atomic():
        account = locked(account_id)
        if account.state not in {State.CORDONED, State.RETIRED}:
            raise AccountStateConflict(f"{account.label} is {account.state}: cordon it first", field="account")
        try:
            with transaction.atomic():
                Credential.objects.filter(account=account).delete()
                account.delete()
        except ProtectedError as error:
            kinds = sorted({str(row._meta.verbose_name) for row in error.protected_objects})  # noqa: SLF001
            raise AccountStateConflict(
                f"{account.label} has a history ({', '.join(kinds)}): retire it instead", field="account"
            ) from error
        detail = {"broker_user_id": account.broker_user_id}
        subject = subject_of(account)
        record(actor=actor, action="accounts.account.deleted", subject=subject, reason=why, detail=detail, now=now)


def record_breaker_changes(*, scripts: SharedScripts, now: datetime) -> int:
    """Write down which breakers opened and closed since the last time, each once, and return how many did."""
    changes = take_history(scripts=scripts)
    with transaction.atomic():
        written = AuditEntry.objects.filter(detail__number__in=[change.number for change in changes])
        known = set(written.values_list("detail__number", flat=True))
        labels = dict(
            BrokerAccount.objects.filter(id__in={change.account_id for change in changes}).values_list("id", "label")
        )
        for change in changes:
            label = labels.get(UUID(change.account_id))
            if label is not None and change.number not in known:
                _record_breaker(change, label, now)
    forget_history(changes, scripts=scripts)
    return len(changes)


def locked(account_id: UUID) -> BrokerAccount:
    """Return the account and hold its row; foreign keys to it can still be inserted meanwhile."""
    account = BrokerAccount.objects.select_for_update(no_key=True).filter(id=account_id).first()
    if account is None:
        raise AccountUnknown(f"no account {account_id}", field="account")
    return account


def subject_of(account: BrokerAccount) -> str:
    """Return the name of an account in the audit trail."""
    return f"account:{account.label}"


def _change(
    account_id: UUID,
    moves: Mapping[BrokerAccount.State, BrokerAccount.State],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    with transaction.atomic():
        account = locked(account_id)
        after = moves.get(State(account.state))
        if after is not None:
            account.recovers_at = None
            _move(account, after, actor=actor, reason=reason, now=now)


def _move(account: BrokerAccount, after: BrokerAccount.State, *, actor: str, reason: str, now: datetime) -> None:
    before, account.state = account.state, after
    account.state_reason = "" if after == State.ACTIVE else reason[:200]
    account.state_changed_at = now
    _save(account, ["state", "state_reason", "state_changed_at", "recovers_at"])
    record(
        actor=actor,
        action=f"accounts.account.{after}",
        subject=subject_of(account),
        reason=reason[:200],
        detail={"before": before, "after": after},
        now=now,
    )


def _record_breaker(change: Change, label: str, now: datetime) -> None:
    word = "opened" if change.state == BreakerState.OPEN else "closed"
    record(
        actor=PLATFORM,
        action=f"accounts.breaker.{word}",
        subject=f"account:{label}",
        reason=change.reason[:200],
        detail={"class": change.call_class, "seconds": change.seconds, "number": change.number},
        now=now,
    )


def _stay_degraded(account: BrokerAccount, recovers_at: datetime) -> None:
    if account.recovers_at is None or recovers_at > account.recovers_at:
        account.recovers_at = recovers_at
        _save(account, ["recovers_at"])


def _save(account: BrokerAccount, columns: Iterable[str]) -> None:
    account.save(update_fields=columns)
