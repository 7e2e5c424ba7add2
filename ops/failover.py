"""Moves an account's data to the others and back. Orders never move: an account is somebody's money."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import audit, health
from accounts.errors import AccountStateConflict, AccountUnknown
from accounts.models import BrokerAccount, Credential
from market_data.queries import desired_modes
from market_data.sharding import admit, assign
from ops.errors import NoTaker

State = BrokerAccount.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a fail-over moves: how many instruments, to whom, and how many of all then find no room.

    `wanted` instruments of all accounts would be on `others` accounts afterwards.
    """

    label: str
    instruments: int
    takers: Mapping[str, int]
    unplaced: int
    wanted: int
    others: int

    def require_room(self) -> None:
        """Raise CapacityExceeded where the others would then be above 90 % of what they can stream."""
        if self.instruments:
            admit(wanted=self.wanted, accounts=self.others)


def plan(*, label: str, now: datetime) -> Move:
    """Return what failing this account over would move now; changes nothing."""
    account = account_of(label)
    names = _streaming(now=now)
    others = {key: name for key, name in names.items() if key != str(account.pk)}
    wanted = desired_modes(now=now)
    before = assign(wanted=wanted, accounts=list(names))
    after = assign(wanted=wanted, accounts=list(others))
    mine = {token for line in before.lines.get(str(account.pk), ()) for token in line}
    takers: Counter[str] = Counter()
    for key, lines in after.lines.items():
        takers[others[key]] += sum(len(mine & line.keys()) for line in lines)
    return Move(
        label=label,
        instruments=len(mine),
        takers=dict(+takers),
        unplaced=len(after.unplaced),
        wanted=len(wanted),
        others=len(others),
    )


def fail_over(*, label: str, reason: str, actor: str, now: datetime, until: datetime | None = None) -> Move:
    """Take the account out of the data and return what moves; the feed follows within seconds.

    With `until` only data moves, and the account comes back by itself. Without it the account is out until restored and
    takes no new orders either. Raises NoTaker where no other account could stream, and CapacityExceeded where the
    others would be above 90 % of what they can; an account that must not go on all the same is cordoned.
    """
    reason = audit.required(reason)
    account = account_of(label)
    move = plan(label=label, now=now)
    if not move.takers and not _others_stream(account, now=now):
        raise NoTaker(f"no other account is logged in and streaming: {label}'s instruments would stop", field="label")
    move.require_room()
    with transaction.atomic():
        held = health.locked(account.pk)
        if held.state not in {State.ACTIVE, State.DEGRADED}:
            raise AccountStateConflict(f"{label} is {held.state} already", field="label")
        if until is None:
            health.cordon(account_id=account.pk, reason=reason, actor=actor, now=now)
        else:
            health.degrade(account_id=account.pk, reason=reason, now=now, recovers_at=until)
        detail = {"instruments": move.instruments, "takers": dict(move.takers), "until": until and until.isoformat()}
        audit.record(
            actor=actor,
            action="ops.data.failed_over",
            subject=health.subject_of(account),
            reason=reason,
            detail=detail,
            now=now,
        )
    return move


def restore(*, label: str, reason: str, actor: str, now: datetime) -> None:
    """Bring the account back; the feed gives it its instruments again."""
    reason = audit.required(reason)
    account = account_of(label)
    with transaction.atomic():
        state = health.locked(account.pk).state
        if state == State.CORDONED:
            health.uncordon(account_id=account.pk, reason=reason, actor=actor, now=now)
        elif state == State.DEGRADED:
            health.restore(account_id=account.pk, now=now, reason=reason, actor=actor)
        else:
            raise AccountStateConflict(f"{label} is {state}: there is nothing to restore", field="label")


def account_of(label: str) -> BrokerAccount:
    """Return the account; raises AccountUnknown."""
    account = BrokerAccount.objects.filter(label=label).first()
    if account is None:
        raise AccountUnknown(f"no account is labelled {label!r}", field="label")
    return account


def _streaming(*, now: datetime) -> dict[str, str]:
    rows = Credential.objects.filter(
        current=True,
        access_token__isnull=False,
        token_expires_at__gt=now,
        account__streams_data=True,
        account__state=State.ACTIVE,
    )
    found: list[tuple[UUID, str]] = list(rows.values_list("account_id", "account__label"))
    return {str(key): label for key, label in found}


def _others_stream(account: BrokerAccount, *, now: datetime) -> bool:
    return bool(_streaming(now=now).keys() - {str(account.pk)})
