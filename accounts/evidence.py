"""What a socket was opened with: asked again as long as it lives, and renewed by a fresh ticket."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from channels.db import database_sync_to_async

from accounts.authentication import authenticate_socket, check_key
from accounts.errors import Forbidden, NotAuthenticated
from accounts.models import User
from accounts.queries import Principal, account_ids_of, scopes_of
from accounts.tickets import Holder, TicketRefused, password_mark, redeem

PREFIX: Final = "ticket."


class EvidenceExpired(NotAuthenticated):
    """The time of the ticket is over; nobody gave another."""

    code = "socket_expired"


class Memory:
    """What was proved a moment ago: many sockets of one key cost one question a second, not one each."""

    def __init__(self, *, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._proved: dict[bytes, tuple[float, Principal]] = {}

    async def principal(self, scope: Mapping[str, Any]) -> Principal:
        """Return who this is, as of a second ago at most; raises NotAuthenticated and Forbidden."""
        mark = _mark(scope)
        at, found = self._proved.get(mark, (float("-inf"), None))
        if found is not None and self._clock() - at < self._seconds:
            return found
        fresh = await authenticate_socket(scope)
        now = self._clock()
        self._proved = {key: held for key, held in self._proved.items() if now - held[0] < self._seconds}
        self._proved[mark] = (now, fresh)
        return fresh


class Evidence:
    """Of one socket: its header, its cookie, or the ticket offered beside its subprotocol."""

    def __init__(self, scope: Mapping[str, Any], *, memory: Memory) -> None:
        self._scope = scope
        self._memory = memory
        self._holder: Holder | None = None
        self._ticket = ticket_of(scope.get("subprotocols") or ())

    async def principal(self, *, now: datetime) -> Principal:
        """Return who this is now; raises NotAuthenticated, Forbidden, TicketsUnavailable."""
        if self._ticket is not None:
            ticket, self._ticket = self._ticket, None
            self._holder = await database_sync_to_async(redeem)(ticket)
        if self._holder is None:
            return await self._memory.principal(self._scope)
        return await database_sync_to_async(_today)(self._holder, now=now)

    async def refresh(self, ticket: str, *, now: datetime) -> Principal:
        """Go on with a fresh ticket of the same person; raises what `principal` raises."""
        before = await self._user_id(now)
        holder = await database_sync_to_async(redeem)(ticket)
        if holder.principal.user_id != before:
            raise Forbidden("the ticket is somebody else's", field="ticket")
        found = await database_sync_to_async(_today)(holder, now=now)
        self._holder = holder
        return found

    def seconds_left(self, *, now: datetime) -> int | None:
        """Return how long the ticket still serves; None for a header or a cookie, which are asked each time."""
        return None if self._holder is None else max(int((self._holder.until - now).total_seconds()), 0)

    def overdue_seconds(self, *, now: datetime) -> float:
        """Return how long the ticket has not served any more, 0.0 while it does."""
        return 0.0 if self._holder is None else max((now - self._holder.until).total_seconds(), 0.0)

    async def _user_id(self, now: datetime) -> int:
        """Return whose socket this is, its time over or not."""
        return self._holder.principal.user_id if self._holder else (await self.principal(now=now)).user_id


def _mark(scope: Mapping[str, Any]) -> bytes:
    """Return a digest of what proves the caller, so that no secret is kept."""
    proving = {b"authorization", b"cookie", b"origin", b"host"}
    parts = sorted((name, value) for name, value in scope["headers"] if name.lower() in proving)
    return hashlib.sha256(repr(parts).encode()).digest()


def ticket_of(subprotocols: Sequence[str]) -> str | None:
    """Return the ticket among the offered subprotocols."""
    return next((name.removeprefix(PREFIX) for name in subprotocols if name.startswith(PREFIX)), None)


def spoken(subprotocols: Sequence[str]) -> list[str]:
    """Return the offered subprotocols without the ticket, which must not be answered with."""
    return [name for name in subprotocols if not name.startswith(PREFIX)]


def _today(holder: Holder, *, now: datetime) -> Principal:
    """A ticket never opens more than its holder may do now."""
    if now >= holder.until:
        raise EvidenceExpired("the socket's time is over: send a fresh ticket")
    then = holder.principal
    user = User.objects.filter(pk=then.user_id, is_active=True).first()
    if user is None or password_mark(user) != holder.password:
        raise TicketRefused("the person who asked for the ticket may not go on")
    if then.key_id is not None:
        check_key(then.key_id, now=now)
    visible = account_ids_of(user)
    accounts = (
        then.account_ids if visible is None else visible if then.account_ids is None else visible & then.account_ids
    )
    return replace(then, scopes=then.scopes & scopes_of(user), account_ids=accounts)
