"""What an account needs before one of its orders leaves: a login, a broker that answers, a registered address."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from accounts.egress import require_seen
from accounts.errors import EgressUnseen, LoginNeeded, PlatformError
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.types import Login
from orders import carried, reconciliation
from orders.clock import Clock

LOGIN_PAUSE_SECONDS: Final = 2.0
LOOK_PAUSE_SECONDS: Final = 5.0
BOOK_PAUSE_SECONDS: Final = 2.0
# Four periodic readings that did not come.
READ_WITHIN: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Held:
    """Why an order must wait at the door, and after how many seconds to knock again."""

    code: str
    text: str
    seconds: float


def ready_to_place(*, account_id: UUID, sessions: Sessions, clock: Clock) -> Login | Held:
    """Return the login a new order of this account may leave with now, or why it waits.

    Whatever happened while nobody looked, a start, a restored backup, a broken link: the books are read first.
    """
    now = clock.now()
    login = login_to_leave_with(account_id=account_id, sessions=sessions, now=now)
    if isinstance(login, Held):
        return login
    reading = carried.reading_of(account_id)
    lately = reading is not None and reading.read_at is not None and reading.read_at > now - READ_WITHIN
    if lately and not carried.missing(account_id=account_id, reading=reading, now=now):
        return login
    try:
        reconciliation.reconcile_account(account_id=account_id, sessions=sessions, clock=clock)
    except (KiteError, PlatformError) as error:
        return Held("BOOK_UNREAD", f"the order book could not be read first: {error}", BOOK_PAUSE_SECONDS)
    if carried.missing(account_id=account_id, reading=carried.reading_of(account_id), now=now):
        text = "a limit counts what was carried overnight, and the broker's positions could not be read"
        return Held("POSITIONS_UNREAD", text, BOOK_PAUSE_SECONDS)
    return login


def login_to_leave_with(*, account_id: UUID, sessions: Sessions, now: datetime) -> Login | Held:
    """Return the login an order of this account may leave with now, or why it waits."""
    try:
        login = login_for(account_id=account_id, now=now)
    except LoginNeeded:
        return Held("LOGIN_NEEDED", "the account has no live access token", LOGIN_PAUSE_SECONDS)
    wait = sessions.seconds_until_orders(login)
    if wait is not None:
        return Held("BROKER_RESTS", "the broker did not answer this account's orders; it is asked first", wait)
    try:
        require_seen(login=login, sessions=sessions, now=now)
    except EgressUnseen as error:
        return Held("EGRESS_UNSEEN", str(error), LOOK_PAUSE_SECONDS)
    return login
