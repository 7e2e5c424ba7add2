"""Beat that runs once however many are started: the holder of a lease schedules, the others wait."""

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import structlog
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django_celery_beat.schedulers import DatabaseScheduler

from market_data.bus import sync_bus
from market_data.errors import FeedDown

log = structlog.get_logger(__name__)

LEASE_KEY = 7_241_955_120
SAY_SECONDS = 2.0


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hear a stop signal only when this is over.

    The library's handler writes to the database from wherever it interrupts: in the midst of another statement it would
    wait for itself for ever.
    """
    heard: list[int] = []
    stops = (signal.SIGTERM, signal.SIGINT)
    handlers = {number: signal.signal(number, lambda told, _: heard.append(told)) for number in stops}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for told in heard[:1]:
            signal.raise_signal(told)


class Lease:
    """A session lock of PostgreSQL on a connection of its own: it ends when the process or its link does."""

    def __init__(self) -> None:
        self._connection: BaseDatabaseWrapper | None = None

    def held(self) -> bool:
        """Return whether this process leads; tries to, where nobody does."""
        try:
            if self._connection is None:
                return self._take()
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError as error:
            log.warning("ops.beat.lease_lost", error=str(error).strip())
            self.drop()
            return False
        return True

    def drop(self) -> None:
        """Give the lease up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _take(self) -> bool:
        fresh = connections.create_connection("default")
        with fresh.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LEASE_KEY])
            taken = bool(cursor.fetchone()[0])
        if not taken:
            fresh.close()
            return False
        self._connection = fresh
        return True


class LeasedScheduler(DatabaseScheduler):  # type: ignore[misc] # the library is untyped
    """The schedule of the database, run by one process at a time; says that it lives."""

    # The library writes last_run_at every three minutes; an operator wants to know sooner.
    sync_every = 5

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lease = Lease()
        self._leading = False
        self._since = 0.0
        self._said = 0.0
        with undisturbed():
            super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Run what is due, if this process leads; return the seconds until the next look."""
        with undisturbed():
            return self._tick(*args, **kwargs)

    def _tick(self, *args: Any, **kwargs: Any) -> float:
        leading = self._lease.held()
        if leading and not self._leading:
            log.info("ops.beat.leading")
            # What the former leader ran must not run again: read its times.
            self._initial_read, self._heap = True, None
            self._since = time.time()
        self._leading = leading
        self._say()
        if not leading:
            return float(self.max_interval)
        return float(super().tick(*args, **kwargs))

    def sync(self) -> None:
        """Write what ran."""
        with undisturbed():
            super().sync()

    def close(self) -> None:
        """Write what ran and let another lead."""
        super().close()
        self._finalize.cancel()
        self._lease.drop()

    def _say(self) -> None:
        if time.monotonic() - self._said < SAY_SECONDS or not self._leading:
            return
        self._said = time.monotonic()
        try:
            sync_bus().put_health(name="beat", report={"at": time.time(), "state": "leading", "since": self._since})
        except FeedDown as error:
            log.warning("ops.beat.unheard", error=str(error))
