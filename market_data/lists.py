"""Saved lists: instruments under a name, wished for as a whole where the list says so."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Count, QuerySet

from kite.types import Mode
from market_data import subscriptions
from market_data.errors import ListUnknown
from market_data.models import Instrument, InstrumentList, InstrumentListEntry


def save(
    *,
    name: str,
    instruments: Collection[Instrument],
    stream: Mode | None = None,
    description: str = "",
    saved_by: str,
    now: datetime,
) -> InstrumentList:
    """Make the list hold exactly these instruments, streamed in a mode or not; doing it again changes nothing.

    Raises CapacityExceeded where the accounts have no room for what is to be streamed; nothing is written then.
    """
    with transaction.atomic():
        row, _ = InstrumentList.objects.update_or_create(
            name=name,
            defaults={"description": description, "stream": stream or "", "saved_by": saved_by, "saved_at": now},
        )
        row.entries.exclude(instrument__in=instruments).delete()
        InstrumentListEntry.objects.bulk_create(
            [InstrumentListEntry(instrument_list=row, instrument=one) for one in instruments], ignore_conflicts=True
        )
        _stream(row, instruments, now)
    return row


def drop(*, name: str) -> None:
    """Forget a list and what it wished for; raises ListUnknown."""
    with transaction.atomic():
        row = by_name(name)
        subscriptions.unwish_everything(wanted_by=row.wanted_by)
        row.delete()


def every() -> QuerySet[InstrumentList]:
    """Return all lists by name, each with its `size`."""
    return InstrumentList.objects.annotate(size=Count("entries")).order_by("name")


def by_name(name: str) -> InstrumentList:
    """Return a list; raises ListUnknown."""
    row = InstrumentList.objects.filter(name=name).first()
    if row is None:
        raise ListUnknown(f"no list {name[:60]}", field="lists")
    return row


def _stream(row: InstrumentList, instruments: Collection[Instrument], now: datetime) -> None:
    if not row.stream:
        subscriptions.unwish_everything(wanted_by=row.wanted_by)
        return
    subscriptions.replace(
        instruments=instruments,
        mode=Mode(row.stream),
        wanted_by=row.wanted_by,
        reason=f"list {row.name} by {row.saved_by}",
        now=now,
    )
