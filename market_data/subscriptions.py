"""Wishes for ticks: written here, streamed by the feed a second later."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.queries import streaming_logins
from kite.types import Mode
from market_data.calendar import IST
from market_data.models import Instrument, Subscription
from market_data.queries import desired_modes, living_wishes
from market_data.sharding import admit

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
    return len(instruments) - known


def unwish(*, instruments: Collection[Instrument], wanted_by: str) -> int:
    """Want these instruments no more and return how many were wanted."""
    return Subscription.objects.filter(wanted_by=wanted_by, instrument__in=instruments).delete()[0]


def unwish_everything(*, wanted_by: str) -> int:
    """Want nothing any more and return how much was wanted."""
    return Subscription.objects.filter(wanted_by=wanted_by).delete()[0]


def renew(*, tokens: Sequence[int], wanted_by: str, now: datetime) -> None:
    """Let a living socket's wishes live on."""
    Subscription.objects.filter(wanted_by=wanted_by, instrument__instrument_token__in=tokens).update(
        expires_at=now + SOCKET_WISH
    )


def forget_expired(*, now: datetime) -> int:
    """Delete the wishes past their time, and those for contracts that expired; return how many."""
    over = Q(expires_at__lte=now) | Q(instrument__expiry__lt=now.astimezone(IST).date())
    return Subscription.objects.filter(over).delete()[0]


def wishes(*, wanted_by: str, now: datetime) -> QuerySet[Subscription]:
    """Return the wishes in force of one wisher, by instrument."""
    rows = living_wishes(now=now).filter(wanted_by=wanted_by, instrument__listed=True)
    return rows.select_related("instrument").order_by(F("instrument__exchange"), F("instrument__tradingsymbol"))


def _admit(instruments: Collection[Instrument], *, now: datetime) -> None:
    """Before the first login nothing can be refused: the wishes wait."""
    accounts = len(streaming_logins(now=now))
    if accounts:
        wanted = desired_modes(now=now).keys() | {row.instrument_token for row in instruments}
        admit(wanted=len(wanted), accounts=accounts)
