"""Reads that any account may make: by a healthy one with room, in turn, and by another one where it fails.

Only data is read so. What is handed out here cannot place, change or cancel anything: orders never move.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

import structlog
from django.db import transaction

from accounts.audit import record
from accounts.credentials import expire_token
from accounts.errors import BudgetSpent, LoginNeeded
from accounts.models import BrokerAccount
from accounts.queries import streaming_logins
from accounts.sessions import DataClient, Sessions
from kite.errors import KiteError, SessionExpired, Throttled, Unavailable
from kite.limits import CallClass
from kite.types import Login

log = structlog.get_logger(__name__)

T = TypeVar("T")
# An account that failed is left alone for so long, so that reads do not swing back and forth with it.
RESTS: Final = timedelta(seconds=60)
# Whoever must not be asked now is asked after everybody else.
LAST: Final = 3600.0


class Reads:
    """Chooses an account for each read of one moment. Safe to share between threads."""

    def __init__(self, *, sessions: Sessions, now: datetime) -> None:
        self._sessions = sessions
        self._now = now
        self._logins = streaming_logins(now=now)

    def ask(self, call_class: CallClass, question: Callable[[DataClient], T]) -> T:
        """Return the first answer; raises what the last account raised, and LoginNeeded where there is none.

        A refusal is the same from every account, so it is raised at once.
        """
        failure: KiteError | None = None
        for login in self.order(call_class):
            try:
                return question(self._sessions.data_client(login))
            except (Throttled, Unavailable, SessionExpired) as error:
                self._pass_on(login, call_class, error)
                failure = error
        raise failure or LoginNeeded("no account is logged in that streams data: nobody can be asked")

    def order(self, call_class: CallClass) -> Sequence[Login]:
        """Return the logins in the order they are asked: by the wait for a slot, then by whose turn it is."""
        turn = self._sessions.next_turn(call_class)
        count = len(self._logins)
        waits = {login.account_id: self._wait(login, call_class) for login in self._logins}
        turns = {login.account_id: (number - turn) % count for number, login in enumerate(self._logins)}
        return sorted(self._logins, key=lambda login: (waits[login.account_id], turns[login.account_id]))

    def _wait(self, login: Login, call_class: CallClass) -> float:
        if self._sessions.reads_rest(login, call_class):
            return LAST
        return round(self._sessions.wait_of(login, call_class), 1)

    def _pass_on(self, login: Login, call_class: CallClass, error: KiteError) -> None:
        """Write down why the read goes to another account, and leave this one alone for a while."""
        if isinstance(error, BudgetSpent):
            return
        account_id = UUID(login.account_id)
        if isinstance(error, SessionExpired):
            expire_token(account_id=account_id, version=login.version, now=self._now, reason=error.message)
        if not self._sessions.rest_reads(login, call_class, seconds=RESTS.total_seconds()):
            return
        label = BrokerAccount.objects.values_list("label", flat=True).get(pk=account_id)
        others = len(self._logins) - 1
        with transaction.atomic():
            record(
                actor="platform",
                action="accounts.reads.moved",
                subject=f"account:{label}",
                reason=f"{error.code}: {error.message}"[:200],
                detail={"class": call_class, "to_others": others, "seconds": RESTS.total_seconds()},
                now=self._now,
            )
        log.warning("accounts.reads.moved", account=label, calls=call_class, code=error.code, to_others=others)
