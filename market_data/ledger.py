"""What the feed reads from and writes to the database; runs in one thread, beside the loop."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection

from accounts.credentials import expire_token
from accounts.errors import PlatformError
from accounts.health import degrade
from accounts.sessions import Sessions
from kite.errors import KiteError, SessionExpired
from kite.types import Login
from market_data.lease import FeedLease
from market_data.models import FeedGap
from market_data.plan import Plan, Planner

log = structlog.get_logger(__name__)

RECOVERS_AFTER: Final = timedelta(seconds=60)


class LedgerUnreachable(Exception):
    """The database did not answer; the feed streams on and asks again."""


class Ledger(Protocol):
    """The feed's side of the database. Every call may raise LedgerUnreachable."""

    def take(self, *, above: int) -> int:
        """Become the owner of the shard and return an epoch above this one; raises ShardTaken."""

    def plan(self) -> Plan:
        """Confirm the ownership and return what should be; raises ShardTaken."""

    def degrade(self, *, account_id: str, reason: str) -> None:
        """Take an account out of data for a minute."""

    def verify(self, login: Login) -> None:
        """Ask the broker whether a login it refused on the socket is dead; called from any thread."""

    def open_gap(self, *, label: str, cause: str, started_at: float, tokens: Sequence[int]) -> int:
        """Note that these instruments get no ticks and return the gap's id."""

    def close_gap(self, *, gap_id: int, ended_at: float) -> None:
        """Note that they are streamed again."""

    def close(self) -> None:
        """Give the shard up."""


class DatabaseLedger:
    """The ledger on Django's database connection of the calling thread."""

    def __init__(self, *, shard: int, shards: int, owner: str, sessions: Sessions) -> None:
        self._lease = FeedLease(shard=shard, owner=owner)
        self._sessions = sessions
        self._shard = shard
        self._planner = Planner(shard=shard, shards=shards)

    def take(self, *, above: int) -> int:
        """Become the owner of the shard."""
        with _Reached():
            return self._lease.take(above=above, now=_now())

    def plan(self) -> Plan:
        """Confirm the ownership and return what should be."""
        with _Reached():
            self._lease.check()
            return self._planner.load(now=_now())

    def degrade(self, *, account_id: str, reason: str) -> None:
        """Take an account out of data for a minute."""
        now = _now()
        with _Reached():
            degrade(account_id=UUID(account_id), reason=reason, now=now, recovers_at=now + RECOVERS_AFTER)

    def verify(self, login: Login) -> None:
        """Forget the token only where the broker's REST side refuses it too."""
        try:
            self._sessions.client(login).profile()
        except SessionExpired as error:
            with _Reached():
                expire_token(account_id=UUID(login.account_id), version=login.version, now=_now(), reason=error.message)
        except (KiteError, PlatformError) as error:
            log.warning("market_data.feed.login_unverified", account_id=login.account_id, reason=str(error))
        finally:
            connection.close()

    def open_gap(self, *, label: str, cause: str, started_at: float, tokens: Sequence[int]) -> int:
        """Store the beginning of a gap."""
        with _Reached():
            gap = FeedGap.objects.create(
                shard=self._shard,
                account_label=label,
                cause=cause[:80],
                started_at=datetime.fromtimestamp(started_at, UTC),
                instrument_tokens=list(tokens),
            )
        return gap.pk

    def close_gap(self, *, gap_id: int, ended_at: float) -> None:
        """Store the end of a gap."""
        with _Reached():
            FeedGap.objects.filter(id=gap_id).update(ended_at=datetime.fromtimestamp(ended_at, UTC))

    def close(self) -> None:
        """Give the shard up: the lock ends with the connection."""
        connection.close()


class _Reached:
    """Turns a lost connection into one kind of error and lets the next call open a new one."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OperationalError | InterfaceError):
            connection.close()
            raise LedgerUnreachable(str(error)) from error


def _now() -> datetime:
    return datetime.now(UTC)
