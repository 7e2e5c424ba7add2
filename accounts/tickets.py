"""One-time tickets for sockets: whoever asked for one may open one socket within half a minute.

A browser of another site can send neither a header nor our cookie; it offers the ticket as a subprotocol, so that no
secret stands in an address. Redis keeps the ticket's digest and who asked; taking it out deletes it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final, Self
from uuid import UUID

import orjson
from django.conf import settings

from accounts.errors import NotAuthenticated, PlatformError
from accounts.models import User
from accounts.queries import Principal
from accounts.shared import Resting, SharedScripts

LIFE: Final = timedelta(seconds=30)
# What a ticket opened is asked for a new one after this time.
SOCKET_LIFE: Final = timedelta(hours=1)
SECRET_BYTES: Final = 32
# A ticket is no call to the broker: half a second is better than a socket refused.
TIMEOUT_SECONDS: Final = 0.5

PUT: Final = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"
TAKE: Final = "return redis.call('GETDEL', KEYS[1])"


class TicketRefused(NotAuthenticated):
    """The ticket is unknown, was used or is too old."""

    code = "ticket_refused"


class TicketsUnavailable(PlatformError):
    """Redis does not answer: no ticket can be given or taken now."""

    code = "tickets_unavailable"
    status = 503
    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who asked for a ticket, as they were then; `until` ends what it opens."""

    principal: Principal
    password: str
    until: datetime

    def pack(self) -> bytes:
        """Return the bytes Redis keeps."""
        who = self.principal
        accounts = None if who.account_ids is None else sorted(map(str, who.account_ids))
        return orjson.dumps(
            {
                "user_id": who.user_id,
                "label": who.label,
                "key_id": who.key_id,
                "scopes": sorted(who.scopes),
                "accounts": accounts,
                "password": self.password,
                "until": self.until.timestamp(),
            }
        )

    @classmethod
    def unpack(cls, blob: bytes) -> Self:
        """Return the holder."""
        found = orjson.loads(blob)
        accounts = found["accounts"]
        principal = Principal(
            user_id=found["user_id"],
            label=found["label"],
            key_id=found["key_id"],
            scopes=frozenset(found["scopes"]),
            account_ids=None if accounts is None else frozenset(map(UUID, accounts)),
        )
        return cls(principal=principal, password=found["password"], until=datetime.fromtimestamp(found["until"], UTC))


def issue(*, principal: Principal, now: datetime) -> str:
    """Return a fresh ticket for the caller; raises TicketsUnavailable."""
    text = secrets.token_urlsafe(SECRET_BYTES)
    user = User.objects.get(pk=principal.user_id)
    holder = Holder(principal=principal, password=password_mark(user), until=now + SOCKET_LIFE)
    _run(PUT, text, [holder.pack().decode(), int(LIFE.total_seconds())])
    return text


def redeem(text: str) -> Holder:
    """Take the ticket out; raises TicketRefused, TicketsUnavailable."""
    blob = _run(TAKE, text, [])
    if not isinstance(blob, bytes):
        raise TicketRefused("the ticket is unknown, was used or is older than half a minute")
    return Holder.unpack(blob)


def password_mark(user: User) -> str:
    """Return what changes with the user's password, and tells nothing of it."""
    return hashlib.sha256(user.get_session_auth_hash().encode()).hexdigest()


def _run(script: str, text: str, args: list[str | float]) -> object:
    key = f"ticket:{hashlib.sha256(text.encode()).hexdigest()}"
    try:
        answer: object = _scripts().run(script, keys=[key], args=args)
    except Resting as error:
        raise TicketsUnavailable("tickets cannot be given or taken now") from error
    return answer


@cache
def _scripts() -> SharedScripts:
    return SharedScripts(url=settings.REDIS_URL, timeout_seconds=TIMEOUT_SECONDS)
