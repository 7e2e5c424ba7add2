"""Scheduled work of market data."""

from typing import Any, Final, cast

from celery import Task, shared_task
from django.utils import timezone

from accounts.reading import Reads
from accounts.worker import Worker
from kite.limits import CallClass
from market_data import backfill, catalogue, correction, minutes, partitions, subscriptions, trading_days, windows
from market_data.history import Broker

CORRECTION_SECONDS: Final = 60.0
BACKFILL_SECONDS: Final = 40.0


@shared_task(bind=True)
def sync_instruments(self: Task[..., Any], /, **_: object) -> None:
    """Load today's instruments through any account that is logged in."""
    now = timezone.now()
    reads = Reads(sessions=cast("Worker", self.app).sessions, now=now)
    catalogue.sync(dump=reads.ask(CallClass.OTHER, lambda client: client.instruments()), now=now)


@shared_task
def sync_calendar(**_: object) -> None:
    """Load the odd trading days of this year and the next."""
    trading_days.sync(now=timezone.now())


@shared_task
def adjust_windows(**_: object) -> None:
    """Let the chain windows follow their prices."""
    windows.adjust_all(now=timezone.now())


@shared_task(bind=True)
def correct_candles(self: Task[..., Any], /, **_: object) -> None:
    """Correct some of today's minutes, for less time than the queue waits before it gives a message to another."""
    now = timezone.now()
    sessions = cast("Worker", self.app).sessions
    correction.correct_day(
        day=correction.day_of(now), broker=Broker(sessions=sessions, now=now), now=now, seconds=CORRECTION_SECONDS
    )


@shared_task(bind=True)
def backfill_gaps(self: Task[..., Any], /, **_: object) -> None:
    """Fill some of the holes in the stream, in the minute before the next run."""
    now = timezone.now()
    sessions = cast("Worker", self.app).sessions
    backfill.backfill(broker=Broker(sessions=sessions, now=now), now=now, seconds=BACKFILL_SECONDS)


@shared_task
def maintain_partitions(**_: object) -> None:
    """Make the days ahead, drop the old ones, forget wishes nobody renews."""
    now = timezone.now()
    partitions.TICKS.maintain(now=now)
    minutes.forget(before=now - minutes.KEPT)
    subscriptions.forget_expired(now=now)
