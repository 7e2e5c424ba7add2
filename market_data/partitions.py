"""Tables that have a partition a day: made ahead, made on demand, dropped whole when they are old."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection, transaction

from market_data.calendar import IST

AHEAD_DAYS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTable:
    """A table with a partition for each day in India; `lock` is the advisory lock under which one is made."""

    name: str
    keep_days: int
    lock: tuple[int, int]

    def maintain(self, *, now: datetime, keep_days: int | None = None) -> tuple[list[str], list[str]]:
        """Make the partitions of the days ahead and drop those past their time; return the names of both."""
        missing, old = self.plan(now=now, keep_days=keep_days)
        made = self.ensure(days=map(self.day_of, missing))
        with connection.cursor() as cursor:
            for partition in old:
                cursor.execute(f"DROP TABLE {partition}")
        return made, old

    def plan(self, *, now: datetime, keep_days: int | None = None) -> tuple[list[str], list[str]]:
        """Return the partitions that `maintain` would make and drop."""
        today, there = now.astimezone(IST).date(), self.existing()
        first = today - timedelta(days=self.keep_days if keep_days is None else keep_days)
        ahead = [self.name_of(today + timedelta(days=days)) for days in range(AHEAD_DAYS + 1)]
        old = sorted(partition for partition in there if self.day_of(partition) < first)
        return [partition for partition in ahead if partition not in there], old

    def ensure(self, *, days: Iterable[date]) -> list[str]:
        """Make the missing partitions of these days and return their names."""
        missing = sorted(set(map(self.name_of, days)) - self.existing())
        if not missing:
            return []
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", self.lock)
            for partition in missing:
                start = self.day_of(partition)
                bounds = [_midnight(start), _midnight(start + timedelta(days=1))]
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {partition} PARTITION OF {self.name} FOR VALUES FROM (%s) TO (%s)",
                    bounds,
                )
        return missing

    def existing(self) -> set[str]:
        """Return the names of the partitions there are."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
                "WHERE i.inhparent = %s::regclass",
                [self.name],
            )
            return {row[0] for row in cursor.fetchall()}

    def name_of(self, day: date) -> str:
        """Return the name of a day's partition."""
        return f"{self.name}_{day:%Y%m%d}"

    def day_of(self, partition: str) -> date:
        """Return the day of a partition."""
        text = partition.removeprefix(f"{self.name}_")
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=IST).isoformat()


TICKS: Final = DayTable(name="market_data_tick", keep_days=30, lock=(0x70617274, 0))  # "part"
