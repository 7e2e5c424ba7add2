"""Clients of a hub and the cohorts they form: cursors instead of queues."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from kite.types import Mode
from market_data.frames import Format, FrameType, Span, encode
from market_data.freshness import Freshness
from market_data.table import LastValues, Slots, Tokens, take

Message = Mapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
SNAPSHOT_CURSOR: Final = -1
SLOWEST: Final = 5


class ShardView:
    """One shard as this process knows it."""

    def __init__(self, shard: int, *, freshness: Freshness) -> None:
        self.shard = shard
        self.freshness = freshness
        self.epoch = 0
        self.sequence = 0
        self.published_us = 0
        self.table = LastValues()
        self.heard_at = 0.0
        self.stale = False
        self.reload_from = 0

    def span(self, cursor: int) -> Span:
        """Return the stretch from a cursor to now."""
        return Span(
            shard=self.shard,
            epoch=self.epoch,
            from_sequence=cursor,
            to_sequence=self.sequence,
            published_us=self.published_us,
            built_at=time.time(),
        )

    def begin(self, epoch: int) -> None:
        """Start counting anew; the values stay and age."""
        self.epoch = epoch
        self.sequence = self.reload_from = 0
        self.table.version[self.table.version > 0] = 1


class Cohort:
    """Clients that want the same instruments in the same mode and format: a frame is built once for all of them."""

    def __init__(self, *, form: Format, mode: Mode, tokens: Iterable[int]) -> None:
        self.form = form
        self.mode = mode
        self.tokens: Tokens = np.array(sorted(tokens), np.uint32)
        self.lanes: dict[Client, Lane] = {}
        self._slots: dict[int, Slots] = {}
        self._frames: dict[tuple[int, int], Message | None] = {}
        self._built_for: dict[int, tuple[int, int, int]] = {}

    def slots(self, view: ShardView) -> Slots:
        """Return where the cohort's instruments are in a shard's table."""
        found = self._slots.get(view.shard)
        if found is None:
            found = self._slots[view.shard] = view.table.slots(self.tokens)
        return found

    def has_news(self, view: ShardView, since: int) -> bool:
        """Say whether anything changed after a sequence."""
        return bool((view.table.version[self.slots(view)] > since).any())

    def delta(self, view: ShardView, cursor: int) -> Message | None:
        """Return what changed after the cursor, None for nothing."""
        return self._cached(view, cursor)

    def snapshot(self, view: ShardView, fresh: set[int]) -> Message | None:
        """Return the last values of these instruments, None where there are none yet."""
        if len(fresh) == len(self.tokens):
            return self._cached(view, SNAPSHOT_CURSOR)
        slots = self.slots(view)[np.isin(self.tokens, np.fromiter(fresh, np.uint32))]
        return self._build(view, slots, cursor=0, kind=FrameType.SNAPSHOT)

    def _cached(self, view: ShardView, cursor: int) -> Message | None:
        # In silence a frame's ages go on: it is kept for a second.
        position = (view.epoch, view.sequence, int(time.monotonic()))
        if self._built_for.get(view.shard) != position:
            self._frames = {key: frame for key, frame in self._frames.items() if key[0] != view.shard}
            self._built_for[view.shard] = position
        key = (view.shard, cursor)
        if key not in self._frames:
            kind = FrameType.SNAPSHOT if cursor == SNAPSHOT_CURSOR else FrameType.DELTA
            self._frames[key] = self._build(view, self.slots(view), cursor=max(cursor, 0), kind=kind)
        return self._frames[key]

    def forget_frames(self) -> None:
        """Drop what was built: values changed without a new sequence."""
        self._built_for.clear()

    def _build(self, view: ShardView, slots: Slots, *, cursor: int, kind: FrameType) -> Message | None:
        chosen = slots[view.table.version[slots] > cursor]
        if not len(chosen):
            return None
        rows = take(view.table.rows, chosen)
        span = view.span(cursor)
        stale = view.freshness.stale(rows, at=span.built_at)
        payload = encode(rows=rows, stale=stale, mode=self.mode, form=self.form, kind=kind, span=span)
        if self.form is Format.BINARY:
            return {"type": "websocket.send", "bytes": payload}
        return {"type": "websocket.send", "text": payload.decode()}


class Lane:
    """One client's instruments of one mode: how far it is per shard, and which still need their first value."""

    def __init__(self, cohort: Cohort, *, cursors: dict[int, int], fresh: set[int]) -> None:
        self.cohort = cohort
        self.cursors = cursors
        self.fresh: dict[int, set[int]] = {shard: set(fresh) for shard in cursors}


class Client:
    """One socket. A client that cannot take a frame is skipped; its next frame leads from its own cursor to now."""

    def __init__(self, *, send: Send, form: Format, label: str = "") -> None:
        self.send = send
        self.label = label
        self.skipped = 0
        self.form = form
        self.lanes: dict[Mode, Lane] = {}
        self.window = 0
        self.unacked = 0
        self.interval = 0.0
        self.sent_at = time.monotonic()
        self.busy_since: float | None = None
        self.sending: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[Any] | None = None
        self.close_code: int | None = None

    def tokens(self) -> dict[int, Mode]:
        """Return what the client gets, and how."""
        return {int(token): mode for mode, lane in self.lanes.items() for token in lane.cohort.tokens}

    def is_ready(self) -> bool:
        """Say whether a data frame may go out now."""
        return self.busy_since is None and not (self.window and self.unacked >= self.window)


