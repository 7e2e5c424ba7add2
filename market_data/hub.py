"""Fan-out in one web process: last values, one cursor per client, frames shared by all who want the same."""

import asyncio
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
import structlog
from django.conf import settings

from kite.types import Mode
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from market_data.errors import BadBatch, FeedDown
from market_data.frames import text
from market_data.freshness import Freshness
from market_data.hub_clients import Client, Cohort, Lane, Message, Resumed, Roster, ShardView, slowest
from market_data.hub_watch import ReadStandards, Watch, ordinary_week
from market_data.pressure import hub_level
from market_data.table import Slots
from market_data.together import end

log = structlog.get_logger(__name__)

BEAT_SECONDS: Final = 1.0
STALE_SECONDS: Final = 3.0
RELOAD_SECONDS: Final = 0.25
SLOW_SECONDS: Final = 30.0
CLOSE_SLOW: Final = 3008
CLIENT_GONE = (OSError, RuntimeError, ValueError)


class Hub:
    """One per web process; starts in the running loop when the first client comes."""

    def __init__(
        self, *, bus: AsyncBus, shards: int | None = None, read_standards: ReadStandards = ordinary_week
    ) -> None:
        self._bus = bus
        freshness = Freshness()
        self._watch = Watch(read=read_standards, freshness=freshness)
        self._views = {shard: ShardView(shard, freshness=freshness) for shard in range(shards or settings.FEED_SHARDS)}
        self._clients: set[Client] = set()
        self._roster = Roster(self._views)
        self._tasks: list[asyncio.Task[None]] = []
        self._reloaded_at = 0.0
        self.loaded = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self._minute: deque[tuple[int, int]] = deque()

    @property
    def bus(self) -> AsyncBus:
        """Return what the hub listens to."""
        return self._bus

    def start(self) -> None:
        """Begin to listen, once."""
        if not self._tasks:
            jobs = (self._listen, self._beat, self._report, self._watch.follow)
            self._tasks = [asyncio.create_task(self._keep(job), name=f"hub {job.__name__}") for job in jobs]

    async def stop(self) -> None:
        """End every task."""
        await end(self._tasks)
        self._tasks = []

    # What consumers call.

    def join(self, client: Client) -> None:
        """Take a client in."""
        self.start()
        self._clients.add(client)

    def leave(self, client: Client) -> None:
        """Let a client go."""
        self._clients.discard(client)
        self._roster.drop(client)
        if client.timer is not None:
            client.timer.cancel()
        if client.sending is not None:
            client.sending.cancel()

    def positions(self) -> list[list[int]]:
        """Return [shard, epoch, sequence] of every shard."""
        return [[view.shard, view.epoch, view.sequence] for view in self._views.values()]

    def subscribe(
        self, client: Client, *, mode: Mode, tokens: Collection[int], since: Sequence[Sequence[int]] = ()
    ) -> None:
        """Stream these instruments in this mode: last values first, or what changed after `since`."""
        self._roster.add(client, mode=mode, tokens=set(tokens), since=since)
        self._flush(client)

    def unsubscribe(self, client: Client, *, tokens: Collection[int]) -> None:
        """Stream these instruments no more."""
        self._roster.remove(client, set(tokens))

    def resume(self, client: Client, *, since: Sequence[Sequence[int]]) -> None:
        """Go on from positions a client knows; where they are of another epoch, with last values."""
        self._roster.rewind(client, since)
        self._flush(client)

    def acknowledge(self, client: Client, *, frames: int) -> None:
        """Count frames the client has worked off."""
        client.unacked = max(client.unacked - frames, 0)
        self._flush(client)

    # From the bus.

    async def _keep(self, job: Any) -> None:
        """The outermost loop of a task: an error is logged and counted, and the work begins again."""
        while True:
            try:
                await job()
            except Exception:
                self.counts["crashes"] += 1
                log.exception("market_data.hub.crashed", job=job.__name__)
                await asyncio.sleep(BEAT_SECONDS)

    async def _listen(self) -> None:
        async for batch in self._bus.batches(list(self._views)):
            if batch is None:
                await self._load_missing()
            elif batch.shard in self._views:
                await self._take(self._views[batch.shard], batch)

    async def _load_missing(self) -> None:
        for view in self._views.values():
            if view.epoch == 0:
                await self._reload(view)
        self.loaded.set()

    async def _take(self, view: ShardView, batch: Batch) -> None:
        if batch.epoch < view.epoch:
            self.counts["deposed"] += 1
            return
        self._heard(view)
        if batch.epoch > view.epoch:
            self._begin_epoch(view, batch.epoch)
            await self._reload(view)
            self._flush_everybody()
        if batch.kind is BatchKind.HEARTBEAT:
            await self._check(view, batch)
            return
        if batch.to_sequence <= view.sequence:
            return
        if batch.from_sequence > view.sequence:
            self.counts["gaps"] += 1
            log.warning("market_data.hub.gap", shard=view.shard, had=view.sequence, came=batch.from_sequence)
            await self._reload(view)
            view.reload_from = 0 if view.sequence >= batch.from_sequence else batch.from_sequence
        self._apply(view, batch)
        if view.reload_from and time.monotonic() - self._reloaded_at >= RELOAD_SECONDS:
            await self._reload(view)

    async def _check(self, view: ShardView, heartbeat: Batch) -> None:
        if heartbeat.to_sequence > view.sequence or view.reload_from:
            await self._reload(view)
        view.published_us = heartbeat.published_us

    def _apply(self, view: ShardView, batch: Batch) -> None:
        """Store the rows and send every cohort that has news on its way."""
        if batch.to_sequence <= view.sequence:
            return
        before = view.sequence
        self._take_over(view, batch)
        view.table.put(batch.rows, batch.to_sequence)
        view.sequence, view.published_us = batch.to_sequence, batch.published_us
        for cohort in list(self._roster.cohorts()):
            if cohort.has_news(view, before):
                self._flush_cohort(cohort)

    def _take_over(self, view: ShardView, batch: Batch) -> None:
        """An instrument that moved here from another shard must not be sent from there any more."""
        if len(self._views) == 1:
            return
        tokens = batch.rows["instrument_token"]
        new = tokens[view.table.version[view.table.slots(tokens)] == 0]
        for other in self._views.values():
            if len(new) and other is not view:
                other.table.drop(new)

    async def _reload(self, view: ShardView) -> None:
        """Mend from the stored last values; whatever is newer than ours goes to the clients as a snapshot."""
        self._reloaded_at = time.monotonic()
        try:
            snapshot = await self._bus.get_snapshot(view.shard)
        except (FeedDown, BadBatch) as error:
            log.warning("market_data.hub.snapshot_unread", shard=view.shard, reason=str(error))
            return
        if snapshot is None or snapshot.epoch < view.epoch:
            return
        self.counts["reloads"] += 1
        if snapshot.epoch > view.epoch:
            self._begin_epoch(view, snapshot.epoch)
        view.sequence = max(view.sequence, snapshot.to_sequence)
        view.published_us = max(view.published_us, snapshot.published_us)
        if snapshot.to_sequence >= view.reload_from:
            view.reload_from = 0
        changed = view.table.put_newer(snapshot.rows, max(view.sequence, 1))
        self._refresh(view, changed)

    def _refresh(self, view: ShardView, changed: Slots) -> None:
        for cohort in list(self._roster.cohorts()):
            hit = cohort.tokens[np.isin(cohort.slots(view), changed)]
            if len(hit):
                cohort.forget_frames()
                for lane in cohort.lanes.values():
                    lane.fresh[view.shard].update(map(int, hit))
                self._flush_cohort(cohort)

    def _begin_epoch(self, view: ShardView, epoch: int) -> None:
        log.info("market_data.hub.epoch", shard=view.shard, epoch=epoch)
        view.begin(epoch)
        for cohort in self._roster.cohorts():
            for lane in cohort.lanes.values():
                lane.cursors[view.shard] = 0
                lane.fresh[view.shard] = set(map(int, cohort.tokens))

    # To the clients.

    def _flush_everybody(self) -> None:
        for client in list(self._clients):
            self._flush(client)

    def _flush_cohort(self, cohort: Cohort) -> None:
        for client in list(cohort.lanes):
            self._flush(client)

    def _flush(self, client: Client) -> None:
        """Send what the client has not got, one frame per lane and shard, until it cannot take more."""
        if not self._may_send(client):
            return
        for lane in list(client.lanes.values()):
            for view in self._views.values():
                if not client.is_ready():
                    return
                self._send_lane(client, lane, view)

    def _may_send(self, client: Client) -> bool:
        if not client.is_ready():
            self.counts["conflated"] += 1
            client.skipped += 1
            return False
        wait = client.sent_at + client.interval - time.monotonic() if client.interval else 0.0
        if wait > 0:
            if client.timer is None:
                client.timer = asyncio.get_running_loop().call_later(wait, self._on_timer, client)
            return False
        return True

    def _on_timer(self, client: Client) -> None:
        client.timer = None
        self._flush(client)

    def _send_lane(self, client: Client, lane: Lane, view: ShardView) -> None:
        fresh = lane.fresh[view.shard]
        if fresh:
            snapshot = lane.cohort.snapshot(view, fresh)
            complete = len(fresh) == len(lane.cohort.tokens)
            lane.fresh[view.shard] = set()
            if complete:
                lane.cursors[view.shard] = view.sequence
            if snapshot is not None:
                self._send_data(client, snapshot)
        cursor = lane.cursors[view.shard]
        if cursor < view.sequence and client.is_ready():
            delta = lane.cohort.delta(view, cursor)
            if delta is not None:
                lane.cursors[view.shard] = view.sequence
                self._send_data(client, delta)

    def _send_data(self, client: Client, message: Message) -> None:
        client.unacked += 1
        self.counts["frames"] += 1
        self._send(client, message)

    def _send(self, client: Client, message: Message) -> None:
        """Step the server's `send` by hand: most of the time it ends at once, and no task is needed."""
        client.sent_at = time.monotonic()
        coroutine: Any = client.send(message)
        try:
            waiting = coroutine.send(None)
        except StopIteration:
            return
        except CLIENT_GONE:
            self.leave(client)
            return
        client.busy_since = client.sent_at
        client.sending = asyncio.create_task(self._finish(client, Resumed(coroutine, waiting)))

    async def _finish(self, client: Client, rest: Resumed) -> None:
        try:
            await rest
        except CLIENT_GONE:
            client.sending = None
            self.leave(client)
            return
        client.busy_since = client.sending = None
        self._flush(client)

    # Every second.

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            self._judge_shards(now)
            self._judge_quotes()
            beat = {"t": "hb", "ts": time.time_ns() // 1_000_000, "s": self._ages(now)}
            message = {"type": "websocket.send", "text": text(beat).decode()}
            for client in list(self._clients):
                if client.busy_since is not None:
                    self._judge_slow(client, now)
                elif now - client.sent_at >= BEAT_SECONDS:
                    self._send(client, message)

    def _ages(self, now: float) -> list[list[int]]:
        return [
            [view.shard, view.epoch, view.sequence, int((now - view.heard_at) * 1000) if view.heard_at else -1]
            for view in self._views.values()
        ]

    def _heard(self, view: ShardView) -> None:
        view.heard_at = time.monotonic()
        if view.stale:
            view.stale = False
            self._notify({"t": "live", "s": view.shard})

    def _judge_shards(self, now: float) -> None:
        for view in self._views.values():
            if not view.stale and now - view.heard_at >= STALE_SECONDS:
                view.stale = True
                self._notify({"t": "stale", "s": view.shard})

    def _judge_quotes(self) -> None:
        """Tell whoever streams a quote that it became stale; who cannot hear now gets its row, which says so."""
        now = time.time()
        self._watch.rank(self._views.values(), at=now)
        for view in self._views.values():
            tokens = self._watch.look(view, at=now)
            if not len(tokens):
                continue
            self.counts["quotes_stale"] += len(tokens)
            for cohort in list(self._roster.cohorts()):
                hit = cohort.tokens[np.isin(cohort.tokens, tokens)].tolist()
                if hit:
                    self._tell_stale(cohort, view, hit)

    def _tell_stale(self, cohort: Cohort, view: ShardView, tokens: list[int]) -> None:
        message = {"type": "websocket.send", "text": text({"t": "stale", "s": view.shard, "i": tokens}).decode()}
        for client, lane in list(cohort.lanes.items()):
            if client.busy_since is None:
                self._send(client, message)
            else:
                lane.fresh[view.shard].update(tokens)

    def _notify(self, notice: dict[str, object]) -> None:
        message = {"type": "websocket.send", "text": text(notice).decode()}
        for client in list(self._clients):
            if client.busy_since is None:
                self._send(client, message)

    def _judge_slow(self, client: Client, now: float) -> None:
        if client.busy_since is not None and now - client.busy_since >= SLOW_SECONDS and client.task is not None:
            self.counts["slow_closed"] += 1
            client.close_code = CLOSE_SLOW
            client.task.cancel()

    def _since(self, seconds: int) -> tuple[int, int]:
        """Return how many frames were sent and how many left out in the last seconds; called once a second."""
        self._minute.append(now := (self.counts["frames"], self.counts["conflated"]))
        while len(self._minute) > seconds:
            self._minute.popleft()
        return now[0] - self._minute[0][0], now[1] - self._minute[0][1]

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            sent, skipped = self._since(60)
            level = hub_level(sent=sent, skipped=skipped, limits=self._watch.standards.pressure)
            report = {
                "at": time.time(),
                "pressure": {"level": level, "sent": sent, "skipped": skipped},
                "clients": len(self._clients),
                "cohorts": len(self._roster),
                "instruments": sum(view.table.size for view in self._views.values()),
                "stale_quotes": self._watch.count(),
                "stale_shards": [view.shard for view in self._views.values() if view.stale],
                "slowest": slowest(self._clients, now=time.monotonic()),
                "counts": dict(self.counts),
            }
            try:
                await self._bus.put_health(name=f"hub:{socket.gethostname()}:{os.getpid()}", report=report)
            except FeedDown as error:
                log.warning("market_data.hub.untold", reason=str(error))
