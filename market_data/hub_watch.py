"""Which quotes of a hub have become stale: judged once a second by the exchanges' calendar."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np
import structlog
from django.db import Error

from market_data.calendar import Calendar
from market_data.freshness import Flags, Freshness
from market_data.hub_clients import ShardView
from market_data.table import Tokens

log = structlog.get_logger(__name__)

READ_SECONDS: Final = 30.0
ReadCalendar = Callable[[datetime], Awaitable[Calendar]]


async def ordinary_week(_: datetime) -> Calendar:
    """Return the calendar without odd days: for a hub that has no database."""
    return Calendar()


class Watch:
    """Follows the calendar and remembers what was stale at the last look."""

    def __init__(self, *, read: ReadCalendar, freshness: Freshness) -> None:
        self._read = read
        self._freshness = freshness
        self._calendar = Calendar()
        self._stale: dict[int, Flags] = {}

    async def follow(self) -> None:
        """Read the calendar again and again."""
        while True:
            try:
                self._calendar = await self._read(datetime.fromtimestamp(time.time(), UTC))
            except Error as error:
                log.warning("market_data.hub.calendar_unread", reason=str(error))
            await asyncio.sleep(READ_SECONDS)

    def look(self, view: ShardView, *, at: float) -> Tokens:
        """Return the instruments of a shard that became stale since the last look and whose clients are told."""
        self._freshness.follow(self._calendar, now=datetime.fromtimestamp(at, UTC))
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
