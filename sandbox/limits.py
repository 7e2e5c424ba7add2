"""The broker's rate limits, counted as it counts: by calendar second, minute and day on its own clock."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from sandbox.errors import KiteError, throttled
from sandbox.settings import Settings


@dataclass(slots=True)
class Window:
    """A count inside one calendar unit."""

    unit: object = None
    count: int = 0

    def hit(self, unit: object, count: int = 1) -> int:
        if unit != self.unit:
            self.unit, self.count = unit, 0
        self.count += count
        return self.count


@dataclass(slots=True)
class Limits:
    """Counts calls by key and class; `wall` is the clock whose seconds count."""

    settings: Settings
    seed: int
    wall: Callable[[], float] = time.time
    windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    refused: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def check_call(self, *, kind: str, api_key: str) -> None:
        """Count a read or a change; `kind` names the per-second limit of the settings."""
        if not self.settings.limits:
            return
        allowed = int(getattr(self.settings, f"{kind}_per_second"))
        if self._window(kind, api_key).hit(int(self._now())) > allowed:
            self._refuse()

    def check_order(self, *, user_id: str, today: date) -> None:
        """Count an order placement against the second, the minute and the day of a client account."""
        if not self.settings.limits:
            return
        now = self._now()
        if self._window("order second", user_id).hit(int(now)) > self.settings.orders_per_second:
            self._refuse()
        if self._window("order minute", user_id).hit(int(now // 60)) > self.settings.orders_per_minute:
            self._refuse()
        self.check_day(user_id=user_id, today=today)

    def check_day(self, *, user_id: str, today: date, count: int = 1) -> None:
        """Count orders against the day alone, as the further legs of an iceberg and slices of an order count."""
        if not self.settings.limits:
            return
        day = self._window("order day", user_id)
        if day.hit(today, count) > self.settings.orders_per_day:
            self.refused += 1
            raise KiteError(429, "NetworkException", "Maximum allowed order requests exceeded")

    def order_days(self) -> dict[str, int]:
        """Return each account's orders of the day, for a restart."""
        return {key: window.count for (kind, key), window in self.windows.items() if kind == "order day"}

    def resume_days(self, counts: dict[str, int], *, today: date) -> None:
        for key, count in counts.items():
            self.windows["order day", key] = Window(today, count)

    def _now(self) -> float:
        jitter = self.settings.limit_jitter_seconds
        return self.wall() + self.settings.limit_skew_seconds + self._random.uniform(-jitter, jitter)

    def _window(self, kind: str, key: str) -> Window:
        return self.windows.setdefault((kind, key), Window())

    def _refuse(self) -> None:
        self.refused += 1
        raise throttled()
