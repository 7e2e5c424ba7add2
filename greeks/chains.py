"""Recompute every live chain in one kernel call and publish what changed."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import structlog

from greeks import conventions, kernel, layout, queries, store, valuation
from greeks.conventions import IST
from greeks.layout import ChainSlot, Layout
from greeks.valuation import Kept, Market, Terms
from kite.types import Mode
from kite.wire import Rows
from market_data import subscriptions
from market_data.bus import NamedBlob, SyncBus, sync_bus
from market_data.errors import CapacityExceeded

log = structlog.get_logger(__name__)

REFRESH: Final = timedelta(seconds=10)
REPUBLISH_SECONDS: Final = 5.0
DRIFT: Final = 0.01
BEATS: Final = 600
KEPT_SECONDS: Final = 4 * 86_400
WISHER: Final = "greeks"


@dataclass(frozen=True, slots=True)
class Report:
    """What one beat did; `solved` options have a volatility, `p99_seconds` is of the last ten minutes."""

    chains: int
    options: int
    solved: int
    published: int
    seconds: float
    p99_seconds: float


class Engine:
    """Remembers between beats what changes seldom: the layout, the last good forwards, what was published when."""

    def __init__(self, *, bus: SyncBus) -> None:
        self._bus = bus
        self._layout: Layout | None = None
        self._fingerprint: tuple[object, ...] = ()
        self._checked_at: datetime | None = None
        self._rate = float("nan")
        self._kept: dict[store.ChainKey, Kept] = {}
        self._published: dict[store.ChainKey, tuple[int, float]] = {}
        self._wished: frozenset[int] = frozenset()
        self._took: deque[float] = deque(maxlen=BEATS)
        self._out = kernel.Result.allocate(0)

    def recompute(self, *, now: datetime) -> Report:
        """Value every live chain and publish those that ticked; raises FeedDown, NoRate."""
        started = time.perf_counter()
        latest = self._bus.latest()
        plan = self.layout(latest=latest, now=now)
        market = valuation.gather(plan=plan, latest=latest, now=now)
        prices = conventions.choose_prices(quotes=market.quotes)
        terms = [self._terms(slot, market, now) for slot in plan.slots]
        result, flags = valuation.solve(plan=plan, prices=prices, terms=terms, out=self._out)
        rows = valuation.packed(plan=plan, market=market, prices=prices, result=result, flags=flags, now=now)
        published = self._publish(plan, market, terms, rows, now)
        solved = int(np.count_nonzero(np.isfinite(rows["iv"])))
        self._took.append(time.perf_counter() - started)
        late = float(np.percentile(self._took, 99))
        report = Report(len(plan.slots), plan.options, solved, published, self._took[-1], late)
        self._bus.put_health(name="greeks", report={**asdict(report), "as_of": now.isoformat()})
        return report

    def layout(self, *, latest: Rows, now: datetime) -> Layout:
        """Return the layout, built anew when a setting, the instruments, the day or a spot moved."""
        if self._layout is not None and self._checked_at is not None and now - self._checked_at < REFRESH:
            return self._layout
        day = now.astimezone(IST).date()
        fingerprint = (day, *queries.fingerprint())
        spots = dict(zip(latest["instrument_token"].tolist(), latest["last_price"].tolist(), strict=True))
        if self._layout is None or fingerprint != self._fingerprint or _drifted(self._layout, spots):
            self._rate = queries.rate_on(day=day)
            self._layout = layout.build(underlyings=queries.live_underlyings(day=day), spots=spots)
            self._out = kernel.Result.allocate(self._layout.options)
        self._fingerprint, self._checked_at = fingerprint, now
        self._wish(self._layout, now)
        return self._layout

    def _wish(self, plan: Layout, now: datetime) -> None:
        """Have the feed stream what the chains need; without room they live on what is streamed already."""
        needed = {row.pk: row for row in plan.instruments}
        if needed.keys() == self._wished:
            return
        held = {row.instrument_id: row.instrument for row in subscriptions.wishes(wanted_by=WISHER, now=now)}
        try:
            subscriptions.wish(
                instruments=plan.instruments, mode=Mode.FULL, wanted_by=WISHER, reason="live chains", now=now
            )
        except CapacityExceeded as error:
            log.warning("greeks.chains.no_room", wanted=len(needed), reason=str(error))
            return
        subscriptions.unwish(instruments=[row for key, row in held.items() if key not in needed], wanted_by=WISHER)
        self._wished = frozenset(needed)

    def _terms(self, slot: ChainSlot, market: Market, now: datetime) -> Terms:
        terms = valuation.terms_of(slot=slot, market=market, rate=self._rate, kept=self._kept.get(slot.key), now=now)
        good = valuation.good_parity(terms=terms, now=now)
        if good is not None:
            self._kept[slot.key] = good
        return terms

    def _publish(self, plan: Layout, market: Market, terms: Sequence[Terms], rows: store.Rows, now: datetime) -> int:
        stamp = now.timestamp()
        newest = _newest(plan, market)
        due = [self._is_due(slot.key, at, stamp) for slot, at in zip(plan.slots, newest, strict=True)]
        sequences = [
            self._next(slot.key, stamp) if is_due else self._published.get(slot.key, (0, 0.0))[0]
            for slot, is_due in zip(plan.slots, due, strict=True)
        ]
        heads = store.heads(
            headers=[
                valuation.header(slot=slot, terms=term, sequence=sequence, now=now)
                for slot, term, sequence in zip(plan.slots, terms, sequences, strict=True)
            ],
            sizes=[(slot.rows.stop - slot.rows.start, len(slot.symbols)) for slot in plan.slots],
        )
        blobs: list[NamedBlob] = []
        for place in np.flatnonzero(due):
            slot, sequence = plan.slots[place], sequences[place]
            blob = store.pack(head=heads[place], rows=rows[slot.rows], symbols=slot.symbols)
            blobs.append(NamedBlob(slot.key.blob, blob, slot.key.topic, sequence))
            self._published[slot.key] = (sequence, newest[place])
        if blobs:
            index = NamedBlob(store.INDEX, b"".join(heads), store.INDEX, int(stamp * 1000))
            self._bus.put_blobs(blobs=[*blobs, index], seconds=KEPT_SECONDS)
        return len(blobs)

    def _is_due(self, key: store.ChainKey, newest: float, stamp: float) -> bool:
        sequence, known = self._published.get(key, (0, -np.inf))
        return newest > known or stamp - sequence / 1000 >= REPUBLISH_SECONDS

    def _next(self, key: store.ChainKey, stamp: float) -> int:
        return max(self._published.get(key, (0, 0.0))[0] + 1, int(stamp * 1000))


@cache
def engine() -> Engine:
    """Return this process's engine."""
    return Engine(bus=sync_bus())


def _newest(plan: Layout, market: Market) -> list[float]:
    """When the last tick of each chain or of what prices it came."""
    if not plan.slots:
        return []
    received_at = np.where(np.isfinite(market.received_at), market.received_at, -np.inf)
    of_options = np.maximum.reduceat(received_at, [slot.rows.start for slot in plan.slots])
    if plan.slots[-1].rows.stop < len(received_at):
        of_options[-1] = received_at[plan.slots[-1].rows].max()
    return [
        max(float(options), *(float(received_at[row]) for row in _helpers(slot)), -np.inf)
        for slot, options in zip(plan.slots, of_options, strict=True)
    ]


def _helpers(slot: ChainSlot) -> list[int]:
    rows = [future.row for future in (slot.same_expiry, slot.nearest) if future]
    return [*rows, slot.index] if slot.index is not None else rows


def _drifted(plan: Layout, spots: dict[int, float]) -> bool:
    return any(
        not abs(spots[token] / centre - 1.0) <= DRIFT for token, centre in plan.centres.items() if token in spots
    )
