"""Trading sessions per exchange: when ticks are to be expected. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

IST: Final = ZoneInfo("Asia/Kolkata")
NEW_YORK: Final = ZoneInfo("America/New_York")
SATURDAY: Final = 5
# No exchange was ever shut for so long; a search that goes on has met a broken table.
LONGEST_SEARCH: Final = 400


class NeverOpens(ValueError):
    """The table leaves an exchange no session in more than a year."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When trade begins and ends on a day in India; no end stands for the usual one."""

    opens: time
    closes: time | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A stretch of trade: `opens` belongs to it, `closes` does not."""

    opens: datetime
    closes: datetime

    def holds(self, at: datetime) -> bool:
        """Say whether a moment is in it."""
        return self.opens <= at < self.closes


EQUITY: Final = Hours(time(9, 15), time(15, 30))
CURRENCY: Final = Hours(time(9, 0), time(17, 0))
COMMODITY: Final = Hours(time(9, 0))
COMMODITY_SUMMER: Final = time(23, 30)
COMMODITY_WINTER: Final = time(23, 55)

USUAL: Final[Mapping[str, Hours]] = {
    "NSE": EQUITY,
    "BSE": EQUITY,
    "NFO": EQUITY,
    "BFO": EQUITY,
    "CDS": CURRENCY,
    "BCD": CURRENCY,
    "MCX": COMMODITY,
    "NCO": COMMODITY,
}
EXCHANGES: Final = tuple(USUAL)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The week, and the odd days by exchange and date: their hours, none where the exchange is shut."""

    odd: Mapping[tuple[str, date], tuple[Hours, ...]] = field(default_factory=dict)

    def sessions(self, *, exchange: str, day: date) -> tuple[Session, ...]:
        """Return the day's sessions, in order; none where the exchange is shut."""
        usual = USUAL[exchange]
        hours = self.odd.get((exchange, day))
        if hours is None:
            hours = () if day.weekday() >= SATURDAY else (usual,)
        ordered = sorted(hours, key=lambda stretch: stretch.opens)
        return tuple(
            Session(_at(day, stretch.opens), _at(day, stretch.closes or usual.closes or _commodity_close(day)))
            for stretch in ordered
        )

    def is_trading_day(self, *, exchange: str, day: date) -> bool:
        """Say whether the exchange trades on that day at all."""
        return bool(self.sessions(exchange=exchange, day=day))

    def session_at(self, *, exchange: str, at: datetime) -> Session | None:
        """Return the session a moment is in."""
        found = self.sessions(exchange=exchange, day=at.astimezone(IST).date())
        return next((session for session in found if session.holds(at)), None)

    def is_open(self, *, exchange: str, at: datetime) -> bool:
        """Say whether the exchange trades at this moment."""
        return self.session_at(exchange=exchange, at=at) is not None

    def next_opening(self, *, exchange: str, after: datetime) -> datetime:
        """Return the first opening later than `after`; raises NeverOpens."""
        first = after.astimezone(IST).date()
        for session in self._sessions(exchange, first, step=1):
            if session.opens > after:
                return session.opens
        raise NeverOpens(f"{exchange} never opens after {after.isoformat()}")

    def last_closing(self, *, exchange: str, before: datetime) -> datetime:
        """Return the last closing not later than `before`; raises NeverOpens."""
        last = before.astimezone(IST).date()
        for session in self._sessions(exchange, last, step=-1):
            if session.closes <= before:
                return session.closes
        raise NeverOpens(f"{exchange} never closed before {before.isoformat()}")

    def trading_days(self, *, exchange: str, start: date, end: date) -> list[date]:
        """Return the days of trade from start to end, both included."""
        days = (start + timedelta(days=number) for number in range((end - start).days + 1))
        return [day for day in days if self.is_trading_day(exchange=exchange, day=day)]

    def sessions_between(self, *, exchange: str, start: datetime, end: datetime) -> list[Session]:
        """Return the stretches of trade between two moments, cut to them."""
        first, last = start.astimezone(IST).date(), end.astimezone(IST).date()
        found = []
        for number in range((last - first).days + 1):
            for session in self.sessions(exchange=exchange, day=first + timedelta(days=number)):
                opens, closes = max(session.opens, start), min(session.closes, end)
                if opens < closes:
                    found.append(Session(opens, closes))
        return found

    def open_seconds(self, *, exchange: str, start: datetime, end: datetime) -> float:
        """Return how long the exchange trades between two moments."""
        found = self.sessions_between(exchange=exchange, start=start, end=end)
        return sum(((session.closes - session.opens).total_seconds() for session in found), 0.0)

    def _sessions(self, exchange: str, first: date, *, step: int) -> Iterator[Session]:
        for number in range(LONGEST_SEARCH):
            found = self.sessions(exchange=exchange, day=first + timedelta(days=number * step))
            yield from found if step > 0 else reversed(found)


def _at(day: date, moment: time) -> datetime:
    return datetime.combine(day, moment, IST)


def _commodity_close(day: date) -> time:
    """Commodities trade on to the close of the West, which is later in India while New York keeps winter time."""
    noon = datetime.combine(day, time(12), NEW_YORK)
    return COMMODITY_SUMMER if noon.dst() else COMMODITY_WINTER
