"""Periodic tasks that did not run, and clocks that differ."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from ops import lateness

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def every(seconds: int, **values: object) -> PeriodicTask:
    interval, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
    return PeriodicTask.objects.create(task="ops.tasks.pulse", interval=interval, **values)


def test_a_task_that_ran_in_time_is_not_late(now: datetime) -> None:
    every(60, name="on time", last_run_at=now - timedelta(seconds=100))

    assert lateness.overdue(now=now, since=None) == ()


def test_a_task_that_did_not_run_when_due_is_late(now: datetime) -> None:
    task = every(60, name="late", last_run_at=now - timedelta(seconds=200))

    found = lateness.overdue(now=now, since=None)

    assert [row.name for row in found] == ["late"]
    assert abs(found[0].due_at - task.last_run_at - timedelta(seconds=60)) < timedelta(seconds=2)


def test_a_task_that_is_switched_off_or_never_ran_is_not_late(now: datetime) -> None:
    every(60, name="off", enabled=False, last_run_at=now - timedelta(days=1))
    every(60, name="new")

    assert lateness.overdue(now=now, since=None) == ()


def test_a_daily_task_is_late_when_its_hour_has_passed(now: datetime) -> None:
    hour = CrontabSchedule.objects.create(minute="0", hour="3", timezone="Asia/Kolkata")
    PeriodicTask.objects.create(name="daily", task="ops.tasks.pulse", crontab=hour, last_run_at=now - timedelta(days=2))

    assert [row.name for row in lateness.overdue(now=now, since=None)] == ["daily"]


def test_a_beat_that_just_took_the_lead_has_time_to_catch_up(now: datetime) -> None:
    every(60, name="waiting", last_run_at=now - timedelta(hours=1))

    assert lateness.overdue(now=now, since=now - timedelta(seconds=80)) == ()
    assert [row.name for row in lateness.overdue(now=now, since=now - timedelta(seconds=100))] == ["waiting"]


def test_a_task_is_late_by_its_own_hour_under_a_beat_that_has_long_led(now: datetime) -> None:
    task = every(60, name="late", last_run_at=now - timedelta(seconds=200))

    (found,) = lateness.overdue(now=now, since=now - timedelta(days=1))

    assert abs(found.due_at - task.last_run_at - timedelta(seconds=60)) < timedelta(seconds=2)


def test_the_clocks_of_one_machine_agree() -> None:
    assert abs(lateness.clock_skew_seconds()) < 1.0
