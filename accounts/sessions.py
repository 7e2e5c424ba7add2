"""From a frozen login to a client, once per process."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from accounts.breaker import GOOD_PROBES, Breaker, State
from accounts.budget import CallBudget
from accounts.errors import BrokerRests, BudgetSpent
from accounts.shared import Resting, SharedScripts
from kite.answers import Ltp, OhlcQuote, Quote
from kite.errors import Evidence, KiteError, Unavailable
from kite.limits import CallClass
from kite.rest import Rest, observed_address
from kite.types import Candle, Login

PROBE_AGAIN_SECONDS: Final = 1.0
TURN: Final = "return redis.call('INCR', KEYS[1])"
REST: Final = "return redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) and 1 or 0"
RESTS: Final = "return redis.call('EXISTS', KEYS[1])"
NOBODY_ASKED: Final = Evidence(method="", path="")


@dataclass(frozen=True, slots=True)
class DataClient:
    """The data endpoints of one login, and nothing else."""

    quote: Callable[[Iterable[str]], dict[str, Quote]]
    ohlc: Callable[[Iterable[str]], dict[str, OhlcQuote]]
    ltp: Callable[[Iterable[str]], dict[str, Ltp]]
    historical: Callable[..., list[Candle]]
    instruments: Callable[..., bytes]


class Sessions:
    """The REST clients of one process; a new login value replaces the account's client."""

    def __init__(self, *, budget: CallBudget | None = None, breaker: Breaker | None = None) -> None:
        self._scripts = SharedScripts(url=settings.REDIS_URL)
        self._budget = budget or CallBudget(scripts=self._scripts)
        self._breaker = breaker or Breaker(scripts=self._scripts)
        self._turn = 0
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Login, Rest]] = {}

    def client(self, login: Login) -> Rest:
        """Return the client of this login."""
        with self._lock:
            held = self._clients.get(login.account_id)
            if held is not None and held[0] == login:
                return held[1]
            client = Rest(
                login,
                admit=lambda call_class: self._enter(login, call_class),
                told=lambda call_class, error: self._leave(login, call_class, error),
            )
            # A thread that still carries yesterday's login must not evict today's client.
            if held is None or held[0].version <= login.version:
                self._clients[login.account_id] = (login, client)
            return client

    def data_client(self, login: Login) -> DataClient:
        """Return the part of the login's client that moves nothing."""
        client = self.client(login)
        return DataClient(client.quote, client.ohlc, client.ltp, client.historical, client.instruments)

    def next_turn(self, call_class: CallClass) -> int:
        """Return a number that grows with every read of all processes."""
        try:
            return int(self._scripts.run(TURN, keys=[f"reads:turn:{call_class}"], args=[]))
        except Resting:
            self._turn += 1
            return self._turn

    def rest_reads(self, login: Login, call_class: CallClass, *, seconds: float) -> bool:
        """Leave the account's reads alone for a while and say whether it was not left alone before."""
        try:
            key = f"reads:rest:{login.account_id}:{call_class}"
            return bool(self._scripts.run(REST, keys=[key], args=[int(seconds * 1000)]))
        except Resting:
            return True

    def reads_rest(self, login: Login, call_class: CallClass) -> bool:
        """Say whether the account's reads are left alone, or nobody asks the broker on its behalf."""
        try:
            key = f"reads:rest:{login.account_id}:{call_class}"
            if self._scripts.run(RESTS, keys=[key], args=[]):
                return True
        except Resting:
            return False
        return self._breaker.is_open(account_id=login.account_id, call_class=call_class)

    def seconds_until_orders(self, login: Login) -> float | None:
        """Return None where an order may leave, else the seconds after which to ask again.

        Whoever is let in to probe reads the order book: an order is never the probe.
        """
        for _ in range(GOOD_PROBES):
            try:
                state = self._breaker.enter(account_id=login.account_id, call_class=CallClass.ORDER)
            except BrokerRests as error:
                return error.retry_after
            if state is State.CLOSED:
                return None
            failure = self._read_the_book(login)
            self._leave(login, CallClass.ORDER, failure)
            if failure is not None:
                return PROBE_AGAIN_SECONDS
        return None

    def observed_address(self, login: Login) -> str:
        """Return the address this login's order calls are seen to leave from; raises Unavailable."""
        if not settings.EGRESS_ECHO_URL:
            raise Unavailable("EGRESS_ECHO_URL names no server that could say.", evidence=NOBODY_ASKED)
        return observed_address(login=login, echo_url=settings.EGRESS_ECHO_URL)

    def wait_of(self, login: Login, call_class: CallClass) -> float:
        """Return the seconds a call of this login would wait for its slot."""
        return self._budget.wait_of(api_key=login.api_key, call_class=call_class)

    def _read_the_book(self, login: Login) -> KiteError | None:
        try:
            self.client(login).orders()
        except KiteError as error:
            return error
        return None

    def _enter(self, login: Login, call_class: CallClass) -> None:
        self._breaker.enter(account_id=login.account_id, call_class=call_class)
        try:
            self._budget.take(api_key=login.api_key, call_class=call_class)
        except BudgetSpent:
            self._breaker.give_back(account_id=login.account_id, call_class=call_class)
            raise

    def _leave(self, login: Login, call_class: CallClass, error: KiteError | None) -> None:
        self._breaker.leave(account_id=login.account_id, call_class=call_class, error=error)
