"""Recompute every live chain in one kernel call and publish what changed."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from greeks import conventions, kernel, layout, queries, store, valuation
from greeks.conventions import IST
from greeks.kernel import Floats
from greeks.layout import ChainSlot, Layout, Places
from greeks.market import Market, Seats
from greeks.sheets import Sheets
from greeks.valuation import Kept, Rates, Terms
from kite.types import Mode
from kite.wire import Rows
from market_data import subscriptions
from market_data.batches import TOP, newest
from market_data.bus import SyncBus, sync_bus
from market_data.errors import CapacityExceeded
from market_data.weaving import Woven

log = structlog.get_logger(__name__)

REFRESH: Final = timedelta(seconds=10)
REPUBLISH_SECONDS: Final = 5.0
DRIFT: Final = 0.01
BEATS: Final = 600
KEPT_SECONDS: Final = 4 * 86_400
WISHER: Final = "greeks"
# Of a chain no beat has seen: forward ratio and its moment, sequence, moment of the newest tick.
UNKNOWN: Final = (float("nan"), float("nan"), 0, float("-inf"))


@dataclass(frozen=True, slots=True)
class Report:
    """What one beat did; `solved` options have a volatility, `p99_seconds` is of the last ten minutes."""

    chains: int
    options: int
    solved: int
    published: int
    seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A layout with all that lives as long as it does."""

    plan: Layout
    rates: Rates
    seats: Seats
    sheets: Sheets
    out: kernel.Result
    # Row numbers of what prices each chain from outside it.
    helpers: Places


@dataclass(slots=True)
class Past:
    """What earlier beats left of each chain: its last good forward, its sequence, and when its newest tick came."""

    kept: Kept
    sequence: npt.NDArray[np.int64]
    ticked_at: Floats


class Engine:
    """Remembers between beats what changes seldom: the layout, the last good forwards, what was published when."""

    def __init__(self, *, bus: SyncBus) -> None:
        self._bus = bus
        self._bench: Bench | None = None
        self._past = _past_of({}, ())
        self._fingerprint: tuple[object, ...] = ()
        self._checked_at: datetime | None = None
        self._rate = float("nan")
        self._wished: frozenset[int] = frozenset()
        self._took: deque[float] = deque(maxlen=BEATS)

    def recompute(self, *, now: datetime) -> Report:
        """Value every live chain and publish those that ticked; raises FeedDown, NoRate."""
        started = time.perf_counter()
        tops = self._bus.tops()
        bench = self._ready(tops, now)
        plan, rates = bench.plan, bench.rates
        market = bench.seats.gather(tops=tops, now=now)
        prices = conventions.choose_prices(quotes=market.quotes, mids=market.mids)
        terms = valuation.terms_of(plan=plan, rates=rates, market=market, kept=self._past.kept, now=now)
        self._past.kept = valuation.remember(kept=self._past.kept, terms=terms, now=now)
        result, flags = valuation.solve(plan=plan, rates=rates, prices=prices, terms=terms, out=bench.out)
        bench.sheets.fill_rows(market=market, prices=prices, result=result, flags=flags, now=now)
        published = self._publish(bench, market, terms, now)
        solved = int(np.count_nonzero(np.isfinite(result.iv)))
        self._took.append(time.perf_counter() - started)
        late = float(np.percentile(self._took, 99))
        report = Report(len(plan.slots), plan.options, solved, published, self._took[-1], late)
        self._bus.put_health(name="greeks", report={**asdict(report), "as_of": now.isoformat()})
        return report

    def layout(self, *, tops: Sequence[Rows], now: datetime) -> Layout:
        """Return the layout, built anew when a setting, the instruments, the day or a spot moved."""
        before = self._bench.plan if self._bench is not None else None
        if before is not None and self._checked_at is not None and now - self._checked_at < REFRESH:
            return before
        day = now.astimezone(IST).date()
        fingerprint = (day, *queries.fingerprint())
        spots = _spots(tops)
        plan = before
        if plan is None or fingerprint != self._fingerprint or _drifted(plan, spots):
            self._rate = queries.rate_on(day=day)
            plan = layout.build(underlyings=queries.live_underlyings(day=day), spots=spots)
        self._fingerprint, self._checked_at = fingerprint, now
        self._wish(plan, now)
        return plan

    def _ready(self, tops: Sequence[Rows], now: datetime) -> Bench:
        plan = self.layout(tops=tops, now=now)
        if self._bench is None or self._bench.plan is not plan:
            before = self._bench.plan.slots if self._bench is not None else ()
            self._past = _past_of(
                dict(zip([slot.key for slot in before], _rows_of(self._past), strict=True)), plan.slots
            )
            self._bench = _bench(plan, self._rate)
        return self._bench

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

    def _publish(self, bench: Bench, market: Market, terms: Terms, now: datetime) -> int:
        stamp, past, sheets = now.timestamp(), self._past, bench.sheets
        newest = _newest(bench, market)
        due = (newest > past.ticked_at) | (stamp - past.sequence / 1000 >= REPUBLISH_SECONDS)
        past.sequence[due] = np.maximum(past.sequence[due] + 1, int(stamp * 1000))
        past.ticked_at[due] = newest[due]
        sheets.fill_heads(terms=terms, sequences=past.sequence, now=now)
        places = np.flatnonzero(due).tolist()
        if places:
            self._bus.put_woven(
                Woven(
                    keys=[*(bench.plan.slots[place].key.blob for place in places), store.INDEX],
                    sequences=[*past.sequence[due].tolist(), int(stamp * 1000)],
                    lanes=sheets.lanes,
                    places=[*places, len(due)],
                    seconds=KEPT_SECONDS,
                )
            )
        return len(places)


