"""Virtual time that can kill whoever reads it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 4, 30, tzinfo=UTC)


class Killed(BaseException):
    """The process of the actor that runs ends here, as `kill -9` ends it: nothing catches it but the scheduler."""


class VirtualClock:
    """Seconds since the start, moved by the scheduler; `fatal` reads from now, the reader is killed."""

    def __init__(self, *, pause: Callable[[str], None]) -> None:
        self._pause = pause
        self.seconds = 0.0
        self.fatal: int | None = None

    def now(self) -> datetime:
        if self.fatal is not None:
            self.fatal -= 1
            if self.fatal <= 0:
                self.fatal = None
                raise Killed
        return self.at()

    def at(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Sleep, perhaps, and look then: both reads of the product stand outside its transactions."""
        self._pause("before a look at the clock")
        return self.seconds
