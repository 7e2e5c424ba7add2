"""One owner per shard: an advisory lock of the database, and an epoch that fences whoever held it before.

The server drops the lock the moment a killed owner's connection ends, so a successor waits for no time-out; and as long
as the database is down nobody can take the shard, so its owner streams on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from market_data.errors import ShardTaken
from market_data.models import FeedShard

FEED_SPACE: Final = 0x7469636B  # "tick"
RECORDER_SPACE: Final = 0x72656364  # "recd"


class ShardLease:
    """Held by the connection of the thread that took it; all calls must come from that thread."""

    def __init__(self, *, space: int, shard: int) -> None:
        self._space = space
        self._shard = shard
        self._backend = 0

    def take(self) -> None:
        """Take the shard, or raise ShardTaken."""
        if not self._lock():
            raise ShardTaken(f"another process owns shard {self._shard}")
        self._backend = _backend()

    def is_kept(self) -> bool:
        """Say whether the lock was held without a break; a broken connection lost it for a while."""
        return _backend() == self._backend

    def retake(self) -> None:
        """Take the shard again on a new connection; raises ShardTaken."""
        self.take()

    def _lock(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [self._space, self._shard])
            return bool(cursor.fetchone()[0])


class FeedLease:
    """The lease of a feed: every new owner begins a new epoch."""

    def __init__(self, *, shard: int, owner: str) -> None:
        self._lease = ShardLease(space=FEED_SPACE, shard=shard)
        self._shard = shard
        self._owner = owner
        self.epoch = 0

    def take(self, *, above: int, now: datetime) -> int:
        """Take the shard and return the new epoch; raises ShardTaken.

        A database that was set up anew counts from 0, while the bus may remember a later epoch: it must be passed.
        """
        self._lease.take()
        self.epoch = self._next_epoch(above, now)
        return self.epoch

    def check(self) -> None:
        """Raise ShardTaken where somebody else became the owner while the database was out of reach."""
        if self._lease.is_kept():
            return
        self._lease.retake()
        found = FeedShard.objects.get(shard=self._shard).epoch
        if found != self.epoch:
            raise ShardTaken(f"shard {self._shard} moved on to epoch {found}, ours was {self.epoch}")

    def _next_epoch(self, above: int, now: datetime) -> int:
        with transaction.atomic():
            row, _ = FeedShard.objects.select_for_update().get_or_create(shard=self._shard)
            row.epoch = max(row.epoch, above) + 1
            row.owner = self._owner
            row.owned_since = now
            row.save(update_fields=["epoch", "owner", "owned_since"])
        return row.epoch


@contextmanager
def turn(key: int) -> Iterator[bool]:
    """Let one run go at a time, without holding a transaction open for it; locks are shared by a server's databases."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(current_database()))", [key])
        taken = bool(cursor.fetchone()[0])
        try:
            yield taken
        finally:
            if taken:
                cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(current_database()))", [key])


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
