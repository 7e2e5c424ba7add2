"""Raw batches into the database, each exactly once: rows, candles and the position move in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

import numpy as np
from django.db import connection, transaction

from market_data.batches import Batch
from market_data.calendar import IST
from market_data.candlesticks import CANDLE, Candles, Candlesticks
from market_data.copying import STATEMENT, encode
from market_data.lease import RECORDER_SPACE, ShardLease
from market_data.models import FeedGap, RecorderCursor
from market_data.partitions import TICKS
from market_data.replies import order_of

RESTORE = """
SELECT DISTINCT ON (instrument_token) instrument_token, extract(epoch FROM start_at)::bigint / 60, open::float8,
    high::float8, low::float8, close::float8, day_volume - volume, day_volume, COALESCE(oi, 0), false
FROM market_data_candle
WHERE start_at > (SELECT max(start_at) - interval '1 day' FROM market_data_candle WHERE source = 'ticks')
ORDER BY instrument_token, start_at DESC
"""
UPSERT = """
INSERT INTO market_data_candle AS held
    (instrument_token, start_at, open, high, low, close, volume, day_volume, oi, source)
SELECT token, to_timestamp(minute * 60), open, high, low, close, volume, day_volume, oi, 'ticks'
FROM unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::float8[], %s::bigint[],
    %s::bigint[], %s::bigint[]) AS new (token, minute, open, high, low, close, volume, day_volume, oi)
ORDER BY token, minute
ON CONFLICT (instrument_token, start_at) DO UPDATE SET open = excluded.open, high = excluded.high,
    low = excluded.low, close = excluded.close, volume = excluded.volume, day_volume = excluded.day_volume,
    oi = excluded.oi
WHERE held.source = 'ticks'
"""

Entry = tuple[str, Batch]
START: Final = "0-0"


@dataclass(slots=True)
class Tally:
    """What was stored, and what was found missing or doubled in the stream."""

    batches: int = 0
    rows: int = 0
    candles: int = 0
    doubled: int = 0
    missing: int = 0


class Storage:
    """The stored side of one shard's stream; all calls come from one thread."""

    def __init__(self, *, shard: int) -> None:
        self.shard = shard
        self.tally = Tally()
        self._lease = ShardLease(space=RECORDER_SPACE, shard=shard)
        self._candles = Candlesticks()
        self._held = False
        self._position = START

    def open(self) -> str:
        """Take the shard and return the position to read on from; raises ShardTaken.

        Candles may be stored less far than ticks: what lies between is read again for the candles alone.
        """
        if not (self._held and self._lease.is_kept()):
            self._lease.take()
            self._held = True
        cursor, _ = RecorderCursor.objects.get_or_create(shard=self.shard)
        self._candles = Candlesticks()
        self._candles.restore(_last_candles())
        self._position = min(cursor.position, cursor.candles_position, key=order_of)
        return self._position

    def rewind(self) -> None:
        """Read the stream from its beginning: it is not the one the position belongs to."""
        RecorderCursor.objects.filter(shard=self.shard).update(position=START, candles_position=START)

    def store(self, entries: Sequence[Entry]) -> None:
        """Store what is new among the entries."""
        with transaction.atomic():
            cursor = RecorderCursor.objects.select_for_update().get(shard=self.shard)
            new = self._unstored(cursor, entries)
            if new:
                TICKS.ensure(days=_days(new))
                _copy(new)
            if order_of(entries[-1][0]) > order_of(cursor.position):
                cursor.position = entries[-1][0]
                cursor.save(update_fields=["position", "epoch", "sequence"])
        # The candles of a transaction that failed must not be counted.
        for _, batch in entries:
            self._candles.add(batch.rows)
        self._position = entries[-1][0]
        self.tally.batches += len(new)
        self.tally.rows += sum(len(batch.rows) for batch in new)

    def store_candles(self) -> None:
        """Store the minutes that changed, and how far they count."""
        changed = self._candles.take_changed()
        with transaction.atomic():
            if len(changed):
                _upsert(changed)
            RecorderCursor.objects.filter(shard=self.shard).update(candles_position=self._position)
        self.tally.candles += len(changed)

    def close(self) -> None:
        """Give the shard up."""
        self._held = False
        connection.close()

    def _unstored(self, cursor: RecorderCursor, entries: Sequence[Entry]) -> list[Batch]:
        """The feed's own (epoch, sequence) tells a batch that reached the stream twice, and one that never did."""
        new = []
        for offset, batch in entries:
            if order_of(offset) <= order_of(cursor.position):
                continue
            if (batch.epoch, batch.to_sequence) <= (cursor.epoch, cursor.sequence):
                self.tally.doubled += 1
                continue
            if batch.epoch == cursor.epoch and batch.from_sequence > cursor.sequence:
                self._note_missing(cursor, batch)
            cursor.epoch, cursor.sequence = batch.epoch, batch.to_sequence
            new.append(batch)
        return new

    def _note_missing(self, cursor: RecorderCursor, batch: Batch) -> None:
        count = batch.from_sequence - cursor.sequence
        self.tally.missing += count
        moment = datetime.fromtimestamp(batch.published_us / 1e6, UTC)
        FeedGap.objects.create(
            shard=self.shard,
            account_label="recorder",
            cause=f"{count} batches before {batch.to_sequence} were lost",
            started_at=moment,
            ended_at=moment,
        )


def _days(batches: Sequence[Batch]) -> set[date]:
    return {
        datetime.fromtimestamp(moment, IST).date()
        for batch in batches
        if len(batch.rows)
        for moment in (batch.rows["received_at"].min(), batch.rows["received_at"].max())
    }


def _copy(batches: list[Batch]) -> None:
    with connection.cursor() as cursor, cursor.copy(STATEMENT) as copy:
        for part in encode(batches):
            copy.write(part)


def _last_candles() -> Candles:
    with connection.cursor() as cursor:
        cursor.execute(RESTORE)
        return np.array(cursor.fetchall(), CANDLE)


def _upsert(candles: Candles) -> None:
    volume = candles["day_volume"] - candles["day_volume_before"]
    total = np.maximum(candles["day_volume"], 0)
    oi = [value or None for value in candles["oi"].tolist()]
    columns = [candles[name].tolist() for name in ("instrument_token", "minute", "open", "high", "low", "close")]
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [*columns, volume.tolist(), total.tolist(), oi])
