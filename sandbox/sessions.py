"""When each exchange is open: hours, holidays, expiry days, and the always-open rehearsal mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

HOLIDAYS = frozenset(
    date.fromisoformat(text)
    for text in (
        "2026-01-26", "2026-03-03", "2026-03-26", "2026-03-31", "2026-04-03", "2026-04-14", "2026-05-01",
        "2026-05-28", "2026-06-26", "2026-09-14", "2026-10-02", "2026-10-20", "2026-11-10", "2026-11-24",
        "2026-12-25", "2027-01-26", "2027-03-22", "2027-03-26", "2027-04-14",
    )
)  # fmt: skip

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


@dataclass(slots=True)
class Sessions:
    """Answers whether an exchange trades at a moment; `always` rehearses an open session at any hour."""

    always: bool = True
    holidays: set[date] = field(default_factory=lambda: set(HOLIDAYS))
    special: dict[date, tuple[time, time]] = field(default_factory=dict)

    def is_trading_day(self, day: date) -> bool:
        return day in self.special or (day.weekday() < 5 and day not in self.holidays)

    def hours(self, *, exchange: str, day: date) -> tuple[time, time] | None:
        if day in self.special:
            return self.special[day]
        return HOURS.get(exchange, EQUITY_HOURS) if self.is_trading_day(day) else None

    def is_open(self, *, exchange: str, moment: datetime) -> bool:
        if self.always:
            return True
        hours = self.hours(exchange=exchange, day=moment.date())
        return hours is not None and hours[0] <= moment.time() < hours[1]

    def accepts_amo(self, *, exchange: str, moment: datetime) -> bool:
        start, end = AMO_HOURS.get(exchange, AMO_HOURS["NSE"])
        return self.always or not self.is_trading_day(moment.date()) or moment.time() >= start or moment.time() < end

    def previous_trading_day(self, day: date) -> date:
        while not self.is_trading_day(day):
            day -= timedelta(days=1)
        return day

    def past_mis_cutoff(self, *, exchange: str, moment: datetime) -> bool:
        if self.always or not self.is_trading_day(moment.date()):
            return False
        return moment.time() >= MIS_CUTOFF[mis_class(exchange)]


def mis_class(exchange: str) -> str:
    if exchange in {"CDS", "BCD"}:
        return "currency"
    if exchange in {"MCX", "NCO"}:
        return "commodity"
    return "equity" if exchange in {"NSE", "BSE"} else "derivative"


def weekly_expiries(*, today: date, weekday: int, count: int, sessions: Sessions) -> list[date]:
    """Return the next `count` expiries on `weekday`, moved back over holidays, none in the past."""
    day = today + timedelta(days=(weekday - today.weekday()) % 7)
    found: list[date] = []
    while len(found) < count:
        expiry = sessions.previous_trading_day(day)
        if expiry >= today:
            found.append(expiry)
        day += timedelta(days=7)
    return found


def monthly_expiries(*, today: date, weekday: int, count: int, sessions: Sessions) -> list[date]:
    """Return the last `weekday` of this and the following months, moved back over holidays."""
    found: list[date] = []
    year, month = today.year, today.month
    while len(found) < count:
        following = date(year + month // 12, month % 12 + 1, 1)
        last = following - timedelta(days=1)
        last -= timedelta(days=(last.weekday() - weekday) % 7)
        expiry = sessions.previous_trading_day(last)
        if expiry >= today:
            found.append(expiry)
        year, month = following.year, following.month
    return found
