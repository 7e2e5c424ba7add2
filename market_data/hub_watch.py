"""Which quotes of a hub have become stale: judged once a second by the exchanges' calendar."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import structlog
from django.db import Error

from market_data.calendar import Calendar
from market_data.freshness import LIMITS, Allowed, Flags, Freshness, QuoteClass, leaders
from market_data.hub_clients import ShardView
from market_data.pressure import PRESSURE, Pressure
from market_data.table import Tokens, join

log = structlog.get_logger(__name__)

READ_SECONDS: Final = 30.0
RANK_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standards:
    """What a hub judges by."""

    calendar: Calendar
    ages: Mapping[QuoteClass, Allowed]
    pressure: Pressure


ORDINARY: Final = Standards(calendar=Calendar(), ages=LIMITS, pressure=PRESSURE)
ReadStandards = Callable[[datetime], Awaitable[Standards]]


async def ordinary_week(_: datetime) -> Standards:
    """Return a calendar without odd days and limits that nobody edited: for a hub that has no database."""
    return ORDINARY


class Watch:
    """Follows the calendar and the limits, and remembers what was stale at the last look."""

    def __init__(self, *, read: ReadStandards, freshness: Freshness) -> None:
        self._read = read
        self._freshness = freshness
        self.standards = ORDINARY
        self._stale: dict[int, Flags] = {}
        self._ranked_at = float("-inf")

    async def follow(self) -> None:
        """Read the calendar and the limits again and again."""
        while True:
            try:
                self.standards = await self._read(datetime.fromtimestamp(time.time(), UTC))
            except Error as error:
                log.warning("market_data.hub.standards_unread", reason=str(error))
            self._freshness.allow(self.standards.ages)
            await asyncio.sleep(READ_SECONDS)

    def rank(self, views: Iterable[ShardView], *, at: float) -> None:
        """Find the leading shares, twice a minute."""
        if at - self._ranked_at >= RANK_SECONDS:
            self._ranked_at = at
            self._freshness.lead(leaders(join([view.table.held() for view in views])))

    def look(self, view: ShardView, *, at: float) -> Tokens:
        """Return the instruments of a shard that became stale since the last look and whose clients are told."""
        self._freshness.follow(self.standards.calendar, now=datetime.fromtimestamp(at, UTC))
        table = view.table
        rows = table.rows[: table.size]
        now = self._freshness.stale(rows, at=at) & (table.version[: table.size] > 0)
        before = self._stale.get(view.shard)
        self._stale[view.shard] = now
        new = now & self._freshness.told(rows)
        if before is not None:
            new[: len(before)] &= ~before
        tokens: Tokens = np.sort(rows["instrument_token"][new])
        return tokens

    def count(self) -> int:
        """Return how many quotes are stale."""
        return int(sum(flags.sum() for flags in self._stale.values()))
