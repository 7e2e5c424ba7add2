"""The store of minutes: what is in it, what the broker gave for good, and what is still missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q

from kite.types import Candle as BrokerCandle
from market_data.calendar import EXCHANGES, IST, Calendar
from market_data.intervals import Bar, Stretch, common, without
from market_data.models import Candle, CandleSpan, FeedGap, Instrument

COLUMNS: Final = ("start_at", "open", "high", "low", "close", "volume", "oi", "source")
LATE: Final = timedelta(minutes=1)
KEPT: Final = timedelta(days=730)
UPSERT: Final = """
INSERT INTO market_data_candle AS held
    (instrument_token, start_at, open, high, low, close, volume, day_volume, oi, source)
SELECT %s, start_at, open, high, low, close, volume, 0, oi, 'broker'
FROM unnest(%s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::bigint[], %s::bigint[])
    AS new (start_at, open, high, low, close, volume, oi) ORDER BY start_at
ON CONFLICT (instrument_token, start_at) DO UPDATE SET open = excluded.open, high = excluded.high,
    low = excluded.low, close = excluded.close, volume = excluded.volume, oi = excluded.oi, source = 'broker'
WHERE (held.open, held.high, held.low, held.close, held.volume, held.oi, held.source) IS DISTINCT FROM
    (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.oi, 'broker')
"""


def stored(*, instrument: Instrument, stretch: Stretch) -> list[Bar]:
    """Return the minutes there are, by time; none from before the token was this instrument's."""
    rows = Candle.objects.filter(
        instrument_token=instrument.instrument_token,
        start_at__gte=_first(instrument, stretch),
        start_at__lt=stretch.end,
    )
    return [Bar(*row) for row in rows.order_by("start_at").values_list(*COLUMNS)]


def missing(*, instrument: Instrument, stretch: Stretch, calendar: Calendar, now: datetime) -> list[Stretch]:
    """Return the stretches of trade that neither the broker gave nor a recorder kept whole, up to the last minute."""
    whole = Stretch(stretch.start, min(stretch.end, now.replace(second=0, microsecond=0)))
    if whole.start >= whole.end:
        return []
    left = common(without(whole, _spans(instrument, whole)), _sessions(instrument, whole, calendar))
    return [part for part in left if not _kept(instrument, part, now)]


def keep(*, instrument: Instrument, stretch: Stretch, candles: Sequence[BrokerCandle], now: datetime) -> int:
    """Store the broker's finished minutes of a stretch over ours and return how many of them were new or other."""
    end = min(stretch.end, now.replace(second=0, microsecond=0))
    finished = [one for one in candles if stretch.start <= one.start_at < end]
    names = ("start_at", "open", "high", "low", "close", "volume", "oi")
    columns = [[getattr(one, name) for one in finished] for name in names]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(UPSERT, [instrument.instrument_token, *columns])
        changed = int(cursor.rowcount)
        if finished:
            changed += _drop_unknown(instrument, Stretch(stretch.start, end), [one.start_at for one in finished])
        if stretch.start < end:
            _note(instrument.instrument_token, Stretch(stretch.start, end))
    return changed


def count(*, before: datetime) -> int:
    """Return how many minutes there are from before a moment."""
    return Candle.objects.filter(start_at__lt=before).count()


def forget(*, before: datetime) -> int:
    """Delete the minutes from before a moment and return how many."""
    CandleSpan.objects.filter(end_at__lte=before).delete()
    CandleSpan.objects.filter(start_at__lt=before).update(start_at=before)
    return Candle.objects.filter(start_at__lt=before).delete()[0]


def _spans(instrument: Instrument, stretch: Stretch) -> list[Stretch]:
    rows = CandleSpan.objects.filter(
        instrument_token=instrument.instrument_token, start_at__lt=stretch.end, end_at__gt=stretch.start
    )
    if instrument.token_since is not None:
        rows = rows.filter(start_at__gte=instrument.token_since)
    return [Stretch(*row) for row in rows.values_list("start_at", "end_at")]


def _sessions(instrument: Instrument, stretch: Stretch, calendar: Calendar) -> list[Stretch]:
    if instrument.exchange not in EXCHANGES:
        return [stretch]
    found = calendar.sessions_between(exchange=instrument.exchange, start=stretch.start, end=stretch.end)
    return [Stretch(session.opens, session.closes) for session in found]


def _kept(instrument: Instrument, part: Stretch, now: datetime) -> bool:
    """Say whether the recorder heard the instrument from the beginning of today's part on, without a gap."""
    midnight = now.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
    if part.start < midnight:
        return False
    first = (
        Candle.objects.filter(instrument_token=instrument.instrument_token, start_at__gte=midnight, source="ticks")
        .order_by("start_at")
        .values_list("start_at", flat=True)
        .first()
    )
    if first is None or first > part.start + LATE:
        return False
    open_gap = Q(ended_at__isnull=True) | Q(ended_at__gt=part.start)
    gaps = FeedGap.objects.filter(open_gap, started_at__lt=part.end)
    ours = Q(instrument_tokens__contains=instrument.instrument_token) | Q(instrument_tokens=[])
    return not gaps.filter(ours).exists()


def _drop_unknown(instrument: Instrument, stretch: Stretch, known: Sequence[datetime]) -> int:
    """Delete the minutes of ours that the broker does not have; one that answers with nothing proves nothing."""
    ours = Candle.objects.filter(
        instrument_token=instrument.instrument_token,
        start_at__gte=stretch.start,
        start_at__lt=stretch.end,
        source=Candle.Source.TICKS,
    )
    return ours.exclude(start_at__in=known).delete()[0]


def _note(token: int, stretch: Stretch) -> None:
    """Add a span, merged with those it touches."""
    touching = CandleSpan.objects.select_for_update().filter(
        instrument_token=token, start_at__lte=stretch.end, end_at__gte=stretch.start
    )
    held = list(touching)
    start = min([stretch.start, *(row.start_at for row in held)])
    end = max([stretch.end, *(row.end_at for row in held)])
    CandleSpan.objects.filter(pk__in=[row.pk for row in held]).delete()
    CandleSpan.objects.update_or_create(instrument_token=token, start_at=start, defaults={"end_at": end})


def _first(instrument: Instrument, stretch: Stretch) -> datetime:
    return stretch.start if instrument.token_since is None else max(stretch.start, instrument.token_since)
