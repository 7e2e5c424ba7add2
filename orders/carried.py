"""What an account carried overnight into its day, as the broker's positions tell it; the limits count it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.statements import first
from kite.answers import PositionRow
from orders.clock import trading_day
from orders.models import RiskLimit
from orders.readings import BookReading, CarriedPosition

# What was carried stays the same all day; a broker's own morning work may come after the first reading.
ASK_AGAIN: Final = timedelta(minutes=15)
KNOWN_FOR: Final = timedelta(hours=1)
OF_ACCOUNT: Final = "account_id = %s"


def keep(*, account_id: UUID, rows: Iterable[PositionRow], at: datetime) -> None:
    """Replace what is known of the account by net positions asked for at `at`; an older answer changes nothing."""
    with transaction.atomic():
        BookReading.objects.bulk_create([BookReading(account_id=account_id)], ignore_conflicts=True)
        reading = BookReading.objects.select_for_update().get(account_id=account_id)
        if reading.carried_at is not None and reading.carried_at >= at:
            return
        CarriedPosition.objects.filter(account_id=account_id).delete()
        CarriedPosition.objects.bulk_create(_by_symbol(account_id, rows))
        reading.carried_at = at
        reading.save(update_fields=["carried_at"])


def due(*, account_id: UUID, now: datetime) -> bool:
    """Say whether the broker should be asked again what was carried."""
    return not _read_within(ASK_AGAIN, reading_of(account_id), now=now)


def missing(*, account_id: UUID, reading: BookReading | None, now: datetime) -> bool:
    """Say whether a limit needs what the account carried while its last reading does not know it."""
    if _read_within(KNOWN_FOR, reading, now=now):
        return False
    bounded = Q(max_position__isnull=False) | Q(max_exposure__isnull=False)
    return RiskLimit.objects.filter(bounded, Q(account_id=account_id) | Q(account_id=None)).exists()


def reading_of(account_id: UUID) -> BookReading | None:
    """Return when the account's books were read, None where they never were."""
    return first(BookReading, OF_ACCOUNT, account_id)


def _read_within(age: timedelta, reading: BookReading | None, *, now: datetime) -> bool:
    at = reading.carried_at if reading is not None else None
    return at is not None and at > now - age and trading_day(at) == trading_day(now)


def _by_symbol(account_id: UUID, rows: Iterable[PositionRow]) -> list[CarriedPosition]:
    """A symbol is bounded over all its products; what was carried counts at yesterday's close."""
    held: dict[tuple[str, str], list[PositionRow]] = defaultdict(list)
    for row in rows:
        held[(row.exchange, row.tradingsymbol)].append(row)
    return [
        CarriedPosition(
            account_id=account_id,
            exchange=exchange,
            tradingsymbol=tradingsymbol,
            quantity=quantity,
            price=max(row.close_price or row.average_price for row in found),
        )
        for (exchange, tradingsymbol), found in held.items()
        if (quantity := sum(row.overnight_quantity for row in found))
    ]