def slowest(clients: Iterable[Client], *, now: float) -> list[dict[str, object]]:
    """Return the clients that keep us waiting or had to be skipped, the slowest first, five at most."""
    waits = [(now - client.busy_since if client.busy_since is not None else 0.0, client) for client in clients]
    late = sorted(((wait, client) for wait, client in waits if wait or client.skipped), key=_slowness, reverse=True)
    return [
        {"label": client.label, "waits_seconds": round(wait, 1), "skipped": client.skipped}
        for wait, client in late[:SLOWEST]
    ]


def _slowness(pair: tuple[float, Client]) -> tuple[float, int]:
    return pair[0], pair[1].skipped


class Roster:
    """Who is in which cohort."""

    def __init__(self, views: Mapping[int, ShardView]) -> None:
        self._views = views
        self._cohorts: dict[tuple[Format, Mode, frozenset[int]], Cohort] = {}

    def __len__(self) -> int:
        return len(self._cohorts)

    def cohorts(self) -> list[Cohort]:
        """Return the cohorts there are now."""
        return list(self._cohorts.values())

    def add(self, client: Client, *, mode: Mode, tokens: set[int], since: Sequence[Sequence[int]]) -> None:
        """Give the client these instruments in this mode; `since` counts where it had none in it."""
        self.remove(client, tokens, but=mode)
        lane = client.lanes.get(mode)
        held = set(map(int, lane.cohort.tokens)) if lane is not None else set()
        self._set_lane(client, mode, held | tokens, fresh=tokens - held)
        if not held:
            self._resume(client.lanes[mode], since)

    def remove(self, client: Client, tokens: set[int], *, but: Mode | None = None) -> None:
        """Take these instruments from the client, in every mode but one."""
        for mode, lane in list(client.lanes.items()):
            held = set(map(int, lane.cohort.tokens))
            if mode is not but and held & tokens:
                self._set_lane(client, mode, held - tokens, fresh=set())

    def rewind(self, client: Client, since: Sequence[Sequence[int]]) -> None:
        """Put the client back to positions it knows; where they say nothing, to its first values."""
        for lane in client.lanes.values():
            tokens = set(map(int, lane.cohort.tokens))
            lane.fresh = {shard: set(tokens) for shard in lane.fresh}
            self._resume(lane, since)

    def drop(self, client: Client) -> None:
        """Forget the client."""
        for mode in list(client.lanes):
            self._drop_lane(client, mode)

    def _set_lane(self, client: Client, mode: Mode, tokens: set[int], *, fresh: set[int]) -> None:
        old = client.lanes.get(mode)
        still_fresh = {shard: left & tokens for shard, left in old.fresh.items()} if old is not None else {}
        cursors = old.cursors if old is not None else {shard: view.sequence for shard, view in self._views.items()}
        if old is not None:
            self._drop_lane(client, mode)
        if not tokens:
            return
        key = (client.form, mode, frozenset(tokens))
        cohort = self._cohorts.get(key)
        if cohort is None:
            cohort = self._cohorts[key] = Cohort(form=client.form, mode=mode, tokens=tokens)
        lane = Lane(cohort, cursors=cursors, fresh=fresh)
        for shard, left in still_fresh.items():
            lane.fresh[shard] |= left
        cohort.lanes[client] = lane
        client.lanes[mode] = lane

    def _drop_lane(self, client: Client, mode: Mode) -> None:
        cohort = client.lanes.pop(mode).cohort
        cohort.lanes.pop(client, None)
        if not cohort.lanes:
            self._cohorts.pop((cohort.form, cohort.mode, frozenset(map(int, cohort.tokens))), None)

    def _resume(self, lane: Lane, since: Sequence[Sequence[int]]) -> None:
        for shard, epoch, sequence in since:
            view = self._views.get(shard)
            if view is not None and view.epoch == epoch and sequence <= view.sequence:
                lane.cursors[shard] = sequence
                lane.fresh[shard] = set()


class Resumed:
    """An awaitable that carries on a coroutine which was stepped by hand and waits for `waiting`."""

    def __init__(self, coroutine: Any, waiting: Any) -> None:
        self._coroutine = coroutine
        self._waiting = waiting

    def __await__(self) -> Any:
        """Yield what the coroutine waits for, then whatever it waits for next."""
        waiting = self._waiting
        while True:
            try:
                value = yield waiting
            except BaseException as error:  # noqa: BLE001 (handed on, cancellation included, to where it belongs)
                step, argument = self._coroutine.throw, error
            else:
                step, argument = self._coroutine.send, value
            try:
                waiting = step(argument)
            except StopIteration as end:
                return end.value
