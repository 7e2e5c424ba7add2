"""Candles of the past: our own store first, the broker for the rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import orjson
import structlog

from accounts.errors import PlatformError
from accounts.reading import Reads
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.limits import CallClass
from kite.types import Candle as BrokerCandle
from market_data import minutes
from market_data.bus import NamedBlob, sync_bus
from market_data.calendar import EXCHANGES, IST, Calendar
from market_data.errors import FeedDown, HistoryRefused
from market_data.intervals import DAY, MINUTE, NAMES, Bar, Stretch, longest, widened
from market_data.models import Instrument
from market_data.trading_days import read_calendar

log = structlog.get_logger(__name__)

PAST_SECONDS: Final = 3600
TODAY_SECONDS: Final = 60
CONTINUOUS: Final = frozenset({"NFO", "BFO", "MCX", "CDS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Candles of an instrument that start in a stretch of time."""

    instrument: Instrument
    interval: str
    stretch: Stretch
    continuous: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Candles by time; `missing` is what may be absent because the broker could not be asked, `reason` says why."""

    bars: list[Bar]
    missing: list[Stretch]
    reason: str = ""


class Broker:
    """The broker's candles through whichever account has room."""

    def __init__(self, *, sessions: Sessions, now: datetime) -> None:
        self._reads = Reads(sessions=sessions, now=now)

    def candles(
        self, *, instrument: Instrument, interval: str, stretch: Stretch, continuous: bool = False
    ) -> list[BrokerCandle]:
        """Return the candles that start in the stretch."""
        found = self._reads.ask(
            CallClass.HISTORICAL,
            lambda client: client.historical(
                instrument.instrument_token, interval, stretch.start, stretch.end, oi=True, continuous=continuous
            ),
        )
        return [one for one in found if stretch.start <= one.start_at < stretch.end]


class Opening:
    """The moment from which a day's wider candles are counted."""

    def __init__(self, *, exchange: str, calendar: Calendar) -> None:
        self._exchange = exchange if exchange in EXCHANGES else "NSE"
        self._calendar = calendar
        self._known: dict[object, datetime] = {}

    def __call__(self, at: datetime) -> datetime:
        """Return the first opening of the day, midnight where there is none."""
        day = at.astimezone(IST).date()
        if day not in self._known:
            sessions = self._calendar.sessions(exchange=self._exchange, day=day)
            midnight = datetime(day.year, day.month, day.day, tzinfo=IST)
            self._known[day] = (sessions[0].opens if sessions else midnight).astimezone(UTC)
        return self._known[day]


def read(question: Question, *, broker: Broker, now: datetime) -> Answer:
    """Return the candles asked for.

    Minutes are kept, and wider candles of a day made of them; days, and what spans more than the broker gives minutes
    for at once, come as the broker has them. Raises HistoryRefused, and the broker's error where we have nothing.
    """
    _check(question, now)
    span = question.stretch.end - question.stretch.start
    if question.interval == DAY or span > longest(MINUTE):
        return Answer(_native(question, broker, now), [])
    calendar = read_calendar(since=question.stretch.start.astimezone(IST).date())
    missing = minutes.missing(instrument=question.instrument, stretch=question.stretch, calendar=calendar, now=now)
    missing, fault = _load(question.instrument, missing, broker, now)
    bars = minutes.stored(instrument=question.instrument, stretch=question.stretch)
    if fault is not None and not bars:
        raise fault
    wider = widened(
        bars, interval=question.interval, opens=Opening(exchange=question.instrument.exchange, calendar=calendar)
    )
    return Answer(list(wider), missing, str(fault) if fault is not None else "")


def correct(*, instrument: Instrument, stretch: Stretch, broker: Broker, now: datetime) -> int:
    """Put the broker's minutes of a stretch over ours and return how many changed; raises what the broker raises."""
    found = broker.candles(instrument=instrument, interval=MINUTE, stretch=stretch)
    return minutes.keep(instrument=instrument, stretch=stretch, candles=found, now=now)


def _check(question: Question, now: datetime) -> None:
    if question.interval not in NAMES:
        raise HistoryRefused(f"interval was {question.interval!r}, known are {', '.join(NAMES)}", field="interval")
    if question.stretch.end <= question.stretch.start:
        raise HistoryRefused("to must be after from", field="to")
    if question.stretch.start >= now:
        raise HistoryRefused("from lies in the future", field="from")
    if question.stretch.end - question.stretch.start > longest(question.interval):
        days = longest(question.interval).days
        raise HistoryRefused(f"{question.interval} candles: at most {days} days in one answer", field="to")
    if question.continuous and (
        question.interval != DAY
        or question.instrument.instrument_type != "FUT"
        or question.instrument.exchange not in CONTINUOUS
    ):
        raise HistoryRefused("continuous candles are daily ones of a future", field="continuous")


def _load(
    instrument: Instrument, missing: Sequence[Stretch], broker: Broker, now: datetime
) -> tuple[list[Stretch], KiteError | PlatformError | None]:
    """Ask once for all that is missing; return what still is, and why."""
    if not missing:
        return [], None
    whole = Stretch(missing[0].start, missing[-1].end)
    try:
        correct(instrument=instrument, stretch=whole, broker=broker, now=now)
    except (KiteError, PlatformError) as error:
        log.warning("market_data.history.unasked", instrument=str(instrument), reason=str(error))
        return list(missing), error
    return [], None


def _native(question: Question, broker: Broker, now: datetime) -> list[Bar]:
    """Return the broker's own candles, remembered for a while."""
    key = _key(question)
    kept = _recall(key)
    if kept is not None:
        return kept
    found = broker.candles(
        instrument=question.instrument,
        interval=question.interval,
        stretch=question.stretch,
        continuous=question.continuous,
    )
    bars = [Bar(one.start_at, one.open, one.high, one.low, one.close, one.volume, one.oi, "broker") for one in found]
    today = now.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
    _remember(key, bars, seconds=PAST_SECONDS if question.stretch.end <= today else TODAY_SECONDS)
    return bars


def _key(question: Question) -> str:
    start, end = (int(moment.timestamp()) for moment in (question.stretch.start, question.stretch.end))
    token = question.instrument.instrument_token
    return f"candles:{token}:{question.interval}:{start}:{end}:{int(question.continuous)}"


def _recall(key: str) -> list[Bar] | None:
    try:
        blob = sync_bus().get_blob(key)
    except FeedDown:
        return None
    return None if blob is None else [_bar(row) for row in orjson.loads(blob)]


def _remember(key: str, bars: Sequence[Bar], *, seconds: int) -> None:
    blob = orjson.dumps([asdict(bar) for bar in bars], default=str)
    try:
        sync_bus().put_blobs(blobs=[NamedBlob(key=key, blob=blob, topic="candles", sequence=0)], seconds=seconds)
    except FeedDown as error:
        log.warning("market_data.history.unremembered", reason=str(error))


def _bar(row: dict[str, object]) -> Bar:
    opened, high, low, close = (Decimal(str(row[name])) for name in ("open", "high", "low", "close"))
    start_at = datetime.fromisoformat(str(row["start_at"]))
    return Bar(start_at, opened, high, low, close, row["volume"], row["oi"], "broker")  # type: ignore[arg-type]
