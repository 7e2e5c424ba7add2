"""Periodic work of beat: proof of life by queue, and alerts from what is wrong."""

import os
from typing import Any

from celery import shared_task
from django.utils import timezone

from market_data.bus import sync_bus
from ops import alerts, clearing, saying, status
from orders.clock import DatabaseClock


@shared_task(name="ops.tasks.pulse")
def pulse(queue: str) -> None:
    """Say that beat and the worker of this queue are alive."""
    report = {"at": timezone.now().timestamp(), "pid": os.getpid(), "state": "alive"}
    sync_bus().put_health(name=f"worker:{queue}", report=report)


@shared_task
def watch(**_: object) -> None:
    """Bring the alerts into line with what is wrong now."""
    now = timezone.now()
    alerts.watch(findings=status.snapshot(now=now).findings, now=now)


@shared_task
def say_alerts(**_: object) -> None:
    """Carry due alerts to their channels."""
    saying.deliver_due(now=timezone.now())


@shared_task(bind=True)
def clear_halts(self: Any, /, **_: object) -> None:
    """Go on taking orders back and closing positions under halts."""
    for report_id in clearing.due(now=timezone.now()):
        clearing.pursue(report_id=report_id, sessions=self.app.sessions, clock=DatabaseClock())
