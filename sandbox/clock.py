"""The exchange's own time: virtual, pausable, with a speed factor and jumps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock_time

NAMED_TIMES = {
    "login": "06:00", "pre-open": "09:00", "auction": "09:08", "open": "09:15", "square-off": "15:12", "close": "15:30",
    "midnight": "00:00",
}  # fmt: skip
IST = timezone(timedelta(hours=5, minutes=30), "IST")


def ist_from_epoch(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, tz=IST)


def stamp(moment: datetime | None) -> str | None:
    """Return Kite's naive IST text, 19 characters."""
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


class Clock:
    """A clock that starts at `start` and runs `speed` times as fast as the wall."""

    def __init__(self, *, start: datetime, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._base = start.timestamp()
        self._mark = monotonic()
        self.speed = speed
        self.paused = False

    def epoch(self) -> float:
        if self.paused:
            return self._base
        return self._base + (self._monotonic() - self._mark) * self.speed

    def now(self) -> datetime:
        return ist_from_epoch(self.epoch())

    def today(self) -> date:
        return self.now().date()

    def pause(self) -> None:
        self._rebase(self.epoch())
        self.paused = True

    def resume(self) -> None:
        self._rebase(self.epoch())
        self.paused = False

    def set_speed(self, speed: float) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, was {speed}")
        self._rebase(self.epoch())
        self.speed = speed

    def jump(self, moment: datetime) -> None:
        self._rebase(moment.timestamp())

    def advance(self, seconds: float) -> None:
        self._rebase(self.epoch() + seconds)

    def _rebase(self, epoch: float) -> None:
        self._base = epoch
        self._mark = self._monotonic()


def parse_jump(text: str, *, now: datetime) -> datetime:
    """Read `2026-11-24T09:15:00`, `09:15` (today, or tomorrow when past), its name or `+3600` (seconds)."""
    text = NAMED_TIMES.get(text, text)
    if text.startswith("+"):
        return now + timedelta(seconds=float(text[1:]))
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
        target = datetime.combine(now.date(), clock_time.fromisoformat(text.zfill(5)), tzinfo=IST)
        return target if target > now else target + timedelta(days=1)
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=IST) if moment.tzinfo is None else moment.astimezone(IST)


def next_death(moment: datetime) -> datetime:
    """Return the 06:00 IST at which a session opened at `moment` dies."""
    six = datetime.combine(moment.date(), clock_time(6), tzinfo=IST)
    return six if moment < six else six + timedelta(days=1)
