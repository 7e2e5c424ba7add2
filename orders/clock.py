"""Time as the order path sees it: the database's clock for leases, a monotonic clock for time-outs, IST for days."""

import time
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from accounts.statements import prepared

IST = ZoneInfo("Asia/Kolkata")
ASK_AGAIN_SECONDS = 1.0


class Clock(Protocol):
    """What the order path needs of a clock."""

    def now(self) -> datetime:
        """Return the current time, aware."""

    def monotonic(self) -> float:
        """Return seconds that never step."""


class DatabaseClock:
    """One clock for every host: leases and budgets compare times that the same server gave.

    Between two questions, a second apart at most, the machine's own clock counts on. It counts while the machine or
    this process sleeps, so that whoever wakes up asks again.
    """

    def __init__(self) -> None:
        self._told: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """Return the database server's current time."""
        since = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._told is not None and since - self._told[1] < ASK_AGAIN_SECONDS:
            return self._told[0] + timedelta(seconds=since - self._told[1])
        with prepared() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            at: datetime = cursor.fetchone()[0]
        self._told = at, time.clock_gettime(time.CLOCK_BOOTTIME)
        return at

    def monotonic(self) -> float:
        """Return this process's monotonic seconds."""
        return time.monotonic()


def trading_day(at: datetime) -> date:
    """Return the IST date of a moment."""
    return at.astimezone(IST).date()
