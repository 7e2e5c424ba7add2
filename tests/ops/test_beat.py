"""One beat leads, however many run."""

import time
from collections.abc import Iterator

import pytest
from celery import Celery
from django.db import connection
from django_celery_beat.models import PeriodicTask
from redis import Redis

from ops.beat import Lease, LeasedScheduler
from ops.pulse import listen, number
from tests.ops.test_halt import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def leases() -> Iterator[tuple[Lease, Lease]]:
    """Return the leases of two beats."""
    pair = Lease(), Lease()
    yield pair
    for lease in pair:
        lease.drop()


def scheduler() -> LeasedScheduler:
    """Return the scheduler of a beat with one task that is always due."""
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_max_loop_interval = 1
    app.conf.beat_schedule = {"always": {"task": "tests.always", "schedule": 0.0}}
    return LeasedScheduler(app=app)


def sent(beat: LeasedScheduler) -> int:
    """Return how often the task was sent, as the beat writes it down."""
    beat.sync()
    return PeriodicTask.objects.get(name="always").total_run_count


def test_the_lease_is_held_by_one(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    until(first.held)

    assert not second.held()
    assert first.held()


def test_a_dropped_lease_is_taken_by_the_next(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    until(first.held)

    first.drop()
    until(second.held)

    assert not first.held()


def test_a_lease_ends_with_its_connection(leases: tuple[Lease, Lease]) -> None:
    first, second = leases
    until(first.held)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    until(second.held)

    assert not first.held()


def lead(beat: LeasedScheduler) -> None:
    """Tick until the beat sends: the server takes a moment to notice that the last leader has gone."""
    before = sent(beat)

    def sends() -> bool:
        beat.tick()
        return sent(beat) > before

    until(sends)


def test_only_the_leading_beat_sends(clean_redis: Redis) -> None:
    leading, waiting = scheduler(), scheduler()
    lead(leading)
    before = sent(leading)

    for _ in range(3):
        waiting.tick()

    assert sent(waiting) == before
    leading.close()
    waiting.close()


def test_a_waiting_beat_follows_on(clean_redis: Redis) -> None:
    leading, waiting = scheduler(), scheduler()
    lead(leading)
    waiting.tick()

    leading.close()

    lead(waiting)
    waiting.close()


def test_the_leading_beat_is_heard(clean_redis: Redis) -> None:
    beat = scheduler()

    lead(beat)

    assert listen().reports["beat"]["state"] == "leading"
    beat.close()


def said_since() -> float:
    """Return since when the beat says it leads."""
    since = number(listen().reports["beat"], "since")
    assert since is not None
    return since


def test_the_leading_beat_says_since_when(clean_redis: Redis) -> None:
    beat, began = scheduler(), time.time()

    lead(beat)
    first = said_since()
    until(lambda: beat.tick() >= 0)

    assert began - 1 <= first <= time.time()
    assert said_since() == first
    beat.close()
