"""Recompute every live chain in one kernel call and publish what changed."""

import time
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
KEPT_SECONDS: Final = 4 * 86_400
WISHER: Final = "greeks"


@dataclass(frozen=True, slots=True)
class Report:
    """What one beat did; `solved` options have a volatility."""

    chains: int
    options: int
    solved: int
    published: int
    seconds: float


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
        report = Report(len(plan.slots), plan.options, solved, published, time.perf_counter() - started)
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
        heads: list[bytes] = []
        blobs: list[NamedBlob] = []
        for slot, term in zip(plan.slots, terms, strict=True):
            newest = _newest(slot, market)
            sequence, known = self._published.get(slot.key, (0, -np.inf))
            due = newest > known or stamp - sequence / 1000 >= REPUBLISH_SECONDS
            sequence = max(sequence + 1, int(stamp * 1000)) if due else sequence
            header = valuation.header(slot=slot, terms=term, sequence=sequence, now=now)
            heads.append(store.head(header=header, rows=rows[slot.rows], symbols=slot.symbols))
            if due:
                blob = store.pack(head=heads[-1], rows=rows[slot.rows], symbols=slot.symbols)
                blobs.append(NamedBlob(slot.key.blob, blob, slot.key.topic, sequence))
                self._published[slot.key] = (sequence, newest)
        if blobs:
            index = NamedBlob(store.INDEX, b"".join(heads), store.INDEX, int(stamp * 1000))
            self._bus.put_blobs(blobs=[*blobs, index], seconds=KEPT_SECONDS)
        return len(blobs)


@cache
def engine() -> Engine:
    """Return this process's engine."""
    return Engine(bus=sync_bus())


def _newest(slot: ChainSlot, market: Market) -> float:
    """When the last tick of the chain or of what prices it came."""
    places = [future.row for future in (slot.same_expiry, slot.nearest) if future]
    places += [slot.index] if slot.index is not None else []
    times = np.concatenate([market.received_at[slot.rows], market.received_at[places]])
    return float(np.nanmax(times)) if np.isfinite(times).any() else -np.inf


def _drifted(plan: Layout, spots: dict[int, float]) -> bool:
    return any(
        not abs(spots[token] / centre - 1.0) <= DRIFT for token, centre in plan.centres.items() if token in spots
    )