@cache
def engine() -> Engine:
    """Return this process's engine."""
    return Engine(bus=sync_bus())


def _bench(plan: Layout, rate: float) -> Bench:
    rates = valuation.rates_of(slots=plan.slots, rate=rate)
    return Bench(
        plan=plan,
        rates=rates,
        seats=Seats(plan),
        sheets=Sheets(plan),
        out=kernel.Result.allocate(plan.options),
        helpers=np.stack([rates.same_expiry, rates.nearest, rates.index]),
    )


def _past_of(known: Mapping[store.ChainKey, tuple[float, ...]], slots: Sequence[ChainSlot]) -> Past:
    """Return what is known of these chains, in their order."""
    rows = np.array([known.get(slot.key, UNKNOWN) for slot in slots], np.float64).reshape(-1, len(UNKNOWN))
    ratio, at, sequence, ticked_at = rows.T.copy()
    return Past(Kept(ratio, at), sequence.astype(np.int64), ticked_at)


def _rows_of(past: Past) -> list[tuple[float, ...]]:
    columns = (past.kept.ratio, past.kept.at, past.sequence, past.ticked_at)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _newest(bench: Bench, market: Market) -> Floats:
    """When the last tick of each chain or of what prices it came."""
    received_at = np.where(np.isfinite(market.received_at), market.received_at, -np.inf)
    if not bench.plan.slots:
        return received_at[:0]
    options = received_at[: bench.plan.options]
    of_options = np.maximum.reduceat(options, [slot.rows.start for slot in bench.plan.slots])
    return np.asarray(np.maximum(of_options, received_at[bench.helpers].max(axis=0)))


def _spots(tops: Sequence[Rows]) -> dict[int, float]:
    """Return the last price by token, of several the one received last."""
    latest = newest(np.concatenate([np.zeros(0, TOP), *tops]))
    return dict(zip(latest["instrument_token"].tolist(), latest["last_price"].tolist(), strict=True))


def _drifted(plan: Layout, spots: dict[int, float]) -> bool:
    return any(
        not abs(spots[token] / centre - 1.0) <= DRIFT for token, centre in plan.centres.items() if token in spots
    )
