"""Holes in the stream: their minutes are asked of the broker, whose pace is kept, and marked as the broker's."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from accounts.errors import PlatformError
from kite.errors import KiteError
from market_data.calendar import EXCHANGES, IST, Calendar
from market_data.history import Broker, correct
from market_data.intervals import Stretch
from market_data.lease import turn
from market_data.models import FeedGap, Instrument
from market_data.queries import desired_modes, instruments_by_tokens
from market_data.trading_days import read_calendar

log = structlog.get_logger(__name__)

LOCK: Final = 0x66696C6C  # "fill"
MINUTE: Final = timedelta(minutes=1)
# The broker has a minute a moment after it is over.
SETTLED: Final = timedelta(minutes=2)
# Further back the broker gives no minutes in one answer, and nobody waits for them any more.
OLDEST: Final = timedelta(days=55)
FAULTS_IN_A_ROW: Final = 5
INDEX_SEGMENT: Final = 9


@dataclass(slots=True)
class Filled:
    """What a run did: holes closed for good, instruments asked for, minutes that changed, instruments left."""

    gaps: int = 0
    asked: int = 0
    minutes: int = 0
    failed: int = 0
    left: int = 0


class Run:
    """One run: it ends when its time is over, or when the broker refuses again and again."""

    def __init__(self, *, broker: Broker, now: datetime, seconds: float | None) -> None:
        self._broker = broker
        self._now = now
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._faults = 0
        self.done = Filled()

    def fill(self, gap: FeedGap) -> None:
        """Fill what there is time for, and remember the rest in the row."""
        left = gap.unfilled_tokens
        if left is None:
            # A hole that names nobody hit everybody.
            left = sorted(gap.instrument_tokens or desired_modes(now=self._now), key=_indices_first)
        calendar = read_calendar(since=gap.started_at.astimezone(IST).date())
        instruments = instruments_by_tokens(left)
        gap.unfilled_tokens = [
            token for token in left if token in instruments and not self._filled(gap, instruments[token], calendar)
        ]
        gap.filled_at = None if gap.unfilled_tokens else self._now
        gap.save(update_fields=["unfilled_tokens", "filled_at", "filled_minutes"])
        self.done.gaps += not gap.unfilled_tokens
        self.done.left += len(gap.unfilled_tokens)

    def _filled(self, gap: FeedGap, instrument: Instrument, calendar: Calendar) -> bool:
        """Ask for the instrument's part of the hole; say whether it is filled now."""
        for stretch in _trade(gap, instrument, calendar):
            if self._is_over():
                return False
            try:
                changed = correct(instrument=instrument, stretch=stretch, broker=self._broker, now=self._now)
            except (KiteError, PlatformError) as error:
                self._faults += 1
                self.done.failed += 1
                log.warning("market_data.backfill.failed", instrument=str(instrument), reason=str(error))
                return False
            self._faults = 0
            self.done.asked += 1
            self.done.minutes += changed
            gap.filled_minutes += changed
        return True

    def _is_over(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        return late or self._faults >= FAULTS_IN_A_ROW


def backfill(
    *,
    broker: Broker,
    now: datetime,
    seconds: float | None = None,
    told: Callable[[int, int], None] = lambda _done, _of: None,
) -> Filled:
    """Fill the holes that have ended, newest first; a second run at the same time does nothing.

    `seconds` ends the run early; the next goes on where it ended. `told` hears how many of how many holes are done.
    """
    run = Run(broker=broker, now=now, seconds=seconds)
    with turn(LOCK) as mine:
        gaps = due(now=now) if mine else []
        for number, gap in enumerate(gaps, 1):
            run.fill(gap)
            told(number, len(gaps))
    return run.done


def due(*, now: datetime) -> list[FeedGap]:
    """Return the holes that have ended and are not filled, newest first."""
    ended = FeedGap.objects.filter(filled_at__isnull=True, ended_at__lt=now - SETTLED, started_at__gt=now - OLDEST)
    return list(ended.order_by("-started_at"))


def _trade(gap: FeedGap, instrument: Instrument, calendar: Calendar) -> Iterator[Stretch]:
    """Yield the whole minutes of trade that the hole touches: half a minute's candle is wrong as well."""
    if gap.ended_at is None or instrument.exchange not in EXCHANGES:
        return
    start = gap.started_at.replace(second=0, microsecond=0)
    end = gap.ended_at.replace(second=0, microsecond=0) + MINUTE
    for session in calendar.sessions_between(exchange=instrument.exchange, start=start, end=end):
        yield Stretch(session.opens, session.closes)


def _indices_first(token: int) -> tuple[bool, int]:
    return token & 0xFF != INDEX_SEGMENT, token
