"""Wishes for ticks: written here; the feed is knocked at, and looks every second all the same."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.commits import after_commit
from accounts.queries import streaming_logins
from kite.types import Mode
from market_data.asking import Asked, Unknown, resolve
from market_data.bus import PLAN_TOPIC, sync_bus
from market_data.calendar import IST
from market_data.errors import BadCommand, FeedDown
from market_data.models import Instrument, Subscription
from market_data.queries import desired_modes, living_wishes
from market_data.sharding import admit

log = structlog.get_logger(__name__)

SOCKET_WISH: Final = timedelta(hours=1)


def wish(
    *,
    instruments: Collection[Instrument],
    mode: Mode,
    wanted_by: str,
    reason: str = "",
    now: datetime,
    expires_at: datetime | None = None,
) -> int:
    """Want these instruments in this mode and return how many were not wanted by the same before.

    Wishing again changes mode, reason and expiry. Raises CapacityExceeded where the accounts that are logged in have
    no room for the union of all wishes.
    """
    _admit(instruments, now=now)
    return _write(instruments, mode=mode, wanted_by=wanted_by, reason=reason, expires_at=expires_at)


def _write(
    instruments: Collection[Instrument], *, mode: Mode, wanted_by: str, reason: str, expires_at: datetime | None = None
) -> int:
    with transaction.atomic():
        known = Subscription.objects.filter(wanted_by=wanted_by, instrument__in=instruments).count()
        Subscription.objects.bulk_create(
            [
                Subscription(
                    instrument=instrument, mode=mode, wanted_by=wanted_by, reason=reason, expires_at=expires_at
                )
                for instrument in sorted(instruments, key=lambda row: row.pk)
            ],
            update_conflicts=True,
            unique_fields=["instrument", "wanted_by"],
            update_fields=["mode", "reason", "expires_at"],
            batch_size=1000,
        )
        after_commit(_knock)
    return len(instruments) - known


@dataclass(frozen=True, slots=True)
class Change:
    """How many wishes a replacement added, changed and removed."""

    added: int
    changed: int
    removed: int


def replace(
    *, instruments: Collection[Instrument], mode: Mode, wanted_by: str, reason: str = "", now: datetime
) -> Change:
    """Make exactly these the wishes of one wisher, touching only what differs; raises CapacityExceeded."""
    wanted = {row.pk: row for row in instruments}
    with transaction.atomic():
        held = {row.instrument_id: row for row in Subscription.objects.filter(wanted_by=wanted_by).select_for_update()}
        new = [wanted[pk] for pk in sorted(wanted.keys() - held.keys())]
        if new:
            _admit(instruments, now=now, leaving=wanted_by)
            _write(new, mode=mode, wanted_by=wanted_by, reason=reason)
        stale = [
            held[pk].pk for pk in wanted.keys() & held.keys() if (held[pk].mode, held[pk].reason) != (mode, reason)
        ]
        changed = Subscription.objects.filter(pk__in=stale).update(mode=mode, reason=reason) if stale else 0
        gone = [held[pk].pk for pk in held.keys() - wanted.keys()]
        removed = Subscription.objects.filter(pk__in=gone).delete()[0] if gone else 0
        if changed or removed:
            after_commit(_knock)
    return Change(added=len(new), changed=changed, removed=removed)


@dataclass(frozen=True, slots=True)
class Room:
    """What a socket has and the most it may have."""

    held: frozenset[int]
    most: int

    def check(self, count: int, *, field: str) -> None:
        """Raise BadCommand where there is no room for so many."""
        if count > self.most:
            raise BadCommand(
                f"{count} instruments, a client may have {self.most}", code="too_many_instruments", field=field
            )


@dataclass(frozen=True, slots=True)
class SocketWish:
    """What became of a socket's wish: keys by token, and the names that mean nothing."""

    accepted: dict[int, str]
    unknown: list[Unknown]


def wish_for_socket(*, asked: Asked, mode: Mode, user_id: int, room: Room, now: datetime) -> SocketWish:
    """Want what is listed of what was asked for as long as the socket renews it.

    Raises BadCommand where the client would have too many, and CapacityExceeded; nothing is wanted then.
    """
    room.check(len(set(asked.tokens)) + len(set(asked.keys)), field="tokens" if asked.tokens else "symbols")
    answer = resolve(asked)
    found = answer.instruments
    room.check(len(room.held.union(row.instrument_token for row in found.values())), field="symbols")
    if found:
        wish(
            instruments=list(found.values()),
            mode=mode,
            wanted_by=socket_wisher(user_id=user_id, mode=mode),
            reason="tick socket",
            now=now,
            expires_at=now + SOCKET_WISH,
        )
    return SocketWish(accepted={row.instrument_token: str(row) for row in found.values()}, unknown=answer.unknown)


def socket_wisher(*, user_id: int, mode: Mode) -> str:
    """Name the wisher: sockets of one person share a wish per mode, so that none narrows another's."""
    return f"socket:{user_id}:{mode}"


def unwish(*, instruments: Collection[Instrument], wanted_by: str) -> int:
    """Want these instruments no more and return how many were wanted."""
    return _forget(Subscription.objects.filter(wanted_by=wanted_by, instrument__in=instruments))


def unwish_everything(*, wanted_by: str) -> int:
    """Want nothing any more and return how much was wanted."""
    return _forget(Subscription.objects.filter(wanted_by=wanted_by))


def renew(*, user_id: int, modes: Mapping[int, Mode], now: datetime) -> None:
    """Let a living socket's wishes live on."""
    for mode in set(modes.values()):
        Subscription.objects.filter(
            wanted_by=socket_wisher(user_id=user_id, mode=mode),
            instrument__instrument_token__in=[token for token, wanted in modes.items() if wanted == mode],
        ).update(expires_at=now + SOCKET_WISH)


def forget_expired(*, now: datetime) -> int:
    """Delete the wishes past their time, and those for contracts that expired; return how many."""
    over = Q(expires_at__lte=now) | Q(instrument__expiry__lt=now.astimezone(IST).date())
    return _forget(Subscription.objects.filter(over))


def every(*, now: datetime) -> QuerySet[Subscription]:
    """Return all wishes in force."""
    return living_wishes(now=now).filter(instrument__listed=True).select_related("instrument")


def wishes(*, wanted_by: str, now: datetime) -> QuerySet[Subscription]:
    """Return the wishes in force of one wisher, by instrument."""
    rows = living_wishes(now=now).filter(wanted_by=wanted_by, instrument__listed=True)
    return rows.select_related("instrument").order_by(F("instrument__exchange"), F("instrument__tradingsymbol"))


def _admit(instruments: Collection[Instrument], *, now: datetime, leaving: str = "") -> None:
    """Before the first login nothing can be refused: the wishes wait. `leaving` is who gives up what he had."""
    accounts = len(streaming_logins(now=now))
    if accounts:
        wanted = desired_modes(now=now, without=leaving).keys() | {row.instrument_token for row in instruments}
        admit(wanted=len(wanted), accounts=accounts)


def _forget(rows: QuerySet[Subscription]) -> int:
    deleted = rows.delete()[0]
    if deleted:
        after_commit(_knock)
    return deleted


def _knock() -> None:
    try:
        sync_bus().knock(PLAN_TOPIC)
    except FeedDown as error:
        log.info("market_data.subscriptions.unknocked", reason=str(error))
