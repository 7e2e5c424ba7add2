"""What an account needs before one of its orders leaves: a login, a broker that answers, a registered address."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from accounts.egress import require_seen
from accounts.errors import EgressUnseen, LoginNeeded
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.types import Login

LOGIN_PAUSE_SECONDS: Final = 2.0
LOOK_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Held:
    """Why an order must wait at the door, and after how many seconds to knock again."""

    code: str
    text: str
    seconds: float


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
