"""Trading sessions per exchange: when ticks are to be expected. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

IST: Final = ZoneInfo("Asia/Kolkata")
SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Session:
    """Opening and closing time of a trading day in India."""

    opens: time
    closes: time


EQUITY: Final = Session(time(9, 15), time(15, 30))
CURRENCY: Final = Session(time(9, 0), time(17, 0))
# Closes at 23:55 while the United States keep winter time.
COMMODITY: Final = Session(time(9, 0), time(23, 55))

SESSIONS: Final[Mapping[str, Session]] = {
    "NSE": EQUITY,
    "BSE": EQUITY,
    "NFO": EQUITY,
    "BFO": EQUITY,
    "CDS": CURRENCY,
    "BCD": CURRENCY,
    "MCX": COMMODITY,
    "NCO": COMMODITY,
}


def session_of(*, exchange: str, day: date, holidays: Set[date]) -> tuple[datetime, datetime] | None:
    """Return opening and closing (aware) of the exchange's day, None where it does not trade."""
    if day.weekday() >= SATURDAY or day in holidays:
        return None
    session = SESSIONS[exchange]
    return datetime.combine(day, session.opens, IST), datetime.combine(day, session.closes, IST)


def is_open(*, exchange: str, at: datetime, holidays: Set[date]) -> bool:
    """Say whether the exchange trades at this moment."""
    session = session_of(exchange=exchange, day=at.astimezone(IST).date(), holidays=holidays)
    return session is not None and session[0] <= at < session[1]


def next_opening(*, exchange: str, after: datetime, holidays: Set[date]) -> datetime:
    """Return the first opening later than `after`."""
    day = after.astimezone(IST).date()
    while True:
        session = session_of(exchange=exchange, day=day, holidays=holidays)
        if session is not None and session[0] > after:
            return session[0]
        day += timedelta(days=1)
