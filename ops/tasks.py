"""Proof of life: beat sends one pulse a queue, and the worker that carries it says so."""

import os

from celery import shared_task
from django.utils import timezone

from market_data.bus import sync_bus


@shared_task(name="ops.tasks.pulse")
def pulse(queue: str) -> None:
    """Say that beat and the worker of this queue are alive."""
    report = {"at": timezone.now().timestamp(), "pid": os.getpid(), "state": "alive"}
    sync_bus().put_health(name=f"worker:{queue}", report=report)
