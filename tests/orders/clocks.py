"""A clock that tests move."""

import time
from datetime import datetime, timedelta

from orders.clock import DatabaseClock


class MovedClock:
    """The database's clock, moved forward at will."""

    def __init__(self) -> None:
        self._database = DatabaseClock()
        self._ahead = 0.0

    def now(self) -> datetime:
        return self._database.now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
