"""What an exchange does at a moment, by the calendar."""

from datetime import date, datetime, timedelta
from functools import lru_cache

from django.conf import settings

from market_data.calendar import IST, Calendar
from market_data.trading_days import read_calendar
from orders.objections import Market

# Orders collected for the opening auction are taken a quarter of an hour before it.
PRE_OPEN = timedelta(minutes=15)
PRE_OPEN_EXCHANGES = frozenset({"NSE", "BSE"})


def market_at(*, exchange: str, at: datetime) -> Market:
    """Return what the exchange does; unchecked where the settings say that it keeps other hours than India's."""
    if not settings.CHECK_MARKET_HOURS:
        return Market.UNCHECKED
    calendar = _calendar(at.astimezone(IST).date(), int(at.timestamp()) // 60)
    if calendar.is_open(exchange=exchange, at=at):
        return Market.OPEN
    soon = exchange in PRE_OPEN_EXCHANGES and calendar.is_open(exchange=exchange, at=at + PRE_OPEN)
    return Market.COLLECTING if soon else Market.CLOSED


@lru_cache(maxsize=2)
def _calendar(day: date, _minute: int) -> Calendar:
    """Read the day's odd hours once a minute."""
    return read_calendar(since=day, until=day)
