"""After the close: the broker's minutes over those a recorder built from ticks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from accounts.errors import PlatformError
from kite.errors import KiteError
from market_data.calendar import EXCHANGES, IST, Calendar
from market_data.history import Broker, correct
from market_data.intervals import Stretch
from market_data.lease import turn
from market_data.models import Candle, CandleSpan, Instrument
from market_data.queries import listed
from market_data.trading_days import read_calendar

log = structlog.get_logger(__name__)

LOCK: Final = 0x636F7272  # "corr"
# The broker's own minutes settle for a while.
SETTLED: Final = timedelta(minutes=10)
FAULTS_IN_A_ROW: Final = 5


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a run did: instruments asked for, minutes that changed, instruments that could not be asked or are left."""

    asked: int = 0
    minutes: int = 0
    failed: int = 0
    left: int = 0


def day_of(now: datetime) -> date:
    """Return the day a run at this moment is about: commodities trade to midnight."""
    return (now.astimezone(IST) - timedelta(hours=6)).date()


def correct_day(
    *,
    day: date,
    broker: Broker,
    now: datetime,
    seconds: float | None = None,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> Corrected:
    """Correct what was recorded on a day and has closed; a second run at the same time does nothing.

    `seconds` ends the run early; what is left is found by the next. `told` hears how many of how many are done.
    """
    with turn(LOCK) as mine:
        if not mine:
            return Corrected()
        return _correct(due(day=day, now=now), broker=broker, now=now, seconds=seconds, told=told)


def _correct(
    due: Sequence[tuple[Instrument, Stretch]],
    *,
    broker: Broker,
    now: datetime,
    seconds: float | None,
    told: Callable[[int, int], None],
) -> Corrected:
    deadline = None if seconds is None else time.monotonic() + seconds
    asked = minutes = failed = in_a_row = 0
    for instrument, stretch in due:
        if in_a_row >= FAULTS_IN_A_ROW or (deadline is not None and time.monotonic() > deadline):
            break
        try:
            minutes += correct(instrument=instrument, stretch=stretch, broker=broker, now=now)
            asked, in_a_row = asked + 1, 0
        except (KiteError, PlatformError) as error:
            failed, in_a_row = failed + 1, in_a_row + 1
            log.warning("market_data.correction.failed", instrument=str(instrument), reason=str(error))
        told(asked + failed, len(due))
    return Corrected(asked, minutes, failed, len(due) - asked - failed)


def due(*, day: date, now: datetime) -> list[tuple[Instrument, Stretch]]:
    """Return what was recorded from ticks on the day, is closed and not loaded yet, by token."""
    calendar = read_calendar(since=day, until=day)
    found = []
    for exchange in EXCHANGES:
        stretch = _session(calendar, exchange, day)
        if stretch is None or stretch.end + SETTLED > now:
            continue
        recorded = Candle.objects.filter(source="ticks", start_at__gte=stretch.start, start_at__lt=stretch.end)
        loaded = CandleSpan.objects.filter(start_at__lte=stretch.start, end_at__gte=stretch.end)
        rows = (
            listed()
            .filter(exchange=exchange, instrument_token__in=recorded.values("instrument_token"))
            .exclude(instrument_token__in=loaded.values("instrument_token"))
        )
        found += [(row, stretch) for row in rows.order_by("instrument_token")]
    return found


def _session(calendar: Calendar, exchange: str, day: date) -> Stretch | None:
    sessions = calendar.sessions(exchange=exchange, day=day)
    return Stretch(sessions[0].opens, sessions[-1].closes) if sessions else None
