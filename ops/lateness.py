"""What is late: periodic tasks that did not run, and clocks that differ."""

import time
from datetime import datetime, timedelta

from django.db import connection
from django_celery_beat.models import PeriodicTask

from ops.state import Overdue

# The library notes a run some seconds late, and a busy worker is not a dead one.
GRACE = timedelta(seconds=90)


def overdue(*, now: datetime, since: datetime | None) -> tuple[Overdue, ...]:
    """Return the enabled tasks whose next run is past by more than a grace, by name.

    `since` is when the leading beat took the lead: after a stop it sends what is due in its own time, so that the grace
    begins no earlier. None where no beat says so: then the hour the task was due counts alone.
    """
    tasks = PeriodicTask.objects.filter(enabled=True, last_run_at__isnull=False).exclude(one_off=True)
    tasks = tasks.select_related("interval", "crontab", "solar", "clocked").order_by("name")
    due = [(task, now + task.schedule.remaining_estimate(task.last_run_at)) for task in tasks]
    return tuple(
        Overdue(name=task.name, due_at=at, last_run_at=task.last_run_at)
        for task, at in due
        if now - max(at, since or at) > GRACE
    )


def clock_skew_seconds() -> float:
    """Return how far the database's clock is ahead of ours, less what asking takes."""
    began = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at.timestamp() - (began + time.time()) / 2
