"""Asks the broker who a login belongs to, and believes the answer."""

from datetime import datetime
from uuid import UUID

from accounts.credentials import expire_token
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.answers import Profile
from kite.errors import SessionExpired


def probe(*, account_id: UUID, sessions: Sessions, now: datetime) -> Profile:
    """Return what the broker says of the account's login; a dead token is forgotten and SessionExpired raised."""
    login = login_for(account_id=account_id, now=now)
    try:
        return sessions.client(login).profile()
    except SessionExpired as error:
        expire_token(account_id=account_id, version=login.version, now=now, reason=str(error))
        raise
