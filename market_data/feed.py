"""The feed of a shard: sockets equal to the plan, packets to sequenced batches, faults to the database."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Final, TypeVar

import numpy as np
import structlog

from kite.socket import Connection, ConnectionState, Phase
from kite.types import Login, Mode
from market_data.bus import PLAN_TOPIC, AsyncBus
from market_data.errors import BadBatch, FeedDown, ShardTaken
from market_data.feed_gaps import Gaps
from market_data.feed_line import Connect, Line, Pace
from market_data.feed_outbox import Outbox
from market_data.ingest import Flushed, Ingest
from market_data.ledger import Ledger, LedgerUnreachable
from market_data.plan import Plan, Seat
from market_data.pressure import Gauge, protected
from market_data.sharding import CONNECTIONS, PER_CONNECTION
from market_data.spool import Spool
from market_data.table import Tokens
from market_data.together import together

log = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 0.05
PLAN_SECONDS: Final = 1.0
# A storm of wishes is one new plan, and a morning's first values are few snapshots.
SETTLE_SECONDS: Final = 0.1
SNAPSHOT_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 1.0
HANDOVER_SECONDS: Final = 1.0
REPLACEMENT_SECONDS: Final = 3.0
RENEWAL_SECONDS: Final = 0.6
RENEWAL_LOOKS: Final = 4

OrderUpdate = Callable[[str, Mapping[str, object]], None]
T = TypeVar("T")


class Feed:
    """One process's part of the stream; `run` ends by cancellation or when another process owns the shard."""

    def __init__(
        self,
        *,
        shard: int,
        bus: AsyncBus,
        ledger: Ledger,
        on_order_update: OrderUpdate,
        spool: Spool,
        connect: Connect = Connection,
    ) -> None:
        self._shard = shard
        self._bus = bus
        self._ledger = ledger
        self._on_order_update = on_order_update
        self._connect = connect
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._plan = Plan()
        self._lines: dict[str, list[Line]] = {}
        self._retiring: list[tuple[float, Line, Line | None]] = []
        self._paces: dict[str, Pace] = defaultdict(Pace)
        self._incidents: asyncio.Queue[tuple[Line, ConnectionState]] = asyncio.Queue()
        self._mending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._has_first_values = asyncio.Event()
        self._outbox = Outbox(bus=bus, spool=spool)
        self._gaps = Gaps()
        self._gauge = Gauge()
        self._reading = self._gauge.read(pending=0, now=time.time())
        self._protected: Tokens = np.zeros(0, np.uint32)
        self._published_at = 0.0

    async def run(self) -> None:
        """Own the shard, wait for it if need be, and stream until cancelled; raises ShardTaken when deposed."""
        jobs = (
            *(self._follow_plan, self._hear_knocks, self._flush_for_ever),
            *(self._snapshot_for_ever, self._tell_for_ever, self._mend),
        )
        try:
            self._ingest = await self._begin()
            await together(*(job() for job in jobs))
        finally:
            await self._close_everything()

    async def _begin(self) -> Ingest:
        epoch = await self._become_owner()
        try:
            last = await self._bus.get_snapshot(self._shard)
        except (FeedDown, BadBatch) as error:
            log.warning("market_data.feed.no_inheritance", reason=str(error))
            last = None
        if last is not None and len(last.rows):
            self._gaps.note_restart(since=last.published_us / 1e6)
        log.info("market_data.feed.owned", shard=self._shard, epoch=epoch)
        return Ingest(shard=self._shard, epoch=epoch, inherited=None if last is None else last.rows)

    async def _become_owner(self) -> int:
        told = False
        while True:
            try:
                fence = await self._bus.fence(self._shard)
                return await self._in_database(partial(self._ledger.take, above=fence))
            except (ShardTaken, LedgerUnreachable, FeedDown) as error:
                if not told:
                    log.warning("market_data.feed.standing_by", shard=self._shard, reason=str(error))
                told = True
                await asyncio.sleep(PLAN_SECONDS)

    async def _in_database(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    # Plan to sockets.

    async def _follow_plan(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._apply(await self._in_database(self._ledger.plan))
            except LedgerUnreachable as error:
                log.warning("market_data.feed.plan_unread", reason=str(error))
            await asyncio.sleep(SETTLE_SECONDS)
            await _woken(self._wake, PLAN_SECONDS - SETTLE_SECONDS)

    async def _hear_knocks(self) -> None:
        async for _ in self._bus.notices(PLAN_TOPIC):
            self._wake.set()

    async def _apply(self, plan: Plan) -> None:
        self._retire_due()
        unsettled = any(line.settling for lines in self._lines.values() for line in lines)
        if plan is self._plan and not unsettled:
            return
        self._plan = plan
        planned = {token for seat in plan.seats.values() for line in seat.lines for token in line}
        for account_id, seat in plan.seats.items():
            await self._seat(account_id, seat, planned)
        for account_id in self._lines.keys() - plan.seats.keys():
            self._retire(self._lines.pop(account_id), successors=[])
        self._retire_due()

    async def _seat(self, account_id: str, seat: Seat, planned: set[int]) -> None:
        """Make the account's connections what the plan says; untouched instruments see nothing of it."""
        lines = self._lines.get(account_id, [])
        if lines and lines[0].login != seat.login:
            lines = await self._replace(lines, seat)
        self._retire(lines[len(seat.lines) :], successors=[])
        lines = lines[: len(seat.lines)]
        while len(lines) < len(seat.lines):
            lines.append(self._open(seat))
        self._lines[account_id] = lines
        for line, target in zip(lines, seat.lines, strict=True):
            await self._hold(line, target, planned)

    async def _replace(self, old: list[Line], seat: Seat) -> list[Line]:
        """Open with the new login beside the old one where the key's limit of sockets lets us."""
        log.info("market_data.feed.login_changed", account=seat.label, version=seat.login.version)
        if len(old) + len(seat.lines) > CONNECTIONS:
            await asyncio.gather(*(line.close() for line in old))
            return []
        new = [self._open(seat) for _ in seat.lines]
        self._retire(old, successors=new)
        return new

    async def _hold(self, line: Line, target: Mapping[int, Mode], planned: set[int]) -> None:
        """Give instruments up only a moment after their new line was told: a handover may double, never tear."""
        leaving = {token: mode for token, mode in line.wanted.items() if token not in target and token in planned}
        keep = bool(leaving) and not line.settling and len(leaving) + len(target) <= PER_CONNECTION
        line.settling = keep
        await line.hold({**leaving, **target} if keep else target)

    def _open(self, seat: Seat) -> Line:
        line = Line(
            seat.login,
            label=seat.label,
            connect=self._connect,
            on_frame=self._on_frame,
            on_text=self._on_text,
            on_state=self._on_state,
        )
        line.task.add_done_callback(self._on_line_done)
        return line

    def _retire(self, lines: list[Line], *, successors: list[Line]) -> None:
        wait = REPLACEMENT_SECONDS if successors else HANDOVER_SECONDS
        for number, line in enumerate(lines):
            successor = successors[min(number, len(successors) - 1)] if successors else None
            self._retiring.append((time.monotonic() + wait, line, successor))

    def _retire_due(self) -> None:
        waiting = []
        for deadline, line, successor in self._retiring:
            replaced = successor is not None and successor.is_streaming()
            if replaced or not line.is_streaming() or time.monotonic() >= deadline:
                line.task.cancel()
            else:
                waiting.append((deadline, line, successor))
        self._retiring = waiting

    async def _close_everything(self) -> None:
        lines = [line for lines in self._lines.values() for line in lines] + [line for _, line, _ in self._retiring]
        for task in self._mending:
            task.cancel()
        try:
            await asyncio.gather(*(line.close() for line in lines))
            await self._outbox.close()
        finally:
            await self._in_database(self._ledger.close)
            self._database.shutdown(wait=True, cancel_futures=True)

    # From the sockets.

    def _on_frame(self, account_id: str, frame: bytes, received_at: float) -> None:
        self._ingest.receive(source=account_id, frame=frame, received_at=received_at)

    def _on_text(self, line: Line, message: dict[str, object]) -> None:
        data = message.get("data")
        if message.get("type") == "order" and isinstance(data, dict):
            self._on_order_update(line.login.account_id, data)
        else:
            log.info("market_data.feed.message", account=line.label, kind=str(message.get("type"))[:40])

    def _on_state(self, line: Line, state: ConnectionState) -> None:
        lost = state.phase in {Phase.LOST, Phase.REJECTED}
        level = log.warning if lost else log.info
        level("market_data.socket.state", account=line.label, phase=state.phase, cause=state.cause)
        if lost:
            self._incidents.put_nowait((line, state))

    def _on_line_done(self, task: "asyncio.Task[object]") -> None:
        """A socket's task never ends by itself: its error must end the process, loudly."""
        if not task.cancelled() and task.exception() is not None:
            self._outbox.fail(task.exception())

    # Faults to the database.

    async def _mend(self) -> None:
        while True:
            line, state = await self._incidents.get()
            if line not in self._lines.get(line.login.account_id, []):
                continue
            self._gaps.note_loss(
                label=line.label, cause=state.cause, since=line.last_frame_at, tokens=frozenset(line.wanted)
            )
            self._mending.add(task := asyncio.create_task(self._report_loss(line, state)))
            task.add_done_callback(self._mending.discard)

    async def _report_loss(self, line: Line, state: ConnectionState) -> None:
        """Move its instruments where there is room; whether the token is dead is asked afterwards."""
        login = line.login
        try:
            if await self._was_renewed(login):
                log.info("market_data.feed.login_renewed", account=line.label)
                return
            if self._plan.can_spare_an_account():
                await self._in_database(partial(self._ledger.degrade, account_id=login.account_id, reason=state.cause))
            self._wake.set()
            await asyncio.to_thread(self._ledger.verify, login)
        except (LedgerUnreachable, ShardTaken) as error:
            log.warning("market_data.feed.loss_unreported", account=line.label, reason=str(error))
        finally:
            self._wake.set()

    async def _was_renewed(self, login: Login) -> bool:
        """The broker ends the old token's sockets a moment before the new token is ours: nothing is wrong then."""
        for _ in range(RENEWAL_LOOKS):
            seat = (await self._in_database(self._ledger.plan)).seats.get(login.account_id)
            if seat is None or seat.login != login:
                return seat is not None
            await asyncio.sleep(RENEWAL_SECONDS / RENEWAL_LOOKS)
        return False

    # To the bus.

    async def _flush_for_ever(self) -> None:
        while True:
            began = time.monotonic()
            now = time.time()
            only = None if self._gauge.is_whole() else self._protected
            flushed = self._ingest.flush(published_at=now, only=only)
            if flushed is not None:
                await self._publish(flushed, now)
            elif now - self._published_at >= REPORT_SECONDS:
                self._published_at = now
                await self._outbox.beat(self._ingest.heartbeat(published_at=now))
            elif self._outbox.backlog:
                await self._outbox.catch_up(self._ingest.heartbeat(published_at=now))
            await asyncio.sleep(max(FLUSH_SECONDS - (time.monotonic() - began), 0))

    async def _publish(self, flushed: Flushed, now: float) -> None:
        self._published_at = now
        began = time.monotonic()
        taken = await self._outbox.publish(flushed)
        done = time.time()
        if flushed.first:
            self._has_first_values.set()
        packets = len(flushed.raw.rows)
        self._gauge.note(at=done, received=packets, published=packets if taken else 0, seconds=time.monotonic() - began)
        for source, received_at, count in flushed.arrivals:
            self._paces[source].note(received_at=received_at, published_at=done, packets=count)

    async def _snapshot_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            await _woken(self._has_first_values, SNAPSHOT_SECONDS - SETTLE_SECONDS)
            self._has_first_values.clear()
            self._ingest.keep_only(np.array(sorted(self._wanted_here()), np.uint32))
            try:
                await self._bus.put_snapshot(self._ingest.snapshot(published_at=time.time()))
            except FeedDown as error:
                log.warning("market_data.feed.snapshot_lost", reason=str(error))

    def _wanted_here(self) -> set[int]:
        """Instruments without room keep their last value: it ages, and says so."""
        seated = {token for seat in self._plan.seats.values() for line in seat.lines for token in line}
        return seated.union(self._plan.unplaced)

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            now = time.time()
            self._judge_pressure(now)
            standing = [line for lines in self._lines.values() for line in lines if line.is_streaming()]
            try:
                await self._gaps.settle(
                    ledger=self._ledger,
                    run=self._in_database,
                    wanted=self._wanted_here(),
                    streaming={token for line in standing for token in line.wanted},
                    now=now,
                )
                await self._bus.put_health(name=f"feed:{self._shard}", report=self._report(now))
            except (FeedDown, LedgerUnreachable) as error:
                log.warning("market_data.feed.untold", reason=str(error))

    def _judge_pressure(self, now: float) -> None:
        wanted = np.array(sorted(self._wanted_here()), np.uint32)
        indices = np.array(sorted({index for index, _ in self._plan.options.values()}), np.uint32)
        self._protected = protected(tokens=wanted, options=self._plan.options, spots=self._ingest.last_prices(indices))
        self._gauge.limits = self._plan.pressure
        before, self._reading = self._reading, self._gauge.read(pending=self._outbox.backlog, now=now)
        if before.level != self._reading.level:
            log.warning("market_data.feed.pressure", shard=self._shard, level=self._reading.level.name.lower())

    def _report(self, now: float) -> dict[str, object]:
        return {
            "shard": self._shard,
            "epoch": self._ingest.epoch,
            "sequence": self._ingest.sequence,
            "at": now,
            "wanted": self._plan.wanted,
            "unplaced": len(self._plan.unplaced),
            "open_gaps": len(self._gaps),
            "backlog_batches": self._outbox.backlog,
            "backlog_bytes": self._outbox.backlog_bytes,
            "lost_batches": self._outbox.lost,
            "counts": dict(self._ingest.counts),
            "pressure": {**asdict(self._reading), "protected": len(self._protected)},
            "accounts": [self._report_account(key, lines, now) for key, lines in self._lines.items()],
        }

    def _report_account(self, account_id: str, lines: list[Line], now: float) -> dict[str, object]:
        newest = max((line.last_frame_at for line in lines), default=None)
        return {
            "account_id": account_id,
            "label": lines[0].label if lines else "",
            "connections": [line.report(now=now) for line in lines],
            "tokens": sum(len(line.wanted) for line in lines),
            "streaming": all(line.is_streaming() for line in lines),
            "last_tick_age": None if newest is None else round(now - newest, 3),
            **self._paces[account_id].report(now=now),
        }


async def _woken(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
