"""From a frozen login to a client, once per process."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.conf import settings

from accounts.budget import CallBudget, CallClass
from kite.rest import Rest
from kite.rows import Json
from kite.types import Candle, Login, OrderRow, TradeRow


class MeteredRest(Rest):
    """Reads wait for the shared budget; writes do not, because orders are counted in the database."""

    def __init__(self, login: Login, *, budget: CallBudget) -> None:
        super().__init__(login)
        self._api_key = login.api_key
        self._budget = budget

    def profile(self) -> Json:
        """Return who the login belongs to."""
        self._take(CallClass.OTHER)
        return super().profile()

    def margins(self) -> Json:
        """Return funds by segment."""
        self._take(CallClass.OTHER)
        return super().margins()

    def orders(self) -> list[OrderRow]:
        """Return the day's order book."""
        self._take(CallClass.OTHER)
        return super().orders()

    def order_history(self, order_id: str) -> list[OrderRow]:
        """Return the states the order went through, oldest first."""
        self._take(CallClass.OTHER)
        return super().order_history(order_id)

    def trades(self) -> list[TradeRow]:
        """Return the day's executions."""
        self._take(CallClass.OTHER)
        return super().trades()

    def order_trades(self, order_id: str) -> list[TradeRow]:
        """Return the executions of one order."""
        self._take(CallClass.OTHER)
        return super().order_trades(order_id)

    def positions(self) -> Json:
        """Return net and day positions."""
        self._take(CallClass.OTHER)
        return super().positions()

    def holdings(self) -> list[Json]:
        """Return what the demat account holds."""
        self._take(CallClass.OTHER)
        return super().holdings()

    def quote(self, keys: Iterable[str]) -> Json:
        """Return full quotes."""
        self._take(CallClass.QUOTE)
        return super().quote(keys)

    def ohlc(self, keys: Iterable[str]) -> Json:
        """Return the day's open, high, low and close."""
        self._take(CallClass.QUOTE)
        return super().ohlc(keys)

    def ltp(self, keys: Iterable[str]) -> Json:
        """Return last prices."""
        self._take(CallClass.QUOTE)
        return super().ltp(keys)

    def historical(
        self,
        instrument_token: int,
        interval: str,
        start: datetime,
        end: datetime,
        *,
        oi: bool = False,
        continuous: bool = False,
    ) -> list[Candle]:
        """Return candles, oldest first."""
        self._take(CallClass.HISTORICAL)
        return super().historical(instrument_token, interval, start, end, oi=oi, continuous=continuous)

    def instruments(self, exchange: str | None = None) -> bytes:
        """Return the dump as CSV."""
        self._take(CallClass.OTHER)
        return super().instruments(exchange)

    def order_margins(self, orders: Iterable[Mapping[str, object]]) -> list[Json]:
        """Return the margin each order would block."""
        self._take(CallClass.OTHER)
        return super().order_margins(orders)

    def basket_margins(self, orders: Iterable[Mapping[str, object]], *, consider_positions: bool = True) -> Json:
        """Return the margin the orders would block together."""
        self._take(CallClass.OTHER)
        return super().basket_margins(orders, consider_positions=consider_positions)

    def gtts(self) -> list[Json]:
        """Return the triggers that stand."""
        self._take(CallClass.OTHER)
        return super().gtts()

    def _take(self, call_class: CallClass) -> None:
        self._budget.take(api_key=self._api_key, call_class=call_class)


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
            client = MeteredRest(login, budget=self._budget)
            # A thread that still carries yesterday's login must not evict today's client.
            if held is None or held[0].version <= login.version:
                self._clients[login.account_id] = (login, client)
            return client
