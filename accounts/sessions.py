"""From a frozen login to a client, once per process."""

import threading

from django.conf import settings

from accounts.budget import CallBudget
from kite.limits import CallClass
from kite.rest import Rest
from kite.types import Login


class Sessions:
    """The REST clients of one process; a new login value replaces the account's client."""

    def __init__(self, *, budget: CallBudget | None = None) -> None:
        self._budget = budget or CallBudget(url=settings.REDIS_URL)
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Login, Rest]] = {}

    def client(self, login: Login) -> Rest:
        """Return the client of this login."""
        with self._lock:
            held = self._clients.get(login.account_id)
            if held is not None and held[0] == login:
                return held[1]
            client = Rest(login, admit=lambda call_class: self._take(login, call_class))
            # A thread that still carries yesterday's login must not evict today's client.
            if held is None or held[0].version <= login.version:
                self._clients[login.account_id] = (login, client)
            return client

    def _take(self, login: Login, call_class: CallClass) -> None:
        self._budget.take(api_key=login.api_key, call_class=call_class)
