"""The table of option minutes: a partition a day, written by COPY."""

from datetime import UTC, date, datetime
from typing import Final

import numpy as np
from django.db import connection, transaction

from greeks.conventions import IST
from greeks.models import OptionMinute
from greeks.option_rows import COLUMNS, encode
from greeks.store import Rows
from market_data.partitions import DayTable

LOCK: Final = 0x67726B68  # "grkh"
MINUTES: Final = DayTable(name="greeks_optionminute", keep_days=365, lock=(LOCK, 1))
STATEMENT: Final = f"COPY greeks_optionminute (underlying, {', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def write(*, underlying: str, rows: Rows) -> int:
    """Store the minutes that are not there yet and return how many; an option has one row a minute."""
    if not len(rows):
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        MINUTES.ensure(days={datetime.fromtimestamp(stamp, IST).date() for stamp in np.unique(rows["minute_at"])})
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
