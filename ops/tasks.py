"""Periodic work of beat: proof of life by queue, and alerts from what is wrong."""

import os
from collections.abc import Mapping
from typing import Any, Final

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from market_data import tasks as market_tasks
from market_data.bus import sync_bus
from ops import alerts, clearing, drift, money, saying, status, stopping
from ops.errors import QueueUnreachable
from orders import tasks as order_tasks
from orders.clock import DatabaseClock

# What somebody may want before the clock does.
JOBS: Final[Mapping[str, Any]] = {
    "instruments": market_tasks.sync_instruments,
    "calendar": market_tasks.sync_calendar,
    "candles": market_tasks.correct_candles,
    "gaps": market_tasks.backfill_gaps,
    "books": order_tasks.reconcile_books,
}


@shared_task(name="ops.tasks.pulse")
def pulse(queue: str) -> None:
    """Say that beat and the worker of this queue are alive."""
    report = {"at": timezone.now().timestamp(), "pid": os.getpid(), "state": "alive"}
    sync_bus().put_health(name=f"worker:{queue}", report=report)


@shared_task
def watch(**_: object) -> None:
    """Bring the alerts into line with what is wrong now."""
    now = timezone.now()
    live = [finding for finding in status.snapshot(now=now).findings if finding.code != drift.CODE]
    alerts.watch(findings=[*live, *drift.find(now=now)], now=now)


@shared_task(bind=True)
def read_positions(self: Any, /, **_: object) -> None:
    """Read what the brokers say was bought and sold, for the comparison with our trades."""
    drift.refresh(sessions=self.app.sessions, now=timezone.now())


@shared_task(bind=True)
def read_money(self: Any, /, **_: object) -> None:
    """Read margins and holdings for the Desk."""
    money.refresh(sessions=self.app.sessions, now=timezone.now())


@shared_task
def say_alerts(**_: object) -> None:
    """Carry due alerts to their channels."""
    saying.deliver_due(now=timezone.now())


@shared_task(bind=True)
def clear_halts(self: Any, /, **_: object) -> None:
    """Go on taking orders back and closing positions under halts."""
    for report_id in clearing.due(now=timezone.now()):
        clearing.pursue(report_id=report_id, sessions=self.app.sessions, clock=DatabaseClock())


@shared_task(bind=True)
def stop_accounts(self: Any, /, **_: object) -> None:
    """Stop accounts that lose too much or are refused too often."""
    stopping.stop(sessions=self.app.sessions, now=timezone.now())


def start(name: str) -> str:
    """Put a job into its queue now and return the task's id; raises QueueUnreachable."""
    try:
        return str(JOBS[name].apply_async(retry=False).id)
    except (OperationalError, OSError) as error:
        raise QueueUnreachable("the queue cannot be reached: nothing was started") from error
