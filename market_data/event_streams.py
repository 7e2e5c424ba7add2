"""Events of a socket: from a position on, none left out; where some are gone, what is so is said anew."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from django.utils import timezone

from market_data.bus import EVENTS_AT_ONCE, AsyncBus
from market_data.errors import FeedDown
from market_data.replies import order_of

log = structlog.get_logger(__name__)

# Reading starts this much before a snapshot: who takes an event twice is no wiser, who misses one is.
OVERLAP: Final = timedelta(seconds=5)
LONGEST_POSITION: Final = 60
# What one client's streams may have read and not sent.
MOST_BYTES: Final = 256 * 1024


FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0


class EventsLost(Exception):
    """Events behind a position are not kept any more."""


class Overfull(Exception):
    """More events wait for a client than may."""


class Waiting:
    """The bytes of events that were read for one client and not sent."""

    def __init__(self, *, most: int = MOST_BYTES) -> None:
        self._most = most
        self._held = 0

    def take(self, size: int) -> None:
        """Count bytes that were read; raises Overfull. What comes alone may be as long as it is."""
        if self._held and self._held + size > self._most:
            raise Overfull(f"{self._held + size} bytes of events wait, {self._most} may")
        self._held += size

    def give(self, size: int) -> None:
        """Count bytes that were sent."""
        self._held -= size


class EventStream:
    """One stream for one client. A position is an offset and the epoch of the stream that it belongs to.

    `retold` says that somebody tells again what the bus did not take while it was away.
    """

    def __init__(
        self,
        *,
        bus: AsyncBus,
        stream: str,
        snapshot: Callable[[str], Awaitable[None]],
        event: Callable[[str, Mapping[str, Any]], Awaitable[None]],
        waiting: Waiting,
        retold: bool = True,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._snapshot = snapshot
        self._event = event
        self._waiting = waiting
        self._retold = retold
        self._after = ""
        # What the cap took before the last snapshot, the snapshot holds.
        self._told_at = "0-0"
        self._epoch = ""

    async def begin(self, position: str | None) -> None:
        """Go on behind a position where everything since is kept, else with what is so now."""
        if position is not None:
            self._after, _, epoch = position.partition("@")
            self._epoch = await self._bus.event_epoch(stream=self._stream)
            if epoch in {"", self._epoch} and await self._is_kept():
                return
        await self._begin_anew()

    async def read(self, *, overfull: Callable[[], None]) -> None:
        """Tell every event, until cancelled or until the client takes too few of them."""
        while True:
            try:
                await self._read()
            except EventsLost as error:
                log.warning("market_data.events.lost", stream=self._stream, reason=str(error))
                await self._begin_anew()
            except Overfull as error:
                log.info("market_data.events.overfull", stream=self._stream, reason=str(error))
                overfull()
                return

    async def _read(self) -> None:
        pause, doubtful = FIRST_PAUSE, False
        while True:
            try:
                found = await self._bus.events_after(stream=self._stream, after=self._after)
                if doubtful or len(found) == EVENTS_AT_ONCE:
                    await self._require_whole(was_away=doubtful)
            except FeedDown as error:
                log.warning("market_data.events.unread", stream=self._stream, reason=str(error))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads the crowd, guards nothing)
                pause, doubtful = min(pause * 2, LONGEST_PAUSE), True
                continue
            pause, doubtful = FIRST_PAUSE, False
            await self._tell(found)

    async def _require_whole(self, *, was_away: bool) -> None:
        if was_away and not self._retold:
            raise EventsLost("the stream was away")
        if self._epoch and await self._bus.event_epoch(stream=self._stream) != self._epoch:
            raise EventsLost("the stream is of another epoch")
        since = max(self._after, self._told_at, key=order_of)
        if await self._bus.may_have_dropped(stream=self._stream, after=since):
            raise EventsLost(f"the stream does not reach back to {since}")

    async def _tell(self, found: Sequence[tuple[str, bytes]]) -> None:
        size = sum(len(blob) for _, blob in found)
        self._waiting.take(size)
        try:
            for offset, blob in found:
                self._after = offset
                await self._event(self._position(), orjson.loads(blob))
        finally:
            self._waiting.give(size)

    async def _begin_anew(self) -> None:
        try:
            self._epoch = await self._bus.event_epoch(stream=self._stream)
        except FeedDown as error:
            log.warning("market_data.events.no_epoch", stream=self._stream, reason=str(error))
            self._epoch = ""
        now = timezone.now()
        self._told_at, self._after = _offset_at(now), _offset_at(now - OVERLAP)
        await self._snapshot(self._position())

    async def _is_kept(self) -> bool:
        first = await self._bus.first_event(stream=self._stream)
        return first is not None and order_of(first) <= order_of(self._after)

    def _position(self) -> str:
        return f"{self._after}@{self._epoch}" if self._epoch else self._after


def is_position(text: object) -> bool:
    """Say whether a client's text can be a position of ours."""
    if not isinstance(text, str) or len(text) > LONGEST_POSITION:
        return False
    offset, _, epoch = text.partition("@")
    left, dash, right = offset.partition("-")
    return bool(dash) and left.isdecimal() and right.isdecimal() and (epoch.isalnum() or not epoch)


def _offset_at(moment: datetime) -> str:
    return f"{int(moment.timestamp() * 1000)}-0"
