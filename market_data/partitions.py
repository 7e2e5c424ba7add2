"""The days of the tick table: made ahead, made on demand, dropped when they are old."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection, transaction

from market_data.calendar import IST

AHEAD_DAYS: Final = 3
KEPT_DAYS: Final = 30
PARTITION_LOCK: Final = 0x70617274  # "part"
PREFIX: Final = "market_data_tick_"


def maintain(*, now: datetime, keep_days: int = KEPT_DAYS) -> tuple[list[str], list[str]]:
    """Make the partitions of the days ahead and drop those past their time; return the names of both."""
    missing, old = plan(now=now, keep_days=keep_days)
    made = ensure(days=map(day_of, missing))
    with connection.cursor() as cursor:
        for name in old:
            cursor.execute(f"DROP TABLE {name}")
    return made, old


def plan(*, now: datetime, keep_days: int = KEPT_DAYS) -> tuple[list[str], list[str]]:
    """Return the partitions that `maintain` would make and drop."""
    today, there = now.astimezone(IST).date(), existing()
    ahead = [name_of(today + timedelta(days=days)) for days in range(AHEAD_DAYS + 1)]
    old = sorted(name for name in there if day_of(name) < today - timedelta(days=keep_days))
    return [name for name in ahead if name not in there], old


def ensure(*, days: Iterable[date]) -> list[str]:
    """Make the missing partitions of these days and return their names."""
    missing = sorted(set(map(name_of, days)) - existing())
    if not missing:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [PARTITION_LOCK])
        for name in missing:
            start = day_of(name)
            bounds = [_midnight(start), _midnight(start + timedelta(days=1))]
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF market_data_tick FOR VALUES FROM (%s) TO (%s)", bounds
            )
    return missing


def existing() -> set[str]:
    """Return the names of the partitions there are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'market_data_tick'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def name_of(day: date) -> str:
    """Return the name of a day's partition."""
    return f"{PREFIX}{day:%Y%m%d}"


def day_of(name: str) -> date:
    """Return the day of a partition."""
    text = name.removeprefix(PREFIX)
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=IST).isoformat()
