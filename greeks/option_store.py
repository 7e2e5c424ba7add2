"""The table of option minutes: its days made ahead, written by COPY, dropped whole when they are old."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from django.db import connection, transaction

from greeks.conventions import IST
from greeks.models import OptionMinute
from greeks.option_rows import COLUMNS, encode
from greeks.store import Rows

AHEAD_DAYS: Final = 3
KEPT_DAYS: Final = 365
PREFIX: Final = "greeks_optionminute_"
LOCK: Final = 0x67726B68  # "grkh"
STATEMENT: Final = f"COPY greeks_optionminute (underlying, {', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def write(*, underlying: str, rows: Rows) -> int:
    """Store the minutes that are not there yet and return how many; an option has one row a minute."""
    if not len(rows):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        ensure(days={datetime.fromtimestamp(stamp, IST).date() for stamp in np.unique(rows["minute_at"])})
        new = _absent(rows)
        with cursor.copy(STATEMENT) as copy:
            for part in encode(underlying=underlying, rows=new):
                copy.write(part)
    return len(new)


def of_option(*, instrument_token: int, start: datetime, end: datetime) -> list[OptionMinute]:
    """Return one option's minutes with start <= minute_at < end, by time."""
    rows = OptionMinute.objects.filter(instrument_token=instrument_token, minute_at__gte=start, minute_at__lt=end)
    return list(rows.order_by("minute_at"))


def of_underlying(
    *, underlying: str, expiry: date | None, start: datetime, end: datetime, limit: int
) -> list[OptionMinute]:
    """Return the minutes of an underlying's options with start <= minute_at < end, by time, expiry, strike and side.

    Of more rows than the limit the first are given, but the first minute always whole.
    """
    rows = OptionMinute.objects.filter(underlying=underlying, minute_at__gte=start, minute_at__lt=end)
    if expiry is not None:
        rows = rows.filter(expiry=expiry)
    found = list(rows.order_by("minute_at", "expiry", "strike", "-sign")[:limit])
    if len(found) < limit or found[0].minute_at != found[-1].minute_at:
        return found
    first = rows.filter(minute_at=found[0].minute_at).order_by("expiry", "strike", "-sign")
    after = rows.filter(minute_at__gt=found[0].minute_at).order_by("minute_at")[:1]
    return [*first, *after]


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
    missing = sorted({name_of(day) for day in days} - existing())
    if not missing:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 1)", [LOCK])
        for name in missing:
            start = day_of(name)
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF greeks_optionminute FOR VALUES FROM (%s) TO (%s)",
                [_midnight(start), _midnight(start + timedelta(days=1))],
            )
    return missing


def existing() -> set[str]:
    """Return the names of the partitions there are."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'greeks_optionminute'::regclass"
        )
        return {row[0] for row in cursor.fetchall()}


def name_of(day: date) -> str:
    """Return the name of a day's partition."""
    return f"{PREFIX}{day:%Y%m%d}"


def day_of(name: str) -> date:
    """Return the day of a partition."""
    text = name.removeprefix(PREFIX)
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _absent(rows: Rows) -> Rows:
    first, last = (
        datetime.fromtimestamp(float(end), UTC) for end in (rows["minute_at"].min(), rows["minute_at"].max())
    )
    tokens = np.unique(rows["instrument_token"]).tolist()
    held = OptionMinute.objects.filter(instrument_token__in=tokens, minute_at__range=(first, last))
    known = {(token, moment.timestamp()) for token, moment in held.values_list("instrument_token", "minute_at")}
    if not known:
        return rows
    pairs = zip(rows["instrument_token"].tolist(), rows["minute_at"].tolist(), strict=True)
    absent: Rows = rows[np.array([pair not in known for pair in pairs])]
    return absent


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=IST).isoformat()
