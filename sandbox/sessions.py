"""When each exchange is open: hours, the pre-open, expiry days, and the always-open rehearsal mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from sandbox.calendar import Calendar, Hours, read_calendar

EQUITY_HOURS = (time(9, 15), time(15, 30))
CURRENCY_HOURS = (time(9, 0), time(17, 0))
COMMODITY_HOURS = (time(9, 0), time(23, 30))
HOURS = {"CDS": CURRENCY_HOURS, "BCD": CURRENCY_HOURS, "MCX": COMMODITY_HOURS, "NCO": COMMODITY_HOURS}

AMO_HOURS = {
    "NSE": (time(16, 0), time(8, 58)), "BSE": (time(16, 0), time(8, 58)),
    "NFO": (time(15, 45), time(9, 10)), "BFO": (time(15, 45), time(9, 10)),
    "CDS": (time(17, 0), time(8, 59)), "BCD": (time(17, 0), time(8, 59)),
    "MCX": (time(23, 30), time(8, 58)), "NCO": (time(23, 30), time(8, 58)),
}  # fmt: skip

MIS_CUTOFF = {"equity": time(15, 12), "derivative": time(15, 12), "currency": time(16, 45), "commodity": time(23, 15)}


PRE_OPEN = frozenset({"NSE", "BSE"})
COLLECTING_MINUTES, BUFFER_MINUTES = 15, 7


class Phase(StrEnum):
    """What an exchange does at a moment: the pre-open collects orders, matches them once and then waits."""

    CLOSED = "closed"
    COLLECTING = "collecting"
    MATCHED = "matched"
    OPEN = "open"


@dataclass(slots=True)
class Sessions:
    """Answers what an exchange does at a moment; `always` rehearses an open session at any hour."""

    always: bool = True
    calendar: Calendar = field(default_factory=read_calendar)

    def is_trading_day(self, day: date, *, exchange: str = "NSE") -> bool:
        return self.hours(exchange=exchange, day=day) is not None

    def hours(self, *, exchange: str, day: date) -> Hours | None:
        odd = self.calendar.find(exchange=exchange, day=day)
        if odd is not None:
            return odd.hours
        return HOURS.get(exchange, EQUITY_HOURS) if day.weekday() < 5 else None

    def phase(self, *, exchange: str, moment: datetime) -> Phase:
        if self.always:
            return Phase.OPEN
        hours = self.hours(exchange=exchange, day=moment.date())
        if hours is None or moment.time() >= hours[1]:
            return Phase.CLOSED
        if moment.time() >= hours[0]:
            return Phase.OPEN
        if exchange not in PRE_OPEN or moment.time() < earlier(hours[0], minutes=COLLECTING_MINUTES):
            return Phase.CLOSED
        return Phase.COLLECTING if moment.time() < earlier(hours[0], minutes=BUFFER_MINUTES) else Phase.MATCHED

    def is_open(self, *, exchange: str, moment: datetime) -> bool:
        return self.phase(exchange=exchange, moment=moment) is Phase.OPEN

    def accepts_amo(self, *, exchange: str, moment: datetime) -> bool:
        start, end = AMO_HOURS.get(exchange, AMO_HOURS["NSE"])
        shut = not self.is_trading_day(moment.date(), exchange=exchange)
        return self.always or shut or moment.time() >= start or moment.time() < end

    def previous_trading_day(self, day: date, *, exchange: str = "NSE") -> date:
        while not self.is_trading_day(day, exchange=exchange):
            day -= timedelta(days=1)
        return day

    def mis_cutoff(self, *, exchange: str, day: date) -> time | None:
        """Return when intraday positions are closed: the usual time, or 18 minutes before an odd session ends."""
        hours = self.hours(exchange=exchange, day=day)
        if hours is None:
            return None
        usual = MIS_CUTOFF[mis_class(exchange)]
        return usual if hours[0] < usual < hours[1] else earlier(hours[1], minutes=18)

    def past_mis_cutoff(self, *, exchange: str, moment: datetime) -> bool:
        if self.always:
            return False
        cutoff = self.mis_cutoff(exchange=exchange, day=moment.date())
        return cutoff is not None and moment.time() >= cutoff

    def turns(self, day: date) -> list[time]:
        """Return every time of a day at which some exchange changes what it does."""
        found: set[time] = set()
        for exchange in HOURS.keys() | {"NSE", "BSE", "NFO", "BFO"}:
            hours = self.hours(exchange=exchange, day=day)
            cutoff = self.mis_cutoff(exchange=exchange, day=day)
            if self.always or hours is None or cutoff is None:
                continue
            found |= {*hours, cutoff}
            if exchange in PRE_OPEN:
                found |= {earlier(hours[0], minutes=COLLECTING_MINUTES), earlier(hours[0], minutes=BUFFER_MINUTES)}
        return sorted(found)


def earlier(moment: time, *, minutes: int) -> time:
    return (datetime.combine(date.min + timedelta(days=1), moment) - timedelta(minutes=minutes)).time()


LONGEST_WALK = timedelta(days=14)


def turns_between(sessions: Sessions, *, start: datetime, end: datetime) -> list[datetime]:
    """Return every moment between two at which some exchange turns; a long jump passes over its first days."""
    day, found = max(start, end - LONGEST_WALK).date(), []
    while day <= end.date():
        found += [datetime.combine(day, turn, tzinfo=end.tzinfo) for turn in sessions.turns(day)]
        day += timedelta(days=1)
    return [turn for turn in found if start < turn < end]


def mis_class(exchange: str) -> str:
    if exchange in {"CDS", "BCD"}:
        return "currency"
    if exchange in {"MCX", "NCO"}:
        return "commodity"
    return "equity" if exchange in {"NSE", "BSE"} else "derivative"


def weekly_expiries(*, today: date, weekday: int, count: int, sessions: Sessions, exchange: str = "NFO") -> list[date]:
    """Return the next `count` expiries on `weekday`, moved back over holidays, none in the past."""
    day = today + timedelta(days=(weekday - today.weekday()) % 7)
    found: list[date] = []
    while len(found) < count:
        expiry = sessions.previous_trading_day(day, exchange=exchange)
        if expiry >= today:
            found.append(expiry)
        day += timedelta(days=7)
    return found


def monthly_expiries(*, today: date, weekday: int, count: int, sessions: Sessions, exchange: str = "NFO") -> list[date]:
    """Return the last `weekday` of this and the following months, moved back over holidays."""
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < count:
        following = date(year + month // 12, month % 12 + 1, 1)
        last = following - timedelta(days=1)
        last -= timedelta(days=(last.weekday() - weekday) % 7)
        expiry = sessions.previous_trading_day(last, exchange=exchange)
        if expiry >= today:
            found.append(expiry)
        year, month = following.year, following.month
    return found
