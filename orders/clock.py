"""Time as the order path sees it: the database's clock for leases, a monotonic clock for time-outs, IST for days."""

import time
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from django.db import connection

IST = ZoneInfo("Asia/Kolkata")


class Clock(Protocol):
    """What the order path needs of a clock."""

    def now(self) -> datetime:
        """Return the current time, aware."""

    def monotonic(self) -> float:
        """Return seconds that never step."""


class DatabaseClock:
    """One clock for every host: leases and budgets compare times that the same server gave."""

    def now(self) -> datetime:
        """Return the database server's current time."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            at: datetime = cursor.fetchone()[0]
        return at

    def monotonic(self) -> float:
        """Return this process's monotonic seconds."""
        return time.monotonic()


def trading_day(at: datetime) -> date:
    """Return the IST date of a moment."""
    return at.astimezone(IST).date()
