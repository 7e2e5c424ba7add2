"""Recorded ticks again, at their pace or another, on a channel of their own that no feed, hub or recorder hears."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from django.db.models import QuerySet

from kite.wire import KIND_FULL, TICK, Rows
from market_data.batches import Batch, BatchKind
from market_data.bus import NamedBlob, SyncBus
from market_data.copying import DEPTH
from market_data.models import Tick

TOPIC: Final = "replay"
# A run has a number of its own and fewer messages than this, so that a number names run and message.
NUMBERS: Final = 10**9
KEPT_SECONDS: Final = 30
# One query reads so much of the recorded time; one message holds what came in so much of it.
READ_SPAN: Final = timedelta(seconds=10)
FLUSH_SECONDS: Final = 0.1
INDEX_SEGMENT: Final = 9
TIMES: Final = ("received_at", "exchange_at", "last_trade_at")
MADE: Final = ("tradable", "reserved", "reserved_end", *(DEPTH.names or ()))
PLAIN: Final = tuple(name for name in TICK.names or () if name not in TIMES and name not in MADE)


@dataclass(frozen=True, slots=True)
class Played:
    """What a run published."""

    run: int
    batches: int
    ticks: int


def key_of(number: int) -> str:
    """Name the blob of a message that the topic's listeners hear the number of."""
    return f"{TOPIC}:{number}"


def recorded(*, start: datetime, end: datetime, tokens: Collection[int] = ()) -> Iterator[Rows]:
    """Yield what was recorded in start <= received_at < end, as it came, a tenth of a second at a time."""
    while start < end:
        until = min(start + READ_SPAN, end)
        rows = _rows(start, until, tokens)
        slots = np.floor(rows["received_at"] / FLUSH_SECONDS).astype(np.int64)
        if len(rows):
            yield from np.split(rows, np.flatnonzero(np.diff(slots)) + 1)
        start = until


def count(*, start: datetime, end: datetime, tokens: Collection[int] = ()) -> int:
    """Return how many ticks `recorded` would yield."""
    return _ticks(start, end, tokens).count()


def play(
    *,
    ticks: Iterator[Rows],
    speed: float,
    bus: SyncBus,
    run: int,
    told: Callable[[float], None] = lambda _moment: None,
) -> Played:
    """Publish recorded ticks at `speed` times their pace; `told` hears the recorded moment, in epoch seconds.

    A run ends with an empty message. Raises FeedDown where the bus is away.
    """
    began = time.monotonic()
    first: float | None = None
    batches = sent = 0
    for rows in ticks:
        moment = float(rows["received_at"][-1])
        first = moment if first is None else first
        time.sleep(max(began + (moment - first) / speed - time.monotonic(), 0.0))
        batches, sent = batches + 1, sent + len(rows)
        _publish(bus, run, batches, rows, BatchKind.DELTA)
        told(moment)
    _publish(bus, run, batches + 1, np.zeros(0, TICK), BatchKind.HEARTBEAT)
    return Played(run, batches, sent)


def _publish(bus: SyncBus, run: int, sequence: int, rows: Rows, kind: BatchKind) -> None:
    batch = Batch(
        kind=kind,
        shard=0,
        epoch=run,
        from_sequence=sequence - 1,
        to_sequence=sequence,
        published_us=int(rows["received_at"][-1] * 1e6) if len(rows) else 0,
        rows=rows,
    )
    number = run * NUMBERS + sequence
    blob = NamedBlob(key=key_of(number), blob=batch.pack(), topic=TOPIC, sequence=number)
    bus.put_blobs(blobs=[blob], seconds=KEPT_SECONDS)


def _ticks(start: datetime, end: datetime, tokens: Collection[int]) -> QuerySet[Tick]:
    found = Tick.objects.filter(received_at__gte=start, received_at__lt=end)
    return found.filter(instrument_token__in=tokens) if tokens else found


def _rows(start: datetime, end: datetime, tokens: Collection[int]) -> Rows:
    found = _ticks(start, end, tokens)
    order = ("received_at", "shard", "epoch", "sequence", "position")
    columns = list(zip(*found.order_by(*order).values_list(*TIMES, "depth", *PLAIN), strict=True))
    if not columns:
        return np.zeros(0, TICK)
    rows = np.zeros(len(columns[0]), TICK)
    for name, values in zip(TIMES, columns, strict=False):
        rows[name] = [value.timestamp() if value else 0 for value in values]
    for name, values in zip(PLAIN, columns[len(TIMES) + 1 :], strict=True):
        rows[name] = values
    rows["tradable"] = rows["instrument_token"] & 0xFF != INDEX_SEGMENT
    _fill_depth(rows, columns[len(TIMES)])
    return rows


def _fill_depth(rows: Rows, depths: tuple[bytes | None, ...]) -> None:
    full = np.flatnonzero(rows["kind"] == KIND_FULL)
    if not len(full):
        return
    levels = np.frombuffer(b"".join(bytes(depths[place] or bytes(DEPTH.itemsize)) for place in full), DEPTH)
    for name in DEPTH.names or ():
        column = rows[name]
        column[full] = levels[name]
